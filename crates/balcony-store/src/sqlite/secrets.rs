use rusqlite::Connection;

use super::SqliteStore;
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::{BoxFuture, Error, Result, Secrets, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    let Write::SecretCreate { name, value } = write else {
        return Err(misplaced());
    };
    let created = run(
        conn,
        "INSERT OR IGNORE INTO secrets (name, value) VALUES (?1, ?2)",
        (name, value),
    )?;
    match created {
        0 => Err(Error::Conflict("secret").into()),
        _ => Ok(()),
    }
}

impl Secrets for SqliteStore {
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let name = name.to_owned();
        self.read(move |conn| {
            one(
                conn,
                "SELECT value FROM secrets WHERE name = ?1",
                [name],
                |row| row.get(0),
            )
        })
    }
}
