//! Up to where the messages of each archive have been taken by somebody.
//!
//! What is archived is durable, but whether anybody got it is known in memory only. So each
//! account's archive has a mark up to which all that came for it was taken by a client, or put into
//! the offline queue; it is written down now and then and nobody waits for it. After a crash what
//! is behind the mark goes into the offline queue: some of it a second time, none of it never.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_store::ArchiveId;
use parking_lot::Mutex;

/// Enough that two workers hardly meet at one lock, and little memory while empty.
const SHARDS: usize = 64;

/// The marks of all accounts for which something is on its way.
pub(crate) struct Delivered {
    shards: Box<[Mutex<Map<Jid, Archive>>]>,
    hasher: Keyed,
}

#[derive(Default)]
struct Archive {
    /// What came for the account, in the order of its archive, and whether it was taken.
    expected: VecDeque<(ArchiveId, bool)>,
    /// The mark, if it moved since it was last written down.
    moved: Option<ArchiveId>,
}

impl Default for Delivered {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: Keyed::default(),
        }
    }
}

impl Delivered {
    fn with<R>(&self, account: &Jid, look: impl FnOnce(&mut Archive) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(account.as_str());
        // The high bits: the maps inside take the low ones.
        let mut shard = self.shards.get((hash >> 57) as usize % SHARDS)?.lock();
        let archive = match shard.get_mut(account) {
            Some(archive) => archive,
            None => shard.entry(account.compact()).or_default(),
        };
        Some(look(archive))
    }

    /// Somebody is about to get this message, the newest that came for the account. With `again` it
    /// may be expected already.
    pub(crate) fn expect(&self, account: &Jid, id: ArchiveId, again: bool) {
        self.with(account, |archive| {
            let known = || archive.expected.iter().any(|(known, _)| *known == id);
            if !(again && known()) {
                archive.expected.push_back((id, false));
            }
        });
    }

    /// Somebody has it, or it is in the offline queue.
    pub(crate) fn taken(&self, account: &Jid, id: ArchiveId) {
        self.with(account, |archive| {
            if let Some((_, taken)) = archive.expected.iter_mut().find(|(known, _)| *known == id) {
                *taken = true;
            }
            while let Some((id, true)) = archive.expected.front() {
                archive.moved = Some(*id);
                archive.expected.pop_front();
            }
        });
    }

    /// The mark of one account, if it moved since it was last asked for.
    pub(crate) fn moved_of(&self, account: &Jid) -> Option<ArchiveId> {
        self.with(account, |archive| archive.moved.take()).flatten()
    }

    /// The marks that moved since the last call.
    pub(crate) fn moved(&self) -> Vec<(Jid, ArchiveId)> {
        let mut moved = Vec::new();
        for shard in &self.shards {
            shard.lock().retain(|account, archive| {
                moved.extend(archive.moved.take().map(|id| (account.clone(), id)));
                !archive.expected.is_empty()
            });
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_before_what_nobody_has_taken() {
        let juliet = Jid::parse("juliet@localhost").unwrap();
        let delivered = Delivered::default();
        let ids: Vec<ArchiveId> = (1..=3).map(ArchiveId).collect();
        ids.iter()
            .for_each(|id| delivered.expect(&juliet, *id, false));
        delivered.expect(&juliet, ids[0], true);
        delivered.taken(&juliet, ids[1]);
        assert_eq!(delivered.moved(), []);
        delivered.taken(&juliet, ids[0]);
        assert_eq!(delivered.moved(), [(juliet.clone(), ids[1])]);
        assert_eq!(delivered.moved(), []);
        delivered.expect(&juliet, ids[2], true);
        delivered.taken(&juliet, ids[2]);
        assert_eq!(delivered.moved(), [(juliet, ids[2])]);
        assert!(delivered.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
