//! Turns: one task at a time works on a key, without a lock object for each key.

use std::hash::BuildHasher;

use balcony_proto::map::Keyed;
use tokio::sync::{Mutex, MutexGuard};

/// How many keys can be worked on at once. A turn lasts as long as a commit, a few milliseconds,
/// and a machine runs a few hundred tasks in that time; 256 locks take 10 KB.
const LOCKS: usize = 256;

/// Asynchronous locks by key. Keys may share one, so whoever holds a turn must not ask the same
/// `Turns` for another.
pub(crate) struct Turns {
    locks: Box<[Mutex<()>]>,
    hasher: Keyed,
}

/// The turn; it ends when this is dropped.
pub(crate) type Turn<'t> = Option<MutexGuard<'t, ()>>;

impl Default for Turns {
    fn default() -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::new(())).collect();
        Self {
            locks,
            hasher: Keyed::default(),
        }
    }
}

impl Turns {
    /// Waits until nobody else works on the key. Turns come in the order of the asking.
    pub(crate) async fn take(&self, key: &str) -> Turn<'_> {
        let hash = self.hasher.hash_one(key);
        let at = usize::try_from(hash).unwrap_or_default() % LOCKS;
        match self.locks.get(at) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }
}
