use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::{self, Kind};
use super::apply::misplaced;
use super::fault::Fault;
use super::known::Known;
use super::statement::{all, one, run, snapshot, unknown_word};
use crate::{
    Affiliation, BoxFuture, Error, Result, RoomAffiliation, RoomData, RoomEntry, Rooms, Stored,
    Write,
};

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::RoomCreate {
            host,
            room,
            created,
            config,
        } => create(conn, (host, room), *created, config),
        Write::RoomConfigSet { room, config } => {
            run(
                conn,
                "UPDATE rooms SET format = ?2, config = ?3 WHERE account_id = ?1",
                (require(conn, room)?, config.format, &config.bytes),
            )?;
            Ok(())
        }
        Write::RoomSubjectSet { room, subject } => {
            let subject = subject.as_ref();
            run(
                conn,
                "UPDATE rooms SET subject_format = ?2, subject = ?3 WHERE account_id = ?1",
                (
                    require(conn, room)?,
                    subject.map(|subject| subject.format),
                    subject.map(|subject| &subject.bytes),
                ),
            )?;
            Ok(())
        }
        Write::RoomAffiliationSet {
            room,
            jid,
            affiliation,
            max,
        } => {
            let id = require(conn, room)?;
            match affiliation {
                Some(affiliation) => set_affiliation(conn, id, jid, affiliation, *max),
                None => remove_affiliation(conn, id, jid),
            }
        }
        Write::RoomDelete { room } => {
            let id = require(conn, room)?;
            known.forget_account(room);
            accounts::remove(conn, id)
        }
        _ => Err(misplaced()),
    }
}

/// The number of the room; NotFound when there is none.
fn require(conn: &Connection, room: &str) -> Result<i64, Fault> {
    Ok(accounts::find_kind(conn, room, Kind::Room)?.ok_or(Error::NotFound)?)
}

fn create(
    conn: &Connection,
    (host, room): (&str, &str),
    created: i64,
    config: &Stored,
) -> Result<(), Fault> {
    if accounts::find_parts(conn, host, room)?.is_some() {
        return Err(Error::Conflict("room").into());
    }
    let id = accounts::insert(conn, Kind::Room, (host, room), created)?;
    run(
        conn,
        "INSERT INTO rooms (account_id, format, config) VALUES (?1, ?2, ?3)",
        (id, config.format, &config.bytes),
    )?;
    Ok(())
}

fn set_affiliation(
    conn: &Connection,
    id: i64,
    jid: &str,
    new: &RoomAffiliation,
    max: u32,
) -> Result<(), Fault> {
    if let Some(nick) = &new.nick
        && is_taken(conn, id, jid, nick)?
    {
        return Err(Error::Conflict("nickname").into());
    }
    if !has_place(conn, id, jid, max)? {
        return Err(Error::Limit("affiliations").into());
    }
    run(
        conn,
        "INSERT OR REPLACE INTO room_affiliations (account_id, jid, affiliation, nick, reason)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, jid, new.affiliation.as_str(), &new.nick, &new.reason),
    )?;
    Ok(())
}

/// Whether a nickname is reserved for somebody else.
fn is_taken(conn: &Connection, id: i64, jid: &str, nick: &str) -> Result<bool, Fault> {
    let taken = one(
        conn,
        "SELECT 1 FROM room_affiliations WHERE account_id = ?1 AND nick = ?2 AND jid <> ?3",
        (id, nick, jid),
        |_| Ok(()),
    )?;
    Ok(taken.is_some())
}

/// Whether somebody is there already, or one more may be.
fn has_place(conn: &Connection, id: i64, jid: &str, max: u32) -> Result<bool, Fault> {
    let has = one(
        conn,
        "SELECT EXISTS (SELECT 1 FROM room_affiliations WHERE account_id = ?1 AND jid = ?2)
             OR (SELECT count(*) FROM room_affiliations WHERE account_id = ?1) < ?3",
        (id, jid, max),
        |row| row.get(0),
    )?;
    Ok(has.unwrap_or_default())
}

fn remove_affiliation(conn: &Connection, id: i64, jid: &str) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM room_affiliations WHERE account_id = ?1 AND jid = ?2",
        (id, jid),
    )?;
    Ok(())
}

fn get(conn: &Connection, room: &str) -> Result<Option<RoomData>, Fault> {
    let Some(id) = accounts::find_kind(conn, room, Kind::Room)? else {
        return Ok(None);
    };
    let data = one(
        conn,
        "SELECT a.created, r.format, r.config, r.subject_format, r.subject
         FROM rooms r JOIN accounts a ON a.id = r.account_id WHERE r.account_id = ?1",
        [id],
        |row| {
            let format: Option<u16> = row.get(3)?;
            let bytes: Option<Vec<u8>> = row.get(4)?;
            Ok(RoomData {
                created: row.get(0)?,
                config: stored(row, 1)?,
                subject: format
                    .zip(bytes)
                    .map(|(format, bytes)| Stored { format, bytes }),
                affiliations: Vec::new(),
            })
        },
    )?;
    let Some(data) = data else { return Ok(None) };
    let affiliations = all(
        conn,
        "SELECT jid, affiliation, nick, reason FROM room_affiliations
         WHERE account_id = ?1 ORDER BY jid",
        [id],
        |row| {
            let kept = RoomAffiliation {
                affiliation: affiliation(row, 1)?,
                nick: row.get(2)?,
                reason: row.get(3)?,
            };
            Ok((row.get(0)?, kept))
        },
    )?;
    Ok(Some(RoomData {
        affiliations,
        ..data
    }))
}

fn stored(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    Ok(Stored {
        format: row.get(at)?,
        bytes: row.get(at + 1)?,
    })
}

fn affiliation(row: &Row<'_>, at: usize) -> rusqlite::Result<Affiliation> {
    let word = row.get_ref(at)?.as_str()?;
    Affiliation::parse(word).ok_or_else(|| unknown_word(at, word))
}

fn list(
    conn: &Connection,
    host: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<RoomEntry>, Fault> {
    // No localpart is empty, so all come after "".
    all(
        conn,
        "SELECT a.user, a.created, r.format, r.config
         FROM accounts a CROSS JOIN rooms r ON r.account_id = a.id
         WHERE a.host = ?1 AND a.user > ?2 AND a.kind <> 0 ORDER BY a.user LIMIT ?3",
        (host, after.unwrap_or(""), limit),
        |row| {
            Ok(RoomEntry {
                room: row.get(0)?,
                created: row.get(1)?,
                config: stored(row, 2)?,
            })
        },
    )
}

fn owned_by(conn: &Connection, host: &str, jid: &str) -> Result<u32, Fault> {
    let count = one(
        conn,
        "SELECT count(*)
         FROM room_affiliations r CROSS JOIN accounts a ON a.id = r.account_id
         WHERE r.jid = ?1 AND r.affiliation = 'owner' AND a.host = ?2",
        (jid, host),
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

fn rooms_of(conn: &Connection, host: &str, jid: &str) -> Result<Vec<(String, Affiliation)>, Fault> {
    all(
        conn,
        "SELECT a.user, r.affiliation
         FROM room_affiliations r CROSS JOIN accounts a ON a.id = r.account_id
         WHERE r.jid = ?1 AND a.host = ?2 ORDER BY a.user",
        (jid, host),
        |row| Ok((row.get(0)?, affiliation(row, 1)?)),
    )
}

impl Rooms for SqliteStore {
    fn get(&self, room: &str) -> BoxFuture<'_, Result<Option<RoomData>>> {
        let room = room.to_owned();
        self.read(move |conn| snapshot(conn, || get(conn, &room)))
    }

    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RoomEntry>>> {
        let (host, after) = (host.to_owned(), after.map(str::to_owned));
        self.read(move |conn| list(conn, &host, after.as_deref(), limit))
    }

    fn owned_by(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<u32>> {
        let (host, jid) = (host.to_owned(), jid.to_owned());
        self.read(move |conn| owned_by(conn, &host, &jid))
    }

    fn rooms_of(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<Vec<(String, Affiliation)>>> {
        let (host, jid) = (host.to_owned(), jid.to_owned());
        self.read(move |conn| rooms_of(conn, &host, &jid))
    }
}
