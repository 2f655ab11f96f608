//! What waited goes to the first resource that takes messages (XEP-0160 §2), in order, once.
//!
//! One task for each account does it, so that neither the resource that came online nor the tick
//! waits for a client that reads slowly. What one resource has been given stays its own until the
//! client has it, and its rows stay in the store until then, for another if the session is gone.
//! When everything is given, what comes takes its usual way.

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{
    Config, Core, Ctx, Envelope, Event, Fate, Flow, Item, Session, SessionNote, Side,
};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_proto::xep::delay::Delay;
use balcony_store::{Error, OfflineRow, Result, Write, WriteSet};
use tokio::sync::oneshot;

use super::keep;
use super::queues::{Aside, Coming, End, Queues};
use crate::{archive, blocking, stanza_id, stored};

/// Rows that are read, written and deleted at a time: a commit for each 50 messages is little
/// beside sending them, and 50 of them are rarely a megabyte.
const PAGE: u32 = 50;

/// How long a store that failed is left alone: a second is long for a lock, and short for a human
/// who waits for messages.
const RETRY: Duration = Duration::from_secs(1);

/// Note of a session.
#[derive(Clone, Copy, Default)]
struct Taking {
    /// Whether its last presence had a priority that takes messages. `None`: it sent none.
    receptive: Option<bool>,
    /// The last row that it was given; 0 for none.
    given: i64,
}

impl Taking {
    fn of(session: &Session) -> Self {
        session.notes(|notes| notes.get().copied().unwrap_or_default())
    }

    /// Answers what was noted before.
    fn change(session: &Session, change: impl FnOnce(&mut Self)) -> Self {
        session.notes(|notes| {
            let before = notes.get().copied().unwrap_or_default();
            let mut after = before;
            change(&mut after);
            notes.set(after);
            before
        })
    }
}

/// Who takes messages does so still after a restart, and has what it was given.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "offline",
    save: |session| {
        let Taking { receptive, given } = Taking::of(session);
        receptive.map(|takes| format!("{takes} {given}"))
    },
    restore: |session, text| {
        let (takes, given) = text.split_once(' ').unwrap_or((text, "0"));
        Taking::change(session, |taking| {
            taking.receptive = Some(takes == "true");
            taking.given = given.parse().unwrap_or_default();
        });
    },
};

/// Something may wait, until the first look tells: whoever takes messages has looked. A session
/// from before a restart takes them from the beginning, so that nothing else makes it look.
pub(super) fn on_bound(ctx: &mut Ctx<'_>, event: &Event) {
    let (Event::Bound(session), Some(queues)) = (event, ctx.state::<Queues>()) else {
        return;
    };
    if takes(session) {
        start(ctx.core(), session.account());
    } else if receiver(ctx.core(), session.account()).is_none() {
        queues.mark(session.account());
    }
}

/// What an ended session left waits.
pub(super) fn on_queued(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Queued { account, .. } = event else {
        return;
    };
    if ctx.sessions_of(account).is_empty() {
        return;
    }
    if let Some(queues) = ctx.state::<Queues>() {
        queues.mark(account);
    }
    if receiver(ctx.core(), account).is_some() {
        start(ctx.core(), account);
    }
}

pub(super) fn on_ended(ctx: &mut Ctx<'_>, event: &Event) {
    if let (Event::Ended(session), Some(queues)) = (event, ctx.state::<Queues>()) {
        let account = session.account();
        queues.forget_if(account, || !ctx.sessions().has(account.as_str()));
    }
}

/// A message for a session that has not got yet what waited: it lines up.
pub(super) fn on_arrival(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let Some(to) = envelope.to() else {
        return Flow::Continue;
    };
    let Some(queues) = ctx.state::<Queues>() else {
        return Flow::Continue;
    };
    if !archive::worth(envelope.stanza.kind, &envelope.stanza.payload).queue {
        return Flow::Continue;
    }
    let Some(coming) = queues.line_up(&to.bare()) else {
        return Flow::Continue;
    };
    // One for a certain resource that is there would go to another.
    let taker = taker(ctx.core(), to);
    let other = ctx.sessions().find(to).is_some_and(|addressed| {
        taker
            .as_ref()
            .is_none_or(|taker| taker.id() != addressed.id())
    });
    if !other {
        envelope.notes().set(coming);
        envelope.keep_waiting();
    }
    Flow::Continue
}

/// XEP-0160 §2 point 5: presence with a non-negative priority, the first after none.
pub(super) fn on_available(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Available { session, first } = event else {
        return;
    };
    let now = session.priority() >= 0;
    let before = Taking::change(session, |taking| taking.receptive = Some(now));
    let already = !first && before.receptive == Some(true);
    if now && !already && !is_given(ctx.core(), session) {
        start(ctx.core(), session.account());
    }
}

/// Whether another session that is there has been given all that waits.
fn is_given(core: &Core, session: &Session) -> bool {
    let queues = core.state::<Queues>();
    let others = core.sessions().of(session.account().as_str());
    let mut others = others.iter().filter(|other| other.id() != session.id());
    queues.is_some_and(|queues| !queues.has(session.account()))
        && others.any(|other| takes(other) && other.is_attached())
}

/// A message was kept because nobody took it. Who came online since then found the queue without
/// it.
pub(super) fn on_kept(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let Some(account) = envelope.to().map(Jid::bare) else {
        return Flow::Continue;
    };
    let queues = ctx.state::<Queues>();
    if let Some((queues, place)) = queues.zip(envelope.archive_id(Side::Recipient)) {
        queues.note_waiting(&account, place);
    }
    // It is there now.
    drop(envelope.notes().take::<Coming>());
    if ctx.sessions_of(&account).is_empty() {
        return Flow::Continue;
    }
    if let Some(queues) = ctx.state::<Queues>() {
        queues.mark(&account);
    }
    if receiver(ctx.core(), &account).is_some() {
        start(ctx.core(), &account);
    }
    Flow::Continue
}

fn start(core: &Arc<Core>, account: &Jid) {
    let begun = core
        .state::<Queues>()
        .is_some_and(|queues| queues.begin(account));
    if begun {
        let _ = taker(core, account);
        let flush = Flush {
            core: Arc::clone(core),
            account: account.clone(),
            taker: None,
            after: 0,
            ended: false,
        };
        tokio::spawn(flush.run());
    }
}

/// The session that gets what waits. It stays the same one for as long as it takes messages: what
/// comes meanwhile is copied to the others, who must not get what is older after it.
fn taker(core: &Core, to: &Jid) -> Option<Arc<Session>> {
    let queues = core.state::<Queues>()?;
    let chosen = queues.taker(to.bare_str()).and_then(|id| {
        let sessions = core.sessions().of(to.bare_str());
        let mut sessions = sessions.into_iter();
        sessions.find(|session| session.id() == id && takes(session))
    });
    let taker = chosen.or_else(|| receiver(core, to))?;
    queues.give_to(to.bare_str(), taker.id());
    Some(taker)
}

/// Whether what waits for the account is on its way to this session of it.
pub(crate) fn goes_to(core: &Core, session: &Session) -> bool {
    core.state::<Queues>()
        .is_some_and(|queues| queues.taker(session.account().as_str()) == Some(session.id()))
}

/// A copy for a session: while that is given what is older, the copy waits for its turn. Else it is
/// given back.
pub(crate) fn set_aside(core: &Core, session: &Arc<Session>, stanza: Stanza) -> Option<Stanza> {
    let Some(queues) = core.state::<Queues>() else {
        return Some(stanza);
    };
    let copy = Aside {
        session: Arc::clone(session),
        stanza,
    };
    let back = queues.set_aside(session.account().as_str(), copy);
    back.map(|copy| copy.stanza)
}

/// The session of an account that gets what waits: one that is connected, if any is, of the
/// highest priority, and of these the one whose client has spoken last.
fn receiver(core: &Core, to: &Jid) -> Option<Arc<Session>> {
    let sessions = core.sessions().of(to.bare_str());
    let receptive = sessions.into_iter().filter(|session| takes(session));
    receptive.max_by_key(|session| {
        let connected = session.is_attached();
        (connected, session.priority(), session.last_active())
    })
}

fn takes(session: &Session) -> bool {
    !session.has_ended() && session.is_available() && session.priority() >= 0
}

/// The one task that empties an account's queue.
struct Flush {
    core: Arc<Core>,
    account: Jid,
    /// The session that gets it.
    taker: Option<u64>,
    /// The last row that this session was given.
    after: i64,
    /// Whether another may begin.
    ended: bool,
}

impl Drop for Flush {
    /// A flush that was broken off by a bug must not keep the next from beginning.
    fn drop(&mut self) {
        if let (false, Some(queues)) = (self.ended, self.core.state::<Queues>()) {
            queues.pause(&self.account);
        }
    }
}

/// How far a flush came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing waits that was not given to somebody.
    Nothing,
    /// Nobody takes what waits.
    Nobody,
}

impl Flush {
    async fn run(mut self) {
        while !self.ended {
            let left = match self.deliver_all().await {
                Ok(left) => left,
                // The account was deleted, and its queue with it.
                Err(Error::NotFound) => Left::Nothing,
                Err(cause) => {
                    let account = &self.account;
                    tracing::warn!(%cause, %account, "offline messages wait on: the store failed");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            self.ended = self.end(left).await;
        }
    }

    /// Whether it is over; else there is more to do.
    async fn end(&self, left: Left) -> bool {
        let Some(queues) = self.core.state::<Queues>() else {
            return true;
        };
        let end = match left {
            Left::Nothing => queues.end(&self.account),
            Left::Nobody => queues.pause(&self.account),
        };
        match end {
            End::Over => {
                // Not before: what was on its way into the queue may have been copied already.
                let sessions = self.core.sessions().of(self.account.as_str());
                let done = sessions.iter().filter(|session| takes(session));
                done.for_each(|session| archive::forget_received(session));
                true
            }
            End::Again => false,
            End::Later(arrived) => {
                arrived.notified().await;
                false
            }
            End::Aside(copies) => {
                for copy in copies {
                    self.core.push(&copy.session, copy.stanza);
                }
                false
            }
        }
    }

    /// Until nothing waits that was not given to somebody, or nobody takes it any more.
    async fn deliver_all(&mut self) -> Result<Left> {
        loop {
            let Some(current) = taker(&self.core, &self.account) else {
                return Ok(Left::Nobody);
            };
            if self.taker.replace(current.id()) != Some(current.id()) {
                self.after = 0;
            }
            let offline = self.core.store().offline();
            let rows = offline
                .page(self.account.as_str(), self.after, PAGE)
                .await?;
            if rows.is_empty() {
                return Ok(Left::Nothing);
            }
            self.give(&current, &rows).await;
        }
    }

    /// Gives a session as much of a page as it has room for, and waits if that is not all.
    async fn give(&mut self, session: &Arc<Session>, rows: &[OfflineRow]) {
        let turn = self.core.turn(&self.account).await;
        // What was committed before these rows, and is for the session as well, is with it now.
        let queued = queue(&self.core, session, rows);
        let told = session.written();
        drop(turn);
        if let Some(up_to) = queued.up_to {
            let given = Given {
                core: Arc::clone(&self.core),
                account: self.account.clone(),
                after: self.after,
                up_to,
                told,
            };
            tokio::spawn(given.settle());
            self.after = up_to;
        }
        // What this version cannot read stays for one that can.
        self.after = queued.unreadable.unwrap_or(self.after);
        if queued.full {
            // An error says that it ended: another may have it.
            let _ = session.written().await;
        }
    }
}

/// Rows that a session was given. They go when its client has them: who dies in between loses
/// nothing.
struct Given {
    core: Arc<Core>,
    account: Jid,
    after: i64,
    up_to: i64,
    told: oneshot::Receiver<()>,
}

impl Given {
    async fn settle(self) {
        if self.told.await.is_err() {
            // The session ended without them.
            if receiver(&self.core, &self.account).is_some() {
                start(&self.core, &self.account);
            }
            return;
        }
        loop {
            let delete = Write::OfflineDelete {
                account: self.account.to_string(),
                after: self.after,
                up_to: self.up_to,
            };
            let mark = self.core.delivered_mark(&self.account);
            let writes: WriteSet = mark.into_iter().chain([delete]).collect();
            match self.core.store().commit(writes).await {
                Ok(_) | Err(Error::NotFound) => return,
                Err(cause) => {
                    let account = &self.account;
                    tracing::warn!(%cause, %account, "delivered messages stay: the store failed");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// How far a page came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Queued {
    /// The last row that is done with.
    up_to: Option<i64>,
    /// The row behind it, if it is one that cannot be read.
    unreadable: Option<i64>,
    /// The session has no room for the next.
    full: bool,
}

/// Queues rows for the session, until one cannot be read or the session takes no more.
fn queue(core: &Arc<Core>, session: &Session, rows: &[OfflineRow]) -> Queued {
    let config = core.config();
    // Half of the queue stays free for what arrives meanwhile.
    let room = config.limits.session_queue / 2;
    let oldest = oldest_kept(&config, core.clock().utc_micros());
    let mut queued = Queued::default();
    let queues = core.state::<Queues>();
    // Up to there it was given them already, before a restart perhaps.
    let given = Taking::of(session).given;
    for row in rows {
        let place = row.archived;
        let older = queues
            .zip(place)
            .map(|(queues, place)| queues.before(session.account(), place));
        for copy in older.into_iter().flatten() {
            core.push(&copy.session, copy.stanza);
        }
        if row.received_at >= oldest {
            let Some(stanza) = stored::decode(&row.stanza) else {
                queued.unreadable = Some(row.seq);
                break;
            };
            // Who was blocked since is not heard (XEP-0191 §3.3). What a client got from its
            // archive it need not get again (XEP-0313 §6.1.1).
            let blocked = |from| blocking::blocks_online(core, session.account(), from);
            let received = |id| archive::has_received(session, id);
            let known = row.seq <= given || row.archived.is_some_and(received);
            if !known && !stanza.from.as_ref().is_some_and(blocked) {
                let item = item(stanza, session.jid(), row);
                if session.enqueue(item, room).is_err() {
                    queued.full = true;
                    break;
                }
            }
        }
        queued.up_to = Some(row.seq);
    }
    if let Some(up_to) = queued.up_to.filter(|up_to| *up_to > given) {
        Taking::change(session, |taking| taking.given = up_to);
    }
    queued
}

/// The stanza as its session gets it; its row stays until the client has it.
fn item(stanza: Stanza, to: &Jid, row: &OfflineRow) -> Item {
    let mut stanza = stamped(stanza, to, row.received_at);
    if let Some(id) = row.archived {
        stanza.payload.add(&stanza_id::element(to, id));
    }
    Item::new(stanza, row.received_at).with_fate(Fate::Kept)
}

/// What was received before has waited for too long.
pub(super) fn oldest_kept(config: &Config, now: i64) -> i64 {
    let keep = i64::try_from(config.offline.keep.as_micros()).unwrap_or(i64::MAX);
    now.saturating_sub(keep)
}

/// XEP-0203 §2: one delay of ours, that of an earlier try if there was one. Delays of others tell
/// where else it was held back; they may say what they like, and so cannot stand for ours (§7).
fn stamped(mut stanza: Stanza, to: &Jid, received_at: i64) -> Stanza {
    let host = to.domain_jid();
    let is_ours = |child| keep::is_delay_by(&child, &host);
    if !stanza.payload.children().any(is_ours) {
        let delay = Delay {
            from: Some(host),
            stamp: received_at,
            reason: None,
        };
        stanza.payload.add(&delay.to_element());
    }
    stanza
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::ns;
    use balcony_proto::stanza::MessageType;
    use balcony_proto::xml::Element;

    fn delays(stanza: &Stanza) -> Vec<Delay> {
        let elements = stanza.payload.children().map(|child| child.element());
        elements
            .filter_map(|element| Delay::parse(&element))
            .collect()
    }

    fn chat() -> Stanza {
        let body = Element::new(ns::CLIENT, "body").with_text("art thou there");
        Stanza::message(MessageType::Chat).with_element(body)
    }

    #[test]
    fn a_message_says_when_it_arrived_and_who_held_it_back() {
        let juliet = Jid::parse("juliet@localhost/balcony").unwrap();
        let once = stamped(chat(), &juliet, 1_000_000);
        let expected = Delay {
            from: Some(juliet.domain_jid()),
            stamp: 1_000_000,
            reason: None,
        };
        assert_eq!(delays(&once), std::slice::from_ref(&expected));
        // Kept a second time, because the session ended: the first stamp is the true one.
        assert_eq!(delays(&stamped(once, &juliet, 9_000_000)), [expected]);
    }

    #[test]
    fn the_delay_of_another_does_not_stand_for_ours() {
        let juliet = Jid::parse("juliet@localhost/balcony").unwrap();
        let other = Delay {
            from: Some(Jid::parse("gateway.example").unwrap()),
            stamp: 0,
            reason: None,
        };
        let stanza = chat().with_element(other.to_element());
        let stamps: Vec<_> = delays(&stamped(stanza, &juliet, 1_000_000))
            .iter()
            .map(|delay| delay.stamp)
            .collect();
        assert_eq!(stamps, [0, 1_000_000]);
    }
}
