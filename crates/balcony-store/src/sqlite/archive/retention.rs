use rusqlite::Connection;

use super::moving;
use super::recent::Entry;
use crate::Write;
use crate::sqlite::apply::misplaced;
use crate::sqlite::fault::Fault;
use crate::sqlite::known::{End, Known};
use crate::sqlite::statement::{all, one, run};

/// A message at the beginning of an archive.
struct Oldest {
    seq: i64,
    received_at: i64,
    size: u64,
}

/// Asked for every minute, while mostly there is nothing to do: then nothing is touched.
pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ArchiveExpire {
            host,
            before,
            oldest,
        } => {
            if !has_older(conn, host, *before)? {
                return Ok(());
            }
            moving::index_all(conn, known)?;
            expire(conn, host, *before, *oldest as usize)?;
        }
        Write::ArchiveTrim {
            host,
            max_bytes,
            rows,
        } => {
            // No archive is larger than what SQLite can count.
            let max_bytes = i64::try_from(*max_bytes).unwrap_or(i64::MAX);
            if !has_larger(conn, known, host, max_bytes)? {
                return Ok(());
            }
            moving::index_all(conn, known)?;
            trim(conn, host, max_bytes.unsigned_abs(), *rows as usize)?;
        }
        _ => return Err(misplaced()),
    }
    keep_the_end(conn, known.end())
}

/// Whether an archive of the host may have a message from before that time. What is not in the
/// index yet is looked at for all hosts at once: its first message is its oldest.
fn has_older(conn: &Connection, host: &str, before: i64) -> Result<bool, Fault> {
    let found: Option<bool> = one(
        conn,
        "SELECT EXISTS (SELECT 1 FROM archive_totals WHERE host = ?1 AND oldest < ?2)
             OR coalesce((SELECT received_at FROM archive
                          WHERE seq > (SELECT indexed FROM archive_state)
                          ORDER BY seq LIMIT 1) < ?2, 0)",
        (host, before),
        |row| row.get(0),
    )?;
    Ok(found.unwrap_or_default())
}

/// Whether an archive of the host may be larger than that, with what is not in the index yet.
fn has_larger(conn: &Connection, known: &Known, host: &str, max: i64) -> Result<bool, Fault> {
    let bytes = |entries: &[Entry]| -> i64 { entries.iter().map(|e| i64::from(e.size)).sum() };
    let waiting: i64 = known.not_indexed().values().map(|all| bytes(all)).sum();
    // All of it may be one archive's.
    if waiting > max {
        return Ok(true);
    }
    let near: Vec<(i64, i64)> = all(
        conn,
        "SELECT account_id, byte_count FROM archive_totals WHERE host = ?1 AND byte_count > ?2",
        (host, max - waiting),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(near.into_iter().any(|(account, indexed)| {
        indexed.saturating_add(bytes(&known.not_indexed_of(account))) > max
    }))
}

/// Archive by archive, the one with the oldest message first.
fn expire(conn: &Connection, host: &str, before: i64, mut room: usize) -> Result<(), Fault> {
    while room > 0 {
        let account: Option<i64> = one(
            conn,
            "SELECT account_id FROM archive_totals WHERE host = ?1 AND oldest < ?2
             ORDER BY oldest LIMIT 1",
            (host, before),
            |row| row.get(0),
        )?;
        let Some(account) = account else { break };
        let rows = oldest(conn, account, room)?.into_iter();
        let old: Vec<Oldest> = rows.take_while(|row| row.received_at < before).collect();
        room = delete(conn, account, &old, room)?;
    }
    Ok(())
}

/// Archive by archive, the largest first.
fn trim(conn: &Connection, host: &str, max_bytes: u64, mut room: usize) -> Result<(), Fault> {
    while room > 0 {
        let account: Option<(i64, u64)> = one(
            conn,
            "SELECT account_id, byte_count FROM archive_totals WHERE host = ?1 AND byte_count > ?2
             ORDER BY byte_count DESC LIMIT 1",
            (host, max_bytes),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let Some((account, mut bytes)) = account else {
            break;
        };
        let rows = oldest(conn, account, room)?.into_iter();
        let too_many = rows.take_while(|row| {
            let too_large = bytes > max_bytes;
            bytes = bytes.saturating_sub(row.size);
            too_large
        });
        room = delete(conn, account, &too_many.collect::<Vec<_>>(), room)?;
    }
    Ok(())
}

fn oldest(conn: &Connection, account: i64, limit: usize) -> Result<Vec<Oldest>, Fault> {
    all(
        conn,
        "SELECT i.seq, m.received_at, length(m.stanza)
         FROM archive_index i CROSS JOIN archive m ON m.seq = i.seq
         WHERE i.account_id = ?1 ORDER BY i.seq LIMIT ?2",
        (account, limit),
        |row| {
            Ok(Oldest {
                seq: row.get(0)?,
                received_at: row.get(1)?,
                size: row.get(2)?,
            })
        },
    )
}

/// Deletes the beginning of an archive; the room that is left then. None, when there was nothing:
/// going on would find nothing again.
fn delete(conn: &Connection, account: i64, rows: &[Oldest], room: usize) -> Result<usize, Fault> {
    let Some(last) = rows.last() else {
        return Ok(0);
    };
    run(
        conn,
        "DELETE FROM archive WHERE seq IN
             (SELECT seq FROM archive_index WHERE account_id = ?1 AND seq <= ?2)",
        (account, last.seq),
    )?;
    run(
        conn,
        "DELETE FROM archive_index WHERE account_id = ?1 AND seq <= ?2",
        (account, last.seq),
    )?;
    let bytes: u64 = rows.iter().map(|row| row.size).sum();
    run(
        conn,
        "UPDATE archive_totals SET row_count = row_count - ?2, byte_count = byte_count - ?3,
             oldest = (SELECT m.received_at
                       FROM archive_index i CROSS JOIN archive m ON m.seq = i.seq
                       WHERE i.account_id = ?1 ORDER BY i.seq LIMIT 1)
         WHERE account_id = ?1",
        (account, rows.len(), bytes),
    )?;
    run(
        conn,
        "DELETE FROM archive_totals WHERE account_id = ?1 AND row_count = 0",
        [account],
    )?;
    Ok(room.saturating_sub(rows.len()))
}

/// The last row of all may be among those that were deleted: its place is not given again, and
/// time does not run backwards, after the next start either.
pub(in crate::sqlite) fn keep_the_end(conn: &Connection, end: End) -> Result<(), Fault> {
    run(
        conn,
        "UPDATE archive_state SET last_seq = ?1, last_received_at = ?2 WHERE last_seq < ?1",
        (end.seq, end.received_at),
    )?;
    Ok(())
}
