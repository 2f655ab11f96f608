//! Subscription stanzas for an account (RFC 6121 Appendix A.3).

use balcony_core::module::{Ctx, Envelope, Flow, Soon};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType, Stanza, StanzaError};
use balcony_store::{Error, PendingIn};

use super::machine::{self, Approval};
use super::state::Verb;
use super::{change_to, hide, show, stanza, state_of};
use crate::roster::{self, Before, Change, Failure, PendingChange};
use crate::stored;

/// Bytes of a request that is kept whole (§3.1.3, the warning): room for a nickname, a greeting
/// and an invitation. With the bound on their number an account keeps 8 MB at most.
const REQUEST_MAX: usize = 16_384;

pub(super) fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let Kind::Presence(presence) = envelope.stanza.kind else {
        return Soon::Now(Flow::Continue);
    };
    match (Verb::of(presence), envelope.from(), envelope.to()) {
        (Some(verb), Some(from), Some(to)) => {
            let (contact, to) = (from.bare(), to.clone());
            Soon::later(arrive(ctx, envelope, verb, contact, to))
        }
        _ => Soon::Now(Flow::Continue),
    }
}

/// `contact` is who sent the stanza: the words are those of the account's owner, the user.
async fn arrive(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    verb: Verb,
    contact: Jid,
    to: Jid,
) -> Flow {
    // §8.5.3.2.2: only a request for a resource that is not there is taken as for the account.
    if to.is_full() && verb != Verb::Subscribe && ctx.sessions().find(&to).is_none() {
        return Flow::Drop("a subscription stanza for no resource");
    }
    // §3.1.3: as if it had been directed to the bare JID.
    let account = to.bare();
    if account == contact {
        return Flow::Drop("a subscription to oneself");
    }
    envelope.stanza.from = Some(contact.clone());
    envelope.stanza.to = Some(account.clone());
    if verb == Verb::Subscribe && envelope.stanza.size() > REQUEST_MAX {
        return Flow::Reject(StanzaError::policy_violation().with_text("the request is too long"));
    }
    let received_at = ctx.utc_micros();
    let arrived = &envelope.stanza;
    let decide = |before| Ok(decide(before, verb, arrived, received_at));
    let before = match roster::change(ctx, &account, &contact, decide).await {
        Ok(before) => before,
        // §8.5.1: no such user. Silence looks the same as a contact who does not answer.
        Err(Failure::Store(Error::NotFound)) => return Flow::Drop("no such account"),
        Err(Failure::Store(Error::Limit(_))) => return Flow::Drop("too many requests wait"),
        Err(failure) => return Flow::Reject(StanzaError::from(failure)),
    };
    follow(ctx, before, verb, &account, &contact, arrived);
    Flow::Handled
}

fn step(before: Before, verb: Verb) -> machine::Inbound {
    machine::inbound(
        verb,
        state_of(before),
        before.standing.is_some_and(|s| s.approved),
    )
}

fn decide(before: Before, verb: Verb, arrived: &Stanza, received_at: i64) -> Change {
    let step = step(before, verb);
    let pending = match (step.next.pending_in() && !before.pending, &arrived.from) {
        // §3.1.3 point 4: the complete stanza. The first one is kept, later ones add nothing.
        (true, Some(from)) => PendingChange::Set(PendingIn {
            jid: from.to_string(),
            received_at,
            stanza: stored::encode(arrived),
        }),
        _ => PendingChange::Keep,
    };
    // §3.1.6, §3.2.3, §3.3.3: interested resources see it before the push; a request is for the
    // available ones (§3.1.3).
    let tell = (step.deliver && verb != Verb::Subscribe).then(|| arrived.clone());
    Change {
        tell,
        ..change_to(before, step.next, Approval::Keep, pending)
    }
}

/// What follows from the stanza once the roster says so.
fn follow(
    ctx: &mut Ctx<'_>,
    before: Before,
    verb: Verb,
    account: &Jid,
    contact: &Jid,
    arrived: &Stanza,
) {
    let step = step(before, verb);
    if verb == Verb::Subscribe && step.deliver {
        request(ctx, account, arrived);
    }
    let shown = state_of(before).shows_presence();
    // §3.3.3 point 3
    if shown && !step.next.shows_presence() {
        hide(ctx, account, contact);
    }
    if let Some(reply) = step.reply {
        ctx.send(answer(reply, account, contact, arrived));
    }
    if step.reply == Some(Verb::Subscribed) {
        // §3.1.5, as if the user had answered.
        show(ctx, account, contact);
    }
}

/// §3.1.3 point 3: to all available resources.
fn request(ctx: &mut Ctx<'_>, account: &Jid, arrived: &Stanza) {
    for session in ctx.sessions_of(account) {
        if session.is_available() {
            ctx.push(&session, arrived.clone());
        }
    }
}

/// The answer on the user's behalf, with the id of what it answers (§3.1.3, the example).
fn answer(reply: Verb, account: &Jid, contact: &Jid, arrived: &Stanza) -> Stanza {
    let kind = match reply {
        Verb::Subscribed => PresenceType::Subscribed,
        _ => PresenceType::Unsubscribed,
    };
    let mut answer = stanza(kind, account, contact);
    answer.id = arrived.id.clone();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::{ItemChange, Standing};
    use crate::subscription::state::State;

    fn before(state: State, in_roster: bool) -> Before {
        let standing = Standing {
            subscription: state.subscription(),
            ask: state.pending_out(),
            approved: false,
        };
        Before {
            standing: in_roster.then_some(standing),
            pending: state.pending_in(),
        }
    }

    fn arrived(kind: PresenceType) -> Stanza {
        let jid = |text| Jid::parse(text).unwrap();
        stanza(kind, &jid("romeo@localhost"), &jid("juliet@localhost"))
    }

    #[test]
    fn a_request_is_kept_and_makes_no_roster_item() {
        let change = decide(
            before(State::None, false),
            Verb::Subscribe,
            &arrived(PresenceType::Subscribe),
            7,
        );
        assert!(matches!(change.item, ItemChange::Keep));
        let PendingChange::Set(kept) = change.pending else {
            panic!("nothing is kept")
        };
        assert_eq!(
            (kept.jid.as_str(), kept.received_at),
            ("romeo@localhost", 7)
        );
        assert!(change.tell.is_none());
    }

    #[test]
    fn a_second_request_writes_nothing() {
        let change = decide(
            before(State::NoneIn, false),
            Verb::Subscribe,
            &arrived(PresenceType::Subscribe),
            7,
        );
        assert!(matches!(change.item, ItemChange::Keep));
        assert!(matches!(change.pending, PendingChange::Keep));
    }

    #[test]
    fn a_withdrawn_request_is_forgotten() {
        let change = decide(
            before(State::NoneIn, false),
            Verb::Unsubscribe,
            &arrived(PresenceType::Unsubscribe),
            7,
        );
        assert!(matches!(change.item, ItemChange::Keep));
        assert!(matches!(change.pending, PendingChange::Remove));
    }

    #[test]
    fn an_approval_is_told_before_the_push_and_ends_asking() {
        let change = decide(
            before(State::NoneOut, true),
            Verb::Subscribed,
            &arrived(PresenceType::Subscribed),
            7,
        );
        assert!(change.tell.is_some());
        let ItemChange::Stand(standing) = change.item else {
            panic!("no item")
        };
        assert!(standing.sees_presence() && !standing.ask);
    }
}
