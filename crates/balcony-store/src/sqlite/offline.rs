use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::known::Known;
use super::statement::{all, one, run};
use super::{SqliteStore, archive};
use crate::archive_id::ArchiveIds;
use crate::{
    Bounds, BoxFuture, Error, Offline, OfflineRow, OfflineTotal, Result, Stored, Waiting, Write,
};

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::OfflinePush {
            account,
            received_at,
            stanza,
            bounds,
        } => {
            let id = known.account(conn, account)?;
            match stanza {
                Waiting::Stanza(stanza) => push(conn, id, (*received_at, stanza), *bounds),
                Waiting::ArchivedNow => {
                    let nothing = || Error::Broken("nothing was archived".to_owned());
                    let seq = known.archived_now(id).ok_or_else(nothing)?;
                    refer(conn, id, (*received_at, seq), *bounds)
                }
                Waiting::Archived(archived) => match known.ids().seq(id, *archived) {
                    Some(seq) => refer(conn, id, (*received_at, seq), *bounds),
                    None => Ok(()),
                },
            }
        }
        Write::OfflineDelete {
            account,
            after,
            up_to,
        } => delete(conn, require(conn, account)?, (*after, *up_to)),
        Write::OfflineExpire { before, oldest } => expire(conn, *before, *oldest),
        _ => Err(misplaced()),
    }
}

fn push(
    conn: &Connection,
    id: i64,
    (received_at, stanza): (i64, &Stored),
    bounds: Bounds,
) -> Result<(), Fault> {
    let (rows, bytes) = more(conn, id, 1, stanza.bytes.len() as u64)?;
    bounds.check(rows, bytes)?;
    run(
        conn,
        "INSERT INTO offline (account_id, received_at, format, stanza) VALUES (?1, ?2, ?3, ?4)",
        (id, received_at, stanza.format, &stanza.bytes),
    )?;
    Ok(())
}

/// The row of a stanza that is in the archive.
fn refer(
    conn: &Connection,
    id: i64,
    (received_at, seq): (i64, i64),
    bounds: Bounds,
) -> Result<(), Fault> {
    let Some(size) = archive::size(conn, seq)? else {
        return Ok(());
    };
    let (rows, bytes) = more(conn, id, 1, size)?;
    bounds.check(rows, bytes)?;
    run(
        conn,
        "INSERT INTO offline (account_id, received_at, format, stanza, archive_seq, size)
         VALUES (?1, ?2, 0, x'', ?3, ?4)",
        (id, received_at, seq, size),
    )?;
    Ok(())
}

/// So much more waits for an account; gives how much that is in all. The totals are kept beside
/// the rows: the bounds cost one look-up, however much waits.
pub(super) fn more(conn: &Connection, id: i64, rows: u64, bytes: u64) -> Result<(u64, u64), Fault> {
    let total = one(
        conn,
        "INSERT INTO offline_totals (account_id, row_count, byte_count) VALUES (?1, ?2, ?3)
         ON CONFLICT (account_id) DO UPDATE SET
             row_count = row_count + excluded.row_count,
             byte_count = byte_count + excluded.byte_count
         RETURNING row_count, byte_count",
        (id, rows, bytes),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(total.unwrap_or((0, 0)))
}

fn delete(conn: &Connection, id: i64, (after, up_to): (i64, i64)) -> Result<(), Fault> {
    let sizes: Vec<u64> = all(
        conn,
        "DELETE FROM offline WHERE account_id = ?1 AND seq > ?2 AND seq <= ?3
         RETURNING coalesce(size, length(stanza))",
        (id, after, up_to),
        |row| row.get(0),
    )?;
    if sizes.is_empty() {
        return Ok(());
    }
    less(conn, id, sizes.len(), sizes.iter().sum())
}

/// Rows come in the order of their numbers, so the oldest are found without an index by time. What
/// retention took out of the archive waits for nobody.
fn expire(conn: &Connection, before: i64, oldest: u32) -> Result<(), Fault> {
    let gone: Vec<(i64, u64)> = all(
        conn,
        "DELETE FROM offline WHERE seq IN (SELECT seq FROM offline ORDER BY seq LIMIT ?2)
             AND (received_at < ?1 OR (archive_seq IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM archive m WHERE m.seq = archive_seq)))
         RETURNING account_id, coalesce(size, length(stanza))",
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
    ids: &ArchiveIds,
    account: &str,
    (after, limit): (i64, u32),
) -> Result<Vec<OfflineRow>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT o.seq, o.received_at, coalesce(m.format, o.format),
             coalesce(m.stanza, o.stanza), m.seq
         FROM offline o LEFT JOIN archive m ON m.seq = o.archive_seq
         WHERE o.account_id = ?1 AND o.seq > ?2
             AND (o.archive_seq IS NULL OR m.seq IS NOT NULL)
         ORDER BY o.seq LIMIT ?3",
        (id, after, limit),
        |row| {
            let archived: Option<i64> = row.get(4)?;
            Ok(OfflineRow {
                seq: row.get(0)?,
                received_at: row.get(1)?,
                stanza: Stored {
                    format: row.get(2)?,
                    bytes: row.get(3)?,
                },
                archived: archived.map(|seq| ids.id(id, seq)),
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
        let (account, archives) = (account.to_owned(), Arc::clone(&self.archives));
        self.read(move |conn| page(conn, &archives.ids, &account, (after, limit)))
    }
}
