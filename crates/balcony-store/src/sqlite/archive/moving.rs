//! From the end of the archive into the index.

use rusqlite::Connection;

use super::recent::{Entry, Recent};
use crate::sqlite::fault::Fault;
use crate::sqlite::known::Known;
use crate::sqlite::statement::{each, run};

/// The messages of a lot.
pub(in crate::sqlite) struct Moving {
    /// The accounts that are left, the last to be done first.
    accounts: Vec<i64>,
    up_to: i64,
}

/// What a slice brought in: of which accounts, up to where.
#[derive(Default)]
pub(in crate::sqlite) struct Moved(Vec<(i64, i64)>);

impl Moving {
    pub(in crate::sqlite) fn begin(known: &Known) -> Moving {
        let mut accounts = known.recent().accounts();
        accounts.sort_unstable_by(|a, b| b.cmp(a));
        Moving {
            accounts,
            up_to: known.end().seq,
        }
    }

    /// Brings in as many as there is room for.
    pub(in crate::sqlite) fn slice(
        &mut self,
        conn: &Connection,
        known: &Known,
        room: &mut usize,
    ) -> Result<Moved, Fault> {
        let mut moved = Moved::default();
        while *room > 0
            && let Some(account) = self.accounts.last().copied()
        {
            let entries = known.recent().first(account, self.up_to, *room);
            index(conn, account, &entries)?;
            if entries.len() < *room {
                self.accounts.pop();
            }
            *room -= entries.len();
            let last = entries.last().map(|entry| (account, entry.seq));
            moved.0.extend(last);
        }
        if self.accounts.is_empty() {
            note_indexed(conn, self.up_to)?;
        }
        Ok(moved)
    }
}

impl Moved {
    /// After the commit. A reader that has seen the list before it and the index after it finds an
    /// entry in both, and goes by the index.
    pub(in crate::sqlite) fn committed(self, recent: &Recent) {
        for (account, seq) in self.0 {
            recent.remove(account, seq);
        }
    }
}

/// Inside the transaction: brings everything into the index, also what this transaction pushed.
/// Rare and short: retention asks for it in a minute in which something is to go, and what is not
/// in the index is bounded, and a quiet moment empties it.
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
