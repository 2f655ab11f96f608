use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::apply::misplaced;
use super::fault::Fault;
use super::known::Known;
use super::statement::{all, one, run, unknown_word};
use crate::kinds::roster::first_version;
use crate::{
    Account, AccountEntry, Accounts, BoxFuture, Credentials, Error, HashName, KeyCount, Result,
    ScramKey, Write,
};

/// What a row of `accounts` is. Each may have an archive, a vCard and nodes; the reads and writes
/// of accounts, their rosters and logins know of accounts only.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Account,
    Room,
    /// Has no localpart.
    Service,
}

impl Kind {
    /// As stored.
    fn number(self) -> i64 {
        match self {
            Kind::Account => 0,
            Kind::Room => 1,
            Kind::Service => 2,
        }
    }
}

/// The number of the account or room with this bare JID, or of the service with this domain.
pub(super) fn find(conn: &Connection, owner: &str) -> Result<Option<i64>, Fault> {
    match parts(owner) {
        Some((user, host)) => find_parts(conn, host, user),
        None => Ok(None),
    }
}

/// As [`find`], for writes: NotFound when there is none.
pub(super) fn require(conn: &Connection, owner: &str) -> Result<i64, Fault> {
    Ok(find(conn, owner)?.ok_or(Error::NotFound)?)
}

/// The number of what is of this kind and has this JID.
pub(super) fn find_kind(conn: &Connection, owner: &str, kind: Kind) -> Result<Option<i64>, Fault> {
    match parts(owner) {
        Some((user, host)) => find_parts_kind(conn, (host, user), kind),
        None => Ok(None),
    }
}

/// The number of the account, which is one; NotFound when there is none.
pub(super) fn require_account(conn: &Connection, account: &str) -> Result<i64, Fault> {
    Ok(find_kind(conn, account, Kind::Account)?.ok_or(Error::NotFound)?)
}

/// Localpart and domainpart.
fn parts(owner: &str) -> Option<(&str, &str)> {
    // A localpart has no "@" (RFC 7622 §3.3.1), and is not empty (§3.3).
    match owner.split_once('@') {
        Some(("", _)) => None,
        None => Some(("", owner)),
        parts => parts,
    }
}

fn find_account(conn: &Connection, host: &str, user: &str) -> Result<Option<i64>, Fault> {
    find_parts_kind(conn, (host, user), Kind::Account)
}

fn find_parts_kind(
    conn: &Connection,
    (host, user): (&str, &str),
    kind: Kind,
) -> Result<Option<i64>, Fault> {
    one(
        conn,
        "SELECT id FROM accounts WHERE host = ?1 AND user = ?2 AND kind = ?3",
        (host, user, kind.number()),
        |row| row.get(0),
    )
}

pub(super) fn find_parts(conn: &Connection, host: &str, user: &str) -> Result<Option<i64>, Fault> {
    one(
        conn,
        "SELECT id FROM accounts WHERE host = ?1 AND user = ?2",
        (host, user),
        |row| row.get(0),
    )
}

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::CreateAccount {
            host,
            user,
            created,
            keys,
        } => create(conn, (host, user), *created, keys),
        Write::SetKeys { host, user, keys } => {
            let id = find_account(conn, host, user)?.ok_or(Error::NotFound)?;
            run(conn, "DELETE FROM scram_keys WHERE account_id = ?1", [id])?;
            add_keys(conn, id, keys)
        }
        Write::AddKeys { host, user, keys } => {
            let id = find_account(conn, host, user)?.ok_or(Error::NotFound)?;
            add_missing_keys(conn, id, keys)
        }
        Write::SetEnabled {
            host,
            user,
            enabled,
        } => set_enabled(conn, host, user, *enabled),
        Write::DeleteAccount { host, user } => delete(conn, known, host, user),
        _ => Err(misplaced()),
    }
}

fn create(
    conn: &Connection,
    (host, user): (&str, &str),
    created: i64,
    keys: &[ScramKey],
) -> Result<(), Fault> {
    if find_parts(conn, host, user)?.is_some() {
        return Err(Error::Conflict("account").into());
    }
    let id = insert(conn, Kind::Account, (host, user), created)?;
    add_keys(conn, id, keys)
}

/// A new row; its number. Nobody logs in as what is no account.
pub(super) fn insert(
    conn: &Connection,
    kind: Kind,
    (host, user): (&str, &str),
    created: i64,
) -> Result<i64, Fault> {
    run(
        conn,
        "INSERT INTO accounts
             (host, user, created, enabled, roster_version, roster_horizon, kind)
         VALUES (?1, ?2, ?3, ?4 = 0, 0, 0, ?4)",
        (host, user, created, kind.number()),
    )?;
    let id = conn.last_insert_rowid();
    run(
        conn,
        "UPDATE accounts SET roster_version = ?2, roster_horizon = ?2 WHERE id = ?1",
        (id, first_version(id)),
    )?;
    Ok(id)
}

fn add_keys(conn: &Connection, id: i64, keys: &[ScramKey]) -> Result<(), Fault> {
    for key in keys {
        run(
            conn,
            "INSERT OR REPLACE INTO scram_keys
                 (account_id, hash, salt, iterations, stored_key, server_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                id,
                key.hash.as_str(),
                &key.salt,
                key.iterations,
                &key.stored_key,
                &key.server_key,
            ),
        )?;
    }
    Ok(())
}

fn add_missing_keys(conn: &Connection, id: i64, keys: &[ScramKey]) -> Result<(), Fault> {
    for key in keys {
        let known: Option<i64> = one(
            conn,
            "SELECT 1 FROM scram_keys WHERE account_id = ?1 AND hash = ?2",
            (id, key.hash.as_str()),
            |row| row.get(0),
        )?;
        if known.is_none() {
            add_keys(conn, id, std::slice::from_ref(key))?;
        }
    }
    Ok(())
}

fn set_enabled(conn: &Connection, host: &str, user: &str, enabled: bool) -> Result<(), Fault> {
    let changed = run(
        conn,
        "UPDATE accounts SET enabled = ?3 WHERE host = ?1 AND user = ?2 AND kind = 0",
        (host, user, enabled),
    )?;
    match changed {
        0 => Err(Error::NotFound.into()),
        _ => Ok(()),
    }
}

fn delete(conn: &Connection, known: &mut Known, host: &str, user: &str) -> Result<(), Fault> {
    let id = find_parts(conn, host, user)?.ok_or(Error::NotFound)?;
    known.forget_account(&bare(host, user));
    remove(conn, id)?;
    super::pubsub::forget(conn, &bare(host, user))?;
    run(
        conn,
        "DELETE FROM invites WHERE created_by = ?1 || '@' || ?2",
        (user, host),
    )?;
    Ok(())
}

/// What [`parts`] takes apart.
fn bare(host: &str, user: &str) -> String {
    match user {
        "" => host.to_owned(),
        _ => [user, "@", host].concat(),
    }
}

/// Deletes an account, a room or a service. The writer forgets the number by itself.
pub(super) fn remove(conn: &Connection, id: i64) -> Result<(), Fault> {
    // The keys go with it at once (foreign key), the rest in slices.
    run(conn, "DELETE FROM accounts WHERE id = ?1", [id])?;
    // Retention would take it for one of the host's archives.
    run(
        conn,
        "DELETE FROM archive_totals WHERE account_id = ?1",
        [id],
    )?;
    run(conn, "INSERT INTO deleted_accounts (id) VALUES (?1)", [id])?;
    Ok(())
}

fn key(row: &Row<'_>, at: usize) -> rusqlite::Result<ScramKey> {
    let name = row.get_ref(at)?.as_str()?;
    Ok(ScramKey {
        hash: HashName::parse(name).ok_or_else(|| unknown_word(at, name))?,
        salt: row.get(at + 1)?,
        iterations: row.get(at + 2)?,
        stored_key: row.get(at + 3)?,
        server_key: row.get(at + 4)?,
    })
}

/// A key of an outer join: `None` where there is none.
fn key_if_any(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<ScramKey>> {
    match row.get_ref(at)?.data_type() {
        Type::Null => Ok(None),
        _ => key(row, at).map(Some),
    }
}

fn get(conn: &Connection, host: &str, user: &str) -> Result<Option<Account>, Fault> {
    let rows = all(
        conn,
        "SELECT enabled, created, k.hash, k.salt, k.iterations, k.stored_key, k.server_key
         FROM accounts LEFT JOIN scram_keys k ON k.account_id = id
         WHERE host = ?1 AND user = ?2 AND kind = 0 ORDER BY k.hash",
        (host, user),
        |row| Ok((row.get(0)?, row.get(1)?, key_if_any(row, 2)?)),
    )?;
    let mut account = None;
    for (enabled, created, key) in rows {
        let account = account.get_or_insert_with(|| Account {
            enabled,
            created,
            keys: Vec::new(),
        });
        account.keys.extend(key);
    }
    Ok(account)
}

fn credentials(
    conn: &Connection,
    host: &str,
    user: &str,
    hash: HashName,
) -> Result<Option<Credentials>, Fault> {
    one(
        conn,
        "SELECT enabled, k.hash, k.salt, k.iterations, k.stored_key, k.server_key
         FROM accounts LEFT JOIN scram_keys k ON k.account_id = id AND k.hash = ?3
         WHERE host = ?1 AND user = ?2 AND kind = 0",
        (host, user, hash.as_str()),
        |row| {
            Ok(Credentials {
                enabled: row.get(0)?,
                key: key_if_any(row, 1)?,
            })
        },
    )
}

fn list(
    conn: &Connection,
    host: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<AccountEntry>, Fault> {
    // No localpart is empty, so all come after "".
    all(
        conn,
        "SELECT user, enabled, created FROM accounts
         WHERE host = ?1 AND user > ?2 AND kind = 0 ORDER BY user LIMIT ?3",
        (host, after.unwrap_or(""), limit),
        |row| {
            Ok(AccountEntry {
                user: row.get(0)?,
                enabled: row.get(1)?,
                created: row.get(2)?,
            })
        },
    )
}

/// Looks at about a thousand accounts at equal distances, as a look at all would push everything
/// else out of the cache.
fn iterations(conn: &Connection, host: &str) -> Result<Vec<KeyCount>, Fault> {
    all(
        conn,
        "WITH RECURSIVE
             span (step, last) AS (SELECT max(1, max(id) / 1000), max(id) FROM accounts),
             sample (id) AS (SELECT last FROM span UNION ALL
                 SELECT sample.id - step FROM sample, span WHERE sample.id > step)
         SELECT k.hash, k.iterations, count(*)
         FROM sample JOIN accounts a ON a.id = sample.id
             JOIN scram_keys k ON k.account_id = a.id
         WHERE a.host = ?1 GROUP BY k.hash, k.iterations ORDER BY k.hash, k.iterations",
        [host],
        |row| {
            let name = row.get_ref(0)?.as_str()?;
            Ok(KeyCount {
                hash: HashName::parse(name).ok_or_else(|| unknown_word(0, name))?,
                iterations: row.get(1)?,
                accounts: row.get(2)?,
            })
        },
    )
}

/// Counts two indexes: to look whether each row is an account would read all of them.
fn count(conn: &Connection, host: &str) -> Result<u64, Fault> {
    let count = one(
        conn,
        "SELECT (SELECT count(*) FROM accounts WHERE host = ?1)
             - (SELECT count(*) FROM accounts WHERE host = ?1 AND kind <> 0)",
        [host],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

impl Accounts for SqliteStore {
    fn get(&self, host: &str, user: &str) -> BoxFuture<'_, Result<Option<Account>>> {
        let (host, user) = (host.to_owned(), user.to_owned());
        self.read(move |conn| get(conn, &host, &user))
    }

    fn keys(
        &self,
        host: &str,
        user: &str,
        hash: HashName,
    ) -> BoxFuture<'_, Result<Option<Credentials>>> {
        let (host, user) = (host.to_owned(), user.to_owned());
        self.read(move |conn| credentials(conn, &host, &user, hash))
    }

    fn iterations(&self, host: &str) -> BoxFuture<'_, Result<Vec<KeyCount>>> {
        let host = host.to_owned();
        self.read(move |conn| iterations(conn, &host))
    }

    fn exists(&self, host: &str, user: &str) -> BoxFuture<'_, Result<bool>> {
        let (host, user) = (host.to_owned(), user.to_owned());
        self.read(move |conn| Ok(find_account(conn, &host, &user)?.is_some()))
    }

    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<AccountEntry>>> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        self.read(move |conn| list(conn, &host, after.as_deref(), limit))
    }

    fn count(&self, host: &str) -> BoxFuture<'_, Result<u64>> {
        let host = host.to_owned();
        self.read(move |conn| count(conn, &host))
    }
}
