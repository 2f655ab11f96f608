use std::collections::BTreeMap;

use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::{Applying, misplaced};
use super::archive;
use super::fault::Fault;
use super::statement::{all, one, run};
use crate::archive_id::ArchiveIds;
use crate::{
    Bounds, BoxFuture, Error, Offline, OfflineRow, OfflineTotal, Result, Stored, Waiting, Write,
};

pub(super) fn apply(conn: &Connection, state: &Applying, write: &Write) -> Result<(), Fault> {
    match write {
        Write::OfflinePush {
            account,
            received_at,
            stanza,
            bounds,
        } => {
            let id = require(conn, account)?;
            match row(conn, state, id, stanza)? {
                Some(row) => push(conn, id, *received_at, &row, *bounds),
                None => Ok(()),
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

/// What a row holds.
struct NewRow<'a> {
    format: u16,
    stanza: &'a [u8],
    archive_seq: Option<i64>,
    size: i64,
}

/// `None`: the message that it should stand for is gone.
fn row<'a>(
    conn: &Connection,
    state: &Applying,
    id: i64,
    waiting: &'a Waiting,
) -> Result<Option<NewRow<'a>>, Fault> {
    let archived = match waiting {
        Waiting::Stanza(stanza) => {
            return Ok(Some(NewRow {
                format: stanza.format,
                stanza: &stanza.bytes,
                archive_seq: None,
                size: i64::try_from(stanza.bytes.len()).unwrap_or(i64::MAX),
            }));
        }
        Waiting::ArchivedNow => {
            let pushed = state.last_push.filter(|(account, _)| *account == id);
            let (_, seq) =
                pushed.ok_or_else(|| Error::Broken("nothing was archived".to_owned()))?;
            archive::row_size(conn, id, seq)?.map(|size| (seq, size))
        }
        Waiting::Archived(message) => archive::find_row(conn, &state.key, id, *message)?,
    };
    Ok(archived.map(|(seq, size)| NewRow {
        format: 0,
        stanza: &[],
        archive_seq: Some(seq),
        size,
    }))
}

/// The totals are kept beside the rows: the bounds cost one look-up, however much waits.
fn push(
    conn: &Connection,
    id: i64,
    received_at: i64,
    row: &NewRow<'_>,
    bounds: Bounds,
) -> Result<(), Fault> {
    let total = one(
        conn,
        "INSERT INTO offline_totals (account_id, row_count, byte_count) VALUES (?1, 1, ?2)
         ON CONFLICT (account_id) DO UPDATE SET
             row_count = row_count + 1, byte_count = byte_count + excluded.byte_count
         RETURNING row_count, byte_count",
        (id, row.size),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (rows, bytes) = total.unwrap_or((0, 0));
    bounds.check(rows, bytes)?;
    run(
        conn,
        "INSERT INTO offline (account_id, received_at, format, stanza, archive_seq, size)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            id,
            received_at,
            row.format,
            row.stanza,
            row.archive_seq,
            row.size,
        ),
    )?;
    Ok(())
}

fn delete(conn: &Connection, id: i64, (after, up_to): (i64, i64)) -> Result<(), Fault> {
    let sizes: Vec<u64> = all(
        conn,
        "DELETE FROM offline WHERE account_id = ?1 AND seq > ?2 AND seq <= ?3
         RETURNING size",
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
         RETURNING account_id, size",
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
    key: &ArchiveIds,
    account: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<OfflineRow>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT o.seq, o.received_at, coalesce(a.format, o.format), coalesce(a.stanza, o.stanza),
             a.seq
         FROM offline o LEFT JOIN archive a ON a.seq = o.archive_seq
         WHERE o.account_id = ?1 AND o.seq > ?2
             AND (o.archive_seq IS NULL OR a.seq IS NOT NULL)
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
                archived: archived.map(|seq| key.id(id, seq)),
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
        let key = self.archive_key.clone();
        self.read(move |conn| page(conn, &key, &account, after, limit))
    }
}
