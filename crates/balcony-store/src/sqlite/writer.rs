//! The one thread that writes. What was queued while the last commit ran shares the next: one
//! transaction, one sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::apply::{Applying, apply};
use super::archive;
use super::checkpoint::Checkpoints;
use super::cleaning;
use super::fault::Fault;
use super::queue::{Gather, Job, Queue, Work};
use super::statement::run;
use crate::{Committed, Error, Result, Write, WriteSet};

/// Waiting for company takes at most this part of a commit: a tenth more delay at worst, against
/// up to twice the rate.
const GATHER_SHARE: u32 = 10;

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) queue: Arc<Queue>,
    pub(super) checkpoints: Arc<Checkpoints>,
    /// Of the database, to ask why a disk fails.
    pub(super) dir: Arc<Path>,
    /// Whether deleted accounts left rows behind.
    pub(super) cleaning: bool,
    pub(super) applying: Applying,
}

impl Writer {
    /// Works until the store is closed and the queue is empty.
    pub(super) fn run(mut self) {
        let mut gather = Gather::default();
        while let Work::Group(group) = self.queue.take(self.has_idle_work(), gather) {
            let sets_were = group.len();
            if !group.is_empty() {
                let (sets, begin) = (group.len(), Instant::now());
                self.commit(group);
                let at_most = begin.elapsed() / GATHER_SHARE;
                gather = Gather { sets, at_most };
            }
            if sets_were == 0 && archive::moving_is_due(&self.applying.moving, true) {
                self.move_idly();
            }
            if self.cleaning {
                self.clean();
            }
            self.checkpoints.between_commits(&self.conn);
        }
    }

    fn has_idle_work(&self) -> bool {
        self.cleaning || archive::moving_is_due(&self.applying.moving, true)
    }

    fn commit(&mut self, group: Vec<Job>) {
        let sets: Vec<&WriteSet> = group.iter().map(|job| &job.set).collect();
        let outcomes = catch_unwind(AssertUnwindSafe(|| self.outcomes(&sets)));
        let Ok(outcomes) = outcomes else {
            // A bug: the tickets are dropped with the group, which says so to those who wait.
            tracing::error!("a commit panicked");
            self.roll_back();
            return;
        };
        let deletes = |op: &Write| matches!(op, Write::DeleteAccount { .. });
        for (job, outcome) in group.into_iter().zip(outcomes) {
            self.cleaning |= outcome.is_ok() && job.set.ops().iter().any(deletes);
            job.resolve.resolve(outcome);
        }
    }

    /// Commits the sets together. When the disk is the trouble each is tried once by itself:
    /// what frees space, or is small, may still pass.
    fn outcomes(&mut self, sets: &[&WriteSet]) -> Vec<Result<Committed>> {
        match (self.transaction(sets), sets) {
            (Ok(outcomes), _) => outcomes,
            (Err(error), [_]) => vec![Err(error)],
            (Err(_), _) => sets
                .iter()
                .map(|set| match self.transaction(&[set]) {
                    Ok(mut outcomes) => outcomes.pop().unwrap_or(Ok(Committed::default())),
                    Err(error) => Err(error),
                })
                .collect(),
        }
    }

    /// One transaction: `Ok` with the outcome of each set once it is durable; `Err` when none is.
    fn transaction(&mut self, sets: &[&WriteSet]) -> Result<Vec<Result<Committed>>> {
        self.try_transaction(sets).map_err(|fault| {
            self.roll_back();
            let error = fault.into_error(&self.dir);
            tracing::warn!(%error, sets = sets.len(), "commit failed");
            error
        })
    }

    fn try_transaction(&mut self, sets: &[&WriteSet]) -> Result<Vec<Result<Committed>>, Fault> {
        run(&self.conn, "BEGIN IMMEDIATE", [])?;
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            outcomes.push(self.guarded(set)?);
        }
        // With the next commit, which costs no sync of its own.
        if archive::moving_is_due(&self.applying.moving, false) {
            archive::move_slice(&self.conn, &mut self.applying.moving)?;
        }
        run(&self.conn, "COMMIT", [])?;
        Ok(outcomes)
    }

    /// One set inside the transaction, undone by itself when it is refused. `Err` when the whole
    /// transaction is void.
    fn guarded(&mut self, set: &WriteSet) -> Result<Result<Committed>, Fault> {
        run(&self.conn, "SAVEPOINT one_set", [])?;
        let (conn, state) = (&self.conn, &mut self.applying);
        state.archived.clear();
        state.last_push = None;
        let outcome = match set.ops().iter().try_for_each(|op| apply(conn, state, op)) {
            Ok(()) => Ok(Committed {
                archived: std::mem::take(&mut state.archived),
            }),
            Err(fault) if fault.is_of_disk() || self.conn.is_autocommit() => return Err(fault),
            Err(fault) => {
                run(&self.conn, "ROLLBACK TO one_set", [])?;
                Err(fault.into_error(&self.dir))
            }
        };
        if let Err(Error::Broken(error)) = &outcome {
            tracing::error!(%error, "a write failed");
        }
        run(&self.conn, "RELEASE one_set", [])?;
        Ok(outcome)
    }

    fn roll_back(&self) {
        // After some errors SQLite has rolled back by itself.
        if self.conn.is_autocommit() {
            return;
        }
        if let Err(fault) = run(&self.conn, "ROLLBACK", []) {
            let error = fault.into_error(&self.dir);
            tracing::error!(%error, "roll back failed");
        }
    }

    /// Moves entries of the archive while there is nothing else to do.
    fn move_idly(&mut self) {
        let moved = run(&self.conn, "BEGIN IMMEDIATE", [])
            .and_then(|_| archive::move_slice(&self.conn, &mut self.applying.moving))
            .and_then(|()| run(&self.conn, "COMMIT", []));
        if let Err(fault) = moved {
            self.roll_back();
            // They stay where they are, which costs time only; the next commit has them tried again.
            self.applying.moving.give_up();
            let error = fault.into_error(&self.dir);
            tracing::warn!(%error, "the index of the archive is not brought up to date");
        }
    }

    /// One slice of cleaning, between two commits.
    fn clean(&mut self) {
        match cleaning::slice(&self.conn) {
            Ok(more) => self.cleaning = more,
            Err(fault) => {
                // Nothing is lost but space; the next deletion or start takes it up again.
                self.roll_back();
                self.cleaning = false;
                let error = fault.into_error(&self.dir);
                tracing::warn!(%error, "cleaning up after deleted accounts failed");
            }
        }
    }
}
