use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::{BoxFuture, LastSeen, LastSeenAt, Result, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    let Write::LastSeenSet {
        account,
        at,
        status,
    } = write
    else {
        return Err(misplaced());
    };
    let id = require(conn, account)?;
    run(
        conn,
        "INSERT OR REPLACE INTO last_seen (account_id, at, status) VALUES (?1, ?2, ?3)",
        (id, at, status),
    )?;
    Ok(())
}

fn get(conn: &Connection, account: &str) -> Result<Option<LastSeenAt>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT at, status FROM last_seen WHERE account_id = ?1",
        [id],
        |row| {
            Ok(LastSeenAt {
                at: row.get(0)?,
                status: row.get(1)?,
            })
        },
    )
}

impl LastSeen for SqliteStore {
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<LastSeenAt>>> {
        let account = account.to_owned();
        self.read(move |conn| get(conn, &account))
    }
}
