//! XEP-0490 Message Displayed Synchronization 1.0.1: what a client says to have displayed in a
//! message is published for the other clients of its account (§4.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, Flow, Session};
use balcony_proto::ns;
use balcony_proto::stanza::{Kind, MessageType};
use balcony_proto::xml::Element;

use super::own;

/// §4.5.3: the element is taken out before anybody keeps or gets the message, and published.
pub(super) fn assist(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    // Hot: most messages say no such thing.
    let found = envelope.stanza.payload.find(ns::MDS, "displayed");
    let Some(displayed) = found.map(|found| found.element()) else {
        return Flow::Continue;
    };
    let (Some(session), Some(to)) = (envelope.session().cloned(), envelope.to().cloned()) else {
        return Flow::Continue;
    };
    if envelope.stanza.kind == Kind::Message(MessageType::Error) {
        return Flow::Continue;
    }
    let payload = &mut envelope.stanza.payload;
    *payload = payload.without(|child| child.is(ns::MDS, "displayed"));
    if wait(&session, to.to_string(), displayed) {
        // Nothing in the message waits for it.
        tokio::spawn(publish(Arc::clone(ctx.core()), session));
    }
    Flow::Continue
}

/// Note of a session: what is to be published of what it has displayed, by chat.
#[derive(Default)]
struct Waiting(BTreeMap<String, Element>);

/// Chats of which one session may have something waiting. It is what comes in while one item is
/// written, a few milliseconds.
const MOST: usize = 1_000;

/// Puts down what was displayed. Answers whether nobody is at publishing for the session.
fn wait(session: &Session, chat: String, displayed: Element) -> bool {
    let is_first = session.notes(|notes| {
        let is_first = notes.get::<Waiting>().is_none();
        if is_first {
            notes.set(Waiting::default());
        }
        let waiting = notes.get_mut::<Waiting>()?;
        // Of one chat the last is what counts (§3).
        let fits = waiting.0.len() < MOST || waiting.0.contains_key(&chat);
        fits.then(|| waiting.0.insert(chat, displayed));
        fits.then_some(is_first)
    });
    if is_first.is_none() {
        tracing::warn!(session = %session.jid(), "too much to note as displayed");
    }
    is_first == Some(true)
}

async fn publish(core: Arc<Core>, session: Arc<Session>) {
    while let Some((id, displayed)) = next(&session) {
        let account = session.account().clone();
        let published = core.lend(move |ctx| {
            Box::pin(async move {
                let item = (ns::MDS, id, displayed);
                own::publish(ctx, &account, item, Some(own::private())).await
            })
        });
        if let Err(error) = published.await {
            let condition = error.condition.as_str();
            tracing::info!(session = %session.jid(), condition, "not noted as displayed");
        }
    }
}

/// What to publish next. `None`: that was all, and nobody is at it any more.
fn next(session: &Session) -> Option<(String, Element)> {
    session.notes(|notes| {
        let next = notes.get_mut::<Waiting>()?.0.pop_first();
        if next.is_none() {
            notes.take::<Waiting>();
        }
        next
    })
}
