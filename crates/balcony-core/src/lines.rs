//! Lines: what is delivered to one account is delivered in the order in which it was committed.
//!
//! Commits are made in the order in which they were handed to the store, but each is waited for by
//! the stream that it came from, and these run side by side. So whoever hands writes to the store
//! takes a place in the line of each account concerned, and delivers when it is the first there.
//! Places in several lines are taken together, in the order of the store, so nobody waits for
//! somebody who waits for them.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use parking_lot::Mutex;
use smallvec::SmallVec;

/// Enough that two workers hardly meet at one lock, and little memory while empty.
const SHARDS: usize = 64;

/// The lines of all accounts for which something is on its way.
pub(crate) struct Lines {
    shards: Box<[Mutex<Shard>]>,
    hasher: Keyed,
}

#[derive(Default)]
struct Shard {
    lines: Map<Jid, VecDeque<Waiting>>,
    next: u64,
}

struct Waiting {
    number: u64,
    waker: Option<Waker>,
}

/// A place in up to two lines, given up when it is dropped.
pub(crate) struct Place {
    lines: Arc<Lines>,
    /// The shard, the account and the number there.
    held: SmallVec<[(usize, Jid, u64); 2]>,
}

/// The turn of an account: all that was committed before has been delivered to it, and nothing else
/// is while this is held.
pub struct Turn {
    _place: Place,
}

impl Lines {
    /// Waits for the turn of this bare JID.
    pub(crate) async fn turn(self: &Arc<Self>, account: &Jid) -> Turn {
        let (place, ()) = self.stand([account.clone()], || ());
        poll_fn(|context| place.poll_first(context)).await;
        Turn { _place: place }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: Keyed::default(),
        }
    }
}

impl Lines {
    /// Takes the last place in the line of each of these bare JIDs, at most two, and calls `submit`
    /// before anybody else can stand behind it.
    pub(crate) fn stand<R>(
        self: &Arc<Self>,
        accounts: impl IntoIterator<Item = Jid>,
        submit: impl FnOnce() -> R,
    ) -> (Place, R) {
        let mut wanted: SmallVec<[(usize, Jid); 2]> = SmallVec::new();
        for account in accounts {
            if wanted.iter().all(|(_, other)| *other != account) {
                wanted.push((self.shard_of(&account), account));
            }
        }
        // Always in the same order, so that two who need the same locks never wait for each other.
        wanted.sort_by_key(|(shard, _)| *shard);
        let mut guards: SmallVec<[_; 2]> = SmallVec::new();
        let mut held = SmallVec::new();
        let mut last = None;
        for (at, account) in wanted {
            if last != Some(at)
                && let Some(shard) = self.shards.get(at)
            {
                guards.push(shard.lock());
                last = Some(at);
            }
            let Some(shard) = guards.last_mut() else {
                continue;
            };
            let number = shard.stand(&account);
            held.push((at, account, number));
        }
        let submitted = submit();
        drop(guards);
        let lines = Arc::clone(self);
        (Place { lines, held }, submitted)
    }

    fn shard_of(&self, account: &Jid) -> usize {
        let hash = self.hasher.hash_one(account.as_str());
        // The high bits: the maps inside take the low ones.
        (hash >> 57) as usize % SHARDS
    }
}

impl Shard {
    fn stand(&mut self, account: &Jid) -> u64 {
        let number = self.next;
        self.next += 1;
        let line = self.lines.entry(account.clone()).or_default();
        line.push_back(Waiting {
            number,
            waker: None,
        });
        number
    }

    /// Whether the number is the first of its line; if not, `waker` is woken when it may be.
    fn is_first(&mut self, account: &Jid, number: u64, waker: &Waker) -> bool {
        let Some(line) = self.lines.get_mut(account) else {
            return true;
        };
        if line.front().is_none_or(|first| first.number == number) {
            return true;
        }
        if let Some(own) = line.iter_mut().find(|waiting| waiting.number == number) {
            own.waker = Some(waker.clone());
        }
        false
    }

    /// Leaves the line; answers who is the first now and waits for that.
    fn leave(&mut self, account: Jid, number: u64) -> Option<Waker> {
        let Entry::Occupied(mut line) = self.lines.entry(account) else {
            return None;
        };
        line.get_mut().retain(|waiting| waiting.number != number);
        match line.get_mut().front_mut() {
            Some(first) => first.waker.take(),
            None => {
                line.remove();
                None
            }
        }
    }
}

impl Place {
    /// Ready when it is the first in all its lines.
    pub(crate) fn poll_first(&self, context: &mut Context<'_>) -> Poll<()> {
        for (at, account, number) in &self.held {
            let Some(shard) = self.lines.shards.get(*at) else {
                continue;
            };
            if !shard.lock().is_first(account, *number, context.waker()) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (at, account, number) in self.held.drain(..) {
            let waker = self
                .lines
                .shards
                .get(at)
                .and_then(|shard| shard.lock().leave(account, number));
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn stand(lines: &Arc<Lines>, accounts: &[&str]) -> Place {
        lines.stand(accounts.iter().map(|text| jid(text)), || ()).0
    }

    fn is_first(place: &Place) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        place.poll_first(&mut context).is_ready()
    }

    fn waiting(lines: &Lines) -> usize {
        lines.shards.iter().map(|s| s.lock().lines.len()).sum()
    }

    #[test]
    fn one_line_is_worked_off_in_order_and_others_do_not_wait() {
        let lines = Arc::new(Lines::default());
        let first = stand(&lines, &["juliet@localhost"]);
        let second = stand(&lines, &["juliet@localhost", "romeo@localhost"]);
        let third = stand(&lines, &["romeo@localhost"]);
        let apart = stand(&lines, &["nurse@localhost"]);
        assert!(is_first(&first) && is_first(&apart));
        assert!(!is_first(&second) && !is_first(&third));
        drop(first);
        assert!(is_first(&second) && !is_first(&third));
        drop(second);
        assert!(is_first(&third));
        drop((third, apart));
        assert_eq!(waiting(&lines), 0, "an empty line costs nothing");
    }

    #[test]
    fn whoever_becomes_the_first_is_woken() {
        struct Bell(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Bell {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let lines = Arc::new(Lines::default());
        let first = stand(&lines, &["juliet@localhost"]);
        let second = stand(&lines, &["juliet@localhost"]);
        let bell = Arc::new(Bell(false.into()));
        let waker = Waker::from(Arc::clone(&bell));
        assert!(
            second
                .poll_first(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(first);
        assert!(bell.0.load(std::sync::atomic::Ordering::Relaxed));
        assert!(is_first(&second));
    }

    #[test]
    fn who_gives_up_in_the_middle_holds_nobody_up() {
        let lines = Arc::new(Lines::default());
        let first = stand(&lines, &["juliet@localhost"]);
        let second = stand(&lines, &["juliet@localhost"]);
        let third = stand(&lines, &["juliet@localhost", "juliet@localhost"]);
        drop(second);
        assert!(!is_first(&third));
        drop(first);
        assert!(is_first(&third));
    }
}
