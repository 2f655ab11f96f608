//! What the writer knows without asking the database, and takes back when a set is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::Connection;
use smallvec::SmallVec;

use super::accounts::require;
use super::archive::{Entry, Recent};
use super::fault::Fault;
use super::statement::one;
use crate::archive_id::ArchiveIds;
use crate::{Committed, StreamId};

/// How many numbers of accounts are remembered: those of a busy server's active accounts, in some
/// ten megabytes if there are so many. To find one in the database takes two steps through an
/// index, for every message.
const ACCOUNTS: usize = 131_072;

/// What the writer and the readers share about archives.
pub(super) struct Archives {
    pub(super) ids: ArchiveIds,
    pub(super) recent: Recent,
}

/// Where the archive of all accounts ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The place that was given last.
    pub(super) seq: i64,
    /// The time that stands there. One for all archives is enough for each of them not to run
    /// backwards, and it is one that need not be looked up.
    pub(super) received_at: i64,
}

impl End {
    pub(super) fn load(conn: &Connection) -> Result<End, Fault> {
        let end = one(
            conn,
            "SELECT max(s.last_seq, coalesce(m.seq, 0)),
                 max(s.last_received_at, coalesce(m.received_at, 0))
             FROM archive_state s
                 LEFT JOIN archive m ON m.seq = (SELECT max(seq) FROM archive)",
            [],
            |row| {
                Ok(End {
                    seq: row.get(0)?,
                    received_at: row.get(1)?,
                })
            },
        )?;
        Ok(end.unwrap_or(End {
            seq: 0,
            received_at: 0,
        }))
    }
}

/// How far things have got: what a refused set or a failed commit goes back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    end: End,
    /// Rows of this transaction.
    fresh: usize,
    /// This transaction brought all up to here into the index; 0: it did not.
    indexed: i64,
    /// Counts of this transaction.
    fresh_counts: usize,
    /// The last place in the log of the streams.
    log: i64,
}

/// How many stanzas of a stream were handled, and where in the log that stands.
#[derive(Clone, Copy)]
struct Count {
    handled: u32,
    place: i64,
}

pub(super) struct Known {
    shared: Arc<Archives>,
    accounts: HashMap<String, i64>,
    mark: Mark,
    /// As it was before this transaction.
    before: Mark,
    /// What this transaction archived.
    fresh: Vec<(i64, Entry)>,
    /// What the log of the streams says.
    counts: HashMap<StreamId, Count>,
    /// What this transaction added to it.
    fresh_counts: Vec<(StreamId, Count)>,
    /// Up to here the log is gone.
    folded: i64,
    /// What this set archived: account and place.
    archived: SmallVec<[(i64, i64); 2]>,
}

impl Known {
    pub(super) fn new(shared: Arc<Archives>, end: End) -> Known {
        let mark = Mark {
            end,
            fresh: 0,
            indexed: 0,
            fresh_counts: 0,
            log: 0,
        };
        Known {
            shared,
            accounts: HashMap::new(),
            mark,
            before: mark,
            fresh: Vec::new(),
            counts: HashMap::new(),
            fresh_counts: Vec::new(),
            folded: 0,
            archived: SmallVec::new(),
        }
    }

    pub(super) fn ids(&self) -> &ArchiveIds {
        &self.shared.ids
    }

    pub(super) fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    pub(super) fn end(&self) -> End {
        self.mark.end
    }

    /// The number of an account; NotFound when there is none.
    pub(super) fn account(&mut self, conn: &Connection, bare: &str) -> Result<i64, Fault> {
        if let Some(id) = self.accounts.get(bare) {
            return Ok(*id);
        }
        let id = require(conn, bare)?;
        if self.accounts.len() >= ACCOUNTS {
            self.accounts.clear();
        }
        self.accounts.insert(bare.to_owned(), id);
        Ok(id)
    }

    /// An account was deleted.
    pub(super) fn forget_account(&mut self, bare: &str) {
        self.accounts.remove(bare);
    }

    /// The place and the time of the next message.
    pub(super) fn next_end(&mut self, received_at: i64) -> End {
        let end = &mut self.mark.end;
        end.seq += 1;
        end.received_at = end.received_at.max(received_at);
        *end
    }

    /// A message was archived.
    pub(super) fn pushed(&mut self, account: i64, entry: Entry) {
        self.archived.push((account, entry.seq));
        self.fresh.push((account, entry));
        self.mark.fresh = self.fresh.len();
    }

    /// The place of the last message that this set archived for an account.
    pub(super) fn archived_now(&self, account: i64) -> Option<i64> {
        let archived = self.archived.iter().rev();
        let mut theirs = archived.filter(|(of, _)| *of == account);
        theirs.next().map(|(_, seq)| *seq)
    }

    /// How many messages and counts this transaction appended.
    pub(super) fn appended(&self) -> usize {
        self.fresh.len() + self.fresh_counts.len()
    }

    /// How many messages or counts, whichever are more, commits have left for later.
    pub(super) fn behind(&self) -> usize {
        let counts = usize::try_from(self.mark.log - self.folded);
        self.recent().len().max(counts.unwrap_or(0))
    }

    /// A count of a stream goes to the log; gives its place there.
    pub(super) fn count(&mut self, id: StreamId, handled: u32) -> i64 {
        self.mark.log += 1;
        let place = self.mark.log;
        self.fresh_counts.push((id, Count { handled, place }));
        self.mark.fresh_counts = self.fresh_counts.len();
        place
    }

    /// The last place in the log of the streams.
    pub(super) fn log(&self) -> i64 {
        self.mark.log
    }

    /// The streams that the log tells something of.
    pub(super) fn counted(&self) -> impl Iterator<Item = StreamId> {
        self.counts.keys().copied()
    }

    /// What the log says of a stream.
    pub(super) fn handled(&self, id: StreamId) -> Option<u32> {
        Some(self.counts.get(&id)?.handled)
    }

    /// The log is gone up to here.
    pub(super) fn folded(&mut self, up_to: i64) {
        self.counts.retain(|_, count| count.place > up_to);
        self.folded = up_to;
    }

    /// Whether this transaction has brought all into the index.
    pub(super) fn is_indexed(&self) -> bool {
        self.mark.indexed > 0
    }

    /// What is not in the index, this transaction's messages with it, by account and in order.
    pub(super) fn not_indexed(&self) -> BTreeMap<i64, Vec<Entry>> {
        let recent = match self.is_indexed() {
            true => Vec::new(),
            false => self.recent().accounts(),
        };
        let recent = recent.into_iter();
        let mut all: BTreeMap<i64, Vec<Entry>> = recent
            .map(|account| (account, self.recent().of(account)))
            .collect();
        for (account, entry) in self.fresh_not_indexed() {
            all.entry(*account).or_default().push(*entry);
        }
        all
    }

    /// That of one account.
    pub(super) fn not_indexed_of(&self, account: i64) -> Vec<Entry> {
        let mut all = match self.is_indexed() {
            true => Vec::new(),
            false => self.recent().of(account),
        };
        let fresh = self.fresh_not_indexed();
        all.extend(
            fresh
                .filter(|(of, _)| *of == account)
                .map(|(_, entry)| *entry),
        );
        all
    }

    fn fresh_not_indexed(&self) -> impl Iterator<Item = &(i64, Entry)> {
        let indexed = self.mark.indexed;
        self.fresh
            .iter()
            .filter(move |(_, entry)| entry.seq > indexed)
    }

    /// All that was archived so far is in the index, once this transaction is committed.
    pub(super) fn all_indexed(&mut self) {
        self.mark.indexed = self.mark.end.seq;
    }

    /// What to go back to.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// A set begins.
    pub(super) fn begin_set(&mut self) {
        self.archived.clear();
    }

    /// What the set gave.
    pub(super) fn end_set(&mut self) -> Committed {
        let archived = self.archived.iter();
        Committed {
            archived: archived
                .map(|(account, seq)| self.ids().id(*account, *seq))
                .collect(),
        }
    }

    /// The set was refused, and the database undid it.
    pub(super) fn refused(&mut self, mark: Mark) {
        self.mark = mark;
        self.fresh.truncate(mark.fresh);
        self.fresh_counts.truncate(mark.fresh_counts);
        // It may have made some of these accounts.
        self.accounts.clear();
    }

    /// The transaction is committed. Readers find what it archived from here on.
    pub(super) fn committed(&mut self) {
        if self.is_indexed() {
            self.recent().clear();
        }
        let fresh: Vec<_> = self.fresh_not_indexed().copied().collect();
        self.recent().add(&fresh);
        self.counts.extend(self.fresh_counts.drain(..));
        self.mark.fresh_counts = 0;
        self.mark.fresh = 0;
        self.mark.indexed = 0;
        self.before = self.mark;
        self.fresh.clear();
    }

    /// The transaction is void.
    pub(super) fn rolled_back(&mut self) {
        self.mark = self.before;
        self.fresh.clear();
        self.fresh_counts.clear();
        self.accounts.clear();
    }
}
