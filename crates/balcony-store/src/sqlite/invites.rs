use rusqlite::Connection;

use super::SqliteStore;
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{one, run};
use crate::{BoxFuture, Error, Invite, Invites, Result, Write};

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::InviteCreate { token_hash, invite } => create(conn, token_hash, invite),
        Write::InviteUse {
            token_hash,
            host,
            now,
        } => use_up(conn, token_hash, host, *now),
        Write::InviteRemove { token_hash } => {
            let sql = "DELETE FROM invites WHERE token_hash = ?1";
            run(conn, sql, [token_hash])?;
            Ok(())
        }
        Write::InvitesExpire { now } => {
            run(conn, "DELETE FROM invites WHERE expires_at <= ?1", [now])?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn create(conn: &Connection, token_hash: &[u8], invite: &Invite) -> Result<(), Fault> {
    let created = run(
        conn,
        "INSERT OR IGNORE INTO invites (token_hash, host, created_by, expires_at, uses)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            token_hash,
            &invite.host,
            &invite.created_by,
            invite.expires_at,
            invite.uses,
        ),
    )?;
    match created {
        0 => Err(Error::Conflict("invitation").into()),
        _ => Ok(()),
    }
}

fn use_up(conn: &Connection, token_hash: &[u8], host: &str, now: i64) -> Result<(), Fault> {
    let used = run(
        conn,
        "UPDATE invites SET uses = uses - 1
         WHERE token_hash = ?1 AND host = ?2 AND expires_at > ?3 AND uses > 0",
        (token_hash, host, now),
    )?;
    match used {
        0 => Err(Error::NotFound.into()),
        _ => Ok(()),
    }
}

fn get(conn: &Connection, token_hash: &[u8]) -> Result<Option<Invite>, Fault> {
    one(
        conn,
        "SELECT host, created_by, expires_at, uses FROM invites WHERE token_hash = ?1",
        [token_hash],
        |row| {
            Ok(Invite {
                host: row.get(0)?,
                created_by: row.get(1)?,
                expires_at: row.get(2)?,
                uses: row.get(3)?,
            })
        },
    )
}

impl Invites for SqliteStore {
    fn get(&self, token_hash: &[u8]) -> BoxFuture<'_, Result<Option<Invite>>> {
        let token_hash = token_hash.to_vec();
        self.read(move |conn| get(conn, &token_hash))
    }
}
