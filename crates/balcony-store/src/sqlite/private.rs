use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::{BoxFuture, Private, Result, Stored, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::PrivateSet {
            account,
            ns,
            name,
            payload,
            bounds,
        } => {
            let id = require(conn, account)?;
            set(conn, id, (ns, name), payload)?;
            let (rows, bytes) = total(conn, id)?;
            Ok(bounds.check(rows, bytes)?)
        }
        Write::PrivateRemove { account, ns, name } => {
            let id = require(conn, account)?;
            run(
                conn,
                "DELETE FROM private_items WHERE account_id = ?1 AND ns = ?2 AND name = ?3",
                (id, ns, name),
            )?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn set(
    conn: &Connection,
    id: i64,
    (ns, name): (&str, &str),
    payload: &Stored,
) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO private_items (account_id, ns, name, format, payload)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account_id, ns, name) DO UPDATE SET
             format = excluded.format, payload = excluded.payload",
        (id, ns, name, payload.format, &payload.bytes),
    )?;
    Ok(())
}

/// Rows and bytes; counted each time, for an account keeps a handful and seldom writes.
fn total(conn: &Connection, id: i64) -> Result<(u64, u64), Fault> {
    let total = one(
        conn,
        "SELECT count(*), coalesce(sum(length(payload)), 0) FROM private_items
         WHERE account_id = ?1",
        [id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(total.unwrap_or((0, 0)))
}

fn get(conn: &Connection, account: &str, ns: &str, name: &str) -> Result<Option<Stored>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT format, payload FROM private_items
         WHERE account_id = ?1 AND ns = ?2 AND name = ?3",
        (id, ns, name),
        |row| {
            Ok(Stored {
                format: row.get(0)?,
                bytes: row.get(1)?,
            })
        },
    )
}

impl Private for SqliteStore {
    fn get(&self, account: &str, ns: &str, name: &str) -> BoxFuture<'_, Result<Option<Stored>>> {
        let (account, ns, name) = (account.to_owned(), ns.to_owned(), name.to_owned());
        self.read(move |conn| get(conn, &account, &ns, &name))
    }
}
