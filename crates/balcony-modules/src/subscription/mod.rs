//! RFC 6121 §3 presence subscriptions: requests, approvals, cancellations, both ways.
//!
//! [`machine`] says what happens; the hooks here make it happen, at the sender's account in
//! [`outbound`], at the recipient's in [`inbound`].

mod inbound;
mod machine;
mod outbound;
mod pending;
mod state;

use balcony_core::module::{
    Band, BoxFuture, Ctx, Event, EventKind, Hook, HookSpec, Kinds, Listen, Listener, ModuleSpec,
    Spec, Stage, StreamFeature,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{PresenceType, Stanza};
use balcony_proto::xml::Element;

use crate::pubsub;
use crate::roster::{self, Before, Change, ItemChange, PendingChange, Standing};
use machine::Approval;
use state::State;

/// Subscriptions.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "subscription",
    specs: &[Spec::xep(
        "RFC 6121",
        "XMPP: Instant Messaging and Presence",
        "2011-03",
    )
    .note("§3 and Appendix A, subscriptions with pre-approval")],
    hooks: &[
        HookSpec {
            stage: Stage::Sending,
            band: Band::Transform,
            kinds: Kinds::PRESENCE,
            after: &[],
            changes: &["addresses of subscription stanzas"],
            hook: Hook::Waits(outbound::hook),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Transform,
            kinds: Kinds::PRESENCE,
            after: &[],
            changes: &["delivery of subscription stanzas"],
            hook: Hook::Waits(inbound::hook),
        },
    ],
    on: &[
        Listener {
            event: EventKind::Available,
            listen: Listen::Waits(pending::on_available),
        },
        Listener {
            event: EventKind::AccountLeaving,
            listen: Listen::Waits(on_leaving),
        },
    ],
    stream_features: &[
        // §3.4
        StreamFeature {
            after_login: true,
            make: |_, _| Some(Element::new(ns::SUB_PREAPPROVAL, "sub")),
        },
    ],
    conversations: &["rfc6121/subscription"],
    ..ModuleSpec::NOTHING
};

/// The state that a contact is in.
fn state_of(before: Before) -> State {
    State::of(before.standing.unwrap_or_default(), before.pending)
}

/// The change of the roster that leads to a state. `pending` says what is kept of a request.
fn change_to(before: Before, next: State, approval: Approval, pending: PendingChange) -> Change {
    let was = before.standing.unwrap_or_default();
    let standing = Standing {
        subscription: next.subscription(),
        ask: next.pending_out(),
        approved: match approval {
            Approval::Keep => was.approved,
            Approval::Give => true,
            Approval::Cancel => false,
        },
    };
    // A.1 point 3: a request that waits makes no roster item, and what changes nothing that a
    // client could see is no modification (§2.6.3).
    let item = match standing == was {
        true => ItemChange::Keep,
        false => ItemChange::Stand(standing),
    };
    let answered = before.pending && !next.pending_in();
    let pending = if answered {
        PendingChange::Remove
    } else {
        pending
    };
    Change {
        item,
        pending,
        tell: None,
    }
}

/// A presence stanza from bare JID to bare JID (§3, the note on stamping).
fn stanza(kind: PresenceType, from: &Jid, to: &Jid) -> Stanza {
    Stanza::presence(kind)
        .with_from(from.clone())
        .with_to(to.clone())
}

/// The current presence of each available resource goes to a contact that is subscribed now
/// (§3.1.5).
fn show(ctx: &mut Ctx<'_>, account: &Jid, contact: &Jid) {
    for session in ctx.sessions_of(account) {
        if let Some(presence) = session.presence() {
            ctx.send(presence.with_to(contact.clone()));
        }
    }
    pubsub::introduce(ctx, account, contact);
}

/// Each available resource becomes unavailable to a contact that is subscribed no more (§3.2.2,
/// §3.3.3).
fn hide(ctx: &mut Ctx<'_>, account: &Jid, contact: &Jid) {
    for session in ctx.sessions_of(account) {
        if session.is_available() {
            ctx.send(stanza(PresenceType::Unavailable, session.jid(), contact));
        }
    }
}

/// What a contact is told that was in the roster and no longer is (§2.5.2).
pub(crate) fn part(ctx: &mut Ctx<'_>, account: &Jid, contact: &Jid, standing: Standing) {
    // A request that is not answered yet is withdrawn too: nobody could see the answer any more.
    if standing.sees_presence() || standing.ask {
        ctx.send(stanza(PresenceType::Unsubscribe, account, contact));
    }
    if standing.shows_presence() {
        hide(ctx, account, contact);
        ctx.send(stanza(PresenceType::Unsubscribed, account, contact));
    }
}

/// The contacts of an account that is deleted learn it as if it had removed them, and who waited
/// for an answer gets one.
fn on_leaving<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::AccountLeaving(account) = event else {
            return;
        };
        let contacts = match roster::contacts(ctx, account).await {
            Ok(contacts) => contacts,
            Err(cause) => {
                tracing::warn!(%cause, %account, "contacts of a deleted account are not told");
                return;
            }
        };
        for contact in contacts.items() {
            part(ctx, account, &contact.jid, contact.standing);
        }
        for contact in contacts.pending() {
            ctx.send(stanza(PresenceType::Unsubscribed, account, contact));
        }
    })
}
