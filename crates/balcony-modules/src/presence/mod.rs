//! RFC 6121 §4 presence: broadcast, directed presence and probes.

mod broadcast;
mod directed;
mod priority;
mod probe;

use std::sync::Arc;

use balcony_core::module::{
    Band, BoxFuture, Config, Ctx, Envelope, Event, EventKind, Flow, Hook, HookSpec, Kinds, Listen,
    Listener, ModuleSpec, Session, Soon, Spec, Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType, StanzaError};
use balcony_store::Result;

pub(crate) use broadcast::tell;

use crate::roster;
use crate::turns::Turns;

/// Presence.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "presence",
    specs: &[Spec::xep(
        "RFC 6121",
        "XMPP: Instant Messaging and Presence",
        "2011-03",
    )
    .note("§4, exchange of presence")],
    hooks: &[
        HookSpec {
            stage: Stage::Sending,
            band: Band::Transform,
            kinds: Kinds::PRESENCE,
            after: &["avatar"],
            changes: &["presence of the session"],
            hook: Hook::Waits(sending),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Transform,
            kinds: Kinds::PRESENCE,
            after: &[],
            changes: &["answer to probes"],
            hook: Hook::Waits(arriving),
        },
    ],
    on: &[Listener {
        event: EventKind::Ended,
        listen: Listen::Waits(on_ended),
    }],
    session_notes: &[directed::NOTE],
    state: Some(state),
    conversations: &["rfc6121/presence"],
    ..ModuleSpec::NOTHING
};

/// Whose turn it is to broadcast for a full JID: what a resource shows and that it went are told
/// to all contacts in one order, also when a new session has the resource of a lost one.
#[derive(Default)]
struct Broadcasts(Turns);

fn state(_: &Config) -> Box<dyn std::any::Any + Send + Sync> {
    Box::new(Broadcasts::default())
}

/// Presence of a client.
fn sending<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    use PresenceType::{Available, Error, Probe, Unavailable};
    let (Kind::Presence(presence), Some(session)) =
        (envelope.stanza.kind, envelope.session().map(Arc::clone))
    else {
        return Soon::Now(Flow::Continue);
    };
    match (presence, envelope.to()) {
        (Available, None) => Soon::later(broadcast::available(ctx, envelope, session)),
        (Unavailable, None) => Soon::later(broadcast::unavailable(ctx, envelope, session)),
        (Error | Probe, None) => Soon::Now(Flow::Drop("presence for nobody")),
        // §3.1.1: a subscription stanza is for somebody.
        (_, None) => Soon::Now(Flow::Reject(StanzaError::bad_request())),
        (Available, Some(to)) => Soon::Now(directed::sent(&session, to)),
        (Unavailable, Some(to)) => {
            directed::withdrawn(&session, to);
            Soon::Now(Flow::Continue)
        }
        _ => Soon::Now(Flow::Continue),
    }
}

/// Presence for an account.
fn arriving<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let flow = match (envelope.stanza.kind, envelope.from(), envelope.to()) {
        (Kind::Presence(PresenceType::Probe), Some(_), Some(_)) => {
            return Soon::later(probe::answer(ctx, envelope));
        }
        (Kind::Presence(PresenceType::Unavailable), Some(from), Some(to)) => {
            // §4.6.1, the last sentence.
            let for_all = to.is_bare();
            for session in ctx.sessions_of(to) {
                if for_all || session.jid() == to {
                    directed::withdrawn(&session, from);
                }
            }
            Flow::Continue
        }
        _ => Flow::Continue,
    };
    Soon::Now(flow)
}

/// §4.5.2: unavailable on behalf of a client that did not say so.
fn on_ended<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        if let Event::Ended(session) = event {
            broadcast::ended(ctx, session).await;
        }
    })
}

/// Whether an account lets somebody see its presence: by a subscription, or by directed presence
/// from this session (RFC 6121 §8.5.3.1). Everybody sees their own.
///
/// # Errors
/// Those of the store.
pub(crate) async fn is_shared(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    session: Option<&Session>,
    other: &Jid,
) -> Result<bool> {
    if account.bare_str() == other.bare_str() {
        return Ok(true);
    }
    if session.is_some_and(|session| directed::includes(session, other)) {
        return Ok(true);
    }
    let standing = roster::standing(ctx, account, other).await?;
    Ok(standing.is_some_and(roster::Standing::shows_presence))
}
