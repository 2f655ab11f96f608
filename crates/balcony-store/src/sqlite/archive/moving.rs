//! From the end of the archive into the index, in lots.
//!
//! The entries of a lot are brought in by account, so that a page of the index is written once for
//! all of them. A lot is cut into slices, between which others commit.

use rusqlite::Connection;

use super::recent::{Entry, Recent};
use crate::sqlite::fault::Fault;
use crate::sqlite::known::Known;
use crate::sqlite::statement::{each, run};

/// Entries of a slice: with each on a page of its own some milliseconds, and mostly less than one.
/// To it come twice as many as its transaction archives, so that a lot has an end.
const SLICE: usize = 500;

/// A lot that is under way: all that was there when it began.
pub(in crate::sqlite) struct Moving {
    /// The accounts that are left, the last to be done first.
    accounts: Vec<i64>,
    up_to: i64,
    /// Entries of a slice.
    slice: usize,
}

/// What a slice brought in: of which accounts, up to where.
#[derive(Default)]
pub(in crate::sqlite) struct Moved {
    accounts: Vec<(i64, i64)>,
    /// Whether that was the end of the lot.
    pub(in crate::sqlite) complete: bool,
}

impl Moving {
    /// `end`: the last place that is committed. `lot`: how many entries make a lot; no slice is
    /// larger.
    pub(in crate::sqlite) fn begin(recent: &Recent, end: i64, lot: usize) -> Moving {
        let mut accounts = recent.accounts();
        accounts.sort_unstable_by(|a, b| b.cmp(a));
        Moving {
            accounts,
            up_to: end,
            slice: SLICE.min(lot),
        }
    }

    /// Inside a transaction: does a part of it. When that is void, so is the lot.
    pub(in crate::sqlite) fn slice(
        &mut self,
        conn: &Connection,
        known: &Known,
    ) -> Result<Moved, Fault> {
        let mut room = self.slice + 2 * known.fresh();
        let mut moved = Moved::default();
        while room > 0
            && let Some(account) = self.accounts.last().copied()
        {
            let entries = known.recent().first(account, self.up_to, room);
            index(conn, account, &entries)?;
            if entries.len() < room {
                self.accounts.pop();
            }
            room -= entries.len();
            let last = entries.last().map(|entry| (account, entry.seq));
            moved.accounts.extend(last);
        }
        moved.complete = self.accounts.is_empty();
        if moved.complete {
            note_indexed(conn, self.up_to)?;
        }
        Ok(moved)
    }
}

impl Moved {
    /// After the commit. A reader that has seen the list before it and the index after it finds an
    /// entry in both, and goes by the index.
    pub(in crate::sqlite) fn committed(self, recent: &Recent) {
        for (account, seq) in self.accounts {
            recent.remove(account, seq);
        }
    }
}

/// Inside the transaction: brings everything into the index, also what this transaction pushed.
/// Rare and short: retention asks for it a few times an hour, and what is not in the index is
/// bounded, and a quiet moment empties it.
pub(super) fn index_all(conn: &Connection, known: &mut Known) -> Result<(), Fault> {
    for (account, entries) in known.not_indexed() {
        index(conn, account, &entries)?;
    }
    note_indexed(conn, known.end().seq)?;
    known.all_indexed();
    Ok(())
}

/// Brings the next entries of an account into the index, and into its totals.
pub(in crate::sqlite) fn index(
    conn: &Connection,
    account: i64,
    entries: &[Entry],
) -> Result<(), Fault> {
    let Some(first) = entries.first() else {
        return Ok(());
    };
    each(
        conn,
        "INSERT INTO archive_index (account_id, seq, party, incoming) VALUES (?1, ?2, ?3, ?4)",
        entries
            .iter()
            .map(|entry| (account, entry.seq, entry.party, entry.incoming)),
    )?;
    let bytes: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
    // An account that was deleted meanwhile has no totals any more; its rows go in slices.
    run(
        conn,
        "INSERT INTO archive_totals (account_id, host, row_count, byte_count, oldest)
         SELECT id, host, ?2, ?3, (SELECT received_at FROM archive WHERE seq = ?4)
         FROM accounts WHERE id = ?1
         ON CONFLICT (account_id) DO UPDATE SET
             row_count = row_count + excluded.row_count,
             byte_count = byte_count + excluded.byte_count,
             oldest = coalesce(oldest, excluded.oldest)",
        (account, entries.len(), bytes, first.seq),
    )?;
    Ok(())
}

fn note_indexed(conn: &Connection, up_to: i64) -> Result<(), Fault> {
    // A lot that was under way when all was brought in ends after that.
    run(
        conn,
        "UPDATE archive_state SET indexed = ?1 WHERE indexed < ?1",
        [up_to],
    )?;
    Ok(())
}
