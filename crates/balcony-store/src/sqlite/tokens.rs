use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::{find, require_account};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, one, run};
use crate::{
    BoxFuture, ClientTokens, Error, Result, Token, TokenClient, TokenLogin, Tokens, Write,
};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ClientSeen {
            account,
            client,
            at,
            proved,
            max,
        } => {
            let id = require_account(conn, account)?;
            still_proves(conn, id, proved)?;
            let known = get(conn, id, &client.id)?;
            let mut tokens = known.unwrap_or_else(|| ClientTokens::first(client.clone(), *at));
            tokens.seen_with_password(client, *at);
            set(conn, id, &tokens)?;
            drop_surplus(conn, id, None, *max)
        }
        Write::TokenSet {
            account,
            client,
            token,
            at,
            proved,
            max,
        } => {
            let id = require_account(conn, account)?;
            if let Some(key) = proved {
                still_proves(conn, id, key)?;
            }
            let known = get(conn, id, &client.id)?;
            let mut tokens = known.unwrap_or_else(|| ClientTokens::first(client.clone(), *at));
            tokens.issue(client, token, *at, proved.is_some());
            set(conn, id, &tokens)?;
            drop_surplus(conn, id, Some(&client.id), *max)
        }
        Write::TokenUsed {
            account,
            client,
            secret,
            count,
            at,
        } => {
            let id = require_account(conn, account)?;
            let mut tokens = get(conn, id, &client.id)?.ok_or(Error::NotFound)?;
            tokens.use_token(client, secret, *count, *at)?;
            set(conn, id, &tokens)
        }
        Write::TokenRemove { account, client } => {
            let id = require_account(conn, account)?;
            let Some(mut tokens) = get(conn, id, client)? else {
                return Ok(());
            };
            if tokens.revoke() {
                set(conn, id, &tokens)
            } else {
                remove(conn, id, client)
            }
        }
        Write::TokensRemoveAll { account } => {
            let id = require_account(conn, account)?;
            run(conn, "DELETE FROM tokens WHERE account_id = ?1", [id])?;
            Ok(())
        }
        Write::TokensExpire { before, rows } => expire(conn, *before, *rows),
        _ => Err(misplaced()),
    }
}

/// NotFound unless the account may log in and has a key with this StoredKey.
fn still_proves(conn: &Connection, id: i64, stored_key: &[u8]) -> Result<(), Fault> {
    let found: Option<i64> = one(
        conn,
        "SELECT 1 FROM accounts JOIN scram_keys k ON k.account_id = id
         WHERE id = ?1 AND enabled AND k.stored_key = ?2",
        (id, stored_key),
        |row| row.get(0),
    )?;
    found.map(drop).ok_or_else(|| Error::NotFound.into())
}

fn remove(conn: &Connection, id: i64, client: &str) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM tokens WHERE account_id = ?1 AND client = ?2",
        (id, client),
    )?;
    Ok(())
}

fn set(conn: &Connection, id: i64, tokens: &ClientTokens) -> Result<(), Fault> {
    run(
        conn,
        "INSERT OR REPLACE INTO tokens
             (account_id, client, software, device, created, used, password)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            id,
            &tokens.client.id,
            &tokens.client.software,
            &tokens.client.device,
            tokens.created,
            tokens.used,
            tokens.password,
        ),
    )?;
    let place = (id, tokens.client.id.as_str());
    fill(
        conn,
        "UPDATE tokens SET mechanism = ?3, secret = ?4, issued = ?5, expires = ?6, count = ?7
         WHERE account_id = ?1 AND client = ?2",
        place,
        tokens.current.as_ref(),
    )?;
    fill(
        conn,
        "UPDATE tokens SET new_mechanism = ?3, new_secret = ?4, new_issued = ?5,
             new_expires = ?6, new_count = ?7
         WHERE account_id = ?1 AND client = ?2",
        place,
        tokens.new.as_ref(),
    )
}

fn fill(
    conn: &Connection,
    sql: &'static str,
    (id, client): (i64, &str),
    token: Option<&Token>,
) -> Result<(), Fault> {
    if let Some(token) = token {
        run(
            conn,
            sql,
            (
                id,
                client,
                &token.mechanism,
                &token.secret,
                token.created,
                token.expires,
                token.count,
            ),
        )?;
    }
    Ok(())
}

/// Those without a token go first, then those that were unused the longest, and never the new one.
fn drop_surplus(conn: &Connection, id: i64, new: Option<&str>, max: u32) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM tokens WHERE account_id = ?1 AND client IN
             (SELECT client FROM tokens WHERE account_id = ?1 AND client IS NOT ?2
              ORDER BY coalesce(secret, new_secret) IS NOT NULL, used, client
              LIMIT max(0, (SELECT count(*) FROM tokens WHERE account_id = ?1) - ?3))",
        (id, new, max),
    )?;
    Ok(())
}

fn expire(conn: &Connection, before: i64, rows: u32) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM tokens WHERE (account_id, client) IN
             (SELECT account_id, client FROM tokens WHERE used < ?1
              ORDER BY used, account_id, client LIMIT ?2)",
        (before, rows),
    )?;
    Ok(())
}

fn get(conn: &Connection, id: i64, client: &str) -> Result<Option<ClientTokens>, Fault> {
    one(
        conn,
        "SELECT client, software, device, created, used, password,
             mechanism, secret, issued, expires, count,
             new_mechanism, new_secret, new_issued, new_expires, new_count
         FROM tokens WHERE account_id = ?1 AND client = ?2",
        (id, client),
        |row| tokens(row, 0),
    )
}

fn tokens(row: &Row<'_>, at: usize) -> rusqlite::Result<ClientTokens> {
    Ok(ClientTokens {
        client: TokenClient {
            id: row.get(at)?,
            software: row.get(at + 1)?,
            device: row.get(at + 2)?,
        },
        created: row.get(at + 3)?,
        used: row.get(at + 4)?,
        password: row.get(at + 5)?,
        current: token(row, at + 6)?,
        new: token(row, at + 11)?,
    })
}

fn token(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Token>> {
    if row.get_ref(at)?.data_type() == Type::Null {
        return Ok(None);
    }
    Ok(Some(Token {
        mechanism: row.get(at)?,
        secret: row.get(at + 1)?,
        created: row.get(at + 2)?,
        expires: row.get(at + 3)?,
        count: row.get(at + 4)?,
    }))
}

fn login(conn: &Connection, account: &str, client: &str) -> Result<Option<TokenLogin>, Fault> {
    let Some((user, host)) = account.split_once('@') else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT enabled, client, software, device, t.created, used, password,
             mechanism, secret, issued, expires, count,
             new_mechanism, new_secret, new_issued, new_expires, new_count
         FROM accounts LEFT JOIN tokens t ON t.account_id = id AND t.client = ?3
         WHERE host = ?1 AND user = ?2 AND kind = 0",
        (host, user, client),
        |row| {
            let none = row.get_ref(1)?.data_type() == Type::Null;
            Ok(TokenLogin {
                enabled: row.get(0)?,
                tokens: (!none).then(|| tokens(row, 1)).transpose()?,
            })
        },
    )
}

fn list(conn: &Connection, account: &str) -> Result<Vec<ClientTokens>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT client, software, device, created, used, password,
             mechanism, secret, issued, expires, count,
             new_mechanism, new_secret, new_issued, new_expires, new_count
         FROM tokens WHERE account_id = ?1 ORDER BY client",
        [id],
        |row| tokens(row, 0),
    )
}

impl Tokens for SqliteStore {
    fn login(&self, account: &str, client: &str) -> BoxFuture<'_, Result<Option<TokenLogin>>> {
        let (account, client) = (account.to_owned(), client.to_owned());
        self.read(move |conn| login(conn, &account, &client))
    }

    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<ClientTokens>>> {
        let account = account.to_owned();
        self.read(move |conn| list(conn, &account))
    }
}
