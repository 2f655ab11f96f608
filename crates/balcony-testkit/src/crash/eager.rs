//! A store that breaks its promise: messages are called durable before they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use balcony_store::{
    Accounts, Archive, ArchiveId, Blocking, BoxFuture, Committed, Invites, LastSeen, Offline,
    Private, PushRegistrations, Roster, Secrets, SqliteStore, Store, Streams, Ticket, VCards,
    Write, WriteSet,
};
use parking_lot::Mutex;

/// How long a set waits after its ticket was resolved: a few commits of a slow disk.
const DELAY: Duration = Duration::from_millis(40);

/// Passes everything on to SQLite. The sets of messages are answered at once and committed later;
/// the ids that they are answered with are made up.
pub struct EagerStore {
    inner: Arc<SqliteStore>,
    later: Mutex<Option<Later>>,
    next_id: AtomicU64,
}

struct Later {
    sets: Sender<WriteSet>,
    thread: JoinHandle<()>,
}

impl EagerStore {
    /// Over this store.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn over(store: SqliteStore) -> Result<Self, String> {
        let inner = Arc::new(store);
        let (sets, waiting) = channel();
        let store = Arc::clone(&inner);
        let thread = Builder::new()
            .name("eager".to_owned())
            .spawn(move || commit_late(&store, &waiting))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            inner,
            later: Mutex::new(Some(Later { sets, thread })),
            next_id: AtomicU64::new(1),
        })
    }

    fn made_up(&self, writes: &WriteSet) -> Committed {
        let pushes = writes
            .ops()
            .iter()
            .filter(|op| matches!(op, Write::ArchivePush { .. }));
        let id = |_| ArchiveId(u128::from(self.next_id.fetch_add(1, Ordering::Relaxed)));
        Committed {
            archived: pushes.map(id).collect(),
        }
    }
}

/// Commits in order what waits, until nothing more can come.
fn commit_late(store: &SqliteStore, waiting: &Receiver<WriteSet>) {
    while let Ok(first) = waiting.recv() {
        sleep(DELAY);
        for set in std::iter::once(first).chain(waiting.try_iter()) {
            // Whoever wanted to know was told already.
            drop(store.commit(set));
        }
    }
}

fn is_of_messages(writes: &WriteSet) -> bool {
    writes.ops().iter().any(|op| {
        matches!(
            op,
            Write::ArchivePush { .. } | Write::OfflinePush { .. } | Write::StreamHandled { .. }
        )
    })
}

impl Store for EagerStore {
    fn commit(&self, writes: WriteSet) -> Ticket {
        if !is_of_messages(&writes) {
            return self.inner.commit(writes);
        }
        let committed = self.made_up(&writes);
        if let Some(later) = self.later.lock().as_ref() {
            // The thread ends after the last of them.
            let _ = later.sets.send(writes);
        }
        Ticket::done(Ok(committed))
    }

    fn accounts(&self) -> &dyn Accounts {
        self.inner.accounts()
    }

    fn roster(&self) -> &dyn Roster {
        self.inner.roster()
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

    fn tokens(&self) -> &dyn balcony_store::Tokens {
        self.inner.tokens()
    }

    fn streams(&self) -> &dyn Streams {
        self.inner.streams()
    }

    fn push(&self) -> &dyn PushRegistrations {
        self.inner.push()
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
        if let Some(Later { sets, thread }) = self.later.lock().take() {
            drop(sets);
            // A thread that panicked has nothing more to commit.
            let _ = thread.join();
        }
        self.inner.close()
    }
}
