//! The one thread that writes. What was queued while the last commit ran shares the next: one
//! transaction, one sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::apply::apply;
use super::checkpoint::Checkpoints;
use super::cleaning;
use super::fault::Fault;
use super::known::Known;
use super::lot::{Done, Lot};
use super::queue::{Gather, Group, Idle, Job, Queue, Work};
use super::spacing::Spacing;
use super::statement::run;
use crate::{Committed, Error, Result, Write, WriteSet};

/// Waiting for company takes at most this part of a commit: a tenth more delay at worst, against
/// up to twice the rate.
const GATHER_SHARE: u32 = 10;
/// After so long without a commit what was left for later is done: soon enough that
/// little is left to do when the server stops or its archives are trimmed, and not between the
/// messages of a conversation.
const QUIET: Duration = Duration::from_millis(200);

/// After a set was refused, so many transactions expect another: whoever has his sets refused, to
/// make a group be applied twice, does it to one of these.
const CAREFUL: u32 = 32;

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) queue: Arc<Queue>,
    pub(super) checkpoints: Arc<Checkpoints>,
    /// Of the database, to ask why a disk fails.
    pub(super) dir: Arc<Path>,
    pub(super) known: Known,
    /// Whether deleted accounts left rows behind.
    pub(super) cleaning: bool,
    /// How much commits leave for later.
    pub(super) lot: usize,
    /// Such a lot, when one is under way.
    pub(super) under_way: Option<Lot>,
    /// The last one could not be brought in; the next commit tries again.
    pub(super) stuck: bool,
    /// So many transactions undo a set that is refused by itself.
    pub(super) careful: u32,
}

impl Writer {
    /// Works until the store is closed and the queue is empty.
    pub(super) fn run(mut self) {
        let mut company = Gather::default();
        let mut spacing = Spacing::default();
        loop {
            let gather = || Gather {
                stay: spacing.stay(Instant::now()),
                ..company
            };
            let Work::Group(Group { jobs, joined }) = self.queue.take(self.idle(), gather) else {
                return;
            };
            let sets = jobs.len();
            if sets > 0 {
                let begin = Instant::now();
                spacing.begin(begin, joined);
                self.stuck = false;
                self.commit(jobs);
                company = Gather {
                    sets,
                    at_most: begin.elapsed() / GATHER_SHARE,
                    stay: None,
                };
            }
            if self.cleaning {
                self.clean();
            }
            self.begin_lot(sets == 0);
            if sets == 0 {
                self.catch_up();
            }
            self.checkpoints.between_commits(&self.conn);
        }
    }

    fn idle(&self) -> Idle {
        if self.cleaning || self.under_way.is_some() {
            Idle::Now
        } else if self.known.behind() > 0 && !self.stuck {
            Idle::After(QUIET)
        } else {
            Idle::Never
        }
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
        let deletes =
            |op: &Write| matches!(op, Write::DeleteAccount { .. } | Write::RoomDelete { .. });
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
        let careful = self.careful > 0;
        self.careful = self.careful.saturating_sub(1);
        let mut outcomes = self.try_transaction(sets, careful);
        if self.under_way.is_some() && outcomes.as_ref().is_err_and(Fault::is_of_disk) {
            // What was left for later may be what does not fit.
            self.roll_back();
            self.stuck = true;
            outcomes = self.try_transaction(sets, careful);
        }
        let outcomes = outcomes.or_else(|fault| {
            self.roll_back();
            if careful || fault.is_of_disk() {
                return Err(fault);
            }
            if let [_] = sets {
                return Ok(vec![Err(self.refusal(fault))]);
            }
            self.careful = CAREFUL;
            self.try_transaction(sets, true)
        });
        outcomes.map_err(|fault| {
            self.roll_back();
            let error = fault.into_error(&self.dir);
            tracing::warn!(%error, sets = sets.len(), "commit failed");
            error
        })
    }

    /// `careful`: a set that is refused is undone by itself. Else it voids the transaction, which
    /// saves a copy of each page for each set that changes it.
    fn try_transaction(
        &mut self,
        sets: &[&WriteSet],
        careful: bool,
    ) -> Result<Vec<Result<Committed>>, Fault> {
        run(&self.conn, "BEGIN IMMEDIATE", [])?;
        let mut outcomes = Vec::with_capacity(sets.len());
        for set in sets {
            outcomes.push(match careful {
                true => self.guarded(set)?,
                false => Ok(self.apply(set)?),
            });
        }
        // In here it costs no sync of its own.
        let done = self.slice()?;
        run(&self.conn, "COMMIT", [])?;
        self.committed(done);
        Ok(outcomes)
    }

    fn apply(&mut self, set: &WriteSet) -> Result<Committed, Fault> {
        self.known.begin_set();
        for op in set.ops() {
            apply(&self.conn, &mut self.known, op)?;
        }
        Ok(self.known.end_set())
    }

    /// One set inside the transaction, undone by itself when it is refused. `Err` when the whole
    /// transaction is void.
    fn guarded(&mut self, set: &WriteSet) -> Result<Result<Committed>, Fault> {
        run(&self.conn, "SAVEPOINT one_set", [])?;
        let mark = self.known.mark();
        let outcome = match self.apply(set) {
            Ok(committed) => Ok(committed),
            Err(fault) if fault.is_of_disk() || self.conn.is_autocommit() => return Err(fault),
            Err(fault) => {
                run(&self.conn, "ROLLBACK TO one_set", [])?;
                self.known.refused(mark);
                Err(self.refusal(fault))
            }
        };
        run(&self.conn, "RELEASE one_set", [])?;
        Ok(outcome)
    }

    fn refusal(&self, fault: Fault) -> Error {
        let error = fault.into_error(&self.dir);
        if let Error::Broken(error) = &error {
            tracing::error!(%error, "a write failed");
        }
        error
    }

    fn committed(&mut self, done: Done) {
        if done.is_all() {
            self.under_way = None;
        }
        self.known.committed();
        done.committed(&mut self.known);
    }

    fn roll_back(&mut self) {
        self.known.rolled_back();
        // Its slice is void; the next lot begins where the index ends.
        self.under_way = None;
        // After some errors SQLite has rolled back by itself.
        if self.conn.is_autocommit() {
            return;
        }
        if let Err(fault) = run(&self.conn, "ROLLBACK", []) {
            let error = fault.into_error(&self.dir);
            tracing::error!(%error, "roll back failed");
        }
    }

    /// Begins with what was left for later, when there is enough or it is quiet.
    fn begin_lot(&mut self, quiet: bool) {
        let behind = self.known.behind();
        let due = behind >= self.lot || (quiet && behind > 0);
        if due && self.under_way.is_none() && !self.stuck {
            self.under_way = Some(Lot::begin(&self.known, self.lot));
        }
    }

    /// Inside a transaction: a slice of the lot that is under way, undone by itself when it fails.
    /// `Err` when the whole transaction is void.
    fn slice(&mut self) -> Result<Done, Fault> {
        let Some(lot) = &mut self.under_way else {
            return Ok(Done::default());
        };
        if self.known.is_indexed() {
            // A set has brought in everything that is in the lot.
            self.under_way = None;
            return Ok(Done::default());
        }
        run(&self.conn, "SAVEPOINT one_slice", [])?;
        let done = match lot.slice(&self.conn, &self.known) {
            Ok(done) => done,
            Err(fault) if fault.is_of_disk() || self.conn.is_autocommit() => return Err(fault),
            Err(fault) => {
                run(&self.conn, "ROLLBACK TO one_slice", [])?;
                self.under_way = None;
                self.stuck = true;
                let error = fault.into_error(&self.dir);
                tracing::error!(%error, "what was left for later was not done");
                Done::default()
            }
        };
        run(&self.conn, "RELEASE one_slice", [])?;
        Ok(done)
    }

    /// A slice without company.
    fn catch_up(&mut self) {
        if self.under_way.is_some() && self.transaction(&[]).is_err() {
            self.stuck = true;
        }
    }

    /// One slice of cleaning, between two commits.
    fn clean(&mut self) {
        match cleaning::slice(&self.conn, &self.known) {
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
