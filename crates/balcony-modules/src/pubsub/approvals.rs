//! Subscriptions that an owner has to approve (XEP-0060 §8.6): the owners are asked by a message
//! with a form, which comes back with what they decided.

use std::collections::HashMap;
use std::sync::Arc;

use balcony_core::module::{Ctx, Envelope, Flow, Origin};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_store::SubscriptionState;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::node::{self, Node};
use super::{State, notify, subscribers};

const NODE: &str = "pubsub#node";
const SUBSCRIBER: &str = "pubsub#subscriber_jid";
const ALLOW: &str = "pubsub#allow";

/// Asks all owners; the first who answers decides (§12.13).
pub(super) fn ask(ctx: &mut Ctx<'_>, node: &Node, subscriber: &Jid) {
    let now = ctx.utc_micros();
    let asked = ctx.state::<State>().map(|state| &state.asked);
    if asked.is_none_or(|asked| !asked.again(node, subscriber, now)) {
        return;
    }
    let payload = Payload::from_element(&form(node, subscriber).to_element());
    let owners: Vec<Jid> = node
        .owners()
        .into_iter()
        .filter_map(|owner| Jid::parse(owner).ok())
        .collect();
    for owner in owners {
        // Kept for an owner who is absent.
        let stanza = notify::message(ctx, &node.owner, &payload, MessageType::Normal);
        ctx.send(stanza.with_to(owner));
    }
}

/// How long owners are not asked about the same request again, in microseconds: whoever takes it
/// back and makes it anew does not fill their inboxes. The form that they have still holds.
const PAUSE: i64 = 3_600_000_000;

/// Requests that are remembered for it. Full, it begins anew.
const REMEMBERED: usize = 10_000;

/// Of which requests owners were told, and when.
#[derive(Default)]
pub(super) struct Told(Mutex<HashMap<[u8; 32], i64>>);

impl Told {
    /// Whether owners are to be told of a request now.
    fn again(&self, node: &Node, subscriber: &Jid, now: i64) -> bool {
        let key = key(node, subscriber);
        let mut told = self.0.lock();
        let last = told.get(&key).copied();
        if last.is_some_and(|last| now < last.saturating_add(PAUSE)) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert(key, now);
        true
    }

    /// Owners have decided; of the next request they are told.
    fn decided(&self, node: &Node, subscriber: &Jid) {
        self.0.lock().remove(&key(node, subscriber));
    }
}

fn key(node: &Node, subscriber: &Jid) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [node.owner.as_str(), &node.name, subscriber.bare_str()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn form(node: &Node, subscriber: &Jid) -> DataForm {
    let line = Field::new(FieldType::TextSingle, NODE).labelled("Node");
    let jid = Field::new(FieldType::JidSingle, SUBSCRIBER).labelled("Who wants to subscribe");
    let allow = Field::boolean(ALLOW, false).labelled("Let them");
    DataForm::about(FormType::Form, ns::SUBSCRIBE_AUTHORIZATION)
        .with_field(line.with_value(node.name.as_str()))
        .with_field(jid.with_value(subscriber.as_str()))
        .with_field(allow)
}

/// Takes what somebody says to an account of this server about its nodes, and nobody else gets it:
/// the account, or whom it made an owner too. Done in a task, as few messages are of this kind and
/// the others should not wait.
pub(super) fn returned(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    // Hot: most messages have no form.
    let Some(read) = decision(&envelope.stanza) else {
        return Flow::Continue;
    };
    let (Some(who), Some(to)) = (envelope.from().cloned(), envelope.to().cloned()) else {
        return Flow::Continue;
    };
    if !to.is_bare() || to.local().is_none() || ctx.host(to.domain()).is_none() {
        return Flow::Continue;
    }
    let state = ctx.state::<State>();
    let place = state.and_then(|state| Arc::clone(&state.deciding.0).try_acquire_owned().ok());
    let (decision, place) = match (read, place) {
        (Err(error), _) => return Flow::Reject(error),
        (_, None) => return Flow::Reject(StanzaError::resource_constraint()),
        (Ok(decision), Some(place)) => (decision, place),
    };
    let (core, message) = (Arc::clone(ctx.core()), envelope.stanza.clone());
    tokio::spawn(async move {
        let done = core.lend(move |ctx| {
            Box::pin(async move {
                if let Err(error) = decide(ctx, &to, &who, decision).await
                    && let Some(refusal) = message.error(&error)
                {
                    ctx.send(refusal);
                }
                Ok::<(), StanzaError>(())
            })
        });
        if let Err(error) = done.await {
            let condition = error.condition.as_str();
            tracing::warn!(condition, "a subscription is not decided");
        }
        drop(place);
    });
    Flow::Handled
}

/// The same for owners on other servers.
pub(super) fn returned_from_elsewhere(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    match envelope.origin() {
        Origin::Foreign => returned(ctx, envelope),
        Origin::Session(_) | Origin::Server | Origin::Behalf(_) => Flow::Continue,
    }
}

/// Decisions that are carried out at once: each takes a commit, and more would only wait.
pub(super) struct Deciding(Arc<Semaphore>);

impl Default for Deciding {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(64)))
    }
}

/// What an owner has decided.
pub(super) struct Decision {
    node: String,
    subscriber: Jid,
    allow: bool,
}

/// Reads what an owner sends back. `None`: it is no such form.
///
/// # Errors
/// `bad-request` for one that does not say what it is about.
pub(super) fn decision(message: &Stanza) -> Option<Result<Decision, StanzaError>> {
    // Hot: most messages have none.
    let found = message.payload.find(ns::DATA_FORMS, "x")?;
    let form = DataForm::parse(&found.element()).ok()?;
    if form.form_type_name() != Some(ns::SUBSCRIBE_AUTHORIZATION)
        || form.form_type != FormType::Submit
    {
        return None;
    }
    let subscriber = form.value(SUBSCRIBER).and_then(|jid| Jid::parse(jid).ok());
    let allow = match form.value(ALLOW) {
        Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        _ => None,
    };
    let read = match (form.value(NODE), subscriber, allow) {
        (Some(node), Some(subscriber), Some(allow)) => Ok(Decision {
            node: node.to_owned(),
            subscriber,
            allow,
        }),
        _ => Err(StanzaError::bad_request().with_text("which node, whom, and whether")),
    };
    Some(read)
}

/// Carries out what an owner has decided, and tells the subscriber. What another one has decided
/// stands.
///
/// # Errors
/// `forbidden` for who is no owner, `item-not-found` for a node that is not there.
pub(super) async fn decide(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    decision: Decision,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(owner.as_str()).await;
    let node = node::owned(ctx, owner, &decision.node, who).await?;
    let changed = subscribers::answered(
        &node,
        &decision.subscriber,
        decision.allow,
        ctx.utc_micros(),
    );
    let changed: Vec<_> = changed.into_iter().collect();
    subscribers::decide(ctx, &node, &changed).await?;
    tell(ctx, &node, &changed).await;
    Ok(())
}

/// Tells subscribers what became of their subscriptions (§12.14), and those who are let in what
/// there is (§6.1.7).
pub(super) async fn tell(ctx: &mut Ctx<'_>, node: &Node, changed: &[subscribers::Changed]) {
    for changed in changed {
        let Ok(jid) = Jid::parse(changed.jid()) else {
            continue;
        };
        if let Some(state) = ctx.state::<State>() {
            state.asked.decided(node, &jid);
        }
        notify::state(ctx, node, &jid, changed.state());
        if changed.state() == Some(SubscriptionState::Subscribed) {
            notify::welcome(ctx, node, jid).await;
        }
    }
}
