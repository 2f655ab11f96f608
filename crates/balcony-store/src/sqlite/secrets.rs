use rusqlite::Connection;

use super::SqliteStore;
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::archive_id::{self, ArchiveIds};
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

fn get(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    one(
        conn,
        "SELECT value FROM secrets WHERE name = ?1",
        [name],
        |row| row.get(0),
    )
}

/// What makes the ids of archived messages. It is made with the database, and ids that clients
/// keep are good for as long as it lasts.
pub(super) fn archive_ids(conn: &Connection) -> Result<ArchiveIds, Fault> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|error| Error::Broken(error.to_string()))?;
    run(
        conn,
        "INSERT OR IGNORE INTO secrets (name, value) VALUES (?1, ?2)",
        (archive_id::KEY, fresh),
    )?;
    let key = get(conn, archive_id::KEY)?.and_then(|key| key.try_into().ok());
    let no_key = || Error::Broken("the key of the archives' ids is damaged".to_owned());
    Ok(ArchiveIds::new(key.ok_or_else(no_key)?))
}

impl Secrets for SqliteStore {
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        let name = name.to_owned();
        self.read(move |conn| get(conn, &name))
    }
}
