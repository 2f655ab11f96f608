//! The archives of all accounts in SQLite.
//!
//! A message is one row of an append-only table and one entry of a small index; [`moving`] brings
//! the entries to the large index later. The place of a message in its archive is its number in the
//! table, so the order of an archive is that of the commits.

mod moving;
mod page;
mod retention;

use moving::move_few;
pub(super) use moving::{Moving, is_due as moving_is_due, slice as move_slice};
#[cfg(test)]
pub(super) use retention::ERASED;
pub(super) use retention::{Cursors, erase};

use std::hash::Hasher as _;

use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::require;
use super::apply::{Applying, misplaced};
use super::fault::Fault;
use super::netstrings;
use super::statement::{one, run, unknown_word};
use crate::{
    Archive, ArchiveBounds, ArchiveDefault, ArchiveEntry, ArchiveId, ArchivePage, ArchivePrefs,
    ArchiveRequest, BoxFuture, Result, Stored, Write,
};

/// Numbers of the `marks` table.
const LAID_DOWN: &str = "laid down";
const LOOKED_AFTER: &str = "looked after";

pub(super) fn apply(conn: &Connection, state: &mut Applying, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ArchivePush { account, entry } => {
            let id = require(conn, account)?;
            push(conn, state, id, entry)
        }
        Write::ArchiveDelivered { account, id } => {
            let number = require(conn, account)?;
            match state.key.seq(number, *id) {
                Some(seq) => delivered(conn, number, seq),
                None => Ok(()),
            }
        }
        Write::ArchiveRetract {
            account,
            with,
            sender,
            message_id,
            tombstone,
        } => {
            let id = require(conn, account)?;
            // One's own messages to oneself came, too.
            let incoming = sender == with;
            if !incoming && sender != account {
                return Ok(());
            }
            page::find_message(conn, id, with, message_id, incoming)?
                .map_or(Ok(()), |seq| replace(conn, id, seq, tombstone))
        }
        Write::ArchiveExpire {
            host,
            before,
            oldest,
        } => {
            move_few(conn, &mut state.moving)?;
            retention::expire(conn, &mut state.cursors, host, *before, *oldest)
        }
        Write::ArchiveTrim {
            host,
            max_bytes,
            rows,
        } => {
            move_few(conn, &mut state.moving)?;
            retention::trim(conn, host, *max_bytes, *rows)
        }
        Write::ArchivePrefsSet { account, prefs } => {
            set_prefs(conn, require(conn, account)?, prefs)
        }
        Write::TakeUp => take_up(conn),
        Write::LayDown => set_mark(conn, LAID_DOWN, 1),
        _ => Err(misplaced()),
    }
}

fn push(
    conn: &Connection,
    state: &mut Applying,
    id: i64,
    entry: &ArchiveEntry,
) -> Result<(), Fault> {
    state.stamp = state.stamp.max(entry.received_at);
    run(
        conn,
        "INSERT INTO archive (account_id, received_at, peer, message_id, incoming, format, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            id,
            state.stamp,
            &entry.with,
            &entry.message_id,
            entry.incoming,
            entry.stanza.format,
            &entry.stanza.bytes,
        ),
    )?;
    let seq = conn.last_insert_rowid();
    run(
        conn,
        "INSERT INTO archive_recent (account_id, seq, peer_hash, size) VALUES (?1, ?2, ?3, ?4)",
        (id, seq, peer_hash(&entry.with), entry.stanza.bytes.len()),
    )?;
    state.moving.added();
    state.archived.push(state.key.id(id, seq));
    state.last_push = Some((id, seq));
    Ok(())
}

/// A hash of the bare JID that never changes: FNV-1a. It only narrows a search.
fn peer_hash(jid: &str) -> i64 {
    struct Fnv(u64);
    impl std::hash::Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let bare = jid.split('/').next().unwrap_or(jid);
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(bare.as_bytes());
    hasher.finish().cast_signed()
}

/// Puts something else in the place of a message, which counts with its own size.
fn replace(conn: &Connection, id: i64, seq: i64, tombstone: &Stored) -> Result<(), Fault> {
    run(
        conn,
        "UPDATE archive SET format = ?2, stanza = ?3 WHERE seq = ?1",
        (seq, tombstone.format, &tombstone.bytes),
    )?;
    let size = tombstone.bytes.len();
    run(
        conn,
        "UPDATE archive_totals SET byte_count = byte_count + ?3 - size
         FROM archive_index i WHERE archive_totals.account_id = ?1
             AND i.account_id = ?1 AND i.seq = ?2",
        (id, seq, size),
    )?;
    for sql in [
        "UPDATE archive_index SET size = ?3 WHERE account_id = ?1 AND seq = ?2",
        "UPDATE archive_recent SET size = ?3 WHERE account_id = ?1 AND seq = ?2",
    ] {
        run(conn, sql, (id, seq, size))?;
    }
    Ok(())
}

fn delivered(conn: &Connection, id: i64, seq: i64) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO archive_delivered (account_id, seq) VALUES (?1, ?2)
         ON CONFLICT (account_id) DO UPDATE SET seq = max(seq, excluded.seq)",
        (id, seq),
    )?;
    Ok(())
}

fn mark(conn: &Connection, name: &str) -> Result<i64, Fault> {
    let value = one(
        conn,
        "SELECT value FROM marks WHERE name = ?1",
        [name],
        |row| row.get(0),
    )?;
    Ok(value.unwrap_or(0))
}

fn set_mark(conn: &Connection, name: &str, value: i64) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO marks (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )?;
    Ok(())
}

/// After a crash what came and was not taken goes into the offline queues.
fn take_up(conn: &Connection) -> Result<(), Fault> {
    if mark(conn, LAID_DOWN)? == 0 {
        let from = mark(conn, LOOKED_AFTER)?;
        let queued = run(
            conn,
            "INSERT INTO offline (account_id, received_at, format, stanza, archive_seq, size)
             SELECT a.account_id, a.received_at, 0, x'', a.seq, length(a.stanza)
             FROM archive a
             JOIN accounts ON accounts.id = a.account_id
             LEFT JOIN archive_delivered d ON d.account_id = a.account_id
             WHERE a.seq > ?1 AND a.incoming = 1 AND a.seq > coalesce(d.seq, 0)
                 AND NOT EXISTS (SELECT 1 FROM offline o WHERE o.archive_seq = a.seq)
             ORDER BY a.seq",
            [from],
        )?;
        if queued > 0 {
            tracing::info!(
                queued,
                "messages that nobody had taken before a crash wait offline"
            );
            recount_offline(conn)?;
        }
    }
    set_mark(conn, LAID_DOWN, 0)?;
    let last = one(
        conn,
        "SELECT coalesce(max(seq), 0) FROM archive",
        [],
        |row| row.get(0),
    )?;
    set_mark(conn, LOOKED_AFTER, last.unwrap_or(0))
}

fn recount_offline(conn: &Connection) -> Result<(), Fault> {
    run(conn, "DELETE FROM offline_totals", [])?;
    run(
        conn,
        "INSERT INTO offline_totals (account_id, row_count, byte_count)
         SELECT account_id, count(*), sum(size) FROM offline GROUP BY account_id",
        [],
    )?;
    Ok(())
}

fn default_name(default: ArchiveDefault) -> &'static str {
    match default {
        ArchiveDefault::Always => "always",
        ArchiveDefault::Never => "never",
        ArchiveDefault::Roster => "roster",
    }
}

fn set_prefs(conn: &Connection, id: i64, prefs: &ArchivePrefs) -> Result<(), Fault> {
    run(
        conn,
        "INSERT OR REPLACE INTO archive_prefs (account_id, fallback, always, never)
         VALUES (?1, ?2, ?3, ?4)",
        (
            id,
            default_name(prefs.default),
            netstrings::encode(&prefs.always),
            netstrings::encode(&prefs.never),
        ),
    )?;
    Ok(())
}

fn prefs(conn: &Connection, account: &str) -> Result<Option<ArchivePrefs>, Fault> {
    let Some(id) = super::accounts::find(conn, account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT fallback, always, never FROM archive_prefs WHERE account_id = ?1",
        [id],
        |row| {
            let word = row.get_ref(0)?.as_str()?;
            let all = [
                ArchiveDefault::Always,
                ArchiveDefault::Never,
                ArchiveDefault::Roster,
            ];
            let default = all.into_iter().find(|known| default_name(*known) == word);
            let list = |at: usize| {
                let text = row.get_ref(at)?.as_str()?;
                netstrings::decode(text).ok_or_else(|| unknown_word(at, text))
            };
            Ok(ArchivePrefs {
                default: default.ok_or_else(|| unknown_word(0, word))?,
                always: list(1)?,
                never: list(2)?,
            })
        },
    )
}

impl Archive for SqliteStore {
    fn page(&self, account: &str, request: ArchiveRequest) -> BoxFuture<'_, Result<ArchivePage>> {
        let account = account.to_owned();
        let key = self.archive_key.clone();
        self.read(move |conn| page::page(conn, &key, &account, &request))
    }

    fn bounds(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchiveBounds>>> {
        let account = account.to_owned();
        let key = self.archive_key.clone();
        self.read(move |conn| page::bounds(conn, &key, &account))
    }

    fn prefs(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchivePrefs>>> {
        let account = account.to_owned();
        self.read(move |conn| prefs(conn, &account))
    }
}

/// The last time stamp of any archive.
pub(super) fn last_stamp(conn: &Connection) -> Result<i64, Fault> {
    let last = one(
        conn,
        "SELECT received_at FROM archive ORDER BY seq DESC LIMIT 1",
        [],
        |row| row.get(0),
    )?;
    Ok(last.unwrap_or(0))
}

/// The place of a message that a row of the offline queue is to stand for.
pub(super) fn find_row(
    conn: &Connection,
    key: &crate::archive_id::ArchiveIds,
    id: i64,
    message: ArchiveId,
) -> Result<Option<(i64, i64)>, Fault> {
    let Some(seq) = key.seq(id, message) else {
        return Ok(None);
    };
    let size = row_size(conn, id, seq)?;
    Ok(size.map(|size| (seq, size)))
}

pub(super) fn row_size(conn: &Connection, id: i64, seq: i64) -> Result<Option<i64>, Fault> {
    one(
        conn,
        "SELECT length(stanza) FROM archive WHERE seq = ?2 AND account_id = ?1",
        (id, seq),
        |row| row.get(0),
    )
}
