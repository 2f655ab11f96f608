use std::collections::HashMap;

use parking_lot::RwLock;
use rusqlite::Connection;

use super::party;
use crate::sqlite::fault::Fault;
use crate::sqlite::statement::{one, walk};

/// What the index says of a message, or is going to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sqlite) struct Entry {
    /// Its place.
    pub(in crate::sqlite) seq: i64,
    /// The number of the other party.
    pub(in crate::sqlite) party: i64,
    /// Bytes of the stanza.
    pub(in crate::sqlite) size: u32,
    /// Whether it came for the account.
    pub(in crate::sqlite) incoming: bool,
}

/// The messages that are committed and not in the index yet, by account, in their order. The
/// writer changes it after its commits and before it tells anybody of them.
#[derive(Default)]
pub(in crate::sqlite) struct Recent(RwLock<Rows>);

#[derive(Default)]
struct Rows {
    by_account: HashMap<i64, Vec<Entry>>,
    len: usize,
}

impl Recent {
    /// Finds them in the database.
    pub(in crate::sqlite) fn load(conn: &Connection) -> Result<Recent, Fault> {
        let mut rows = Vec::new();
        walk(
            conn,
            "SELECT account_id, seq, peer, length(stanza), incoming FROM archive
             WHERE seq > (SELECT indexed FROM archive_state) ORDER BY seq",
            [],
            |row| {
                let entry = Entry {
                    seq: row.get(1)?,
                    party: party::number(row.get_ref(2)?.as_str()?),
                    size: row.get(3)?,
                    incoming: row.get(4)?,
                };
                rows.push((row.get(0)?, entry));
                Ok(true)
            },
        )?;
        // A lot may have been left half done: of each account a first part is in the index.
        let mut indexed = HashMap::new();
        for (account, _) in &rows {
            if !indexed.contains_key(account) {
                indexed.insert(*account, last_indexed(conn, *account)?);
            }
        }
        rows.retain(|(account, entry)| indexed.get(account).is_none_or(|last| entry.seq > *last));
        let recent = Recent::default();
        recent.add(&rows);
        Ok(recent)
    }

    /// How many there are.
    pub(in crate::sqlite) fn len(&self) -> usize {
        self.0.read().len
    }

    /// Those of an account.
    pub(in crate::sqlite) fn of(&self, account: i64) -> Vec<Entry> {
        let rows = self.0.read();
        rows.by_account.get(&account).cloned().unwrap_or_default()
    }

    /// The first of an account, up to a place.
    pub(in crate::sqlite) fn first(&self, account: i64, up_to: i64, limit: usize) -> Vec<Entry> {
        let rows = self.0.read();
        let entries = rows.by_account.get(&account).into_iter().flatten();
        let lot = entries.take_while(|entry| entry.seq <= up_to);
        lot.take(limit).copied().collect()
    }

    /// The accounts that have any.
    pub(in crate::sqlite) fn accounts(&self) -> Vec<i64> {
        self.0.read().by_account.keys().copied().collect()
    }

    /// More of them were committed.
    pub(in crate::sqlite) fn add(&self, fresh: &[(i64, Entry)]) {
        let mut rows = self.0.write();
        for (account, entry) in fresh {
            rows.by_account.entry(*account).or_default().push(*entry);
        }
        rows.len += fresh.len();
    }

    /// Those of an account up to this place are in the index now, or gone.
    pub(in crate::sqlite) fn remove(&self, account: i64, up_to: i64) {
        let mut rows = self.0.write();
        let Some(entries) = rows.by_account.get_mut(&account) else {
            return;
        };
        let done = entries.partition_point(|entry| entry.seq <= up_to);
        entries.drain(..done);
        if entries.is_empty() {
            rows.by_account.remove(&account);
        }
        rows.len -= done;
    }

    /// All of them are in the index.
    pub(in crate::sqlite) fn clear(&self) {
        *self.0.write() = Rows::default();
    }
}

/// The last message of an account that is in the index; 0: none is.
pub(super) fn last_indexed(conn: &Connection, account: i64) -> Result<i64, Fault> {
    let last = one(
        conn,
        "SELECT seq FROM archive_index WHERE account_id = ?1 ORDER BY seq DESC LIMIT 1",
        [account],
        |row| row.get(0),
    )?;
    Ok(last.unwrap_or(0))
}
