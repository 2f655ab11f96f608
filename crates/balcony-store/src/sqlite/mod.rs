//! The default: SQLite in the data directory, no other service.
//!
//! One thread writes and commits in groups, two read, one moves the write-ahead log into the
//! database. WAL with `synchronous=FULL`: a ticket resolves after its commit is on the disk.

mod accounts;
mod apply;
mod archive;
mod blocking;
mod checkpoint;
mod cleaning;
mod connections;
mod directory;
mod fault;
mod invites;
mod known;
mod last;
mod lot;
mod migrations;
mod netstrings;
mod offline;
mod private;
mod pubsub;
mod push;
mod queue;
mod readers;
mod remote;
mod rooms;
mod roster;
mod secrets;
mod spacing;
mod statement;
mod streams;
mod tokens;
mod vcards;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::checkpoint::Checkpoints;
use self::connections::Connections;
use self::directory::Directory;
use self::fault::Fault;
use self::known::{Archives, Known};
use self::queue::Queue;
use self::readers::Readers;
use self::writer::Writer;
use crate::{
    Accounts, Archive, Blocking, BoxFuture, Error, Invites, LastSeen, Offline, Private, Result,
    Roster, Secrets, Store, Streams, Ticket, VCards, WriteSet,
};

/// How many messages, or counts of streams, commits leave for later. They come to their place
/// together: the more there are, the fewer pages are written for each. To find them again when the
/// store is opened, ten megabytes are read.
const LOT: usize = 16_384;

/// How the store uses the machine.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Reading threads, each with a connection. Default 2: reads are short, and two keep a slow
    /// one from holding up the logins.
    pub readers: usize,
    /// Page cache of the writer in KiB, filled as it is used. Default 32 MiB: it holds the inner
    /// pages of indexes on some tens of millions of rows.
    pub writer_cache_kib: i32,
    /// Page cache of each reader in KiB. Default 512 KiB: SQLite drops it with each commit of
    /// another connection, the kernel's cache does the work.
    pub reader_cache_kib: i32,
    /// Size of the database past which writes that need space get [`Error::Full`]. Default
    /// `None`: what the disk has.
    pub max_bytes: Option<u64>,
    /// Default `Full`.
    pub synchronous: Synchronous,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// That the disk has it.
    #[default]
    Full,
    /// Nothing: a crash of the machine loses what was answered. No configuration leads here; it is
    /// there for the crash tests to prove that they would notice.
    Off,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            readers: 2,
            writer_cache_kib: 32 << 10,
            reader_cache_kib: 512,
            max_bytes: None,
            synchronous: Synchronous::Full,
        }
    }
}

/// A store in a data directory.
///
/// Dropped or closed, it commits what was queued first.
pub struct SqliteStore {
    dir: Arc<Path>,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    checkpoints: Arc<Checkpoints>,
    archives: Arc<Archives>,
    running: Arc<Mutex<Running>>,
}

/// What is there until the store is closed.
struct Running {
    threads: Vec<JoinHandle<()>>,
    directory: Option<Directory>,
}

impl SqliteStore {
    /// Opens the store in `dir`, with everything in it that is missing, and brings its schema up
    /// to date.
    ///
    /// # Errors
    /// [`Error::InUse`] when a process has it open, [`Error::SchemaNewer`] when its data is from
    /// a newer version; [`Error::Broken`] says which path cannot be used.
    pub fn open(dir: impl AsRef<Path>, settings: Settings) -> Result<SqliteStore> {
        SqliteStore::open_with(dir.as_ref(), settings, LOT)
    }

    /// `lot`: how much commits leave for later.
    fn open_with(dir: &Path, settings: Settings, lot: usize) -> Result<SqliteStore> {
        let directory = Directory::open(dir)?;
        let path = directory.path().to_owned();
        let mut connections = Connections::open(&directory.database(), settings)
            .map_err(|fault| fault.into_error(&path))?;
        let checkpoints = Checkpoints::watch(&mut connections.writer);
        let checkpoints = checkpoints.map_err(|error| Fault::from(error).into_error(&path))?;
        let store = SqliteStore {
            dir: path.into(),
            queue: Arc::default(),
            readers: Arc::new(Readers::new()),
            checkpoints: Arc::new(checkpoints),
            archives: Arc::clone(&connections.archives),
            running: Arc::new(Mutex::new(Running {
                threads: Vec::new(),
                directory: Some(directory),
            })),
        };
        // If one cannot be started, dropping the store stops the others.
        store
            .start(connections, lot)
            .map_err(|error| Error::Broken(error.to_string()))?;
        Ok(store)
    }

    fn start(&self, connections: Connections, lot: usize) -> std::io::Result<()> {
        let Connections {
            writer,
            readers,
            checkpointer,
            archives,
            end,
            cleaning,
        } = connections;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = Builder::new().name(name.to_owned()).spawn(work)?;
            self.running.lock().threads.push(thread);
            std::io::Result::Ok(())
        };
        for conn in readers {
            let readers = Arc::clone(&self.readers);
            spawn("store-read", Box::new(move || readers.run(conn)))?;
        }
        let checkpoints = Arc::clone(&self.checkpoints);
        spawn(
            "store-checkpoint",
            Box::new(move || checkpoints.run(&checkpointer)),
        )?;
        let writer = Writer {
            conn: writer,
            queue: Arc::clone(&self.queue),
            checkpoints: Arc::clone(&self.checkpoints),
            dir: Arc::clone(&self.dir),
            known: Known::new(archives, end),
            cleaning,
            lot,
            under_way: None,
            stuck: false,
            careful: 0,
        };
        spawn("store-write", Box::new(move || writer.run()))
    }

    /// Runs `read` on a reading thread.
    fn read<T, F>(&self, read: F) -> BoxFuture<'_, Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let dir = Arc::clone(&self.dir);
        Box::pin(
            self.readers
                .read(move |conn| read(conn).map_err(|fault| fault.into_error(&dir))),
        )
    }

    fn stop_taking(&self) {
        self.queue.close();
        self.readers.close();
        self.checkpoints.close();
    }
}

impl Running {
    /// Waits for the threads; nothing to do the second time.
    fn finish(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        self.directory = None;
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.stop_taking();
        self.running.lock().finish();
    }
}

impl Store for SqliteStore {
    fn commit(&self, writes: WriteSet) -> Ticket {
        self.queue.push(writes)
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

    fn archive(&self) -> &dyn Archive {
        self
    }

    fn streams(&self) -> &dyn Streams {
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
        self.stop_taking();
        let running = Arc::clone(&self.running);
        let (done, closed) = oneshot::channel();
        // Joining blocks: on a thread of its own, so that no runtime is needed for it.
        let closing = Builder::new().name("store-close".into()).spawn(move || {
            running.lock().finish();
            let _ = done.send(());
        });
        if closing.is_err() {
            tracing::warn!("no thread to close the store with");
            self.running.lock().finish();
        }
        Box::pin(async move {
            // An error: the sender went with the thread that could not be made.
            let _ = closed.await;
        })
    }
}
