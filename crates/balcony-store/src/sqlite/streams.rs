use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::require_account;
use super::apply::misplaced;
use super::fault::Fault;
use super::known::Known;
use super::statement::{all, each, one, run};
use crate::{BoxFuture, Error, Result, Stored, StreamId, StreamRow, Streams, Write};

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::StreamCreate {
            id,
            account,
            handled,
            expires_at,
        } => {
            create(
                conn,
                *id,
                require_account(conn, account)?,
                (*handled, *expires_at),
            )?;
            // The log may have something of an earlier stream with this id.
            log(conn, known, *id, *handled)
        }
        Write::StreamHandled { id, handled } => log(conn, known, *id, *handled),
        Write::StreamKeep {
            id,
            handled,
            state,
            expires_at,
        } => {
            let state = state.as_ref();
            run(
                conn,
                "UPDATE streams SET expires_at = ?2, format = ?3, state = ?4 WHERE id = ?1",
                (
                    id.0,
                    expires_at,
                    state.map(|state| state.format),
                    state.map(|state| &state.bytes),
                ),
            )?;
            log(conn, known, *id, *handled)
        }
        Write::StreamRenew { id, expires_at } => {
            run(
                conn,
                "UPDATE streams SET expires_at = ?2 WHERE id = ?1",
                (id.0, expires_at),
            )?;
            Ok(())
        }
        Write::StreamRemove { id } => {
            run(conn, "DELETE FROM streams WHERE id = ?1", [id.0])?;
            Ok(())
        }
        Write::StreamsExpire { now, rows } => {
            run(
                conn,
                "DELETE FROM streams WHERE id IN
                     (SELECT id FROM streams WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
                (now, rows),
            )?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn log(conn: &Connection, known: &mut Known, id: StreamId, handled: u32) -> Result<(), Fault> {
    let place = known.count(id, handled);
    run(
        conn,
        "INSERT INTO stream_log (seq, id, handled) VALUES (?1, ?2, ?3)",
        (place, id.0, handled),
    )?;
    Ok(())
}

/// The counts of a lot, on their way from the log to the streams.
pub(super) struct Folding {
    /// The streams that are left, the last to be done first.
    ids: Vec<StreamId>,
    up_to: i64,
}

impl Folding {
    pub(super) fn begin(known: &Known) -> Folding {
        let mut ids: Vec<StreamId> = known.counted().collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Folding {
            ids,
            up_to: known.log(),
        }
    }

    /// Writes as many as there is room for. After the last the log goes, up to the place that it
    /// gives. Until then it is right, whatever the streams say: what they get here it says too, or
    /// it says what came later.
    pub(super) fn slice(
        &mut self,
        conn: &Connection,
        known: &Known,
        room: &mut usize,
    ) -> Result<Option<i64>, Fault> {
        let rest = self.ids.len().saturating_sub(*room);
        let part = self.ids.split_off(rest);
        *room -= part.len();
        let counts = part.iter().rev();
        each(
            conn,
            "UPDATE streams SET handled = ?2 WHERE id = ?1",
            counts.filter_map(|id| Some((id.0, known.handled(*id)?))),
        )?;
        if *room == 0 {
            return Ok(None);
        }
        run(conn, "DELETE FROM stream_log WHERE seq <= ?1", [self.up_to])?;
        Ok(Some(self.up_to))
    }
}

/// When the store is opened: all that is in the log comes to the streams.
pub(super) fn fold_all(conn: &Connection) -> Result<(), Fault> {
    if one(conn, "SELECT 1 FROM stream_log LIMIT 1", [], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    run(conn, "BEGIN IMMEDIATE", [])?;
    run(
        conn,
        "UPDATE streams SET handled = last.handled
         FROM (SELECT id, handled, max(seq) FROM stream_log GROUP BY id) last
         WHERE streams.id = last.id",
        [],
    )?;
    run(conn, "DELETE FROM stream_log", [])?;
    run(conn, "COMMIT", [])?;
    Ok(())
}

fn create(
    conn: &Connection,
    id: StreamId,
    account: i64,
    (handled, expires_at): (u32, i64),
) -> Result<(), Fault> {
    // One that a deleted account left is nobody's any more.
    let created = run(
        conn,
        "INSERT INTO streams (id, account_id, handled, expires_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id,
             handled = excluded.handled, expires_at = excluded.expires_at,
             format = NULL, state = NULL
         WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = streams.account_id)",
        (id.0, account, handled, expires_at),
    )?;
    match created {
        0 => Err(Error::Conflict("stream").into()),
        _ => Ok(()),
    }
}

// The log is searched from its end, and all of it where it says nothing: a fraction of a
// millisecond, for who resumes a stream that this process does not know.

/// A row from its second column on: user, host, handled, expires_at, format, state.
fn stream(row: &Row<'_>) -> rusqlite::Result<StreamRow> {
    let mut account = String::from(row.get_ref(1)?.as_str()?);
    account.push('@');
    account.push_str(row.get_ref(2)?.as_str()?);
    let state = match row.get(5)? {
        Some(format) => Some(Stored {
            format,
            bytes: row.get(6)?,
        }),
        None => None,
    };
    Ok(StreamRow {
        account,
        handled: row.get(3)?,
        state,
        expires_at: row.get(4)?,
    })
}

pub(super) fn get(conn: &Connection, id: StreamId) -> Result<Option<StreamRow>, Fault> {
    one(
        conn,
        "SELECT s.id, a.user, a.host,
             coalesce((SELECT l.handled FROM stream_log l WHERE l.id = s.id
                       ORDER BY l.seq DESC LIMIT 1), s.handled),
             s.expires_at, s.format, s.state
         FROM streams s JOIN accounts a ON a.id = s.account_id WHERE s.id = ?1",
        [id.0],
        stream,
    )
}

fn kept(
    conn: &Connection,
    after: Option<StreamId>,
    limit: u32,
) -> Result<Vec<(StreamId, StreamRow)>, Fault> {
    // Every id comes after the empty one.
    let after = after.as_ref().map_or(&[][..], |id| &id.0);
    all(
        conn,
        "SELECT s.id, a.user, a.host,
             coalesce((SELECT l.handled FROM stream_log l WHERE l.id = s.id
                       ORDER BY l.seq DESC LIMIT 1), s.handled),
             s.expires_at, s.format, s.state
         FROM streams s INDEXED BY streams_kept CROSS JOIN accounts a ON a.id = s.account_id
         WHERE s.format IS NOT NULL AND s.id > ?1 ORDER BY s.id LIMIT ?2",
        (after, limit),
        |row| Ok((StreamId(row.get(0)?), stream(row)?)),
    )
}

impl Streams for SqliteStore {
    fn get(&self, id: StreamId) -> BoxFuture<'_, Result<Option<StreamRow>>> {
        self.read(move |conn| get(conn, id))
    }

    fn kept(
        &self,
        after: Option<StreamId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamRow)>>> {
        self.read(move |conn| kept(conn, after, limit))
    }
}
