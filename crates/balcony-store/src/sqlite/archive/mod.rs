//! Archives of messages.
//!
//! A commit appends to the table `archive`, which is in the order of the commits, and that is all:
//! with an index entry for each row it would write a page for each account. What is not in the
//! index yet is remembered by the process (`recent`), and is brought into the index in large lots,
//! in the order of the accounts (`moving`). A reader takes both together (`page`).

mod moving;
mod page;
mod party;
mod push;
mod recent;
mod retention;
mod retract;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, Row};

pub(super) use self::moving::{Moved, Moving, index};
pub(super) use self::push::size;
pub(super) use self::recent::{Entry, Recent};
pub(super) use self::retention::keep_the_end;
use super::SqliteStore;
use super::accounts::{find, require};
use super::apply::misplaced;
use super::fault::Fault;
use super::known::Known;
use super::netstrings;
use super::statement::{one, run, unknown_word};
use crate::{
    Archive, ArchiveBounds, ArchiveDefault, ArchivePage, ArchivePrefs, ArchiveRequest, BoxFuture,
    Result, Write,
};

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ArchivePush { account, entry } => push::push(conn, known, account, entry),
        Write::ArchiveDelivered { account, id } => push::delivered(conn, known, account, *id),
        Write::TakeUp => push::take_up(conn, known),
        Write::LayDown => push::lay_down(conn),
        Write::ArchiveRetract { .. } => retract::apply(conn, known, write),
        Write::ArchiveReplace {
            account,
            id,
            tombstone,
        } => retract::by_id(conn, known, (account, *id), tombstone),
        Write::ArchiveExpire { .. } | Write::ArchiveTrim { .. } => {
            retention::apply(conn, known, write)
        }
        Write::ArchivePrefsSet { account, prefs } => {
            set_prefs(conn, require(conn, account)?, prefs)
        }
        _ => Err(misplaced()),
    }
}

fn set_prefs(conn: &Connection, id: i64, prefs: &ArchivePrefs) -> Result<(), Fault> {
    run(
        conn,
        "INSERT OR REPLACE INTO archive_prefs (account_id, others, always, never)
         VALUES (?1, ?2, ?3, ?4)",
        (
            id,
            word(prefs.default),
            netstrings::encode(&prefs.always),
            netstrings::encode(&prefs.never),
        ),
    )?;
    Ok(())
}

fn prefs(conn: &Connection, account: &str) -> Result<Option<ArchivePrefs>, Fault> {
    let Some(id) = find(conn, account)? else {
        return Ok(None);
    };
    one(
        conn,
        "SELECT others, always, never FROM archive_prefs WHERE account_id = ?1",
        [id],
        |row| {
            let others = row.get_ref(0)?.as_str()?;
            Ok(ArchivePrefs {
                default: default(others).ok_or_else(|| unknown_word(0, others))?,
                always: list(row, 1)?,
                never: list(row, 2)?,
            })
        },
    )
}

fn list(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<String>> {
    let text = row.get_ref(at)?.as_str()?;
    netstrings::decode(text).ok_or_else(|| unknown_word(at, text))
}

fn word(default: ArchiveDefault) -> &'static str {
    match default {
        ArchiveDefault::Always => "always",
        ArchiveDefault::Never => "never",
        ArchiveDefault::Roster => "roster",
    }
}

fn default(word: &str) -> Option<ArchiveDefault> {
    match word {
        "always" => Some(ArchiveDefault::Always),
        "never" => Some(ArchiveDefault::Never),
        "roster" => Some(ArchiveDefault::Roster),
        _ => None,
    }
}

impl Archive for SqliteStore {
    fn page(&self, account: &str, request: ArchiveRequest) -> BoxFuture<'_, Result<ArchivePage>> {
        let (account, shared) = (account.to_owned(), self.archives.clone());
        self.read(move |conn| page::page(conn, &shared, &account, &request))
    }

    fn bounds(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchiveBounds>>> {
        let (account, shared) = (account.to_owned(), self.archives.clone());
        self.read(move |conn| page::bounds(conn, &shared, &account))
    }

    fn prefs(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchivePrefs>>> {
        let account = account.to_owned();
        self.read(move |conn| prefs(conn, &account))
    }
}
