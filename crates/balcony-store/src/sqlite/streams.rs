use rusqlite::types::Type;
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
        } => {
            let account = require(conn, account)?;
            let created = run(
                conn,
                "INSERT OR IGNORE INTO streams (id, account_id, handled, expires_at)
                 VALUES (?1, ?2, ?3, ?4)",
                (id.0, account, handled, expires_at),
            )?;
            match created {
                0 => return Err(Error::Conflict("stream").into()),
                _ => 1,
            }
        }
        Write::StreamHandled { id, handled } => run(
            conn,
            "UPDATE streams SET handled = ?2 WHERE id = ?1",
            (id.0, handled),
        )?,
        Write::StreamKeep {
            id,
            handled,
            state,
            expires_at,
        } => run(
            conn,
            "UPDATE streams SET handled = ?2, format = ?3, state = ?4, expires_at = ?5
             WHERE id = ?1",
            (
                id.0,
                handled,
                state.as_ref().map(|state| state.format),
                state.as_ref().map(|state| &state.bytes),
                expires_at,
            ),
        )?,
        Write::StreamRemove { id } => run(conn, "DELETE FROM streams WHERE id = ?1", [id.0])?,
        Write::StreamsExpire { now, rows } => run(
            conn,
            "DELETE FROM streams WHERE id IN
                 (SELECT id FROM streams WHERE expires_at <= ?1 LIMIT ?2)",
            (now, rows),
        )?,
        _ => return Err(misplaced()),
    };
    Ok(())
}

/// Columns: the account's name, handled, format, state, expiry.
fn stream(row: &Row<'_>, at: usize) -> rusqlite::Result<StreamRow> {
    let state = match row.get_ref(at + 2)?.data_type() {
        Type::Null => None,
        _ => Some(Stored {
            format: row.get(at + 2)?,
            bytes: row.get(at + 3)?,
        }),
    };
    Ok(StreamRow {
        account: row.get(at)?,
        handled: row.get(at + 1)?,
        state,
        expires_at: row.get(at + 4)?,
    })
}

fn kept(
    conn: &Connection,
    after: Option<StreamId>,
    limit: u32,
) -> Result<Vec<(StreamId, StreamRow)>, Fault> {
    all(
        conn,
        "SELECT s.id, a.user || '@' || a.host, s.handled, s.format, s.state, s.expires_at
         FROM streams s JOIN accounts a ON a.id = s.account_id
         WHERE s.format IS NOT NULL AND s.id > ?1 ORDER BY s.id LIMIT ?2",
        (after.map_or(Vec::new(), |id| id.0.to_vec()), limit),
        |row| Ok((StreamId(row.get(0)?), stream(row, 1)?)),
    )
}

impl Streams for SqliteStore {
    fn get(&self, id: StreamId) -> BoxFuture<'_, Result<Option<StreamRow>>> {
        self.read(move |conn| {
            one(
                conn,
                "SELECT a.user || '@' || a.host, s.handled, s.format, s.state, s.expires_at
                 FROM streams s JOIN accounts a ON a.id = s.account_id WHERE s.id = ?1",
                [id.0],
                |row| stream(row, 0),
            )
        })
    }

    fn kept(
        &self,
        after: Option<StreamId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamRow)>>> {
        self.read(move |conn| kept(conn, after, limit))
    }
}
