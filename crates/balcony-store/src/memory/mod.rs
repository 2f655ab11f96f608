//! A store that lasts as long as the process: for tests, and the model that the others must agree
//! with.
//!
//! Tickets are resolved when [`commit`](Store::commit) returns, so a run is the same each time. A
//! test of what happens meanwhile can hold them back, or have commits fail.

mod apply;
mod archive;
mod pubsub;
mod push;
mod reads;
mod rooms;
mod streams;
mod tables;
mod tokens;

use parking_lot::Mutex;

use self::tables::Tables;
use crate::archive_id::{self, ArchiveIds};
use crate::{
    Accounts, Blocking, BoxFuture, Committed, Error, Invites, LastSeen, Offline, Private, Resolve,
    Result, Roster, Secrets, Store, Ticket, VCards, WriteSet,
};

/// The store in memory.
pub struct MemoryStore {
    state: Mutex<State>,
}

struct State {
    tables: Tables,
    failing: Option<Error>,
    holding: bool,
    held: Vec<(WriteSet, Resolve)>,
    /// For what the next answer waits. `None`: for nothing.
    delay: Option<Delay>,
    closed: bool,
}

/// Makes something to wait for.
type Delay = Box<dyn FnMut() -> BoxFuture<'static, ()> + Send>;

impl MemoryStore {
    /// An empty store. Its ids are the same each time.
    pub fn new() -> MemoryStore {
        MemoryStore::with_archive_key([0; 16])
    }

    /// An empty store that makes the same ids as another one with this key.
    pub(crate) fn with_archive_key(key: [u8; 16]) -> MemoryStore {
        let mut tables = Tables::new(ArchiveIds::new(key));
        tables.add_secret(archive_id::KEY, &key);
        MemoryStore {
            state: Mutex::new(State {
                tables,
                failing: None,
                holding: false,
                held: Vec::new(),
                delay: None,
                closed: false,
            }),
        }
    }

    /// Has every commit fail with this error, like a full disk, until it is told `None`.
    pub fn fail_commits(&self, error: Option<Error>) {
        self.state.lock().failing = error;
    }

    /// From now on commits wait, like for a slow disk; nobody reads what they write.
    pub fn hold_commits(&self) {
        self.state.lock().holding = true;
    }

    /// Commits what waited, in order, and holds nothing back any more.
    pub fn release_commits(&self) {
        let mut state = self.state.lock();
        state.holding = false;
        for (set, resolve) in std::mem::take(&mut state.held) {
            resolve.resolve(state.commit(&set));
        }
    }

    /// Commits the first of what waits; the rest of it, and what comes, waits on. Answers whether
    /// there was one.
    pub fn release_one(&self) -> bool {
        let mut state = self.state.lock();
        if state.held.is_empty() {
            return false;
        }
        let (set, resolve) = state.held.remove(0);
        resolve.resolve(state.commit(&set));
        true
    }

    /// From now on whoever reads gets the answer some time after the moment that it is of, as from
    /// readers on other threads.
    pub fn delay_reads(&self, delay: impl FnMut() -> BoxFuture<'static, ()> + Send + 'static) {
        self.state.lock().delay = Some(Box::new(delay));
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&Tables) -> T) -> BoxFuture<'_, Result<T>> {
        let mut state = self.state.lock();
        let answer = match state.closed {
            true => Err(Error::Closed),
            false => Ok(read(&state.tables)),
        };
        match state.delay.as_mut().map(|delay| delay()) {
            None => Box::pin(std::future::ready(answer)),
            Some(delay) => Box::pin(async move {
                delay.await;
                answer
            }),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl State {
    fn commit(&mut self, set: &WriteSet) -> Result<Committed> {
        match &self.failing {
            Some(error) => Err(error.clone()),
            None => self.tables.commit(set),
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, writes: WriteSet) -> Ticket {
        let mut state = self.state.lock();
        if writes.is_empty() {
            return Ticket::done(Ok(Committed::default()));
        }
        if state.closed {
            return Ticket::done(Err(Error::Closed));
        }
        if !state.holding {
            return Ticket::done(state.commit(&writes));
        }
        let (resolve, ticket) = Ticket::pending();
        state.held.push((writes, resolve));
        ticket
    }

    fn accounts(&self) -> &dyn Accounts {
        self
    }

    fn roster(&self) -> &dyn Roster {
        self
    }

    fn offline(&self) -> &dyn Offline {
        self
    }

    fn private(&self) -> &dyn Private {
        self
    }

    fn vcards(&self) -> &dyn VCards {
        self
    }

    fn blocking(&self) -> &dyn Blocking {
        self
    }

    fn last(&self) -> &dyn LastSeen {
        self
    }

    fn invites(&self) -> &dyn Invites {
        self
    }

    fn secrets(&self) -> &dyn Secrets {
        self
    }

    fn archive(&self) -> &dyn crate::Archive {
        self
    }

    fn streams(&self) -> &dyn crate::Streams {
        self
    }

    fn push(&self) -> &dyn crate::PushRegistrations {
        self
    }

    fn tokens(&self) -> &dyn crate::Tokens {
        self
    }

    fn rooms(&self) -> &dyn crate::Rooms {
        self
    }

    fn pubsub(&self) -> &dyn crate::Pubsub {
        self
    }

    fn remote(&self) -> &dyn crate::RemoteQueue {
        self
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.release_commits();
        self.state.lock().closed = true;
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Write;

    crate::contract_tests!((Arc::new(MemoryStore::new()), ()));

    fn secret(name: &str) -> WriteSet {
        WriteSet::from(Write::SecretCreate {
            name: name.into(),
            value: vec![1],
        })
    }

    #[test]
    fn ticket_is_resolved_at_once() {
        let store = MemoryStore::new();
        assert_eq!(
            store.commit(secret("a")).try_outcome(),
            Some(Ok(Committed::default()))
        );
    }

    #[tokio::test]
    async fn held_commit_is_neither_seen_nor_resolved() {
        let store = MemoryStore::new();
        store.hold_commits();
        let mut ticket = store.commit(secret("a"));
        assert_eq!(ticket.try_outcome(), None);
        assert_eq!(store.secrets().get("a").await, Ok(None));
        store.release_commits();
        assert_eq!(ticket.await, Ok(Committed::default()));
        assert_eq!(store.secrets().get("a").await, Ok(Some(vec![1])));
    }

    #[tokio::test]
    async fn held_commits_are_released_one_by_one_in_their_order() {
        let store = MemoryStore::new();
        store.hold_commits();
        let (first, mut second) = (store.commit(secret("a")), store.commit(secret("b")));
        assert!(store.release_one());
        assert_eq!(first.await, Ok(Committed::default()));
        assert_eq!(second.try_outcome(), None);
        assert!(store.release_one());
        assert!(!store.release_one());
        assert_eq!(second.await, Ok(Committed::default()));
    }

    #[tokio::test]
    async fn failing_commits_leave_nothing() {
        let store = MemoryStore::new();
        store.fail_commits(Some(Error::Full));
        assert_eq!(store.commit(secret("a")).await, Err(Error::Full));
        store.fail_commits(None);
        assert_eq!(store.secrets().get("a").await, Ok(None));
        assert_eq!(store.commit(secret("a")).await, Ok(Committed::default()));
    }
}
