//! The rosters of the accounts that are connected here: what presence needs of them, and no more.
//!
//! A roster is loaded when it is first needed and dropped with the last session of its account.
//! Only [`super::change()`] changes one, so what is cached is what is stored.

use std::hash::BuildHasher;
use std::sync::Arc;

use balcony_core::module::{Core, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_store::{Error, Result, RosterData};
use parking_lot::RwLock;

use super::contacts::{Contacts, Standing};
use super::names::Names;
use crate::turns::{Turn, Turns};

/// Two workers hardly meet at one of 64 locks, and 64 empty maps take 5 KB.
const SHARDS: usize = 64;

type Shard = RwLock<Map<Jid, Arc<Contacts>>>;

/// The rosters by account, and whose turn it is to change one.
pub(crate) struct Rosters {
    shards: Box<[Shard]>,
    hasher: Keyed,
    turns: Turns,
    names: Names,
}

impl Default for Rosters {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: Keyed::default(),
            turns: Turns::default(),
            names: Names::default(),
        }
    }
}

impl Rosters {
    fn shard(&self, account: &str) -> Option<&Shard> {
        let hash = self.hasher.hash_one(account);
        self.shards
            .get(usize::try_from(hash).unwrap_or_default() % SHARDS)
    }

    fn cached(&self, account: &str) -> Option<Arc<Contacts>> {
        self.shard(account)?.read().get(account).cloned()
    }

    /// Waits for the turn to read and change the roster of an account.
    pub(super) async fn turn(&self, account: &Jid) -> Turn {
        self.turns.take(account.as_str()).await
    }

    pub(super) fn forget(&self, account: &Jid) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard.write().remove(account.as_str());
        }
    }

    /// What presence needs of a stored roster.
    pub(super) fn contacts(&self, data: &RosterData) -> Arc<Contacts> {
        Arc::new(Contacts::new(data, &self.names))
    }

    /// Keeps a roster while its account has sessions here. The caller has the turn.
    pub(super) fn keep(&self, ctx: &Ctx<'_>, account: &Jid, contacts: &Arc<Contacts>) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard.write().insert(account.clone(), Arc::clone(contacts));
        }
        // Looked at afterwards: the last session may have ended while we wrote.
        if ctx.sessions_of(account).is_empty() {
            self.forget(account);
        }
    }
}

/// The rosters; an error when the module that owns them is not in this server.
pub(super) fn rosters<'c>(ctx: &Ctx<'c>) -> Result<&'c Rosters> {
    ctx.state().ok_or(Error::NotFound)
}

/// The roster of an account that is connected, if it was needed already.
pub(crate) fn known_contacts(core: &Core, account: &Jid) -> Option<Arc<Contacts>> {
    core.state::<Rosters>()?.cached(account.bare_str())
}

/// The roster of an account, from the cache where it is there.
///
/// # Errors
/// Those of the store.
pub(crate) async fn contacts(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Arc<Contacts>> {
    let rosters = rosters(ctx)?;
    if let Some(contacts) = rosters.cached(account.as_str()) {
        return Ok(contacts);
    }
    let _turn = rosters.turn(account).await;
    contacts_in_turn(ctx, account).await
}

/// [`contacts`] for whoever has the turn already.
pub(super) async fn contacts_in_turn(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Arc<Contacts>> {
    let rosters = rosters(ctx)?;
    if let Some(contacts) = rosters.cached(account.as_str()) {
        return Ok(contacts);
    }
    let data = ctx.store().roster().load(account.as_str()).await?;
    let contacts = rosters.contacts(&data);
    rosters.keep(ctx, account, &contacts);
    Ok(contacts)
}

/// How somebody stands in an account's roster. Reads one row of the store, not the whole roster,
/// for an account that is not connected.
///
/// # Errors
/// Those of the store.
pub(crate) async fn standing(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    other: &Jid,
) -> Result<Option<Standing>> {
    let connected = !ctx.sessions_of(account).is_empty();
    if connected || rosters(ctx)?.cached(account.bare_str()).is_some() {
        return Ok(contacts(ctx, &account.bare())
            .await?
            .standing(other.bare_str()));
    }
    let item = ctx
        .store()
        .roster()
        .item(account.bare_str(), other.bare_str())
        .await?;
    Ok(item.as_ref().map(Standing::of))
}
