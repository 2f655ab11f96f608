//! What goes from the archives: by age and by size, in slices.

use std::collections::HashMap;

use rusqlite::Connection;

use super::super::fault::Fault;
use super::super::statement::{all, one, run};
use super::page;

/// Accounts that a slice looks at: each costs a look into the index.
const ACCOUNTS: i64 = 200;

/// For each host the last account that was looked at.
pub(in super::super) type Cursors = HashMap<String, i64>;

/// Deletes what is too old, of the next accounts of a host.
pub(super) fn expire(
    conn: &Connection,
    cursors: &mut Cursors,
    host: &str,
    before: i64,
    rows: u32,
) -> Result<(), Fault> {
    let first_kept = page::first_since(conn, before)?;
    let cursor = cursors.get(host).copied().unwrap_or(0);
    let accounts: Vec<i64> = all(
        conn,
        "SELECT t.account_id FROM archive_totals t JOIN accounts a ON a.id = t.account_id
         WHERE a.host = ?1 AND t.account_id > ?2 ORDER BY t.account_id LIMIT ?3",
        (host, cursor, ACCOUNTS),
        |row| row.get(0),
    )?;
    let mut left = i64::from(rows);
    let mut last = 0;
    for account in accounts {
        let gone = delete_before(conn, account, first_kept, left)?;
        left -= gone;
        if left <= 0 {
            break;
        }
        last = account;
    }
    // Zero when all were looked at: from the beginning next time. One that was not finished is
    // looked at again.
    if left > 0 || last > 0 {
        cursors.insert(host.to_owned(), last);
    }
    Ok(())
}

/// Deletes the oldest of an account's messages before a place; answers how many.
fn delete_before(conn: &Connection, account: i64, before: i64, most: i64) -> Result<i64, Fault> {
    let old: Vec<(i64, i64)> = all(
        conn,
        "SELECT seq, size FROM archive_index WHERE account_id = ?1 AND seq < ?2
         ORDER BY seq LIMIT ?3",
        (account, before, most),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    delete(conn, account, &old)
}

fn delete(conn: &Connection, account: i64, rows: &[(i64, i64)]) -> Result<i64, Fault> {
    let Some((last, _)) = rows.last() else {
        return Ok(0);
    };
    for (seq, _) in rows {
        run(conn, "DELETE FROM archive WHERE seq = ?1", [seq])?;
    }
    run(
        conn,
        "DELETE FROM archive_index WHERE account_id = ?1 AND seq <= ?2",
        (account, last),
    )?;
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let bytes: i64 = rows.iter().map(|(_, size)| size).sum();
    run(
        conn,
        "UPDATE archive_totals SET row_count = row_count - ?2, byte_count = byte_count - ?3
         WHERE account_id = ?1",
        (account, count, bytes),
    )?;
    Ok(count)
}

/// Deletes the oldest messages of an archive that is too large, until it is not or `rows` are gone.
pub(super) fn trim(conn: &Connection, host: &str, max: u64, rows: u32) -> Result<(), Fault> {
    let large: Option<(i64, i64)> = one(
        conn,
        "SELECT t.account_id, t.byte_count FROM archive_totals t
         JOIN accounts a ON a.id = t.account_id
         WHERE a.host = ?1 AND t.byte_count > ?2 LIMIT 1",
        (host, max),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((account, bytes)) = large else {
        return Ok(());
    };
    let mut excess = bytes - i64::try_from(max).unwrap_or(i64::MAX);
    let oldest: Vec<(i64, i64)> = all(
        conn,
        "SELECT seq, size FROM archive_index WHERE account_id = ?1 ORDER BY seq LIMIT ?2",
        (account, rows),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let goes = |(_, size): &(i64, i64)| {
        let goes = excess > 0;
        excess -= size;
        goes
    };
    let gone: Vec<_> = oldest.into_iter().take_while(goes).collect();
    delete(conn, account, &gone)?;
    Ok(())
}

/// The tables that [`erase`] empties.
#[cfg(test)]
pub(in super::super) const ERASED: [&str; 3] = ["archive", "archive_index", "archive_recent"];

/// Deletes up to `most` messages of an account that is no more; answers how many.
pub(in super::super) fn erase(
    conn: &Connection,
    account: i64,
    most: usize,
) -> Result<usize, Fault> {
    let seqs: Vec<i64> = all(
        conn,
        "SELECT seq FROM archive_index WHERE account_id = ?1
         UNION ALL SELECT seq FROM archive_recent WHERE account_id = ?1 LIMIT ?2",
        (account, most),
        |row| row.get(0),
    )?;
    for seq in &seqs {
        run(conn, "DELETE FROM archive WHERE seq = ?1", [seq])?;
        for sql in [
            "DELETE FROM archive_index WHERE account_id = ?1 AND seq = ?2",
            "DELETE FROM archive_recent WHERE account_id = ?1 AND seq = ?2",
        ] {
            run(conn, sql, (account, seq))?;
        }
    }
    Ok(seqs.len())
}
