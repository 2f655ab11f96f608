//! Reading archives: pages, ends, single messages.

use rusqlite::Connection;

use super::super::accounts::find;
use super::super::fault::Fault;
use super::super::statement::{all, one};
use super::peer_hash;
use crate::archive_id::ArchiveIds;
use crate::kinds::archive::{RETRACT_AMONG, RETRACT_WITHIN, is_party};
use crate::{
    ArchiveBounds, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveRequest,
    ArchivedMessage, Error, Stored,
};

/// Entries of an index that are counted for the sake of a number that is a courtesy: half a
/// millisecond. Where there are more, no count is given.
const COUNTED: i64 = 5_000;

/// An archive, as one query looks at it.
struct Look<'a> {
    conn: &'a Connection,
    key: &'a ArchiveIds,
    account: i64,
    /// Places that may be meant: between these two, neither included.
    after: i64,
    before: i64,
    with: Option<&'a str>,
}

/// An entry with the row that it stands for.
type Found = (i64, String, ArchivedMessage);

pub(super) fn page(
    conn: &Connection,
    key: &ArchiveIds,
    account: &str,
    request: &ArchiveRequest,
) -> Result<ArchivePage, Fault> {
    // One state of the database for all the reads.
    let transaction = conn.unchecked_transaction()?;
    let page = page_of(&transaction, key, account, request)?;
    transaction.commit()?;
    Ok(page)
}

fn page_of(
    conn: &Connection,
    key: &ArchiveIds,
    account: &str,
    request: &ArchiveRequest,
) -> Result<ArchivePage, Fault> {
    let filter = &request.filter;
    let account = find(conn, account)?.ok_or(Error::NotFound);
    let Ok(account) = account else {
        return empty(request);
    };
    let mut look = Look {
        conn,
        key,
        account,
        after: 0,
        before: i64::MAX,
        with: filter.with.as_deref(),
    };
    look.narrow(filter)?;
    if !filter.ids.is_empty() {
        return look.named(request);
    }
    let count = look.count(filter)?;
    let backwards = look.place(request.place)?;
    let limit = i64::from(request.limit);
    let mut messages = look.read(backwards, limit + 1)?;
    let complete = messages.len() <= request.limit as usize;
    messages.truncate(request.limit as usize);
    if backwards {
        messages.reverse();
    }
    Ok(ArchivePage {
        messages: messages.into_iter().map(|(.., message)| message).collect(),
        complete,
        count,
    })
}

/// Of an account that is not there.
fn empty(request: &ArchiveRequest) -> Result<ArchivePage, Fault> {
    let ArchiveFilter {
        after, before, ids, ..
    } = &request.filter;
    let placed = matches!(
        request.place,
        ArchivePlace::After(_) | ArchivePlace::Before(_)
    );
    if after.is_some() || before.is_some() || !ids.is_empty() || placed {
        return Err(Error::NotFound.into());
    }
    Ok(ArchivePage {
        messages: Vec::new(),
        complete: true,
        count: Some(0),
    })
}

impl Look<'_> {
    /// The place of a message of this archive.
    fn seq(&self, id: ArchiveId) -> Result<i64, Fault> {
        let seq = self.key.seq(self.account, id).ok_or(Error::NotFound)?;
        let there = one(
            self.conn,
            "SELECT 1 FROM archive WHERE seq = ?1 AND account_id = ?2",
            (seq, self.account),
            |_| Ok(()),
        )?;
        there.ok_or(Error::NotFound)?;
        Ok(seq)
    }

    fn narrow(&mut self, filter: &ArchiveFilter) -> Result<(), Fault> {
        if let Some(id) = filter.after {
            self.after = self.after.max(self.seq(id)?);
        }
        if let Some(id) = filter.before {
            self.before = self.before.min(self.seq(id)?);
        }
        // Times grow with places, in all archives together.
        if let Some(start) = filter.start {
            self.after = self.after.max(first_since(self.conn, start)? - 1);
        }
        if let Some(end) = filter.end {
            let behind = first_since(self.conn, end.saturating_add(1))?;
            self.before = self.before.min(behind);
        }
        Ok(())
    }

    /// Narrows further to where the page stands; whether it is read from its end.
    fn place(&mut self, place: ArchivePlace) -> Result<bool, Fault> {
        Ok(match place {
            ArchivePlace::First => false,
            ArchivePlace::Last => true,
            ArchivePlace::After(id) => {
                self.after = self.after.max(self.seq(id)?);
                false
            }
            ArchivePlace::Before(id) => {
                self.before = self.before.min(self.seq(id)?);
                true
            }
        })
    }

    fn count(&self, filter: &ArchiveFilter) -> Result<Option<u64>, Fault> {
        if *filter == ArchiveFilter::default() {
            return self.total().map(Some);
        }
        let hash = self.with.map(peer_hash);
        if self.with.is_some_and(|with| with.contains('/')) {
            return Ok(None);
        }
        let counted: Option<i64> = one(
            self.conn,
            "SELECT count(*) FROM (
                 SELECT 1 FROM archive_recent WHERE account_id = ?1 AND seq > ?2 AND seq < ?3
                     AND (?4 IS NULL OR peer_hash = ?4)
                 UNION ALL
                 SELECT 1 FROM archive_index WHERE account_id = ?1 AND seq > ?2 AND seq < ?3
                     AND (?4 IS NULL OR peer_hash = ?4)
                 LIMIT ?5)",
            (self.account, self.after, self.before, hash, COUNTED + 1),
            |row| row.get(0),
        )?;
        let counted = counted.filter(|count| *count <= COUNTED);
        Ok(counted.and_then(|count| u64::try_from(count).ok()))
    }

    fn total(&self) -> Result<u64, Fault> {
        let indexed: Option<u64> = one(
            self.conn,
            "SELECT row_count FROM archive_totals WHERE account_id = ?1",
            [self.account],
            |row| row.get(0),
        )?;
        let recent: Option<u64> = one(
            self.conn,
            "SELECT count(*) FROM archive_recent WHERE account_id = ?1",
            [self.account],
            |row| row.get(0),
        )?;
        Ok(indexed.unwrap_or(0) + recent.unwrap_or(0))
    }

    /// Reads messages from one end. What stands in the small index is newer than the rest.
    fn read(&self, backwards: bool, limit: i64) -> Result<Vec<Found>, Fault> {
        let order: [&'static str; 2] = match backwards {
            true => [RECENT_BACKWARDS, INDEX_BACKWARDS],
            false => [INDEX_FORWARDS, RECENT_FORWARDS],
        };
        let hash = self.with.map(peer_hash);
        let full = self.with.filter(|with| with.contains('/'));
        let mut found = Vec::new();
        for sql in order {
            let left = limit - i64::try_from(found.len()).unwrap_or(limit);
            if left > 0 {
                found.extend(all(
                    self.conn,
                    sql,
                    (self.account, self.after, self.before, hash, full, left),
                    |row| self.found(row),
                )?);
            }
        }
        Ok(found)
    }

    fn found(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
        let seq = row.get(0)?;
        let message = ArchivedMessage {
            id: self.key.id(self.account, seq),
            received_at: row.get(1)?,
            stanza: Stored {
                format: row.get(3)?,
                bytes: row.get(4)?,
            },
        };
        Ok((seq, row.get(2)?, message))
    }

    /// Messages that are named one by one, as many as the caller lets through.
    fn named(&mut self, request: &ArchiveRequest) -> Result<ArchivePage, Fault> {
        let mut seqs = Vec::new();
        for id in &request.filter.ids {
            seqs.push(self.seq(*id)?);
        }
        seqs.sort_unstable();
        seqs.dedup();
        seqs.retain(|seq| *seq > self.after && *seq < self.before);
        let mut meant = Vec::new();
        for seq in seqs {
            let found = one(
                self.conn,
                "SELECT seq, received_at, peer, format, stanza FROM archive WHERE seq = ?1",
                [seq],
                |row| self.found(row),
            )?;
            meant.extend(found.filter(|(_, peer, _)| self.is_with(peer)));
        }
        let count = meant.len() as u64;
        let backwards = self.place(request.place)?;
        meant.retain(|(seq, ..)| *seq > self.after && *seq < self.before);
        let limit = request.limit as usize;
        let complete = meant.len() <= limit;
        if backwards {
            meant.drain(..meant.len().saturating_sub(limit));
        }
        meant.truncate(limit);
        Ok(ArchivePage {
            messages: meant.into_iter().map(|(.., message)| message).collect(),
            complete,
            count: Some(count),
        })
    }

    fn is_with(&self, peer: &str) -> bool {
        self.with.is_none_or(|with| is_party(peer, with))
    }
}

const RECENT_FORWARDS: &str = "SELECT i.seq, a.received_at, a.peer, a.format, a.stanza
     FROM archive_recent i CROSS JOIN archive a ON a.seq = i.seq
     WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
         AND (?4 IS NULL OR i.peer_hash = ?4) AND (?5 IS NULL OR a.peer = ?5)
     ORDER BY i.seq LIMIT ?6";
const INDEX_FORWARDS: &str = "SELECT i.seq, a.received_at, a.peer, a.format, a.stanza
     FROM archive_index i CROSS JOIN archive a ON a.seq = i.seq
     WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
         AND (?4 IS NULL OR i.peer_hash = ?4) AND (?5 IS NULL OR a.peer = ?5)
     ORDER BY i.seq LIMIT ?6";
const RECENT_BACKWARDS: &str = "SELECT i.seq, a.received_at, a.peer, a.format, a.stanza
     FROM archive_recent i CROSS JOIN archive a ON a.seq = i.seq
     WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
         AND (?4 IS NULL OR i.peer_hash = ?4) AND (?5 IS NULL OR a.peer = ?5)
     ORDER BY i.seq DESC LIMIT ?6";
const INDEX_BACKWARDS: &str = "SELECT i.seq, a.received_at, a.peer, a.format, a.stanza
     FROM archive_index i CROSS JOIN archive a ON a.seq = i.seq
     WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
         AND (?4 IS NULL OR i.peer_hash = ?4) AND (?5 IS NULL OR a.peer = ?5)
     ORDER BY i.seq DESC LIMIT ?6";

/// The place of the first message of any archive that was received at this time or later; behind
/// all of them when there is none. Halving, as times grow with places.
pub(super) fn first_since(conn: &Connection, time: i64) -> Result<i64, Fault> {
    let ends: Option<(Option<i64>, Option<i64>)> = one(
        conn,
        "SELECT (SELECT min(seq) FROM archive), (SELECT max(seq) FROM archive)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((Some(mut low), Some(last))) = ends else {
        return Ok(i64::MAX);
    };
    let mut high = last + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        // The next that is there.
        let found: Option<(i64, i64)> = one(
            conn,
            "SELECT seq, received_at FROM archive WHERE seq >= ?1 ORDER BY seq LIMIT 1",
            [middle],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        match found {
            Some((seq, at)) if at < time => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

pub(super) fn bounds(
    conn: &Connection,
    key: &ArchiveIds,
    account: &str,
) -> Result<Option<ArchiveBounds>, Fault> {
    let transaction = conn.unchecked_transaction()?;
    let Some(account) = find(conn, account)? else {
        return Ok(None);
    };
    let look = Look {
        conn: &transaction,
        key,
        account,
        after: 0,
        before: i64::MAX,
        with: None,
    };
    let end = |backwards| -> Result<Option<(ArchiveId, i64)>, Fault> {
        let first = look.read(backwards, 1)?.into_iter().next();
        Ok(first.map(|(.., message)| (message.id, message.received_at)))
    };
    let (first, last) = (end(false)?, end(true)?);
    Ok(first
        .zip(last)
        .map(|(first, last)| ArchiveBounds { first, last }))
}

/// The newest message with a party that has this id, and came (or did not) from the party.
pub(super) fn find_message(
    conn: &Connection,
    account: i64,
    with: &str,
    message_id: &str,
    incoming: bool,
) -> Result<Option<i64>, Fault> {
    one(
        conn,
        "SELECT a.seq FROM (
             SELECT seq FROM (
                 SELECT seq, peer_hash FROM (
                     SELECT seq, peer_hash FROM archive_recent WHERE account_id = ?1
                     UNION ALL
                     SELECT seq, peer_hash FROM archive_index WHERE account_id = ?1)
                 ORDER BY seq DESC LIMIT ?7)
             WHERE peer_hash = ?2 LIMIT ?6) i
         CROSS JOIN archive a ON a.seq = i.seq
         WHERE a.message_id = ?3 AND a.incoming = ?4
             AND (a.peer = ?5 OR substr(a.peer, 1, length(?5) + 1) = ?5 || '/')
         ORDER BY a.seq DESC LIMIT 1",
        (
            account,
            peer_hash(with),
            message_id,
            incoming,
            with,
            RETRACT_AMONG,
            RETRACT_WITHIN,
        ),
        |row| row.get(0),
    )
}
