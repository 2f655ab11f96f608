//! The table of this instance's sessions, by account.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_store::StreamId;
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::session::{Session, Wake};

/// Sessions of one account; most have one or two.
pub type List = SmallVec<[Arc<Session>; 2]>;

/// Enough that two workers hardly meet at one lock, few enough to be small when empty.
const SHARDS: usize = 64;

/// The sessions of this instance. It alone adds and removes them.
pub struct Sessions {
    shards: Box<[Shard]>,
    // Keyed: who chooses account names must not choose where they collide.
    hasher: Keyed,
    count: AtomicUsize,
    next_id: AtomicU64,
}

/// By bare JIDs, of which the sessions have clones.
type Shard = RwLock<Map<Jid, SmallVec<[Arc<Session>; 1]>>>;

/// What binding a resource gave.
pub struct Bound {
    /// The new session.
    pub session: Arc<Session>,
    /// The session that had this full JID before. Whoever binds ends it with `conflict`.
    pub replaced: Option<Arc<Session>>,
}

/// The account has as many sessions as it may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Default for Sessions {
    fn default() -> Self {
        let hasher = Keyed::default();
        let shard = || RwLock::new(Map::with_hasher(hasher.clone()));
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: hasher.clone(),
            count: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
        }
    }
}

impl Sessions {
    fn shard(&self, account: &str) -> Option<&Shard> {
        let hash = self.hasher.hash_one(account);
        // The high bits: the maps inside take the low ones.
        self.shards.get((hash >> 57) as usize % SHARDS)
    }

    /// Adds a session for a full JID, in the place of one that has it already
    /// (RFC 6120 §7.7.2.2, the second way: the newer resource wins).
    ///
    /// # Errors
    /// [`TooMany`] when the account has `max` other sessions.
    pub fn bind(
        &self,
        jid: Jid,
        max: usize,
        now_seconds: u32,
        wake: Arc<dyn Wake>,
    ) -> Result<Bound, TooMany> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Some(shard) = self.shard(jid.bare_str()) else {
            return Err(TooMany);
        };
        let mut map = shard.write();
        let list = map.get_mut(jid.bare_str());
        let others = list.as_deref().map_or(0, SmallVec::len);
        let slot = list.and_then(|list| list.iter_mut().find(|other| *other.jid() == jid));
        if slot.is_none() && others >= max {
            return Err(TooMany);
        }
        let session = Session::new(jid, id, now_seconds, wake);
        let replaced = match slot {
            Some(slot) => {
                session.succeed(slot);
                Some(std::mem::replace(slot, Arc::clone(&session)))
            }
            None => {
                let list = map.entry(session.account().clone()).or_default();
                list.push(Arc::clone(&session));
                self.count.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        Ok(Bound { session, replaced })
    }

    /// Removes this very session; a successor with the same full JID stays.
    /// Answers how many sessions the account has left, or `None` when it was gone already.
    pub fn remove(&self, session: &Session) -> Option<usize> {
        let account = session.account().as_str();
        let mut map = self.shard(account)?.write();
        let list = map.get_mut(account)?;
        let at = list.iter().position(|other| other.id() == session.id())?;
        list.remove(at);
        let left = list.len();
        if left == 0 {
            map.remove(account);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(left)
    }

    /// Whether an account has any, by its bare JID.
    #[must_use]
    pub fn has(&self, account: &str) -> bool {
        let shard = self.shard(account);
        shard.is_some_and(|shard| shard.read().contains_key(account))
    }

    /// The sessions of a bare JID, in the order in which they were bound.
    #[must_use]
    pub fn of(&self, account: &str) -> List {
        let Some(shard) = self.shard(account) else {
            return List::new();
        };
        shard
            .read()
            .get(account)
            .map(|list| list.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The session with exactly this full JID.
    #[must_use]
    pub fn find(&self, full: &Jid) -> Option<Arc<Session>> {
        let map = self.shard(full.bare_str())?.read();
        map.get(full.bare_str())?
            .iter()
            .find(|session| session.jid() == full)
            .cloned()
    }

    /// The session of an account whose stream has this name. It may have ended, and its connection
    /// not be through with what it has read.
    #[must_use]
    pub fn find_stream(&self, account: &Jid, id: StreamId) -> Option<Arc<Session>> {
        let sessions = self.of(account.bare_str()).into_iter();
        let mut all = sessions
            .flat_map(|session| std::iter::successors(Some(session), |session| session.before()));
        all.find(|session| session.stream_id() == Some(id))
    }

    /// How many sessions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Calls `look` for every session. One shard is locked at a time, so what is bound or removed
    /// meanwhile may be missed or seen; `look` must not use this table.
    pub fn each(&self, mut look: impl FnMut(&Arc<Session>)) {
        for shard in &self.shards {
            shard.read().values().flatten().for_each(&mut look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;
    impl Wake for Still {
        fn wake(&self) {}
    }

    fn bind(table: &Sessions, jid: &str) -> Result<Bound, TooMany> {
        table.bind(Jid::parse(jid).unwrap(), 2, 0, Arc::new(Still))
    }

    #[test]
    fn a_second_session_with_the_same_full_jid_replaces_the_first() {
        let table = Sessions::default();
        let first = bind(&table, "juliet@localhost/balcony").unwrap();
        let second = bind(&table, "juliet@localhost/balcony").unwrap();
        assert_eq!(second.replaced.map(|s| s.id()), Some(first.session.id()));
        assert_eq!(table.count(), 1);
        assert_eq!(table.remove(&first.session), None, "the successor stays");
        assert_eq!(table.remove(&second.session), Some(0));
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn an_account_has_as_many_sessions_as_it_may() {
        let table = Sessions::default();
        bind(&table, "juliet@localhost/a").unwrap();
        bind(&table, "juliet@localhost/b").unwrap();
        assert!(bind(&table, "juliet@localhost/c").is_err());
        assert!(
            bind(&table, "juliet@localhost/b").is_ok(),
            "a replacement adds none"
        );
        assert_eq!(table.of("juliet@localhost").len(), 2);
        assert!(
            table
                .find(&Jid::parse("juliet@localhost/a").unwrap())
                .is_some()
        );
    }
}
