use rusqlite::Connection;

use super::SqliteStore;
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, each, run};
use crate::{BoxFuture, Error, RemoteQueue, RemoteRow, Result, Stored, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::RemotePush { row } => push(conn, row),
        Write::RemoteDone { ids } => {
            let ids = ids.iter().map(|id| [id]);
            each(conn, "DELETE FROM remote_queue WHERE id = ?1", ids)
        }
        _ => Err(misplaced()),
    }
}

fn push(conn: &Connection, row: &RemoteRow) -> Result<(), Fault> {
    let pushed = run(
        conn,
        "INSERT OR IGNORE INTO remote_queue (id, domain, received_at, format, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            row.id,
            &row.domain,
            row.received_at,
            row.stanza.format,
            &row.stanza.bytes,
        ),
    )?;
    match pushed {
        0 => Err(Error::Conflict("remote").into()),
        _ => Ok(()),
    }
}

fn after(conn: &Connection, after: i64, limit: u32) -> Result<Vec<RemoteRow>, Fault> {
    all(
        conn,
        "SELECT id, domain, received_at, format, stanza FROM remote_queue
         WHERE id > ?1 ORDER BY id LIMIT ?2",
        (after, limit),
        |row| {
            Ok(RemoteRow {
                id: row.get(0)?,
                domain: row.get(1)?,
                received_at: row.get(2)?,
                stanza: Stored {
                    format: row.get(3)?,
                    bytes: row.get(4)?,
                },
            })
        },
    )
}

impl RemoteQueue for SqliteStore {
    fn after(&self, from: i64, limit: u32) -> BoxFuture<'_, Result<Vec<RemoteRow>>> {
        self.read(move |conn| after(conn, from, limit))
    }
}
