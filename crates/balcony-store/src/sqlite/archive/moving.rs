//! Moving entries from the small index of the newest messages to the large one, many at a time.

use rusqlite::Connection;

use super::super::fault::Fault;
use super::super::statement::{one, run};

/// Entries that stay in the small index while there is other work: with so many an account of a
/// busy server has several of them, which then go to one page together; and a query that looks at
/// all of them is still fast.
const KEPT: usize = 8_192;
/// Entries that are moved at a time: about a millisecond.
const SLICE: i64 = 512;
/// What is moved at once when somebody must see all of it: a millisecond or two.
const FEW: usize = 1_024;

/// How far the moving is.
#[derive(Debug, Default)]
pub(in super::super) struct Moving {
    /// Entries in the small index, about: what a set that was refused added is counted too.
    recent: usize,
    /// Up to where entries were moved in this round over all accounts.
    behind: (i64, i64),
}

impl Moving {
    /// As a store finds it that is opened.
    pub(in super::super) fn open(conn: &Connection) -> Result<Moving, Fault> {
        let recent = one(conn, "SELECT count(*) FROM archive_recent", [], |row| {
            row.get(0)
        })?;
        Ok(Moving {
            recent: recent.unwrap_or(0),
            behind: (0, 0),
        })
    }

    /// For now nothing is moved.
    pub(in super::super) fn give_up(&mut self) {
        self.recent = 0;
    }

    pub(super) fn added(&mut self) {
        self.recent += 1;
    }
}

/// Whether a slice should be moved: with other work to do only when there are many.
pub(in super::super) fn is_due(moving: &Moving, idle: bool) -> bool {
    moving.recent > if idle { 0 } else { KEPT }
}

/// Moves what there is if it is not much: for who must see an archive whole, where that costs
/// little. On a busy server the newest messages are none of those that retention looks for.
pub(super) fn move_few(conn: &Connection, moving: &mut Moving) -> Result<(), Fault> {
    if moving.recent > FEW {
        return Ok(());
    }
    while moving.recent > 0 {
        slice(conn, moving)?;
    }
    Ok(())
}

/// Moves a slice, inside of a transaction. An account's entries go in their order.
pub(in super::super) fn slice(conn: &Connection, moving: &mut Moving) -> Result<(), Fault> {
    let (account, seq) = moving.behind;
    let end = one(
        conn,
        "SELECT account_id, seq, count(*) OVER () FROM (
             SELECT account_id, seq FROM archive_recent
             WHERE (account_id, seq) > (?1, ?2) ORDER BY account_id, seq LIMIT ?3)
         ORDER BY account_id DESC, seq DESC LIMIT 1",
        (account, seq, SLICE),
        |row| Ok(((row.get(0)?, row.get(1)?), row.get::<_, usize>(2)?)),
    )?;
    let Some(((last_account, last_seq), count)) = end else {
        // The round is over; the next begins at the first account.
        if moving.behind == (0, 0) {
            moving.recent = 0;
        }
        moving.behind = (0, 0);
        return Ok(());
    };
    let range = (account, seq, last_account, last_seq);
    run(
        conn,
        "INSERT INTO archive_totals (account_id, row_count, byte_count)
         SELECT account_id, count(*), sum(size) FROM archive_recent
         WHERE (account_id, seq) > (?1, ?2) AND (account_id, seq) <= (?3, ?4)
         GROUP BY account_id
         ON CONFLICT (account_id) DO UPDATE SET
             row_count = row_count + excluded.row_count,
             byte_count = byte_count + excluded.byte_count",
        range,
    )?;
    run(
        conn,
        "INSERT INTO archive_index
         SELECT * FROM archive_recent
         WHERE (account_id, seq) > (?1, ?2) AND (account_id, seq) <= (?3, ?4)",
        range,
    )?;
    run(
        conn,
        "DELETE FROM archive_recent
         WHERE (account_id, seq) > (?1, ?2) AND (account_id, seq) <= (?3, ?4)",
        range,
    )?;
    moving.recent = moving.recent.saturating_sub(count);
    moving.behind = (last_account, last_seq);
    Ok(())
}
