//! XEP-0012 Last Activity 2.0: how long the server has been up, and an account away.

use balcony_core::module::{
    Answer, Band, BoxFuture, Ctx, Envelope, Event, EventKind, Feature, Flow, Handle, Hook,
    HookSpec, IqHandler, IqKind, Kinds, Listen, Listener, ModuleSpec, Request, Spec, Stage, Target,
    stanza_error,
};
use balcony_proto::ns;
use balcony_proto::stanza::{Kind, Payload, PresenceType, StanzaError};
use balcony_proto::xep::last::Last;
use balcony_store::{Error, Write};

use crate::access;

/// Bytes of a status that are kept. A line of text; a longer one is a novel.
const STATUS_BYTES: usize = 1_024;

/// Last activity.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "last",
    specs: &[Spec::xep("XEP-0012", "Last Activity", "2.0")
        .note("requests for a resource are refused as RFC 6121 §8.5.3.1 says, not with forbidden")],
    features: &[Feature::both(ns::LAST)],
    iq: &[
        IqHandler {
            ns: ns::LAST,
            name: "query",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Now(uptime),
        },
        IqHandler {
            ns: ns::LAST,
            name: "query",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(of_account),
        },
    ],
    hooks: &[HookSpec {
        stage: Stage::Sending,
        // Before presence takes what has no address.
        band: Band::Guard,
        kinds: Kinds::PRESENCE,
        after: &[],
        changes: &[],
        hook: Hook::Now(note_status),
    }],
    on: &[Listener {
        event: EventKind::Ended,
        listen: Listen::Waits(remember),
    }],
    conversations: &["xep-0012"],
    ..ModuleSpec::NOTHING
};

/// §5.
fn uptime(ctx: &mut Ctx<'_>, _: &Request) -> Answer {
    written(ctx.core().clock().uptime().as_secs(), None)
}

/// §3.
fn of_account<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        // The same for an account that does not exist.
        if !access::sees_presence(ctx, request).await? {
            return Err(StanzaError::forbidden());
        }
        let account = request.account()?;
        if !ctx.sessions_of(&account).is_empty() {
            return written(0, None);
        }
        let seen = ctx.store().last().get(account.as_str()).await;
        let seen = seen.map_err(|cause| stanza_error(&cause))?;
        // Never connected: there is nothing to tell.
        let seen = seen.ok_or_else(StanzaError::service_unavailable)?;
        let micros = ctx.utc_micros().saturating_sub(seen.at).max(0);
        written(micros.unsigned_abs() / 1_000_000, seen.status)
    })
}

fn written(seconds: u64, status: Option<String>) -> Answer {
    let last = Last { seconds, status };
    Ok(Payload::from_element(&last.to_element()))
}

/// The status with which a session became unavailable.
struct Left(String);

fn note_status(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(session), None) = (envelope.session(), envelope.to()) else {
        return Flow::Continue;
    };
    let status = match envelope.stanza.kind {
        Kind::Presence(PresenceType::Unavailable) => {
            envelope.stanza.payload.find(ns::CLIENT, "status")
        }
        Kind::Presence(PresenceType::Available) => None,
        _ => return Flow::Continue,
    };
    let text = status.map(|status| shortened(status.text()));
    session.notes(|notes| match text.filter(|text| !text.is_empty()) {
        Some(text) => drop(notes.set(Left(text))),
        None => drop(notes.take::<Left>()),
    });
    Flow::Continue
}

fn shortened(mut text: String) -> String {
    let end = (0..=STATUS_BYTES.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    text
}

/// §3: an account is last seen when its last resource goes.
fn remember<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Ended(session) = event else { return };
        if !ctx.sessions_of(session.account()).is_empty() {
            return;
        }
        let write = Write::LastSeenSet {
            account: session.account().to_string(),
            at: ctx.utc_micros(),
            status: session
                .notes(|notes| notes.take::<Left>())
                .map(|left| left.0),
        };
        match ctx.commit(write.into()).await {
            // Deleted, or anonymous.
            Ok(_) | Err(Error::NotFound) => {}
            Err(cause) => tracing::warn!(%cause, "when an account was last seen was not kept"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_cut_between_characters() {
        assert_eq!(shortened("Heading Home".into()), "Heading Home");
        let long = "\u{e4}".repeat(STATUS_BYTES);
        assert_eq!(shortened(format!("x{long}")).len(), STATUS_BYTES - 1);
    }
}
