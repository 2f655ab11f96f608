use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::{Kind, find_kind, require_account};
use super::apply::misplaced;
use super::fault::Fault;
use super::netstrings;
use super::statement::{all, one, run, unknown_word};
use crate::{
    BoxFuture, Error, PendingIn, Result, Roster, RosterChange, RosterData, RosterItem, Stored,
    Subscription, TOMBSTONES, Write,
};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::RosterSet {
            account,
            item,
            base,
            max_items,
        } => set(
            conn,
            require_account(conn, account)?,
            item,
            *base,
            *max_items,
        ),
        Write::RosterRemove { account, jid, base } => {
            remove(conn, require_account(conn, account)?, jid, *base)
        }
        Write::PendingSet {
            account,
            request,
            max,
        } => set_pending(conn, require_account(conn, account)?, request, *max),
        Write::PendingRemove { account, jid } => {
            let id = require_account(conn, account)?;
            let sql = "DELETE FROM pending_in WHERE account_id = ?1 AND jid = ?2";
            run(conn, sql, (id, jid))?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

/// Moves the roster on by one version, if it is still the one that the caller read.
fn next_version(conn: &Connection, id: i64, base: Option<u64>) -> Result<i64, Fault> {
    let version = one(
        conn,
        "UPDATE accounts SET roster_version = roster_version + 1
         WHERE id = ?1 AND (?2 IS NULL OR roster_version = ?2) RETURNING roster_version",
        // A base past what fits can be no version of ours.
        (id, base.map(|base| i64::try_from(base).unwrap_or(-1))),
        |row| row.get(0),
    )?;
    Ok(version.ok_or(Error::Conflict("roster version"))?)
}

fn set(
    conn: &Connection,
    id: i64,
    item: &RosterItem,
    base: Option<u64>,
    max_items: u32,
) -> Result<(), Fault> {
    let version = next_version(conn, id, base)?;
    let groups = netstrings::encode(&item.groups);
    let values = (
        id,
        &item.jid,
        version,
        item.subscription.as_str(),
        item.ask,
        item.approved,
        &item.name,
        &groups,
    );
    let replaced = run(
        conn,
        "UPDATE roster SET version = ?3, subscription = ?4, ask = ?5, approved = ?6, name = ?7,
             groups = ?8
         WHERE account_id = ?1 AND jid = ?2",
        values,
    )?;
    if replaced > 0 {
        return Ok(());
    }
    let items = count(
        conn,
        "SELECT count(*) FROM roster WHERE account_id = ?1",
        id,
    )?;
    if items >= max_items {
        return Err(Error::Limit("roster items").into());
    }
    run(
        conn,
        "INSERT INTO roster
             (account_id, jid, version, subscription, ask, approved, name, groups)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        values,
    )?;
    run(
        conn,
        "DELETE FROM roster_removed WHERE account_id = ?1 AND jid = ?2",
        (id, &item.jid),
    )?;
    Ok(())
}

fn remove(conn: &Connection, id: i64, jid: &str, base: Option<u64>) -> Result<(), Fault> {
    let version = next_version(conn, id, base)?;
    let removed = run(
        conn,
        "DELETE FROM roster WHERE account_id = ?1 AND jid = ?2",
        (id, jid),
    )?;
    if removed == 0 {
        return Err(Error::NotFound.into());
    }
    run(
        conn,
        "INSERT INTO roster_removed (account_id, version, jid) VALUES (?1, ?2, ?3)",
        (id, version, jid),
    )?;
    forget_removals(conn, id)
}

/// Drops the oldest tombstones over the bound; older versions cannot be told changes any more.
fn forget_removals(conn: &Connection, id: i64) -> Result<(), Fault> {
    let oldest: Option<i64> = one(
        conn,
        "SELECT version FROM roster_removed WHERE account_id = ?1
         ORDER BY version DESC LIMIT 1 OFFSET ?2",
        (id, TOMBSTONES),
        |row| row.get(0),
    )?;
    let Some(oldest) = oldest else {
        return Ok(());
    };
    run(
        conn,
        "DELETE FROM roster_removed WHERE account_id = ?1 AND version <= ?2",
        (id, oldest),
    )?;
    run(
        conn,
        "UPDATE accounts SET roster_horizon = ?2 WHERE id = ?1",
        (id, oldest),
    )?;
    Ok(())
}

fn set_pending(conn: &Connection, id: i64, request: &PendingIn, max: u32) -> Result<(), Fault> {
    let stanza = &request.stanza;
    let values = (
        id,
        &request.jid,
        request.received_at,
        stanza.format,
        &stanza.bytes,
    );
    let replaced = run(
        conn,
        "UPDATE pending_in SET received_at = ?3, format = ?4, stanza = ?5
         WHERE account_id = ?1 AND jid = ?2",
        values,
    )?;
    if replaced > 0 {
        return Ok(());
    }
    let held = count(
        conn,
        "SELECT count(*) FROM pending_in WHERE account_id = ?1",
        id,
    )?;
    if held >= max {
        return Err(Error::Limit("pending requests").into());
    }
    run(
        conn,
        "INSERT INTO pending_in (account_id, jid, received_at, format, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        values,
    )?;
    Ok(())
}

fn count(conn: &Connection, sql: &'static str, id: i64) -> Result<u32, Fault> {
    Ok(one(conn, sql, [id], |row| row.get(0))?.unwrap_or(0))
}

fn item(row: &Row<'_>) -> rusqlite::Result<RosterItem> {
    let subscription = row.get_ref(2)?.as_str()?;
    let groups = row.get_ref(6)?.as_str()?;
    Ok(RosterItem {
        jid: row.get(0)?,
        version: row.get(1)?,
        subscription: Subscription::parse(subscription)
            .ok_or_else(|| unknown_word(2, subscription))?,
        ask: row.get(3)?,
        approved: row.get(4)?,
        name: row.get(5)?,
        groups: netstrings::decode(groups).ok_or_else(|| unknown_word(6, groups))?,
    })
}

/// Number, current version and horizon.
fn versions(conn: &Connection, account: &str) -> Result<Option<(i64, u64, u64)>, Fault> {
    let Some((user, host)) = account.split_once('@') else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT id, roster_version, roster_horizon FROM accounts
         WHERE host = ?1 AND user = ?2 AND kind = 0",
        (host, user),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

fn load(conn: &Connection, account: &str) -> Result<RosterData, Fault> {
    // One view for the version and what belongs to it.
    let _view = conn.unchecked_transaction()?;
    let Some((id, version, _)) = versions(conn, account)? else {
        return Ok(RosterData::default());
    };
    let items = all(
        conn,
        "SELECT jid, version, subscription, ask, approved, name, groups
         FROM roster WHERE account_id = ?1 ORDER BY jid",
        [id],
        item,
    )?;
    let pending_in = all(
        conn,
        "SELECT jid, received_at, format, stanza FROM pending_in
         WHERE account_id = ?1 ORDER BY received_at, jid",
        [id],
        |row| {
            Ok(PendingIn {
                jid: row.get(0)?,
                received_at: row.get(1)?,
                stanza: Stored {
                    format: row.get(2)?,
                    bytes: row.get(3)?,
                },
            })
        },
    )?;
    Ok(RosterData {
        version,
        items,
        pending_in,
    })
}

fn changes_since(
    conn: &Connection,
    account: &str,
    since: u64,
) -> Result<Option<Vec<RosterChange>>, Fault> {
    let _view = conn.unchecked_transaction()?;
    let Some((id, version, horizon)) = versions(conn, account)? else {
        return Ok(None);
    };
    if since < horizon || since > version {
        return Ok(None);
    }
    let mut changes = all(
        conn,
        "SELECT jid, version, subscription, ask, approved, name, groups
         FROM roster WHERE account_id = ?1 AND version > ?2",
        (id, since),
        |row| item(row).map(RosterChange::Set),
    )?;
    changes.extend(all(
        conn,
        "SELECT jid, version FROM roster_removed WHERE account_id = ?1 AND version > ?2",
        (id, since),
        |row| {
            Ok(RosterChange::Removed {
                jid: row.get(0)?,
                version: row.get(1)?,
            })
        },
    )?);
    changes.sort_by_key(RosterChange::version);
    Ok(Some(changes))
}

fn one_item(conn: &Connection, account: &str, jid: &str) -> Result<Option<RosterItem>, Fault> {
    let Some(id) = find_kind(conn, account, Kind::Account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT jid, version, subscription, ask, approved, name, groups
         FROM roster WHERE account_id = ?1 AND jid = ?2",
        (id, jid),
        item,
    )
}

impl Roster for SqliteStore {
    fn load(&self, account: &str) -> BoxFuture<'_, Result<RosterData>> {
        let account = account.to_owned();
        self.read(move |conn| load(conn, &account))
    }

    fn item(&self, account: &str, jid: &str) -> BoxFuture<'_, Result<Option<RosterItem>>> {
        let (account, jid) = (account.to_owned(), jid.to_owned());
        self.read(move |conn| one_item(conn, &account, &jid))
    }

    fn of_contact(
        &self,
        accounts: &[String],
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, RosterItem)>>> {
        let (accounts, jid) = (accounts.to_vec(), jid.to_owned());
        self.read(move |conn| {
            let mut found = Vec::new();
            for account in accounts {
                let item = one_item(conn, &account, &jid)?;
                found.extend(item.map(|item| (account, item)));
            }
            Ok(found)
        })
    }

    fn changes_since(
        &self,
        account: &str,
        version: u64,
    ) -> BoxFuture<'_, Result<Option<Vec<RosterChange>>>> {
        let account = account.to_owned();
        self.read(move |conn| changes_since(conn, &account, version))
    }
}
