//! Reads of archives: what is in the index first, then what is not in it yet, which is newer.

use rusqlite::{Connection, Row};

use super::party::{With, number};
use super::recent::{Entry, last_indexed};
use crate::sqlite::accounts::find;
use crate::sqlite::fault::Fault;
use crate::sqlite::known::Archives;
use crate::sqlite::statement::{one, snapshot, walk};
use crate::{
    ArchiveBounds, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveRequest,
    ArchivedMessage, Error, Stored,
};

/// How many entries are looked at to count what a filter lets through: about as many as can be
/// in the time that the page itself takes.
const COUNTED: u64 = 2_000;

pub(super) fn page(
    conn: &Connection,
    shared: &Archives,
    account: &str,
    request: &ArchiveRequest,
) -> Result<ArchivePage, Fault> {
    view(conn, shared, account, |view| view.page(request))
}

pub(super) fn bounds(
    conn: &Connection,
    shared: &Archives,
    account: &str,
) -> Result<Option<ArchiveBounds>, Fault> {
    view(conn, shared, account, |view| view.bounds())
}

/// One state of one archive, while `read` runs. That of nobody is empty.
fn view<T>(
    conn: &Connection,
    shared: &Archives,
    account: &str,
    read: impl FnOnce(View<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let id = find(conn, account)?;
    // In this order: what leaves the list meanwhile is in the index that is looked at then.
    let mut recent = id.map(|id| shared.recent.of(id)).unwrap_or_default();
    snapshot(conn, || {
        let same = find(conn, account)? == id;
        // No account has the number 0.
        let archive = id.filter(|_| same).unwrap_or(0);
        let indexed = last_indexed(conn, archive)?;
        recent.retain(|entry| same && entry.seq > indexed);
        read(View {
            conn,
            shared,
            archive,
            indexed,
            recent,
        })
    })
}

struct View<'a> {
    conn: &'a Connection,
    shared: &'a Archives,
    /// The number of the account.
    archive: i64,
    /// The last message in the index; 0: none is.
    indexed: i64,
    /// What is not in it.
    recent: Vec<Entry>,
}

/// Between two places, both excluded.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Range {
    above: i64,
    below: i64,
}

/// Places begin with 1.
const EVERYWHERE: Range = Range {
    above: 0,
    below: i64::MAX,
};

impl Range {
    fn has(self, seq: i64) -> bool {
        self.above < seq && seq < self.below
    }

    fn is_all(&self) -> bool {
        *self == EVERYWHERE
    }

    fn above(&mut self, seq: i64) {
        self.above = self.above.max(seq);
    }

    fn below(&mut self, seq: i64) {
        self.below = self.below.min(seq);
    }
}

/// What is gathered for a page: one more than is wanted, to know whether there is more.
struct Found {
    messages: Vec<ArchivedMessage>,
    limit: usize,
    more: bool,
}

impl View<'_> {
    fn page(mut self, request: &ArchiveRequest) -> Result<ArchivePage, Fault> {
        let filter = &request.filter;
        let with = filter.with.as_deref().map_or_else(With::anybody, With::jid);
        let mut range = self.range(filter)?;
        if !filter.ids.is_empty() {
            self.only(&filter.ids)?;
        }
        let count = self.count(range, filter.with.is_some().then_some(&with))?;
        let forward = match request.place {
            ArchivePlace::First => true,
            ArchivePlace::Last => false,
            ArchivePlace::After(id) => {
                range.above(self.seq(id)?);
                true
            }
            ArchivePlace::Before(id) => {
                range.below(self.seq(id)?);
                false
            }
        };
        let found = self.gather(range, &with, forward, request.limit)?;
        Ok(ArchivePage {
            messages: found.messages,
            complete: !found.more,
            count,
        })
    }

    /// The place of a message that this archive has.
    fn seq(&self, id: ArchiveId) -> Result<i64, Fault> {
        let seq = self.shared.ids.seq(self.archive, id);
        let seq = seq.ok_or(Error::NotFound)?;
        one(
            self.conn,
            "SELECT seq FROM archive WHERE seq = ?1 AND account_id = ?2",
            (seq, self.archive),
            |row| row.get(0),
        )?
        .ok_or(Fault::Refused(Error::NotFound))
    }

    fn range(&self, filter: &ArchiveFilter) -> Result<Range, Fault> {
        let mut range = EVERYWHERE;
        if let Some(id) = filter.after {
            range.above(self.seq(id)?);
        }
        if let Some(id) = filter.before {
            range.below(self.seq(id)?);
        }
        if let Some(start) = filter.start {
            range.above(self.first_at(start)? - 1);
        }
        if let Some(end) = filter.end.and_then(|end| end.checked_add(1)) {
            range.below(self.first_at(end)?);
        }
        Ok(range)
    }

    /// A place so that all messages of the archive from there on, and none before, were received
    /// at this time or later. Time never runs backwards in the archive of all, so that it can be
    /// halved until the place is found.
    fn first_at(&self, time: i64) -> Result<i64, Fault> {
        let first = one(
            self.conn,
            "SELECT seq FROM archive_index WHERE account_id = ?1 ORDER BY seq LIMIT 1",
            [self.archive],
            |row| row.get(0),
        )?;
        let first = first.or(self.recent.first().map(|entry| entry.seq));
        let last = self.recent.last().map_or(self.indexed, |entry| entry.seq);
        // All up to `early` are too early, all from `late` on are not.
        let (mut early, mut late) = (first.unwrap_or(1) - 1, last + 1);
        while late - early > 1 {
            let middle = early + (late - early) / 2;
            let at: Option<(i64, i64)> = one(
                self.conn,
                "SELECT seq, received_at FROM archive WHERE seq >= ?1 ORDER BY seq LIMIT 1",
                [middle],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            match at {
                Some((seq, at)) if at < time && seq < late => early = seq,
                _ => late = middle,
            }
        }
        Ok(late)
    }

    /// From here on these are the archive.
    fn only(&mut self, ids: &[ArchiveId]) -> Result<(), Fault> {
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let seq = self.seq(*id)?;
            let party = one(
                self.conn,
                "SELECT peer FROM archive WHERE seq = ?1",
                [seq],
                |row| Ok(number(row.get_ref(0)?.as_str()?)),
            )?;
            entries.extend(party.map(|party| Entry {
                seq,
                party,
                size: 0,
                incoming: false,
            }));
        }
        entries.sort_unstable_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        self.recent = entries;
        self.indexed = 0;
        Ok(())
    }

    /// How many there are, if that is cheap to know.
    fn count(&self, range: Range, with: Option<&With>) -> Result<Option<u64>, Fault> {
        let anybody = With::anybody();
        let who = with.unwrap_or(&anybody);
        let recent = self.recent.iter();
        let recent = recent.filter(|entry| range.has(entry.seq) && who.may_be(entry.party));
        let recent = recent.count() as u64;
        if self.indexed == 0 {
            return Ok(Some(recent));
        }
        if range.is_all() && with.is_none() {
            let total: Option<u64> = one(
                self.conn,
                "SELECT row_count FROM archive_totals WHERE account_id = ?1",
                [self.archive],
                |row| row.get(0),
            )?;
            return Ok(Some(total.unwrap_or(0) + recent));
        }
        let within = (self.archive, range.above, range.below);
        // Passing rows by is several times as fast as to look at them.
        let too_many: Option<i64> = one(
            self.conn,
            "SELECT seq FROM archive_index WHERE account_id = ?1 AND seq > ?2 AND seq < ?3
             LIMIT 1 OFFSET ?4",
            (within.0, within.1, within.2, COUNTED),
            |row| row.get(0),
        )?;
        if too_many.is_some() {
            return Ok(None);
        }
        let count: Option<u64> = one(
            self.conn,
            "SELECT count(*) FROM archive_index WHERE account_id = ?1 AND seq > ?2 AND seq < ?3
                 AND party BETWEEN ?4 AND ?5",
            (within.0, within.1, within.2, who.least, who.most),
            |row| row.get(0),
        )?;
        Ok(count.map(|count| count + recent))
    }

    /// The messages next to one end of the range.
    fn gather(&self, range: Range, with: &With, forward: bool, limit: u32) -> Result<Found, Fault> {
        let mut found = Found {
            messages: Vec::new(),
            limit: limit as usize,
            more: false,
        };
        match forward {
            true => {
                self.take_indexed(range, with, true, &mut found)?;
                self.take_recent(self.recent.iter(), range, with, &mut found)?;
            }
            false => {
                self.take_recent(self.recent.iter().rev(), range, with, &mut found)?;
                self.take_indexed(range, with, false, &mut found)?;
                found.messages.reverse();
            }
        }
        Ok(found)
    }

    fn take_indexed(
        &self,
        range: Range,
        with: &With,
        forward: bool,
        found: &mut Found,
    ) -> Result<(), Fault> {
        if self.indexed == 0 || found.more {
            return Ok(());
        }
        let sql = match forward {
            true => {
                "SELECT i.seq, m.received_at, m.format, m.peer, m.stanza
                 FROM archive_index i CROSS JOIN archive m ON m.seq = i.seq
                 WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
                     AND i.party BETWEEN ?4 AND ?5
                 ORDER BY i.seq"
            }
            false => {
                "SELECT i.seq, m.received_at, m.format, m.peer, m.stanza
                 FROM archive_index i CROSS JOIN archive m ON m.seq = i.seq
                 WHERE i.account_id = ?1 AND i.seq > ?2 AND i.seq < ?3
                     AND i.party BETWEEN ?4 AND ?5
                 ORDER BY i.seq DESC"
            }
        };
        let params = (
            self.archive,
            range.above,
            range.below,
            with.least,
            with.most,
        );
        walk(self.conn, sql, params, |row| self.take(row, with, found))
    }

    fn take_recent<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        range: Range,
        with: &With,
        found: &mut Found,
    ) -> Result<(), Fault> {
        let meant = entries.filter(|entry| range.has(entry.seq) && with.may_be(entry.party));
        for entry in meant {
            if found.more {
                break;
            }
            one(
                self.conn,
                "SELECT seq, received_at, format, peer, stanza FROM archive WHERE seq = ?1",
                [entry.seq],
                |row| self.take(row, with, found),
            )?;
        }
        Ok(())
    }

    /// Takes a row, if the filter means it; whether more are wanted.
    fn take(&self, row: &Row<'_>, with: &With, found: &mut Found) -> rusqlite::Result<bool> {
        if !with.is(row.get_ref(3)?.as_str()?) {
            return Ok(true);
        }
        if found.messages.len() == found.limit {
            found.more = true;
            return Ok(false);
        }
        found.messages.push(ArchivedMessage {
            id: self.shared.ids.id(self.archive, row.get(0)?),
            received_at: row.get(1)?,
            stanza: Stored {
                format: row.get(2)?,
                bytes: row.get(4)?,
            },
        });
        Ok(true)
    }

    fn bounds(&self) -> Result<Option<ArchiveBounds>, Fault> {
        let end = |forward| {
            let found = self.gather(EVERYWHERE, &With::anybody(), forward, 1)?;
            let message = found.messages.first();
            Ok::<_, Fault>(message.map(|message| (message.id, message.received_at)))
        };
        let ends = end(true)?.zip(end(false)?);
        Ok(ends.map(|(first, last)| ArchiveBounds { first, last }))
    }
}
