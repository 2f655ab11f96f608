use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::require;
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, one, run};
use crate::{BoxFuture, Error, Result, Stored, StreamId, StreamRow, Streams, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::StreamCreate {
            id,
            account,
            handled,
            expires_at,
        } => create(conn, *id, require(conn, account)?, (*handled, *expires_at)),
        Write::StreamHandled { id, handled } => {
            run(
                conn,
                "UPDATE streams SET handled = ?2 WHERE id = ?1",
                (id.0, handled),
            )?;
            Ok(())
        }
        Write::StreamKeep {
            id,
            handled,
            state,
            expires_at,
        } => {
            let state = state.as_ref();
            run(
                conn,
                "UPDATE streams SET handled = ?2, expires_at = ?3, format = ?4, state = ?5
                 WHERE id = ?1",
                (
                    id.0,
                    handled,
                    expires_at,
                    state.map(|state| state.format),
                    state.map(|state| &state.bytes),
                ),
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

fn get(conn: &Connection, id: StreamId) -> Result<Option<StreamRow>, Fault> {
    one(
        conn,
        "SELECT s.id, a.user, a.host, s.handled, s.expires_at, s.format, s.state
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
        "SELECT s.id, a.user, a.host, s.handled, s.expires_at, s.format, s.state
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
