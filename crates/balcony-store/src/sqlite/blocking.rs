use rusqlite::Connection;

use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, one, run};
use crate::{BlockedByAccount, Blocking, BoxFuture, Error, Result, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::BlockAdd { account, jids, max } => add(conn, require(conn, account)?, jids, *max),
        Write::BlockRemove { account, jids } => {
            let id = require(conn, account)?;
            for jid in jids {
                let sql = "DELETE FROM blocked WHERE account_id = ?1 AND jid = ?2";
                run(conn, sql, (id, jid))?;
            }
            Ok(())
        }
        Write::BlockClear { account } => {
            let id = require(conn, account)?;
            run(conn, "DELETE FROM blocked WHERE account_id = ?1", [id])?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn add(conn: &Connection, id: i64, jids: &[String], max: u32) -> Result<(), Fault> {
    let mut added = 0;
    for jid in jids {
        added += run(
            conn,
            "INSERT OR IGNORE INTO blocked (account_id, jid) VALUES (?1, ?2)",
            (id, jid),
        )?;
    }
    let held: Option<u32> = one(
        conn,
        "SELECT count(*) FROM blocked WHERE account_id = ?1",
        [id],
        |row| row.get(0),
    )?;
    if added > 0 && held.unwrap_or(0) > max {
        return Err(Error::Limit("blocked JIDs").into());
    }
    Ok(())
}

fn list(conn: &Connection, account: &str) -> Result<Vec<String>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT jid FROM blocked WHERE account_id = ?1 ORDER BY jid",
        [id],
        |row| row.get(0),
    )
}

impl Blocking for SqliteStore {
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<String>>> {
        let account = account.to_owned();
        self.read(move |conn| list(conn, &account))
    }

    fn lists(&self, accounts: &[String]) -> BoxFuture<'_, Result<BlockedByAccount>> {
        let accounts = accounts.to_vec();
        self.read(move |conn| {
            let mut found = Vec::new();
            for account in accounts {
                let jids = list(conn, &account)?;
                if !jids.is_empty() {
                    found.push((account, jids));
                }
            }
            Ok(found)
        })
    }
}
