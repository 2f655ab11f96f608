//! Turns: one task at a time works on a key.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use balcony_proto::map::{Keyed, Map};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Enough that two workers hardly meet at one lock, which nobody holds for longer than a look.
const SHARDS: usize = 64;

/// Asynchronous locks by key. Nothing is kept of a key on which nobody works, and no two keys share
/// a lock: who waits for one that is handed on from task to task waits for a turn of the scheduler
/// each time, and so would all who came to it by chance. Whoever holds a turn must not ask for the
/// same key again.
#[derive(Default)]
pub(crate) struct Turns(Arc<Table>);

struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: Keyed,
}

/// The keys on which somebody works, by their hash, and who waits for each, the first one first.
type Shard = Map<u64, VecDeque<oneshot::Sender<Turn>>>;

/// The turn; it ends when this is dropped.
#[must_use]
pub(crate) struct Turn {
    table: Arc<Table>,
    key: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: Keyed::default(),
        }
    }
}

impl Table {
    fn with<R>(&self, key: u64, look: impl FnOnce(&mut Shard) -> R) -> Option<R> {
        let at = usize::try_from(key).unwrap_or_default() % SHARDS;
        Some(look(&mut self.shards.get(at)?.lock()))
    }

    /// The place in the line for a key; `None` when nobody works on it, which the caller does now.
    fn line_up(&self, key: u64) -> Option<oneshot::Receiver<Turn>> {
        self.with(key, |shard| {
            let Some(line) = shard.get_mut(&key) else {
                shard.insert(key, VecDeque::new());
                return None;
            };
            let (give, given) = oneshot::channel();
            line.push_back(give);
            Some(given)
        })?
    }

    /// Who is next; nothing is left of the key when nobody is.
    fn next(&self, key: u64) -> Option<oneshot::Sender<Turn>> {
        self.with(key, |shard| {
            let line = shard.get_mut(&key)?;
            // Whoever was cancelled waits no more.
            while let Some(next) = line.pop_front() {
                if !next.is_closed() {
                    return Some(next);
                }
            }
            shard.remove(&key);
            None
        })?
    }
}

impl Turns {
    /// Waits until nobody else works on the key. Turns come in the order of the asking.
    pub(crate) async fn take(&self, key: &str) -> Turn {
        let key = self.0.hasher.hash_one(key);
        let turn = || Turn {
            table: Arc::clone(&self.0),
            key,
        };
        match self.0.line_up(key) {
            // Who goes hands the turn on, whatever becomes of his task.
            Some(given) => given.await.unwrap_or_else(|_| turn()),
            None => turn(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(next) = self.table.next(self.key) {
            let turn = Turn {
                table: Arc::clone(&self.table),
                key: self.key,
            };
            // Comes back if it was not wanted any more, and is handed on as it is dropped.
            let _ = next.send(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn nobody_waits_for_another_key_however_many_there_are() {
        let turns = Turns::default();
        let take = |key: u32| poll(pin!(turns.take(&key.to_string())));
        let held: Vec<_> = (0..10_000).map(take).collect();
        assert!(held.iter().all(Option::is_some));
        drop(held);
        assert!(turns.0.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn turns_come_in_the_order_of_the_asking() {
        let turns = Turns::default();
        let first = poll(pin!(turns.take("romeo")));
        let (mut second, mut third) = (pin!(turns.take("romeo")), pin!(turns.take("romeo")));
        assert!(first.is_some());
        assert!(poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());
        drop(first);
        assert!(poll(third.as_mut()).is_none());
        let given = poll(second.as_mut());
        assert!(given.is_some() && poll(third.as_mut()).is_none());
        drop(given);
        assert!(poll(third.as_mut()).is_some());
    }

    #[test]
    fn whoever_is_cancelled_hands_the_turn_on() {
        for is_given in [false, true] {
            let turns = Turns::default();
            let first = poll(pin!(turns.take("romeo")));
            let mut second = Box::pin(turns.take("romeo"));
            let mut third = pin!(turns.take("romeo"));
            assert!(poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none());
            if is_given {
                drop(first);
                drop(second);
            } else {
                drop(second);
                drop(first);
            }
            assert!(poll(third.as_mut()).is_some());
            assert!(turns.0.shards.iter().all(|shard| shard.lock().is_empty()));
        }
    }
}
