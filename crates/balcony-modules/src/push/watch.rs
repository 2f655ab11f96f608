//! Who is told of what came, and when to look.

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, Event, Flow, Item, Session};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, MessageType, Stanza};
use balcony_store::PushRegistration;

use super::cache::{Due, Registrations};
use super::device::News;
use super::{notify, worth};

/// Characters of a text that are told: a notification shows a few lines.
const BODY_CHARS: usize = 200;

/// Note of an envelope: it was looked at.
struct Seen;

/// Something for an account.
struct Told {
    news: News,
    to: For,
    /// It was on its way to a device that seemed to be there.
    on_its_way: bool,
}

/// For whom it is.
enum For {
    /// All devices of the account.
    All,
    /// Those with these resources.
    Only(Vec<String>),
}

/// A message came for an account.
pub(super) fn arriving(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    // Only what nobody takes comes to `undelivered`, and a note costs an allocation.
    if envelope.recipients().is_empty() {
        envelope.notes().set(Seen);
    }
    look_at(ctx, envelope, false)
}

fn look_at(ctx: &mut Ctx<'_>, envelope: &Envelope, on_its_way: bool) -> Flow {
    let Some(account) = envelope.to().map(Jid::bare) else {
        return Flow::Continue;
    };
    let known = ctx.state::<Registrations>();
    if known.is_none_or(|known| known.has_none(&account)) {
        // Most accounts, most of the time.
        return Flow::Continue;
    }
    let by_itself = envelope
        .from()
        .is_some_and(|from| from.bare_str() == account.as_str());
    if by_itself || !worth::is_worth_it(&envelope.stanza) {
        return Flow::Continue;
    }
    let to = match envelope.stanza.kind {
        // A room is a matter of the devices that are in it.
        Kind::Message(MessageType::Groupchat) => {
            let sessions = envelope.recipients().iter();
            For::Only(sessions.filter_map(|session| resource(session)).collect())
        }
        _ => For::All,
    };
    let told = Told {
        news: news(ctx.core(), &envelope.stanza, 1),
        to,
        on_its_way,
    };
    tell(ctx.core(), &account, told);
    Flow::Continue
}

/// A room gave one of its occupants a message that somebody else wrote. It is a matter of that
/// device alone.
pub(crate) fn on_room(core: &Arc<Core>, session: &Session, message: &Stanza) {
    let known = core.state::<Registrations>();
    let account = session.account();
    if known.is_none_or(|known| known.has_none(account)) {
        return;
    }
    let Some(resource) = resource(session).filter(|_| worth::is_worth_it(message)) else {
        return;
    };
    let told = Told {
        news: news(core, message, 1),
        to: For::Only(vec![resource]),
        on_its_way: false,
    };
    tell(core, account, told);
}

/// A message goes to the offline queue. The first time it has been looked at; what a session left
/// behind was on its way before, to a device that seemed to be there.
pub(super) fn undelivered(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    match envelope.notes().get::<Seen>() {
        Some(_) => Flow::Continue,
        None => look_at(ctx, envelope, true),
    }
}

/// A connection is gone: what its client has not acknowledged may not have come through.
pub(super) fn on_detached(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Detached(session) = event else {
        return;
    };
    let (Some(picture), Some(resource)) = (session.picture(), resource(session)) else {
        return;
    };
    let told = For::Only(vec![resource]);
    tell_of(
        ctx.core(),
        session.account(),
        &picture.unacknowledged,
        told,
        false,
    );
}

/// What an ended session left waits: it was on its way to a device that seemed to be there.
pub(super) fn on_queued(ctx: &mut Ctx<'_>, event: &Event) {
    if let Event::Queued { account, items } = event {
        tell_of(ctx.core(), account, items, For::All, true);
    }
}

/// Tells of what others wrote, among these, in one notification.
fn tell_of(core: &Arc<Core>, account: &Jid, items: &[Item], to: For, on_its_way: bool) {
    let from_others = |stanza: &Stanza| {
        let from = stanza.from.as_ref();
        from.is_some_and(|from| from.bare_str() != account.as_str())
    };
    let waiting: Vec<Stanza> = items
        .iter()
        .filter_map(|item| worth::original(&item.stanza))
        .filter(worth::is_worth_it)
        .filter(from_others)
        .collect();
    let Some(last) = waiting.last() else {
        return;
    };
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    let told = Told {
        news: news(core, last, count),
        to,
        on_its_way,
    };
    tell(core, account, told);
}

/// The device was here until now.
pub(super) fn on_ended(ctx: &mut Ctx<'_>, event: &Event) {
    let (Event::Ended(session), Some(known)) = (event, ctx.state::<Registrations>()) else {
        return;
    };
    if let Some(resource) = session.jid().resource() {
        known.note_life(session.account(), resource, last_life(session));
    }
}

pub(super) fn on_account_deleted(ctx: &mut Ctx<'_>, event: &Event) {
    if let (Event::AccountDeleted(account), Some(known)) = (event, ctx.state::<Registrations>()) {
        known.forget(account);
    }
}

fn resource(session: &Session) -> Option<String> {
    session.jid().resource().map(str::to_owned)
}

fn news(core: &Core, last: &Stanza, messages: u32) -> News {
    let body = last.body().filter(|body| !body.is_empty());
    let told = core.config().push.include_body;
    News {
        messages,
        sender: last.from.clone().filter(|_| told),
        has_body: body.is_some(),
        body: body
            .filter(|_| told)
            .map(|body| body.chars().take(BODY_CHARS).collect()),
    }
}

/// Tells the devices of an account that are away, each if it is due.
fn tell(core: &Arc<Core>, account: &Jid, told: Told) {
    if !core.config().push.enabled {
        return;
    }
    let Some(known) = core.state::<Registrations>() else {
        return;
    };
    if let Some(due) = note(core, known, account, &told) {
        return start(core, account, due);
    }
    let (core, account) = (Arc::clone(core), account.clone());
    tokio::spawn(async move {
        let Some(known) = core.state::<Registrations>() else {
            return;
        };
        if let Err(cause) = known.load(&core, &account).await {
            tracing::warn!(%cause, %account, "nobody is notified: the store does not answer");
            return;
        }
        // `None`: they changed just now, and the next message finds them.
        let due = note(&core, known, &account, &told);
        start(&core, &account, due.unwrap_or_default());
    });
}

fn note(core: &Core, known: &Registrations, account: &Jid, told: &Told) -> Option<Due> {
    let now = core.clock().coarse_seconds();
    known.note(account, &told.news, now, |registration| {
        let meant = match &told.to {
            For::All => true,
            For::Only(resources) => resources.contains(&registration.resource),
        };
        let heard = meant.then(|| away(core, account, registration)).flatten()?;
        Some(heard.max(told.on_its_way.then_some(now)))
    })
}

fn start(core: &Arc<Core>, account: &Jid, due: Due) {
    for registration in due {
        tokio::spawn(notify::run(Arc::clone(core), account.clone(), registration));
    }
}

/// Whether the device of a registration is away, and if so when its session last showed life, if
/// it has one.
pub(super) fn away(
    core: &Core,
    account: &Jid,
    registration: &PushRegistration,
) -> Option<Option<u32>> {
    let full = account.with_resource(&registration.resource).ok();
    let session = full.and_then(|full| core.sessions().find(&full));
    let Some(session) = session.filter(|session| !session.has_ended()) else {
        return Some(None);
    };
    let here = session.is_attached() && session.is_active();
    (!here).then(|| Some(last_life(&session)))
}

fn last_life(session: &Session) -> u32 {
    session.last_active().max(session.bound_at())
}
