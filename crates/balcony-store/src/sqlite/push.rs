use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, run};
use crate::{BoxFuture, PushRegistration, PushRegistrations, Result, Stored, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::PushEnable {
            account,
            registration,
            max,
        } => {
            let id = require(conn, account)?;
            enable(conn, id, registration)?;
            drop_surplus(conn, id, registration, *max)
        }
        Write::PushDisable { account, jid, node } => {
            let id = require(conn, account)?;
            run(
                conn,
                "DELETE FROM push
                 WHERE account_id = ?1 AND jid = ?2 AND (?3 IS NULL OR node = ?3)",
                (id, jid, node),
            )?;
            Ok(())
        }
        Write::PushFail {
            account,
            jid,
            node,
            created,
            reason,
        } => {
            let id = require(conn, account)?;
            run(
                conn,
                "UPDATE push SET disabled = ?5
                 WHERE account_id = ?1 AND jid = ?2 AND node = ?3 AND created = ?4",
                (id, jid, node, created, reason),
            )?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn enable(conn: &Connection, id: i64, new: &PushRegistration) -> Result<(), Fault> {
    run(
        conn,
        "INSERT OR REPLACE INTO push
             (account_id, jid, node, format, options, resource, created, disabled)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            id,
            &new.jid,
            &new.node,
            new.options.as_ref().map(|options| options.format),
            new.options.as_ref().map(|options| &options.bytes),
            &new.resource,
            new.created,
            &new.disabled,
        ),
    )?;
    Ok(())
}

/// The disabled ones go first, then the oldest, and never the new one.
fn drop_surplus(conn: &Connection, id: i64, new: &PushRegistration, max: u32) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM push WHERE account_id = ?1 AND (jid, node) IN
             (SELECT jid, node FROM push
              WHERE account_id = ?1 AND NOT (jid = ?2 AND node = ?3)
              ORDER BY disabled IS NULL, created, jid, node
              LIMIT max(0, (SELECT count(*) FROM push WHERE account_id = ?1) - ?4))",
        (id, &new.jid, &new.node, max),
    )?;
    Ok(())
}

fn list(conn: &Connection, account: &str) -> Result<Vec<PushRegistration>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT jid, node, format, options, resource, created, disabled FROM push
         WHERE account_id = ?1 ORDER BY jid, node",
        [id],
        registration,
    )
}

fn registration(row: &Row<'_>) -> rusqlite::Result<PushRegistration> {
    let format: Option<u16> = row.get(2)?;
    let bytes: Option<Vec<u8>> = row.get(3)?;
    Ok(PushRegistration {
        jid: row.get(0)?,
        node: row.get(1)?,
        options: format
            .zip(bytes)
            .map(|(format, bytes)| Stored { format, bytes }),
        resource: row.get(4)?,
        created: row.get(5)?,
        disabled: row.get(6)?,
    })
}

impl PushRegistrations for SqliteStore {
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<PushRegistration>>> {
        let account = account.to_owned();
        self.read(move |conn| list(conn, &account))
    }
}
