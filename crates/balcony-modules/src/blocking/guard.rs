//! What a block keeps out, and in (XEP-0191 §3.3).

use balcony_core::module::{Core, Ctx, Envelope, Flow, Soon, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, Kind, MessageType, PresenceType, StanzaError};
use balcony_proto::xml::Element;

use super::cache::{self, BlockLists};
use crate::privilege;

/// What a client sends to somebody whom its account blocks is not routed.
pub(super) fn sending(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(session), Some(to)) = (envelope.session(), envelope.to()) else {
        return Flow::Continue;
    };
    match blocks_online(ctx, session.account(), to) {
        Some(true) => Flow::Reject(blocked()),
        _ => Flow::Continue,
    }
}

/// `<not-acceptable/>` of type `cancel`, with the condition of its own.
fn blocked() -> StanzaError {
    StanzaError::not_acceptable()
        .with_type(ErrorType::Cancel)
        .with_app(Element::new(ns::BLOCKING_ERRORS, "blocked"))
}

/// What comes from a blocked JID is not delivered, and the JID learns no more than if the account
/// were offline.
fn refusal(kind: Kind) -> Flow {
    match kind {
        // Of any type: subscriptions and probes too.
        Kind::Presence(_) => Flow::Drop("presence from a blocked JID"),
        // DEVIATION: XEP-0191 §3.3 would have an error here as well. A room elsewhere takes it for
        // the end of an occupant (XEP-0045 §11.1): who blocks one in it would be put out.
        Kind::Message(MessageType::Groupchat) => Flow::Drop("said in a room by a blocked JID"),
        // Nobody answers an error or a result, so those are dropped in silence.
        Kind::Message(_) | Kind::Iq(_) => Flow::Reject(StanzaError::service_unavailable()),
    }
}

/// Whether a connected account blocks somebody; `None` when it has no list, or none is loaded.
fn blocks_online(ctx: &Ctx<'_>, account: &Jid, other: &Jid) -> Option<bool> {
    known(ctx.core(), account, other)
}

/// Whether an account blocks somebody, as far as that is known without the store.
pub(crate) fn blocks_if_known(ctx: &Ctx<'_>, account: &Jid, other: &Jid) -> Option<bool> {
    match needs_store(ctx, other, account) {
        true => known(ctx.core(), account, other),
        false => Some(known(ctx.core(), account, other) == Some(true)),
    }
}

/// Whether a connected account is known to block somebody.
pub(crate) fn is_blocked_online(core: &Core, account: &Jid, other: &Jid) -> bool {
    known(core, account, other) == Some(true)
}

fn known(core: &Core, account: &Jid, other: &Jid) -> Option<bool> {
    let list = core.state::<BlockLists>()?.online(account.bare_str())?;
    // §5, the note: never between the resources of one account.
    Some(account.bare_str() != other.bare_str() && list.blocks(other))
}

/// A message for an account. Hot: one look into the table of lists for most accounts.
pub(super) fn message(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(from), Some(to)) = (envelope.from(), envelope.to()) else {
        return Flow::Continue;
    };
    match blocks_online(ctx, to, from) {
        Some(true) => return refusal(envelope.stanza.kind),
        Some(false) => return Flow::Continue,
        None => {}
    }
    if to.is_full() && cache::is_loading(ctx, to) {
        // As if the resource were bound an instant later: its account takes the message, and what
        // is for an absent account is checked with the list from the store.
        envelope.stanza.to = Some(to.bare());
    }
    Flow::Continue
}

/// A message that nobody took.
pub(super) fn undelivered<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    match (envelope.from(), envelope.to()) {
        (Some(from), Some(to)) if needs_store(ctx, from, to) => {
            let (from, account) = (from.clone(), to.bare());
            Soon::later(check(ctx, envelope.stanza.kind, from, account))
        }
        _ => Soon::Now(Flow::Continue),
    }
}

/// Presence or an iq for an account.
pub(super) fn presence_or_iq<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let kind = envelope.stanza.kind;
    let (Some(from), Some(to)) = (envelope.from(), envelope.to()) else {
        return Soon::Now(Flow::Continue);
    };
    let flow = if matches!(kind, Kind::Iq(_)) && privilege::acts_for(ctx, from, to.domain()) {
        // Whoever runs the server has it act for all.
        Flow::Continue
    } else if hides_from(ctx, kind, from, to) {
        Flow::Drop("presence to a blocked JID")
    } else {
        match blocks_online(ctx, to, from) {
            Some(true) => refusal(kind),
            None if needs_store(ctx, from, to) && !concerns_nobody(ctx, kind, to) => {
                let (from, account) = (from.clone(), to.bare());
                return Soon::later(check(ctx, kind, from, account));
            }
            _ => Flow::Continue,
        }
    };
    Soon::Now(flow)
}

/// Presence that the server sends for an account does not pass its sender's stage, and must not
/// reach whom the account blocks. Subscription stanzas do: they are sent when a contact is removed
/// or the account is deleted, and without them the two rosters would contradict each other.
fn hides_from(ctx: &Ctx<'_>, kind: Kind, from: &Jid, to: &Jid) -> bool {
    use PresenceType::{Available, Probe, Unavailable};
    matches!(kind, Kind::Presence(Available | Unavailable | Probe))
        && blocks_online(ctx, from, to) == Some(true)
        && !is_farewell(ctx, from, to)
}

/// The unavailable presence that blocking itself sends (§3.3).
fn is_farewell(ctx: &Ctx<'_>, from: &Jid, to: &Jid) -> bool {
    ctx.state::<BlockLists>().is_some_and(|lists| {
        let farewells = lists.farewells.lock();
        farewells.iter().any(|(f, t)| f == from && t == to)
    })
}

/// Presence for an account without sessions that leaves no trace there.
fn concerns_nobody(ctx: &Ctx<'_>, kind: Kind, to: &Jid) -> bool {
    use PresenceType::{Available, Error, Unavailable};
    matches!(kind, Kind::Presence(Available | Unavailable | Error))
        && ctx.sessions_of(to).is_empty()
}

/// Whether only the store can tell if the one blocks the other.
fn needs_store(ctx: &Ctx<'_>, from: &Jid, to: &Jid) -> bool {
    from.bare_str() != to.bare_str() && !cache::is_loaded(ctx, to)
}

async fn check(ctx: &mut Ctx<'_>, kind: Kind, from: Jid, account: Jid) -> Flow {
    match cache::blocks(ctx, &account, &from).await {
        Ok(true) => refusal(kind),
        Ok(false) => Flow::Continue,
        // Unguarded is worse than late.
        Err(_) if matches!(kind, Kind::Presence(_)) => Flow::Drop("the block list is not readable"),
        Err(cause) => Flow::Reject(stanza_error(&cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::{Condition, IqType};

    #[test]
    fn the_error_for_what_is_not_sent_has_its_own_condition() {
        let error = blocked();
        assert_eq!(error.condition, Condition::NotAcceptable);
        assert_eq!(error.etype, ErrorType::Cancel);
        assert!(error.app.unwrap().is(ns::BLOCKING_ERRORS, "blocked"));
    }

    #[test]
    fn presence_gets_no_answer_and_the_rest_is_told_that_nobody_is_there() {
        let probe = refusal(Kind::Presence(PresenceType::Probe));
        assert!(matches!(probe, Flow::Drop(_)));
        for kind in [Kind::Message(MessageType::Chat), Kind::Iq(IqType::Get)] {
            let Flow::Reject(error) = refusal(kind) else {
                panic!("{kind:?} is not refused")
            };
            assert_eq!(error.condition, Condition::ServiceUnavailable);
        }
    }
}
