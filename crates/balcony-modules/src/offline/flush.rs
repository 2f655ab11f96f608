//! What waited goes to the first resource that takes messages (XEP-0160 §2), in order, once.
//!
//! One task for each account does it, so that neither the resource that came online nor the tick
//! waits for a client that reads slowly. What one resource has been given and not yet read stays
//! its own until it is written or the session is gone; the others of the account get the rest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{
    Config, Core, Ctx, Envelope, Event, Fate, Flow, Item, Session, SessionNote,
};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_proto::xep::delay::Delay;
use balcony_store::{Error, OfflineRow, Result, Write, WriteSet};
use parking_lot::Mutex;

use super::keep;
use crate::{blocking, stanza_id, stored};

/// Rows that are read, written and deleted at a time: a commit for each 50 messages is little
/// beside sending them, and 50 of them are rarely a megabyte.
const PAGE: u32 = 50;

/// How long a store that failed is left alone: a second is long for a lock, and short for a human
/// who waits for messages.
const RETRY: Duration = Duration::from_secs(1);

/// Note of a session: whether its last presence had a priority that takes messages.
struct Receptive(bool);

/// Who takes messages does so still after a restart.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "offline",
    save: |session| session.notes(|notes| notes.get().map(|Receptive(takes)| takes.to_string())),
    restore: |session, text| {
        session.notes(|notes| notes.set(Receptive(text == "true")));
    },
};

/// The accounts whose queue is being emptied, and whether to look again before the end.
#[derive(Default)]
pub(super) struct Flushes(Mutex<HashMap<Jid, bool>>);

impl Flushes {
    /// Whether the caller is the one who empties the account's queue.
    fn begin(&self, account: &Jid) -> bool {
        let mut running = self.0.lock();
        match running.get_mut(account) {
            Some(again) => {
                *again = true;
                false
            }
            None => running.insert(account.clone(), false).is_none(),
        }
    }

    /// Whether that was all; else there was another call meanwhile.
    fn end(&self, account: &Jid) -> bool {
        let mut running = self.0.lock();
        if let Some(again) = running.get_mut(account)
            && std::mem::take(again)
        {
            return false;
        }
        running.remove(account);
        true
    }
}

/// XEP-0160 §2 point 5: presence with a non-negative priority, the first after none.
pub(super) fn on_available(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Available { session, first } = event else {
        return;
    };
    let now = session.priority() >= 0;
    let before = session.notes(|notes| notes.set(Receptive(now)));
    let already = !first && before.is_some_and(|Receptive(before)| before);
    if now && !already {
        start(ctx.core(), session.account());
    }
}

/// A message was kept because nobody took it. Who came online since then found the queue without
/// it.
pub(super) fn on_kept(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    if let Some(to) = envelope.to()
        && receiver(ctx.core(), to).is_some()
    {
        start(ctx.core(), &to.bare());
    }
    Flow::Continue
}

fn start(core: &Arc<Core>, account: &Jid) {
    let begun = core
        .state::<Flushes>()
        .is_some_and(|flushes| flushes.begin(account));
    if begun {
        let flush = Flush {
            core: Arc::clone(core),
            account: account.clone(),
            ended: false,
        };
        tokio::spawn(flush.run());
    }
}

/// The session of an account that gets what waits: one of the highest priority, and of these the
/// one whose client has spoken last.
fn receiver(core: &Core, to: &Jid) -> Option<Arc<Session>> {
    let sessions = core.sessions().of(to.bare_str());
    let receptive = sessions.into_iter().filter(|session| takes(session));
    receptive.max_by_key(|session| (session.priority(), session.last_active()))
}

fn takes(session: &Session) -> bool {
    !session.has_ended() && session.is_available() && session.priority() >= 0
}

/// The one task that empties an account's queue.
struct Flush {
    core: Arc<Core>,
    account: Jid,
    /// Whether another may begin.
    ended: bool,
}

impl Drop for Flush {
    /// A flush that was broken off by a bug must not keep the next from beginning.
    fn drop(&mut self) {
        if let (false, Some(flushes)) = (self.ended, self.core.state::<Flushes>()) {
            flushes.0.lock().remove(&self.account);
        }
    }
}

impl Flush {
    async fn run(mut self) {
        while !self.ended {
            match self.deliver_all().await {
                // The account was deleted, and its queue with it.
                Ok(()) | Err(Error::NotFound) => {}
                Err(cause) => {
                    let account = &self.account;
                    tracing::warn!(%cause, %account, "offline messages wait on: the store failed");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            self.ended = self
                .core
                .state::<Flushes>()
                .is_none_or(|flushes| flushes.end(&self.account));
        }
    }

    /// Until nothing waits, or nobody takes it any more.
    async fn deliver_all(&self) -> Result<()> {
        let account = self.account.as_str();
        // Rows that are delivered are deleted before the next are read; behind this one begins
        // what has not been looked at.
        let mut after = 0;
        let mut session = None;
        loop {
            let Some(current) = session
                .filter(|session: &Arc<Session>| takes(session))
                .or_else(|| receiver(&self.core, &self.account))
            else {
                return Ok(());
            };
            let rows = self
                .core
                .store()
                .offline()
                .page(account, after, PAGE)
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            after = self.deliver_page(&current, after, &rows).await?;
            session = Some(current);
        }
    }

    /// Delivers the beginning of a page; answers the row behind which to go on.
    async fn deliver_page(
        &self,
        session: &Arc<Session>,
        after: i64,
        rows: &[OfflineRow],
    ) -> Result<i64> {
        let queued = queue(&self.core, session, rows);
        // A row goes when its message is written to the socket: who dies in between loses nothing.
        // Nobody else gets it before that is known, so nobody gets it twice.
        if session.written().await.is_err() {
            return Ok(after);
        }
        if let Some(up_to) = queued.up_to {
            let account = self.account.to_string();
            let delete = Write::OfflineDelete {
                account,
                after,
                up_to,
            };
            let mark = self.core.delivered_mark(&self.account);
            let writes: WriteSet = mark.into_iter().chain([delete]).collect();
            self.core.store().commit(writes).await?;
        }
        // What this version cannot read stays for one that can.
        Ok(queued.unreadable.unwrap_or(after))
    }
}

/// How far a page came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Queued {
    /// The last row that is done with.
    up_to: Option<i64>,
    /// The row behind it, if it is one that cannot be read.
    unreadable: Option<i64>,
}

/// Queues rows for the session, until one cannot be read or the session takes no more.
fn queue(core: &Core, session: &Session, rows: &[OfflineRow]) -> Queued {
    let config = core.config();
    // Half of the queue stays free for what arrives meanwhile.
    let room = config.limits.session_queue / 2;
    let oldest = oldest_kept(&config, core.clock().utc_micros());
    let mut queued = Queued::default();
    for row in rows {
        if row.received_at >= oldest {
            let Some(stanza) = stored::decode(&row.stanza) else {
                queued.unreadable = Some(row.seq);
                break;
            };
            // Who was blocked since is not heard (XEP-0191 §3.3).
            let from = stanza.from.clone();
            if !from.is_some_and(|from| blocking::blocks_online(core, session.account(), &from)) {
                let item = item(stanza, session.jid(), row);
                if session.enqueue(item, room).is_err() {
                    break;
                }
            }
        }
        queued.up_to = Some(row.seq);
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

    #[test]
    fn a_second_call_makes_the_one_who_works_look_again() {
        let juliet = Jid::parse("juliet@localhost").unwrap();
        let flushes = Flushes::default();
        assert!(flushes.begin(&juliet));
        assert!(!flushes.begin(&juliet));
        assert!(!flushes.end(&juliet));
        assert!(flushes.end(&juliet));
        assert!(flushes.begin(&juliet));
    }
}
