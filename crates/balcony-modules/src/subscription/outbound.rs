//! Subscription stanzas of a client (RFC 6121 Appendix A.2).

use balcony_core::module::{Ctx, Envelope, Flow, Soon};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, Stanza, StanzaError};

use super::machine;
use super::state::Verb;
use super::{change_to, hide, show, state_of};
use crate::roster::{self, PendingChange};

pub(super) fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let Kind::Presence(presence) = envelope.stanza.kind else {
        return Soon::Now(Flow::Continue);
    };
    match (Verb::of(presence), envelope.session(), envelope.to()) {
        (Some(verb), Some(session), Some(to)) => {
            let (account, contact) = (session.account().clone(), to.bare());
            Soon::later(send(ctx, envelope, verb, account, contact))
        }
        _ => Soon::Now(Flow::Continue),
    }
}

async fn send(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    verb: Verb,
    account: Jid,
    contact: Jid,
) -> Flow {
    if account == contact {
        // §4.2.2: everybody is subscribed to oneself already.
        return Flow::Drop("a subscription to oneself");
    }
    // §3, the note: never the full JID. §3.1.2 point 1: nor that of the contact.
    envelope.stanza.from = Some(account.clone());
    envelope.stanza.to = Some(contact.clone());
    // §3.1.2: the push comes after routing, so a request that cannot be routed leaves no trace.
    if verb == Verb::Subscribe && !is_routed(ctx, &envelope.stanza, &contact) {
        return Flow::Continue;
    }
    let changed = roster::change(ctx, &account, &contact, |before| {
        let step = machine::outbound(verb, state_of(before));
        Ok(change_to(
            before,
            step.next,
            step.approval,
            PendingChange::Keep,
        ))
    })
    .await;
    let before = match changed {
        Ok(before) => state_of(before),
        Err(failure) => return Flow::Reject(StanzaError::from(failure)),
    };
    if !machine::outbound(verb, before).route {
        return Flow::Handled;
    }
    match verb {
        // §3.2.2: unavailable first, while the contact is still subscribed. So this stanza goes
        // behind those.
        Verb::Unsubscribed if before.shows_presence() => {
            hide(ctx, &account, &contact);
            ctx.send(envelope.stanza.clone());
            Flow::Handled
        }
        // §3.1.5: presence comes behind the approval.
        Verb::Subscribed => {
            show(ctx, &account, &contact);
            Flow::Continue
        }
        _ => Flow::Continue,
    }
}

/// Whether a stanza for this contact goes anywhere; if not, the router says why.
fn is_routed(ctx: &Ctx<'_>, stanza: &Stanza, contact: &Jid) -> bool {
    ctx.core().is_ours(contact.domain()) || ctx.core().may_depart(stanza).is_ok()
}
