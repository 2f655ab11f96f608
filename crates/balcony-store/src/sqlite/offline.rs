use std::collections::BTreeMap;

use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, one, run};
use crate::{Bounds, BoxFuture, Offline, OfflineRow, OfflineTotal, Result, Stored, Waiting, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::OfflinePush {
            account,
            received_at,
            stanza,
            bounds,
        } => match stanza {
            Waiting::Stanza(stanza) => push(
                conn,
                require(conn, account)?,
                (*received_at, stanza),
                *bounds,
            ),
            _ => Err(misplaced()),
        },
        Write::OfflineDelete {
            account,
            after,
            up_to,
        } => delete(conn, require(conn, account)?, (*after, *up_to)),
        Write::OfflineExpire { before, oldest } => expire(conn, *before, *oldest),
        _ => Err(misplaced()),
    }
}

/// The totals are kept beside the rows: the bounds cost one look-up, however much waits.
fn push(
    conn: &Connection,
    id: i64,
    (received_at, stanza): (i64, &Stored),
    bounds: Bounds,
) -> Result<(), Fault> {
    let total = one(
        conn,
        "INSERT INTO offline_totals (account_id, row_count, byte_count) VALUES (?1, 1, ?2)
         ON CONFLICT (account_id) DO UPDATE SET
             row_count = row_count + 1, byte_count = byte_count + excluded.byte_count
         RETURNING row_count, byte_count",
        (id, stanza.bytes.len()),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (rows, bytes) = total.unwrap_or((0, 0));
    bounds.check(rows, bytes)?;
    run(
        conn,
        "INSERT INTO offline (account_id, received_at, format, stanza) VALUES (?1, ?2, ?3, ?4)",
        (id, received_at, stanza.format, &stanza.bytes),
    )?;
    Ok(())
}

fn delete(conn: &Connection, id: i64, (after, up_to): (i64, i64)) -> Result<(), Fault> {
    let sizes: Vec<u64> = all(
        conn,
        "DELETE FROM offline WHERE account_id = ?1 AND seq > ?2 AND seq <= ?3
         RETURNING length(stanza)",
        (id, after, up_to),
        |row| row.get(0),
    )?;
    if sizes.is_empty() {
        return Ok(());
    }
    less(conn, id, sizes.len(), sizes.iter().sum())
}

/// Rows come in the order of their numbers, so the oldest are found without an index by time.
fn expire(conn: &Connection, before: i64, oldest: u32) -> Result<(), Fault> {
    let gone: Vec<(i64, u64)> = all(
        conn,
        "DELETE FROM offline WHERE received_at < ?1
             AND seq IN (SELECT seq FROM offline ORDER BY seq LIMIT ?2)
         RETURNING account_id, length(stanza)",
        (before, oldest),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut sums: BTreeMap<i64, (usize, u64)> = BTreeMap::new();
    for (id, size) in gone {
        let (rows, bytes) = sums.entry(id).or_default();
        *rows += 1;
        *bytes += size;
    }
    sums.into_iter()
        .try_for_each(|(id, (rows, bytes))| less(conn, id, rows, bytes))
}

/// So much less waits for an account.
fn less(conn: &Connection, id: i64, rows: usize, bytes: u64) -> Result<(), Fault> {
    run(
        conn,
        "UPDATE offline_totals SET row_count = row_count - ?2, byte_count = byte_count - ?3
         WHERE account_id = ?1",
        (id, rows, bytes),
    )?;
    // Most queues are empty most of the time.
    run(
        conn,
        "DELETE FROM offline_totals WHERE account_id = ?1 AND row_count = 0",
        [id],
    )?;
    Ok(())
}

fn total(conn: &Connection, account: &str) -> Result<OfflineTotal, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(OfflineTotal::default());
    };
    let total = one(
        conn,
        "SELECT row_count, byte_count FROM offline_totals WHERE account_id = ?1",
        [id],
        |row| {
            Ok(OfflineTotal {
                rows: row.get(0)?,
                bytes: row.get(1)?,
            })
        },
    )?;
    Ok(total.unwrap_or_default())
}

fn page(
    conn: &Connection,
    account: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<OfflineRow>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT seq, received_at, format, stanza FROM offline
         WHERE account_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        (id, after, limit),
        |row| {
            Ok(OfflineRow {
                seq: row.get(0)?,
                received_at: row.get(1)?,
                stanza: Stored {
                    format: row.get(2)?,
                    bytes: row.get(3)?,
                },
                archived: None,
            })
        },
    )
}

impl Offline for SqliteStore {
    fn total(&self, account: &str) -> BoxFuture<'_, Result<OfflineTotal>> {
        let account = account.to_owned();
        self.read(move |conn| total(conn, &account))
    }

    fn page(
        &self,
        account: &str,
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OfflineRow>>> {
        let account = account.to_owned();
        self.read(move |conn| page(conn, &account, after, limit))
    }
}
