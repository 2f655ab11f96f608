use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::archive::ArchiveData;
use super::pubsub::NodeRow;
use super::rooms::RoomRow;
use crate::archive_id::ArchiveIds;
use crate::{
    ArchiveId, ClientTokens, Committed, Error, HashName, Invite, LastSeenAt, OfflineRow, PendingIn,
    PushRegistration, RemoteRow, Result, RosterItem, ScramKey, Stored, StreamId, StreamRow, VCard,
    WriteSet,
};

/// Host and localpart.
pub(super) type Name = (String, String);

/// All data, and what undoes the set that is being applied.
pub(super) struct Tables {
    pub(super) ids: ArchiveIds,
    accounts: BTreeMap<Name, Arc<AccountData>>,
    invites: BTreeMap<Vec<u8>, Invite>,
    secrets: BTreeMap<String, Vec<u8>>,
    /// With the number of the account that each was made for.
    streams: BTreeMap<StreamId, (i64, StreamRow)>,
    remote: BTreeMap<i64, RemoteRow>,
    /// The last time stamp of any archive.
    stamp: i64,
    laid_down: bool,
    /// What the set that is being applied archived.
    pub(super) archived: SmallVec<[ArchiveId; 2]>,
    counters: Counters,
    undo: Vec<Undo>,
}

#[derive(Clone, Copy, Default)]
struct Counters {
    account: i64,
    offline: i64,
    archive: i64,
}

/// The state of a thing before the set touched it.
enum Undo {
    Account(Name, Option<Arc<AccountData>>),
    Invite(Vec<u8>, Option<Invite>),
    Secret(String),
    Stream(StreamId, Option<(i64, StreamRow)>),
    Remote(i64, Option<RemoteRow>),
    Stamp(i64),
    LaidDown(bool),
}

/// What has an archive and the like under its name.
#[derive(Clone, Default)]
pub(super) enum Kind {
    #[default]
    Account,
    Room(RoomRow),
    Service,
}

/// All that belongs to one account, room or service.
#[derive(Clone, Default)]
pub(super) struct AccountData {
    /// Never used twice.
    pub(super) number: i64,
    pub(super) kind: Kind,
    pub(super) created: i64,
    pub(super) enabled: bool,
    pub(super) keys: BTreeMap<HashName, ScramKey>,
    pub(super) roster: BTreeMap<String, RosterItem>,
    pub(super) version: u64,
    pub(super) horizon: u64,
    pub(super) removed: BTreeMap<u64, String>,
    pub(super) pending: BTreeMap<String, PendingIn>,
    pub(super) offline: Vec<OfflineRow>,
    pub(super) private: BTreeMap<(String, String), Stored>,
    pub(super) vcard: Option<VCard>,
    pub(super) blocked: BTreeSet<String>,
    pub(super) last: Option<LastSeenAt>,
    pub(super) push: BTreeMap<(String, String), PushRegistration>,
    pub(super) tokens: BTreeMap<String, ClientTokens>,
    pub(super) archive: ArchiveData,
    pub(super) nodes: BTreeMap<String, NodeRow>,
}

impl AccountData {
    pub(super) fn is_account(&self) -> bool {
        matches!(self.kind, Kind::Account)
    }
}

impl Tables {
    pub(super) fn new(ids: ArchiveIds) -> Tables {
        Tables {
            ids,
            accounts: BTreeMap::new(),
            invites: BTreeMap::new(),
            secrets: BTreeMap::new(),
            streams: BTreeMap::new(),
            remote: BTreeMap::new(),
            stamp: 0,
            laid_down: false,
            archived: SmallVec::new(),
            counters: Counters::default(),
            undo: Vec::new(),
        }
    }

    /// Applies a whole set, or nothing of it.
    pub(super) fn commit(&mut self, set: &WriteSet) -> Result<Committed> {
        let counters = self.counters;
        self.undo.clear();
        self.archived.clear();
        let outcome = set.ops().iter().try_for_each(|write| self.apply(write));
        if outcome.is_err() {
            self.roll_back();
            self.counters = counters;
        }
        outcome.map(|()| Committed {
            archived: std::mem::take(&mut self.archived),
        })
    }

    fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Account(name, Some(data)) => {
                    self.accounts.insert(name, data);
                }
                Undo::Account(name, None) => {
                    self.accounts.remove(&name);
                }
                Undo::Invite(token, Some(invite)) => {
                    self.invites.insert(token, invite);
                }
                Undo::Invite(token, None) => {
                    self.invites.remove(&token);
                }
                Undo::Secret(name) => {
                    self.secrets.remove(&name);
                }
                Undo::Stream(id, Some(row)) => {
                    self.streams.insert(id, row);
                }
                Undo::Stream(id, None) => {
                    self.streams.remove(&id);
                }
                Undo::Remote(id, Some(row)) => {
                    self.remote.insert(id, row);
                }
                Undo::Remote(id, None) => {
                    self.remote.remove(&id);
                }
                Undo::Stamp(stamp) => self.stamp = stamp,
                Undo::LaidDown(down) => self.laid_down = down,
            }
        }
    }

    pub(super) fn account(&self, bare: &str) -> Option<&AccountData> {
        self.named(&name_of(bare)?)
    }

    /// The account, unless it is something else that has this name.
    pub(super) fn login(&self, bare: &str) -> Option<&AccountData> {
        self.account(bare).filter(|data| data.is_account())
    }

    pub(super) fn named(&self, name: &Name) -> Option<&AccountData> {
        self.accounts.get(name).map(Arc::as_ref)
    }

    /// The accounts from this name on, in order.
    pub(super) fn accounts_from(&self, name: Name) -> impl Iterator<Item = (&Name, &AccountData)> {
        let accounts = self.accounts.range(name..);
        accounts.map(|(name, data)| (name, data.as_ref()))
    }

    /// The account, to be changed.
    pub(super) fn change(&mut self, bare: &str) -> Result<&mut AccountData> {
        self.change_named(&name_of(bare).ok_or(Error::NotFound)?)
    }

    /// As [`change`](Self::change), for what only accounts have.
    pub(super) fn change_login(&mut self, bare: &str) -> Result<&mut AccountData> {
        self.login(bare).ok_or(Error::NotFound)?;
        self.change(bare)
    }

    pub(super) fn change_named(&mut self, name: &Name) -> Result<&mut AccountData> {
        let data = self.accounts.get_mut(name).ok_or(Error::NotFound)?;
        let before = Undo::Account(name.clone(), Some(Arc::clone(data)));
        self.undo.push(before);
        Ok(Arc::make_mut(data))
    }

    pub(super) fn add_account(&mut self, name: Name, data: AccountData) {
        self.undo.push(Undo::Account(name.clone(), None));
        self.accounts.insert(name, Arc::new(data));
    }

    pub(super) fn delete_account(&mut self, name: &Name) -> Result<()> {
        let data = self.accounts.remove(name).ok_or(Error::NotFound)?;
        self.undo.push(Undo::Account(name.clone(), Some(data)));
        Ok(())
    }

    /// A number that no account had before.
    pub(super) fn new_account_id(&mut self) -> i64 {
        self.counters.account += 1;
        self.counters.account
    }

    /// A number that no row of the offline queue had before.
    pub(super) fn new_offline_seq(&mut self) -> i64 {
        self.counters.offline += 1;
        self.counters.offline
    }

    /// A place that no message of any archive had before.
    pub(super) fn new_archive_seq(&mut self) -> i64 {
        self.counters.archive += 1;
        self.counters.archive
    }

    /// A time for an archive, that never runs backwards in any of them.
    pub(super) fn stamp(&mut self, time: i64) -> i64 {
        self.undo.push(Undo::Stamp(self.stamp));
        self.stamp = self.stamp.max(time);
        self.stamp
    }

    /// Notes whether the store was laid down in order; answers what was noted before.
    pub(super) fn set_laid_down(&mut self, down: bool) -> bool {
        self.undo.push(Undo::LaidDown(self.laid_down));
        std::mem::replace(&mut self.laid_down, down)
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.accounts.keys().cloned().collect()
    }

    pub(super) fn accounts_of(&self, host: &str) -> impl Iterator<Item = &AccountData> {
        let all = self.accounts.iter().filter(move |((of, _), _)| of == host);
        all.map(|(_, data)| data.as_ref())
    }

    /// Changes all accounts of a host.
    pub(super) fn change_all(&mut self, host: &str, mut change: impl FnMut(&mut AccountData)) {
        for name in self.names() {
            if name.0 == host
                && let Ok(account) = self.change_named(&name)
            {
                change(account);
            }
        }
    }

    pub(super) fn stream(&self, id: StreamId) -> Option<&(i64, StreamRow)> {
        self.streams.get(&id)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamId, &StreamRow)> {
        self.streams.iter().map(|(id, (_, row))| (*id, row))
    }

    /// Sets or removes a stream.
    pub(super) fn set_stream(&mut self, id: StreamId, row: Option<(i64, StreamRow)>) {
        let before = match row {
            Some(row) => self.streams.insert(id, row),
            None => self.streams.remove(&id),
        };
        self.undo.push(Undo::Stream(id, before));
    }

    /// Deletes those of the `oldest` rows of all offline queues that were received before, or whose
    /// message is gone.
    pub(super) fn expire(&mut self, before: i64, oldest: u32) {
        let queues = self.accounts.values().map(|account| &account.offline);
        let mut numbers: Vec<i64> = queues.flatten().map(|row| row.seq).collect();
        numbers.sort_unstable();
        let Some(last) = numbers.into_iter().take(oldest as usize).next_back() else {
            return;
        };
        for name in self.names() {
            if let Ok(account) = self.change_named(&name) {
                let rows = std::mem::take(&mut account.offline);
                // What retention took out of the archive waits for nobody.
                let stays = |row: &OfflineRow| {
                    let gone = account.offline_row(row).is_none();
                    row.seq > last || (row.received_at >= before && !gone)
                };
                account.offline = rows.into_iter().filter(stays).collect();
            }
        }
    }

    pub(super) fn invite(&self, token: &[u8]) -> Option<&Invite> {
        self.invites.get(token)
    }

    /// Sets or removes an invitation.
    pub(super) fn set_invite(&mut self, token: &[u8], invite: Option<Invite>) {
        let before = match invite {
            Some(invite) => self.invites.insert(token.to_vec(), invite),
            None => self.invites.remove(token),
        };
        self.undo.push(Undo::Invite(token.to_vec(), before));
    }

    pub(super) fn remove_invites(&mut self, which: impl Fn(&Invite) -> bool) {
        let gone = self.invites.iter().filter(|(_, invite)| which(invite));
        let gone: Vec<Vec<u8>> = gone.map(|(token, _)| token.clone()).collect();
        for token in gone {
            self.set_invite(&token, None);
        }
    }

    pub(super) fn push_remote(&mut self, row: &RemoteRow) -> Result<()> {
        if self.remote.contains_key(&row.id) {
            return Err(Error::Conflict("remote"));
        }
        self.undo.push(Undo::Remote(row.id, None));
        self.remote.insert(row.id, row.clone());
        Ok(())
    }

    pub(super) fn remove_remotes(&mut self, ids: &[i64]) -> Result<()> {
        for id in ids {
            if let Some(row) = self.remote.remove(id) {
                self.undo.push(Undo::Remote(*id, Some(row)));
            }
        }
        Ok(())
    }

    pub(super) fn remote_after(&self, after: i64) -> impl Iterator<Item = &RemoteRow> {
        let rows = self.remote.range(after.saturating_add(1)..);
        rows.map(|(_, row)| row)
    }

    pub(super) fn secret(&self, name: &str) -> Option<&Vec<u8>> {
        self.secrets.get(name)
    }

    pub(super) fn add_secret(&mut self, name: &str, value: &[u8]) {
        self.undo.push(Undo::Secret(name.to_owned()));
        self.secrets.insert(name.to_owned(), value.to_vec());
    }
}

/// Host and localpart (RFC 7622 §3.1), which is empty for a service.
pub(super) fn name_of(bare: &str) -> Option<Name> {
    let (user, host) = match bare.split_once('@') {
        Some(("", _)) => return None,
        Some(parts) => parts,
        None => ("", bare),
    };
    Some((host.to_owned(), user.to_owned()))
}
