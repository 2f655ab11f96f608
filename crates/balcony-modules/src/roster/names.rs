//! The addresses of contacts, each kept once however many rosters it is in: who has twenty contacts
//! is in twenty rosters, and the addresses would be as large as all else of a roster.

use std::hash::BuildHasher;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Set};
use parking_lot::Mutex;

/// Enough that two workers hardly meet at one lock.
const SHARDS: usize = 64;

/// Addresses of one shard that are not looked through for those that no roster has any more.
const FEW: usize = 64;

/// The addresses.
pub(super) struct Names {
    shards: Box<[Mutex<Shard>]>,
    hasher: Keyed,
}

#[derive(Default)]
struct Shard {
    names: Set<Arc<Jid>>,
    /// With so many it is looked which of them are of use.
    sweep_at: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: Keyed::default(),
        }
    }
}

impl Names {
    /// The same address, shared with all who asked for it before.
    pub(super) fn share(&self, jid: Jid) -> Arc<Jid> {
        let hash = self.hasher.hash_one(jid.as_str());
        let place = usize::try_from(hash).unwrap_or_default() % SHARDS;
        match self.shards.get(place) {
            Some(shard) => shard.lock().share(jid),
            None => Arc::new(jid),
        }
    }
}

impl Shard {
    fn share(&mut self, jid: Jid) -> Arc<Jid> {
        if let Some(known) = self.names.get(&jid) {
            return Arc::clone(known);
        }
        if self.names.len() >= self.sweep_at {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.names.shrink_to_fit();
            // Twice as many: a sweep costs no more than what was added since the last one.
            self.sweep_at = self.names.len().saturating_mul(2).max(FEW);
        }
        let name = Arc::new(jid);
        self.names.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(number: usize) -> Jid {
        Jid::parse(&format!("user{number}@localhost")).unwrap()
    }

    #[test]
    fn an_address_is_kept_once_and_as_long_as_somebody_has_it() {
        let mut shard = Shard::default();
        let (first, second) = (shard.share(jid(1)), shard.share(jid(1)));
        assert!(Arc::ptr_eq(&first, &second));
        for number in 2..10_000 {
            drop(shard.share(jid(number)));
        }
        assert!(shard.names.len() <= FEW + 1, "{}", shard.names.len());
        assert!(Arc::ptr_eq(&first, &shard.share(jid(1))));
    }

    #[test]
    fn what_is_in_use_is_never_swept() {
        let names = Names::default();
        let kept: Vec<Arc<Jid>> = (0..10_000).map(|number| names.share(jid(number))).collect();
        let again = (0..10_000).map(|number| names.share(jid(number)));
        assert!(
            kept.iter()
                .zip(again)
                .all(|(one, other)| Arc::ptr_eq(one, &other))
        );
    }
}
