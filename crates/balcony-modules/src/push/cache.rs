//! The registrations of the accounts that something came for, and how far each device is told.

use std::hash::BuildHasher;
use std::sync::Arc;

use balcony_core::module::Core;
use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_store::{PushRegistration, Result};
use parking_lot::Mutex;

use super::device::{Device, News, Next, Outcome};

/// Enough that two workers hardly meet at one lock.
const SHARDS: usize = 64;

/// Accounts in one shard, so that some ten megabytes at most know that sixty thousand accounts
/// have no registration. Who is forgotten is read again, and told once more than needed.
const MOST: usize = 1_000;

/// A change of any account in the shard voids what was read beside it; five in a row, each within
/// the time of a read, do not happen by chance.
const TRIES: u32 = 5;

/// The state of the module.
pub(super) struct Registrations {
    shards: Box<[Mutex<Shard>]>,
    hasher: Keyed,
}

#[derive(Default)]
struct Shard {
    accounts: Map<Jid, Vec<Device>>,
    /// Grows with each change in the store, so that what was read before it is not taken up.
    changes: u64,
}

/// Of these devices the account's are told now.
pub(super) type Due = Vec<Arc<PushRegistration>>;

impl Default for Registrations {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: Keyed::default(),
        }
    }
}

impl Shard {
    /// What somebody else has read meanwhile stays: its devices may be told of something.
    fn take_up(&mut self, account: &Jid, devices: Vec<Device>) {
        if self.accounts.contains_key(account) {
            return;
        }
        if self.accounts.len() >= MOST {
            self.accounts.clear();
        }
        self.accounts.insert(account.compact(), devices);
    }
}

impl Registrations {
    fn with<R>(&self, account: &Jid, look: impl FnOnce(&mut Shard) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(account.as_str());
        let at = usize::try_from(hash).unwrap_or_default() % SHARDS;
        Some(look(&mut self.shards.get(at)?.lock()))
    }

    /// Notes news for those devices of an account that `away` tells the last sign of life of, if it
    /// is known which it has. Answers which are to be told now; `None` when they must be read.
    pub(super) fn note(
        &self,
        account: &Jid,
        news: &News,
        now: u32,
        away: impl Fn(&PushRegistration) -> Option<Option<u32>>,
    ) -> Option<Due> {
        self.with(account, |shard| {
            let devices = shard.accounts.get_mut(account)?.iter_mut();
            let due = devices.filter_map(|device| {
                let heard = away(&device.registration)?;
                let due = device.note(news, now, heard);
                due.then(|| Arc::clone(&device.registration))
            });
            Some(due.collect())
        })?
    }

    /// Whether it is known that an account has no device to tell.
    pub(super) fn has_none(&self, account: &Jid) -> bool {
        let devices = |shard: &mut Shard| shard.accounts.get(account).is_some_and(Vec::is_empty);
        self.with(account, devices).unwrap_or_default()
    }

    /// A session of an account is over, and showed life last at this time.
    pub(super) fn note_life(&self, account: &Jid, resource: &str, heard: u32) {
        self.with(account, |shard| {
            let devices = shard.accounts.get_mut(account).into_iter().flatten();
            devices
                .filter(|device| device.registration.resource == resource)
                .for_each(|device| device.note_life(heard));
        });
    }

    /// Reads which devices an account has.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn load(&self, core: &Core, account: &Jid) -> Result<()> {
        for _ in 0..TRIES {
            let before = self.with(account, |shard| shard.changes);
            let list = core.store().push().list(account.as_str()).await?;
            let in_force = list.into_iter().filter(|found| found.disabled.is_none());
            let devices: Vec<_> = in_force.map(Device::new).collect();
            let taken_up = self.with(account, |shard| {
                let unchanged = Some(shard.changes) == before;
                if unchanged {
                    shard.take_up(account, devices);
                }
                unchanged
            });
            if taken_up == Some(true) {
                break;
            }
        }
        Ok(())
    }

    /// The registrations of an account changed in the store.
    pub(super) fn forget(&self, account: &Jid) {
        self.with(account, |shard| {
            shard.changes += 1;
            shard.accounts.remove(account);
        });
    }

    /// What a device is to be told; `None` when its registration is not in force any more.
    pub(super) fn news(&self, account: &Jid, of: &PushRegistration) -> Option<News> {
        self.device(account, of, |device| device.news())
    }

    /// What came of telling it, and what is to be done then.
    pub(super) fn settle(&self, account: &Jid, of: &PushRegistration, outcome: Outcome) -> Next {
        let next = self.device(account, of, |device| device.settle(outcome));
        next.unwrap_or(Next::Wait)
    }

    fn device<R>(
        &self,
        account: &Jid,
        of: &PushRegistration,
        look: impl FnOnce(&mut Device) -> R,
    ) -> Option<R> {
        self.with(account, |shard| {
            let mut devices = shard.accounts.get_mut(account)?.iter_mut();
            let device = devices.find(|device| *device.registration == *of)?;
            Some(look(device))
        })?
    }
}
