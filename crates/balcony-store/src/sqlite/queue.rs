//! Sets that wait for the writer: bounded, in order, taken all at once.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{Committed, Error, Resolve, Result, Ticket, WriteSet};

/// How many sets may wait. At a few thousand commits of one set a second this is seconds of work;
/// whoever waits longer is better off with an error.
const MAX_SETS: usize = 16_384;
/// How many bytes they may hold: with the stanza limit of 256 KB a hundred big ones still fit.
const MAX_BYTES: usize = 64 << 20;
/// How many sets share a commit at most, so that the first of them need not wait for a crowd.
/// Measured gains end at a few hundred.
const GROUP_SETS: usize = 1_000;
/// How many bytes share a commit at most: what a disk takes in a few tens of milliseconds.
const GROUP_BYTES: usize = 8 << 20;

/// A set that waits.
pub(super) struct Job {
    pub(super) set: WriteSet,
    pub(super) resolve: Resolve,
}

/// What there is for the writer to do.
pub(super) enum Work {
    /// Sets to commit together. Empty only for a writer that has something else to do.
    Group(Group),
    /// All is done and the store was closed.
    Closed,
}

/// Sets that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) jobs: Vec<Job>,
    /// Whether any came during [`Gather::stay`]; `None` when the writer did not stay.
    pub(super) joined: Option<bool>,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, usize)>,
    bytes: usize,
    /// How many sets the writer waits for.
    wanted: usize,
    closed: bool,
}

/// When a writer with nothing to commit comes back with an empty group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Not before there is something to commit.
    Never,
    /// After so long without.
    After(Duration),
    /// At once: it has something else to do.
    Now,
}

/// How long the writer may wait for company once it has a set.
///
/// Those who were answered by the last commit often come back at once. Without a moment's wait
/// the first of them gets a sync of its own while all others wait for it, and every second commit
/// is wasted.
#[derive(Clone, Copy, Default)]
pub(super) struct Gather {
    /// As many as the last commit had.
    pub(super) sets: usize,
    /// A small part of what the last commit took.
    pub(super) at_most: Duration,
    /// After that it stays so long for whoever else comes.
    pub(super) stay: Option<Duration>,
}

impl Queue {
    /// Adds a set at the end.
    pub(super) fn push(&self, set: WriteSet) -> Ticket {
        if set.is_empty() {
            return Ticket::done(Ok(Committed::default()));
        }
        match self.enqueue(set) {
            Ok(ticket) => ticket,
            Err(error) => Ticket::done(Err(error)),
        }
    }

    fn enqueue(&self, set: WriteSet) -> Result<Ticket> {
        let weight = set.weight();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.jobs.len() >= MAX_SETS || state.bytes + weight > MAX_BYTES {
            return Err(Error::Busy);
        }
        let (resolve, ticket) = Ticket::pending();
        state.bytes += weight;
        state.jobs.push_back((Job { set, resolve }, weight));
        let enough = state.jobs.len() >= state.wanted;
        drop(state);
        if enough {
            self.filled.notify_one();
        }
        Ok(ticket)
    }

    /// Takes what waits, up to a group. When nothing does: waits for it, or comes back with an
    /// empty group. `gather` is asked once something is there.
    pub(super) fn take(&self, idle: Idle, gather: impl FnOnce() -> Gather) -> Work {
        let mut state = self.state.lock();
        state.wanted = 1;
        while state.jobs.is_empty() {
            if state.closed {
                return Work::Closed;
            }
            let over = match idle {
                Idle::Never => {
                    self.filled.wait(&mut state);
                    false
                }
                Idle::After(time) => self.filled.wait_for(&mut state, time).timed_out(),
                Idle::Now => true,
            };
            if over && state.jobs.is_empty() {
                return Work::Group(Group::default());
            }
        }
        let gather = gather();
        if state.jobs.len() < gather.sets && !state.closed {
            state.wanted = gather.sets;
            // Woken early or late: what is there now is the group.
            self.filled.wait_for(&mut state, gather.at_most);
        }
        let joined = gather.stay.and_then(|time| self.stay(&mut state, time));
        Work::Group(Group {
            jobs: state.jobs(),
            joined,
        })
    }

    /// Waits so long; whether anything came meanwhile. `None`: there is enough, or no more to come.
    fn stay(&self, state: &mut MutexGuard<'_, State>, time: Duration) -> Option<bool> {
        let before = state.jobs.len();
        if state.closed || before >= GROUP_SETS {
            return None;
        }
        state.wanted = GROUP_SETS;
        // Woken early or late: what is there now is the group.
        self.filled.wait_for(state, time);
        Some(state.jobs.len() > before)
    }

    /// Takes nothing more; what waits is still worked off.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }
}

impl State {
    fn jobs(&mut self) -> Vec<Job> {
        let mut group = Vec::with_capacity(self.jobs.len().min(GROUP_SETS));
        let mut bytes = 0;
        while group.len() < GROUP_SETS && bytes < GROUP_BYTES {
            let Some((job, weight)) = self.jobs.pop_front() else {
                break;
            };
            self.bytes -= weight;
            bytes += weight;
            group.push(job);
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Write;

    fn set(bytes: usize) -> WriteSet {
        WriteSet::from(Write::BlockRemove {
            account: "romeo@localhost".into(),
            jids: vec!["x".repeat(bytes)],
        })
    }

    fn group(queue: &Queue) -> Vec<Job> {
        match queue.take(Idle::Now, Gather::default) {
            Work::Group(group) => group.jobs,
            Work::Closed => panic!("closed"),
        }
    }

    #[test]
    fn all_that_waits_is_taken_at_once_and_in_order() {
        let queue = Queue::default();
        let _tickets: Vec<_> = (1..=3).map(|bytes| queue.push(set(bytes))).collect();
        let taken = group(&queue);
        let sets: Vec<_> = taken.into_iter().map(|job| job.set).collect();
        assert_eq!(sets, [set(1), set(2), set(3)]);
        assert!(group(&queue).is_empty());
    }

    #[test]
    fn full_queue_is_busy_until_taken() {
        let queue = Queue::default();
        let half = || queue.push(set(MAX_BYTES / 2 - 1000));
        let _waiting = (half(), half());
        assert_eq!(half().try_outcome(), Some(Err(Error::Busy)));
        // One is more than a group may hold, so the other stays.
        assert_eq!(group(&queue).len(), 1);
        assert_eq!(half().try_outcome(), None);
    }

    #[test]
    fn number_of_waiting_sets_is_bounded() {
        let queue = Queue::default();
        let _tickets: Vec<_> = (0..MAX_SETS).map(|_| queue.push(set(1))).collect();
        assert_eq!(queue.push(set(1)).try_outcome(), Some(Err(Error::Busy)));
        assert_eq!(group(&queue).len(), GROUP_SETS);
        assert_eq!(queue.push(set(1)).try_outcome(), None);
    }

    #[test]
    fn writer_waits_a_moment_for_company() {
        let queue = Queue::default();
        let _first = queue.push(set(1));
        let gather = Gather {
            sets: 3,
            at_most: Duration::from_secs(600),
            stay: None,
        };
        let taken = std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.take(Idle::Never, || gather));
            let _others = (queue.push(set(2)), queue.push(set(3)));
            writer.join().unwrap()
        });
        assert!(matches!(taken, Work::Group(group) if group.jobs.len() == 3));
    }

    #[test]
    fn writer_that_stays_says_whether_anybody_joined() {
        let stay = |others: usize| {
            let queue = Queue::default();
            let _first = queue.push(set(1));
            let gather = Gather {
                stay: Some(Duration::from_millis(100)),
                ..Gather::default()
            };
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| queue.take(Idle::Never, || gather));
                // It stays when it wants more than the one that is there.
                while queue.state.lock().wanted <= 1 {
                    std::thread::yield_now();
                }
                let _others: Vec<_> = (0..others).map(|_| queue.push(set(2))).collect();
                match writer.join().unwrap() {
                    Work::Group(group) => (group.jobs.len(), group.joined),
                    Work::Closed => panic!("closed"),
                }
            })
        };
        assert_eq!(stay(0), (1, Some(false)));
        assert_eq!(stay(3), (4, Some(true)));
    }

    #[test]
    fn closed_queue_is_worked_off_and_takes_no_more() {
        let queue = Queue::default();
        let mut before = queue.push(set(1));
        queue.close();
        assert_eq!(queue.push(set(1)).try_outcome(), Some(Err(Error::Closed)));
        assert_eq!(before.try_outcome(), None);
        assert_eq!(group(&queue).len(), 1);
        assert!(matches!(
            queue.take(Idle::Never, Gather::default),
            Work::Closed
        ));
    }
}
