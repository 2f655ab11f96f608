//! Which accounts have something in their offline queue while they are connected, and who empties
//! it. What comes for such an account lines up behind what waits: nobody sees a newer message
//! before an older one.

use std::collections::VecDeque;
use std::sync::Arc;

use balcony_core::module::Session;
use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::Stanza;
use balcony_store::ArchiveId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Messages of which is known what became of them while one queue is emptied: what comes in a
/// second to a busy account. Copies of more go to their session at once, before their turn.
const ASIDE: usize = 1_000;

/// The queues that are known not to be empty, or may not be.
#[derive(Default)]
pub(super) struct Queues(Arc<Mutex<Map<Jid, Queue>>>);

#[derive(Default)]
struct Queue {
    /// A task empties it.
    running: bool,
    /// The session that gets what is in it, while the task runs.
    taker: Option<u64>,
    /// The task is to look again before it ends.
    again: bool,
    /// Messages on their way into it.
    coming: usize,
    /// Rings when one of them is there, or will never be.
    arrived: Arc<Notify>,
    /// What became of the account's messages meanwhile, in their order.
    passed: VecDeque<Passed>,
}

/// A message that came while a queue was emptied.
enum Passed {
    /// It waits.
    Waits(ArchiveId),
    /// Another session got it, and this is the taker's copy.
    Copied(Aside),
}

/// A copy of a message that another session got, for the session that gets what waits.
pub(super) struct Aside {
    /// Its session.
    pub(super) session: Arc<Session>,
    /// The copy.
    pub(super) stanza: Stanza,
}

/// A message on its way into a queue, until this is dropped.
pub(super) struct Coming {
    queues: Arc<Mutex<Map<Jid, Queue>>>,
    account: Jid,
}

/// How an attempt to end ended.
pub(super) enum End {
    /// Nothing is left, and the queue is forgotten.
    Over,
    /// There may be more by now.
    Again,
    /// There will be more, or not, when this rings.
    Later(Arc<Notify>),
    /// These come first.
    Aside(Vec<Aside>),
}

impl Queues {
    /// Something is in the queue.
    pub(super) fn mark(&self, account: &Jid) {
        self.0.lock().entry(account.compact()).or_default();
    }

    /// Whether something is, or may be, that nobody was given.
    pub(super) fn has(&self, account: &Jid) -> bool {
        self.0.lock().contains_key(account)
    }

    /// A message lines up, if there is anything to line up behind.
    pub(super) fn line_up(&self, account: &Jid) -> Option<Coming> {
        let mut queues = self.0.lock();
        queues.get_mut(account)?.coming += 1;
        Some(Coming {
            queues: Arc::clone(&self.0),
            account: account.clone(),
        })
    }

    /// Whether the caller is the one who empties the queue; else whoever does looks again.
    pub(super) fn begin(&self, account: &Jid) -> bool {
        let mut queues = self.0.lock();
        let queue = queues.entry(account.compact()).or_default();
        queue.again |= queue.running;
        !std::mem::replace(&mut queue.running, true)
    }

    /// The session that gets what is in the queue.
    pub(super) fn taker(&self, account: &str) -> Option<u64> {
        self.0.lock().get(account).and_then(|queue| queue.taker)
    }

    /// Says which session that is.
    pub(super) fn give_to(&self, account: &str, session: u64) {
        if let Some(queue) = self.0.lock().get_mut(account) {
            queue.taker = Some(session);
        }
    }

    /// Sets a copy aside until its turn, if its session is given older messages now; else gives it
    /// back.
    pub(super) fn set_aside(&self, account: &str, copy: Aside) -> Option<Aside> {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(account) else {
            return Some(copy);
        };
        let waits = queue.running && queue.taker == Some(copy.session.id());
        if !waits || queue.passed.len() >= ASIDE {
            return Some(copy);
        }
        queue.passed.push_back(Passed::Copied(copy));
        None
    }

    /// A message of this place in the archive is in the queue now: copies that are set aside from
    /// now on come after it.
    pub(super) fn note_waiting(&self, account: &Jid, place: ArchiveId) {
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get_mut(account)
            && queue.running
            && queue.passed.len() < ASIDE
        {
            queue.passed.push_back(Passed::Waits(place));
        }
    }

    /// The copies whose turn comes before that of a message that waits.
    pub(super) fn before(&self, account: &Jid, place: ArchiveId) -> Vec<Aside> {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(account) else {
            return Vec::new();
        };
        let is_it = |passed: &Passed| matches!(passed, Passed::Waits(other) if *other == place);
        match queue.passed.iter().position(is_it) {
            None => Vec::new(),
            Some(at) => copies(queue.passed.drain(..=at)),
        }
    }

    /// The queue was found empty.
    pub(super) fn end(&self, account: &Jid) -> End {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(account) else {
            return End::Over;
        };
        if std::mem::take(&mut queue.again) {
            return End::Again;
        }
        if queue.coming > 0 {
            return End::Later(Arc::clone(&queue.arrived));
        }
        let aside = copies(queue.passed.drain(..));
        if !aside.is_empty() {
            return End::Aside(aside);
        }
        queues.remove(account);
        End::Over
    }

    /// Whoever empties the queue stops, though something may be left.
    pub(super) fn pause(&self, account: &Jid) -> End {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(account) else {
            return End::Over;
        };
        if std::mem::take(&mut queue.again) {
            return End::Again;
        }
        let aside = copies(queue.passed.drain(..));
        if !aside.is_empty() {
            return End::Aside(aside);
        }
        queue.running = false;
        queue.taker = None;
        End::Over
    }

    /// A session is over. Where nobody of the account is here any more, what waits waits in the
    /// store alone. `deserted` tells, and is asked with the queues locked: a session that is bound
    /// meanwhile is seen, or marks the queue after that.
    pub(super) fn forget_if(&self, account: &Jid, deserted: impl FnOnce() -> bool) {
        let mut queues = self.0.lock();
        let idle = queues
            .get(account)
            .is_some_and(|q| !q.running && q.coming == 0);
        if idle && deserted() {
            queues.remove(account);
        }
    }
}

fn copies(passed: impl Iterator<Item = Passed>) -> Vec<Aside> {
    let copies = passed.filter_map(|passed| match passed {
        Passed::Waits(_) => None,
        Passed::Copied(copy) => Some(copy),
    });
    copies.collect()
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(queue) = self.queues.lock().get_mut(&self.account) {
            queue.coming = queue.coming.saturating_sub(1);
            queue.again = true;
            queue.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn juliet() -> Jid {
        Jid::parse("juliet@localhost").unwrap()
    }

    #[test]
    fn a_second_call_makes_the_one_who_works_look_again() {
        let queues = Queues::default();
        assert!(queues.begin(&juliet()));
        assert!(!queues.begin(&juliet()));
        assert!(matches!(queues.end(&juliet()), End::Again));
        assert!(matches!(queues.end(&juliet()), End::Over));
        assert!(queues.begin(&juliet()));
    }

    #[test]
    fn who_gets_what_waits_is_known_while_somebody_works() {
        let queues = Queues::default();
        queues.give_to(juliet().as_str(), 1);
        assert_eq!(queues.taker(juliet().as_str()), None, "there is no queue");
        queues.begin(&juliet());
        queues.give_to(juliet().as_str(), 1);
        assert_eq!(queues.taker(juliet().as_str()), Some(1));
        queues.pause(&juliet());
        assert_eq!(queues.taker(juliet().as_str()), None);
    }

    #[test]
    fn a_queue_does_not_end_before_what_is_coming_has_come() {
        let queues = Queues::default();
        assert!(
            queues.line_up(&juliet()).is_none(),
            "nothing to line up behind"
        );
        queues.mark(&juliet());
        let coming = queues.line_up(&juliet()).unwrap();
        assert!(queues.begin(&juliet()));
        assert!(matches!(queues.end(&juliet()), End::Later(_)));
        drop(coming);
        assert!(matches!(queues.end(&juliet()), End::Again));
        assert!(matches!(queues.end(&juliet()), End::Over));
        assert!(queues.line_up(&juliet()).is_none());
    }

    #[test]
    fn what_is_left_is_lined_up_behind_until_everybody_is_gone() {
        let queues = Queues::default();
        queues.begin(&juliet());
        assert!(matches!(queues.pause(&juliet()), End::Over));
        assert!(queues.line_up(&juliet()).is_some());
        // That it was dropped is no reason to run, but one to look again.
        queues.forget_if(&juliet(), || false);
        assert!(queues.has(&juliet()));
        queues.forget_if(&juliet(), || true);
        assert!(!queues.has(&juliet()));
    }
}
