//! A store that has everything but rosters: what a module does when one read of several fails.

use balcony_store::{
    Accounts, Archive, Blocking, BoxFuture, Invites, LastSeen, MemoryStore, Offline, Private,
    PushRegistrations, Roster, Secrets, Store, Streams, Ticket, Tokens, VCards, WriteSet,
};

pub(crate) struct WithoutRosters {
    inner: MemoryStore,
    closed: MemoryStore,
}

impl WithoutRosters {
    pub(crate) async fn new() -> Self {
        let closed = MemoryStore::new();
        closed.close().await;
        Self {
            inner: MemoryStore::new(),
            closed,
        }
    }
}

impl Store for WithoutRosters {
    fn roster(&self) -> &dyn Roster {
        self.closed.roster()
    }

    fn commit(&self, writes: WriteSet) -> Ticket {
        self.inner.commit(writes)
    }

    fn accounts(&self) -> &dyn Accounts {
        self.inner.accounts()
    }

    fn offline(&self) -> &dyn Offline {
        self.inner.offline()
    }

    fn private(&self) -> &dyn Private {
        self.inner.private()
    }

    fn vcards(&self) -> &dyn VCards {
        self.inner.vcards()
    }

    fn blocking(&self) -> &dyn Blocking {
        self.inner.blocking()
    }

    fn last(&self) -> &dyn LastSeen {
        self.inner.last()
    }

    fn invites(&self) -> &dyn Invites {
        self.inner.invites()
    }

    fn archive(&self) -> &dyn Archive {
        self.inner.archive()
    }

    fn streams(&self) -> &dyn Streams {
        self.inner.streams()
    }

    fn push(&self) -> &dyn PushRegistrations {
        self.inner.push()
    }

    fn tokens(&self) -> &dyn Tokens {
        self.inner.tokens()
    }

    fn pubsub(&self) -> &dyn balcony_store::Pubsub {
        self.inner.pubsub()
    }

    fn remote(&self) -> &dyn balcony_store::RemoteQueue {
        self.inner.remote()
    }

    fn rooms(&self) -> &dyn balcony_store::Rooms {
        self.inner.rooms()
    }

    fn secrets(&self) -> &dyn Secrets {
        self.inner.secrets()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
