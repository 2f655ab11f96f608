use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::{BoxFuture, Result, Stored, VCard, VCards, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::VCardSet { account, vcard } => {
            let id = require(conn, account)?;
            let payload = &vcard.payload;
            // The hash stands before the payload: reading it leaves the payload's pages alone.
            run(
                conn,
                "INSERT OR REPLACE INTO vcards (account_id, photo_sha1, format, payload)
                 VALUES (?1, ?2, ?3, ?4)",
                (id, vcard.photo_sha1, payload.format, &payload.bytes),
            )?;
            Ok(())
        }
        Write::VCardRemove { account } => {
            let id = require(conn, account)?;
            run(conn, "DELETE FROM vcards WHERE account_id = ?1", [id])?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn get(conn: &Connection, account: &str) -> Result<Option<VCard>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT photo_sha1, format, payload FROM vcards WHERE account_id = ?1",
        [id],
        |row| {
            Ok(VCard {
                photo_sha1: row.get(0)?,
                payload: Stored {
                    format: row.get(1)?,
                    bytes: row.get(2)?,
                },
            })
        },
    )
}

fn photo(conn: &Connection, account: &str) -> Result<Option<[u8; 20]>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(None);
    };
    let hash = one(
        conn,
        "SELECT photo_sha1 FROM vcards WHERE account_id = ?1",
        [id],
        |row| row.get(0),
    )?;
    Ok(hash.flatten())
}

impl VCards for SqliteStore {
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<VCard>>> {
        let account = account.to_owned();
        self.read(move |conn| get(conn, &account))
    }

    fn photo(&self, account: &str) -> BoxFuture<'_, Result<Option<[u8; 20]>>> {
        let account = account.to_owned();
        self.read(move |conn| photo(conn, &account))
    }
}
