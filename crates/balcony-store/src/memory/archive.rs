use std::sync::Arc;

use super::MemoryStore;
use super::tables::{AccountData, Tables};
use crate::kinds::archive::{RETRACT_AMONG, RETRACT_WITHIN, is_party};
use crate::{
    Archive, ArchiveBounds, ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace,
    ArchivePrefs, ArchiveRequest, ArchivedMessage, BoxFuture, Error, OfflineRow, Result, Stored,
    Waiting, Write,
};

/// The archive of one account.
#[derive(Clone, Default)]
pub(super) struct ArchiveData {
    rows: Vec<Arc<Row>>,
    prefs: Option<ArchivePrefs>,
    /// Up to which row what came was taken.
    delivered: i64,
}

/// A message of an archive.
#[derive(Clone)]
struct Row {
    seq: i64,
    id: ArchiveId,
    received_at: i64,
    entry: ArchiveEntry,
}

impl Row {
    fn author<'a>(&'a self, account: &'a str) -> &'a str {
        match self.entry.incoming {
            true => &self.entry.with,
            false => account,
        }
    }

    fn is_with(&self, with: &str) -> bool {
        is_party(&self.entry.with, with)
    }

    fn size(&self) -> u64 {
        self.entry.stanza.bytes.len() as u64
    }

    fn message(&self) -> ArchivedMessage {
        ArchivedMessage {
            id: self.id,
            received_at: self.received_at,
            stanza: self.entry.stanza.clone(),
        }
    }
}

impl ArchiveData {
    fn find(&self, id: ArchiveId) -> Option<&Arc<Row>> {
        self.rows.iter().find(|row| row.id == id)
    }

    fn seq(&self, id: ArchiveId) -> Result<i64> {
        Ok(self.find(id).ok_or(Error::NotFound)?.seq)
    }

    /// What the filter lets through.
    fn filtered(&self, filter: &ArchiveFilter) -> Result<Vec<&Arc<Row>>> {
        let after = filter.after.map(|id| self.seq(id)).transpose()?;
        let before = filter.before.map(|id| self.seq(id)).transpose()?;
        for id in &filter.ids {
            self.seq(*id)?;
        }
        let rows = self.rows.iter().filter(|row| {
            filter.with.as_ref().is_none_or(|with| row.is_with(with))
                && filter.start.is_none_or(|start| row.received_at >= start)
                && filter.end.is_none_or(|end| row.received_at <= end)
                && after.is_none_or(|after| row.seq > after)
                && before.is_none_or(|before| row.seq < before)
                && (filter.ids.is_empty() || filter.ids.contains(&row.id))
        });
        Ok(rows.collect())
    }

    fn page(&self, request: &ArchiveRequest) -> Result<ArchivePage> {
        let rows = self.filtered(&request.filter)?;
        let limit = request.limit as usize;
        let (forward, behind) = match request.place {
            ArchivePlace::First => (true, 0),
            ArchivePlace::After(id) => {
                let seq = self.seq(id)?;
                (true, rows.partition_point(|row| row.seq <= seq))
            }
            ArchivePlace::Last => (false, rows.len()),
            ArchivePlace::Before(id) => {
                let seq = self.seq(id)?;
                (false, rows.partition_point(|row| row.seq < seq))
            }
        };
        let range = match forward {
            true => behind..rows.len().min(behind.saturating_add(limit)),
            false => behind.saturating_sub(limit)..behind,
        };
        let complete = match forward {
            true => range.end == rows.len(),
            false => range.start == 0,
        };
        let messages = rows.get(range).unwrap_or_default();
        Ok(ArchivePage {
            messages: messages.iter().map(|row| row.message()).collect(),
            complete,
            count: Some(rows.len() as u64),
        })
    }

    fn bounds(&self) -> Option<ArchiveBounds> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        Some(ArchiveBounds {
            first: (first.id, first.received_at),
            last: (last.id, last.received_at),
        })
    }

    fn retract(
        &mut self,
        (account, with): (&str, &str),
        sender: &str,
        message_id: &str,
        tombstone: &Stored,
    ) {
        let lately = self.rows.iter_mut().rev().take(RETRACT_WITHIN);
        let theirs = lately.filter(|row| row.is_with(with));
        let meant = theirs.take(RETRACT_AMONG).find(|row| {
            row.entry.message_id.as_deref() == Some(message_id)
                && is_party(row.author(account), sender)
        });
        if let Some(row) = meant {
            Arc::make_mut(row).entry.stanza = tombstone.clone();
        }
    }

    fn size(&self) -> u64 {
        self.rows.iter().map(|row| row.size()).sum()
    }
}

impl AccountData {
    pub(super) fn apply_archive(&mut self, write: &Write) {
        match write {
            Write::ArchiveRetract {
                account,
                with,
                sender,
                message_id,
                tombstone,
            } => {
                // One's own messages to oneself came, too.
                self.archive
                    .retract((account, with), sender, message_id, tombstone);
            }
            Write::ArchivePrefsSet { prefs, .. } => self.archive.prefs = Some(prefs.clone()),
            _ => {}
        }
    }

    pub(super) fn archive_replace(&mut self, id: ArchiveId, tombstone: &Stored) -> Result<()> {
        let mut rows = self.archive.rows.iter_mut();
        let row = rows.find(|row| row.id == id).ok_or(Error::NotFound)?;
        Arc::make_mut(row).entry.stanza = tombstone.clone();
        Ok(())
    }

    pub(super) fn archive_delivered(&mut self, seq: i64) {
        self.archive.delivered = self.archive.delivered.max(seq);
    }

    /// The stanza of an archived message. `None`: it is gone.
    pub(super) fn archived(&self, id: ArchiveId) -> Option<Stored> {
        Some(self.archive.find(id)?.entry.stanza.clone())
    }

    /// What a row of the offline queue says now; `None` when retention took its message.
    pub(super) fn offline_row(&self, row: &OfflineRow) -> Option<OfflineRow> {
        let Some(id) = row.archived else {
            return Some(row.clone());
        };
        Some(OfflineRow {
            stanza: self.archived(id)?,
            ..row.clone()
        })
    }

    /// What came behind the mark and is not in the offline queue.
    pub(super) fn undelivered(&self) -> Vec<(i64, ArchiveId)> {
        let rows = self.archive.rows.iter();
        rows.filter(|row| row.entry.incoming && row.seq > self.archive.delivered)
            .filter(|row| {
                self.offline
                    .iter()
                    .all(|wait| wait.archived != Some(row.id))
            })
            .map(|row| (row.received_at, row.id))
            .collect()
    }
}

impl Tables {
    pub(super) fn archive_push(
        &mut self,
        account: &str,
        entry: &ArchiveEntry,
    ) -> Result<ArchiveId> {
        let received_at = self.stamp(entry.received_at);
        let seq = self.new_archive_seq();
        let number = self.account(account).ok_or(Error::NotFound)?.number;
        let id = self.ids.id(number, seq);
        self.change(account)?.archive.rows.push(Arc::new(Row {
            seq,
            id,
            received_at,
            entry: entry.clone(),
        }));
        Ok(id)
    }

    /// Deletes those of the `oldest` archived messages of a host that were received before.
    pub(super) fn archive_expire(&mut self, host: &str, before: i64, oldest: u32) {
        let mut rows: Vec<(i64, i64)> = self
            .accounts_of(host)
            .flat_map(|account| &account.archive.rows)
            .map(|row| (row.seq, row.received_at))
            .collect();
        rows.sort_unstable();
        let old = rows.into_iter().take(oldest as usize);
        let gone: Vec<i64> = old
            .filter(|(_, at)| *at < before)
            .map(|(seq, _)| seq)
            .collect();
        self.change_all(host, |account| {
            account.archive.rows.retain(|row| !gone.contains(&row.seq));
        });
    }

    /// Deletes the oldest messages of archives that are too large.
    pub(super) fn archive_trim(&mut self, host: &str, max_bytes: u64, rows: u32) {
        let mut left = rows;
        self.change_all(host, |account| {
            while left > 0 && account.archive.size() > max_bytes {
                account.archive.rows.remove(0);
                left -= 1;
            }
        });
    }

    /// Where a new row of the offline queue has its stanza. `None`: it is gone.
    pub(super) fn waiting(
        &self,
        account: &AccountData,
        waiting: &Waiting,
    ) -> Result<Option<(Stored, Option<ArchiveId>)>> {
        let id = match waiting {
            Waiting::Stanza(stanza) => return Ok(Some((stanza.clone(), None))),
            Waiting::ArchivedNow => {
                let ids = self.archived.iter().rev().copied();
                let mut theirs = ids.filter(|id| self.ids.seq(account.number, *id).is_some());
                let nothing = || Error::Broken("nothing was archived".to_owned());
                theirs.next().ok_or_else(nothing)?
            }
            Waiting::Archived(id) => *id,
        };
        Ok(account.archived(id).map(|stanza| (stanza, Some(id))))
    }

    /// Notes up to where messages were delivered.
    pub(super) fn archive_delivered(&mut self, account: &str, id: ArchiveId) -> Result<()> {
        let number = self.account(account).ok_or(Error::NotFound)?.number;
        if let Some(seq) = self.ids.seq(number, id) {
            self.change(account)?.archive_delivered(seq);
        }
        Ok(())
    }

    /// After a crash what came behind the marks goes into the offline queues.
    pub(super) fn take_up(&mut self) {
        if self.set_laid_down(false) {
            return;
        }
        for name in self.names() {
            let account = self.named(&name).filter(|data| data.is_account());
            let rows = account.map(AccountData::undelivered);
            for (received_at, id) in rows.into_iter().flatten() {
                let seq = self.new_offline_seq();
                if let Ok(account) = self.change_named(&name)
                    && let Some(stanza) = account.archived(id)
                {
                    account.offline.push(OfflineRow {
                        seq,
                        received_at,
                        stanza,
                        archived: Some(id),
                    });
                }
            }
        }
    }
}

impl Archive for MemoryStore {
    fn page(&self, account: &str, request: ArchiveRequest) -> BoxFuture<'_, Result<ArchivePage>> {
        let page = self.read(|tables| match tables.account(account) {
            Some(account) => account.archive.page(&request),
            None => ArchiveData::default().page(&request),
        });
        Box::pin(async move { page.await? })
    }

    fn bounds(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchiveBounds>>> {
        self.read(|tables| tables.account(account)?.archive.bounds())
    }

    fn prefs(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchivePrefs>>> {
        self.read(|tables| tables.account(account)?.archive.prefs.clone())
    }
}
