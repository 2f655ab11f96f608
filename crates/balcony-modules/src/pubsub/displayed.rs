//! XEP-0490 Message Displayed Synchronization 1.0.1: what a client says to have displayed in a
//! message is published for the other clients of its account (§4.5).

use std::sync::Arc;

use balcony_core::module::{Ctx, Envelope, Flow};
use balcony_proto::ns;
use balcony_proto::stanza::{Kind, MessageType};

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
    let core = Arc::clone(ctx.core());
    // Nothing in the message waits for it. Tasks of a worker begin in the order of their spawning,
    // and take turns on the account then.
    tokio::spawn(async move {
        let (account, id) = (session.account().clone(), to.to_string());
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
    });
    Flow::Continue
}
