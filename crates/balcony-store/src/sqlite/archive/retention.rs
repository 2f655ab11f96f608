use rusqlite::Connection;

use super::moving;
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

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    moving::index_all(conn, known)?;
    match write {
        Write::ArchiveExpire {
            host,
            before,
            oldest,
        } => expire(conn, host, *before, *oldest as usize)?,
        Write::ArchiveTrim {
            host,
            max_bytes,
            rows,
        } => trim(conn, host, *max_bytes, *rows as usize)?,
        _ => return Err(misplaced()),
    }
    keep_the_end(conn, known.end())
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
    // No archive is larger than what SQLite can count.
    let max_bytes = max_bytes.min(i64::MAX.unsigned_abs());
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
