//! Moving what was committed from the write-ahead log into the database, so that no commit waits
//! for it.
//!
//! SQLite would do it inside the commit that fills the log. Here a thread of its own copies the
//! bulk while commits go on, and the writer copies the small rest between two commits, after which
//! the log starts again from its beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

/// Pages in the log from which on they are copied: 32 MB of 8 KB pages. Less would sync more
/// often, more would make recovery after a crash and each look-up in the log slower.
const BEGIN_PAGES: i32 = 4_000;
/// What the writer may copy itself between two commits: 4 MB, a few milliseconds.
const REST_PAGES: i32 = 500;
/// Where the writer copies all of it, whatever that takes: the log may not grow faster than it is
/// copied. 512 MB.
const MAX_PAGES: i32 = 64_000;
/// How long the thread waits when a reader holds the log: readers are done in milliseconds, but a
/// backup takes minutes, and one look a second costs nothing beside it.
const HELD: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The log is short.
    Idle,
    /// The thread is to copy, or does.
    Copying,
    /// The thread has copied most; the writer does the rest.
    Rest,
    /// The store was closed.
    Closed,
}

pub(super) struct Checkpoints {
    phase: Mutex<Phase>,
    changed: Condvar,
    /// Pages in the log, as the last commit left it.
    pages: Arc<AtomicI32>,
}

impl Checkpoints {
    /// Watches the log through the writer's connection; SQLite stops to checkpoint by itself.
    pub(super) fn watch(writer: &mut Connection) -> rusqlite::Result<Checkpoints> {
        let pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&pages);
        writer.wal_hook(Some(move |_: &mut _, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Checkpoints {
            phase: Mutex::new(Phase::Idle),
            changed: Condvar::new(),
            pages,
        })
    }

    /// The writer's part, called between two commits.
    pub(super) fn between_commits(&self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        let mut phase = self.phase.lock();
        match *phase {
            Phase::Idle if pages >= BEGIN_PAGES => {
                *phase = Phase::Copying;
                self.changed.notify_one();
            }
            Phase::Rest => {
                *phase = Phase::Idle;
                drop(phase);
                copy(writer);
            }
            Phase::Copying if pages >= MAX_PAGES => {
                drop(phase);
                copy(writer);
            }
            _ => {}
        }
    }

    /// The thread's part; returns when the store is closed.
    pub(super) fn run(&self, conn: &Connection) {
        self.copy_with(|| copy(conn));
    }

    fn copy_with(&self, mut copy: impl FnMut() -> Option<i32>) {
        let mut before = None;
        loop {
            let mut phase = self.phase.lock();
            while matches!(*phase, Phase::Idle | Phase::Rest) {
                self.changed.wait(&mut phase);
            }
            if *phase == Phase::Closed {
                return;
            }
            drop(phase);
            let copied = copy();
            let rest = self.pages.load(Ordering::Relaxed) - copied.unwrap_or(0);
            let mut phase = self.phase.lock();
            if *phase == Phase::Copying {
                *phase = match copied {
                    Some(_) if rest > REST_PAGES => Phase::Copying,
                    Some(_) => Phase::Rest,
                    // Waits for the next commit instead of beating on a failing disk.
                    None => Phase::Idle,
                };
                // A reader of an old state holds what it still needs, and no try moves it.
                if *phase == Phase::Copying && copied == before {
                    self.changed.wait_for(&mut phase, HELD);
                }
            }
            before = copied;
        }
    }

    pub(super) fn close(&self) {
        *self.phase.lock() = Phase::Closed;
        self.changed.notify_all();
    }
}

/// Copies what no reader holds back. `Some`: how many pages of the log are copied by now.
fn copy(conn: &Connection) -> Option<i32> {
    match conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        Ok((_, copied)) => Some(copied),
        // The other thread is at it.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => None,
        Err(error) => {
            // Nothing is lost: the log has it all, and the next commit tries again.
            tracing::warn!(%error, "checkpoint failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// How often the thread copies within a tenth of a second, when each call copies `step` more
    /// pages of a log of `BEGIN_PAGES`.
    fn calls(step: i32) -> usize {
        let checkpoints = Checkpoints {
            phase: Mutex::new(Phase::Copying),
            changed: Condvar::new(),
            pages: Arc::new(AtomicI32::new(BEGIN_PAGES)),
        };
        let (calls, copied) = (AtomicUsize::new(0), AtomicI32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                checkpoints.copy_with(|| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    Some(copied.fetch_add(step, Ordering::Relaxed) + step)
                });
            });
            std::thread::sleep(Duration::from_millis(100));
            checkpoints.close();
        });
        calls.into_inner()
    }

    #[test]
    fn a_log_that_a_reader_holds_is_not_tried_over_and_over() {
        assert!((1..=2).contains(&calls(0)));
    }

    #[test]
    fn a_log_that_is_copied_in_parts_is_copied_without_a_pause() {
        let parts = usize::try_from((BEGIN_PAGES - REST_PAGES) / 100).unwrap();
        assert_eq!(calls(100), parts);
    }
}
