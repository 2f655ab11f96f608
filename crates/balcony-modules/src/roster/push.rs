//! Roster pushes (RFC 6121 §2.1.6): to each interested resource, with an id of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use balcony_core::module::{Ctx, Session, SessionNote};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{IqType, Payload, Stanza};
use balcony_proto::xep::roster::{Item, Roster, Subscription};
use balcony_store::{RosterItem, Subscription as StoredSubscription};

use crate::privilege;

/// Note of a session that asked for the roster: an interested resource (§2.2).
pub(super) struct Interested;

/// An interested resource stays one over a restart.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "roster",
    save: |session| {
        let interested = session.notes(|notes| notes.get::<Interested>().is_some());
        interested.then(String::new)
    },
    restore: |session, _| {
        session.notes(|notes| notes.set(Interested));
    },
};

/// Ids of pushes need to differ within a stream only; this differs within the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The sessions of an account that asked for the roster.
pub(crate) fn interested(ctx: &Ctx<'_>, account: &Jid) -> Vec<Arc<Session>> {
    let mut sessions = ctx.sessions_of(account).into_iter().collect::<Vec<_>>();
    sessions.retain(|session| session.notes(|notes| notes.get::<Interested>().is_some()));
    sessions
}

/// Tells every interested resource, and components that may know, of one change.
pub(super) fn push(ctx: &mut Ctx<'_>, account: &Jid, version: u64, item: Item) {
    let payload = payload(version, item);
    for session in interested(ctx, account) {
        let stanza = stanza(account, session.jid(), payload.clone());
        ctx.push(&session, stanza);
    }
    privilege::roster_changed(ctx, account, &next_id(), &payload);
}

fn next_id() -> String {
    format!("push{}", NEXT_ID.fetch_add(1, Ordering::Relaxed))
}

/// One push, for one resource.
pub(super) fn stanza(account: &Jid, to: &Jid, payload: Payload) -> Stanza {
    Stanza::iq(IqType::Set, next_id())
        .with_from(account.clone())
        .with_to(to.clone())
        .with_payload(payload)
}

/// What a push carries: one item, and the version that came with it (§2.6.3).
pub(super) fn payload(version: u64, item: Item) -> Payload {
    let roster = Roster {
        ver: Some(version.to_string()),
        items: vec![item],
    };
    Payload::from_element(&roster.to_element())
}

/// A stored item as a client sees it; `None` when its address cannot be read any more.
pub(super) fn shown(item: RosterItem) -> Option<Item> {
    Some(Item {
        jid: Jid::parse(&item.jid).ok()?,
        name: item.name,
        groups: item.groups,
        subscription: match item.subscription {
            StoredSubscription::None => Subscription::None,
            StoredSubscription::To => Subscription::To,
            StoredSubscription::From => Subscription::From,
            StoredSubscription::Both => Subscription::Both,
        },
        ask: item.ask,
        approved: item.approved,
    })
}

/// The item that says that a contact was removed (§2.5.2).
pub(super) fn removed(jid: Jid) -> Item {
    Item {
        subscription: Subscription::Remove,
        ..Item::new(jid)
    }
}
