//! The block lists that stanzas are checked against.
//!
//! Lists of accounts with a session here are loaded when the session begins and kept if they are
//! not empty, so that a message to or from an account without one costs a look into a small table.
//! Of absent accounts the last lists that were asked for are remembered. Only
//! [`super::commands`] changes a list, so what is kept is what is stored.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use balcony_core::module::{BoxFuture, Ctx, Event, Session};
use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map, Set};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::{Error, Result};
use parking_lot::{Mutex, RwLock};

use super::list::BlockList;
use crate::turns::{Turn, Turns};

/// Two workers hardly meet at one of 64 locks, and 64 empty maps take 5 KB.
const SHARDS: usize = 64;

/// Lists of absent accounts and the JIDs on them that are remembered: about 5 MB. Full, it begins
/// anew, which costs one read for each account that is asked about again.
const ABSENT_MAX: usize = 50_000;

type Shard = RwLock<Map<Box<str>, Arc<BlockList>>>;

/// Note of a session: the list of its account was loaded.
struct Loaded;

/// The lists, and whose turn it is to read or change one.
pub(super) struct BlockLists {
    /// By account, those that are not empty.
    online: Box<[Shard]>,
    /// How many lists are in `online`.
    count: AtomicUsize,
    hasher: Keyed,
    absent: Mutex<Absent>,
    turns: Turns,
    /// Whose turn it is to change a list and to tell who is concerned. Taken before `turns`.
    pub(super) commands: Turns,
    /// Last presence on its way to somebody who was just blocked: sender and addressee.
    pub(super) farewells: Mutex<Vec<(Jid, Jid)>>,
}

/// Lists of accounts without a session; `None` for an empty one.
#[derive(Default)]
struct Absent {
    lists: Map<Box<str>, Option<Arc<BlockList>>>,
    weight: usize,
}

impl Default for BlockLists {
    fn default() -> Self {
        Self {
            online: (0..SHARDS).map(|_| Shard::default()).collect(),
            count: AtomicUsize::new(0),
            hasher: Keyed::default(),
            absent: Mutex::default(),
            turns: Turns::default(),
            commands: Turns::default(),
            farewells: Mutex::default(),
        }
    }
}

impl BlockLists {
    fn shard(&self, account: &str) -> Option<&Shard> {
        let hash = self.hasher.hash_one(account);
        self.online
            .get(usize::try_from(hash).unwrap_or_default() % SHARDS)
    }

    /// The list of a connected account; `None` for an empty one, or when it is not loaded.
    pub(super) fn online(&self, account: &str) -> Option<Arc<BlockList>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(account)?.read().get(account).cloned()
    }

    /// Waits for the turn to read or change the list of an account.
    pub(super) async fn turn(&self, account: &Jid) -> Turn {
        self.turns.take(account.as_str()).await
    }

    /// Keeps the list of a connected account. The caller has the turn.
    pub(super) fn keep(&self, account: &str, list: BlockList) {
        self.forget_absent(account);
        let Some(shard) = self.shard(account) else {
            return;
        };
        let mut map = shard.write();
        let was_kept = if list.jids().is_empty() {
            map.remove(account).is_some()
        } else {
            map.insert(account.into(), Arc::new(list)).is_some()
        };
        let is_kept = map.contains_key(account);
        drop(map);
        match (was_kept, is_kept) {
            (false, true) => drop(self.count.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.count.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    fn absent(&self, account: &str) -> Option<Option<Arc<BlockList>>> {
        self.absent.lock().lists.get(account).cloned()
    }

    fn remember_absent(&self, account: &str, list: Option<Arc<BlockList>>) {
        let mut absent = self.absent.lock();
        if absent.weight >= ABSENT_MAX {
            *absent = Absent::default();
        }
        absent.weight += weight(list.as_deref());
        if let Some(before) = absent.lists.insert(account.into(), list) {
            absent.weight = absent.weight.saturating_sub(weight(before.as_deref()));
        }
    }

    fn forget_absent(&self, account: &str) {
        let mut absent = self.absent.lock();
        if let Some(before) = absent.lists.remove(account) {
            absent.weight = absent.weight.saturating_sub(weight(before.as_deref()));
        }
    }
}

fn weight(list: Option<&BlockList>) -> usize {
    1 + list.map_or(0, |list| list.jids().len())
}

/// The lists; an error when the module that owns them is not in this server.
pub(super) fn lists<'c>(ctx: &Ctx<'c>) -> Result<&'c BlockLists> {
    ctx.state().ok_or(Error::NotFound)
}

/// Whether the list of a connected account is known: then [`BlockLists::online`] is the truth.
pub(super) fn is_loaded(ctx: &Ctx<'_>, account: &Jid) -> bool {
    let sessions = ctx.sessions_of(account);
    sessions.iter().any(|session| has_loaded(session))
}

fn has_loaded(session: &Session) -> bool {
    session.notes(|notes| notes.get::<Loaded>().is_some())
}

/// The list of an account, connected or not; `None` for an empty one.
///
/// # Errors
/// Those of the store.
pub(super) async fn find(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Option<Arc<BlockList>>> {
    let lists = lists(ctx)?;
    if is_loaded(ctx, account) {
        return Ok(lists.online(account.as_str()));
    }
    if let Some(list) = lists.absent(account.as_str()) {
        return Ok(list);
    }
    let _turn = lists.turn(account).await;
    let list = load(ctx, account).await?;
    let list = (!list.jids().is_empty()).then(|| Arc::new(list));
    lists.remember_absent(account.as_str(), list.clone());
    Ok(list)
}

/// Whether an account, connected or not, blocks somebody.
///
/// # Errors
/// Those of the store.
pub(crate) async fn blocks(ctx: &mut Ctx<'_>, account: &Jid, other: &Jid) -> Result<bool> {
    // §5, the note: never between the resources of one account.
    if account.bare_str() == other.bare_str() {
        return Ok(false);
    }
    let list = find(ctx, &account.bare()).await?;
    Ok(list.is_some_and(|list| list.blocks(other)))
}

/// Those of some accounts of this server that block somebody, or are blocked by their account. One
/// read at most, however many there are.
///
/// # Errors
/// Those of the store.
pub(crate) async fn between(
    ctx: &mut Ctx<'_>,
    other: &Jid,
    accounts: &[String],
) -> Result<Set<String>> {
    let lists = lists(ctx)?;
    let theirs = find(ctx, &other.bare()).await?;
    let (mut blocked, mut unknown) = (Set::default(), Vec::new());
    for account in accounts {
        let Ok(jid) = Jid::parse(account) else {
            continue;
        };
        // §5, the note.
        if jid.as_str() == other.bare_str() {
            continue;
        }
        let list = match is_loaded(ctx, &jid) {
            true => Some(lists.online(account)),
            false => lists.absent(account),
        };
        let by_them = list.as_ref().and_then(Option::as_deref);
        if theirs.as_ref().is_some_and(|list| list.blocks(&jid))
            || by_them.is_some_and(|list| list.blocks(other))
        {
            blocked.insert(account.clone());
        } else if list.is_none() {
            unknown.push(account.clone());
        }
    }
    if !unknown.is_empty() {
        let read = ctx.store().blocking().lists(&unknown).await?;
        let blocking = read
            .into_iter()
            .filter(|(_, jids)| BlockList::new(jids).blocks(other));
        blocked.extend(blocking.map(|(account, _)| account));
    }
    Ok(blocked)
}

/// The list as it is stored.
pub(super) async fn load(ctx: &mut Ctx<'_>, account: &Jid) -> Result<BlockList> {
    let stored = ctx.store().blocking().list(account.as_str()).await?;
    Ok(BlockList::new(&stored))
}

/// Before a session's first stanza.
pub(super) fn on_bound<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Bound(session) = event else { return };
        if let Err(cause) = begin(ctx, session).await {
            // §3.3: nothing of a blocked JID may be delivered, so nobody may be here unguarded.
            tracing::error!(%cause, session = %session.jid(), "no block list; ended");
            let error = StreamError::new(StreamCondition::InternalServerError);
            ctx.core().end_session(session, error);
        }
    })
}

async fn begin(ctx: &mut Ctx<'_>, session: &Session) -> Result<()> {
    let (lists, account) = (lists(ctx)?, session.account());
    let _turn = lists.turn(account).await;
    if !is_loaded(ctx, account) {
        lists.keep(account.as_str(), load(ctx, account).await?);
    }
    session.notes(|notes| notes.set(Loaded));
    Ok(())
}

/// With the last session of an account its list goes.
pub(super) fn on_ended<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Ended(session) = event else { return };
        let Ok(lists) = lists(ctx) else { return };
        let account = session.account();
        if lists.online(account.as_str()).is_none() {
            return;
        }
        let _turn = lists.turn(account).await;
        if ctx.sessions_of(account).is_empty() {
            lists.keep(account.as_str(), BlockList::default());
        }
    })
}

/// A new account with the name of an old one starts without its list, also when a session of the
/// old one lingers until its client takes notice of the end.
pub(super) fn on_account<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let (Event::AccountCreated(account) | Event::AccountDeleted(account)) = event else {
            return;
        };
        if let Err(cause) = renew(ctx, account).await {
            tracing::error!(%cause, %account, "no block list; its sessions are ended");
            // As when a session begins.
            ctx.core()
                .end_sessions(account, StreamCondition::InternalServerError);
        }
    })
}

/// Reads the list anew, if it is kept for a session, and forgets it if not.
async fn renew(ctx: &mut Ctx<'_>, account: &Jid) -> Result<()> {
    let lists = lists(ctx)?;
    let _turn = lists.turn(account).await;
    let list = match is_loaded(ctx, account) {
        true => load(ctx, account).await?,
        false => BlockList::default(),
    };
    lists.keep(account.as_str(), list);
    Ok(())
}

/// Whether a message for a resource has to wait until the list of its account is loaded.
pub(super) fn is_loading(ctx: &Ctx<'_>, full: &Jid) -> bool {
    let session = ctx.sessions().find(full);
    // Presence comes after the session's beginning, so that an available one has its list.
    session.is_some_and(|session| !session.is_available() && !has_loaded(&session))
        && !is_loaded(ctx, full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(jid: &str) -> BlockList {
        std::iter::once(Jid::parse(jid).unwrap()).collect()
    }

    #[test]
    fn only_lists_with_something_on_them_are_kept() {
        let lists = BlockLists::default();
        lists.keep("juliet@localhost", BlockList::default());
        assert!(lists.online("juliet@localhost").is_none());
        lists.keep("juliet@localhost", list("tybalt@localhost"));
        lists.keep("juliet@localhost", list("paris@localhost"));
        assert_eq!(lists.count.load(Ordering::Relaxed), 1);
        let paris = Jid::parse("paris@localhost/x").unwrap();
        assert!(lists.online("juliet@localhost").unwrap().blocks(&paris));
        lists.keep("juliet@localhost", BlockList::default());
        assert!(lists.online("juliet@localhost").is_none());
        assert_eq!(lists.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_list_that_is_kept_is_no_longer_remembered_as_an_absent_accounts() {
        let lists = BlockLists::default();
        lists.remember_absent("juliet@localhost", None);
        assert_eq!(lists.absent("juliet@localhost"), Some(None));
        lists.keep("juliet@localhost", list("tybalt@localhost"));
        assert_eq!(lists.absent("juliet@localhost"), None);
        assert_eq!(lists.absent.lock().weight, 0);
    }

    #[test]
    fn what_is_remembered_of_absent_accounts_is_bounded() {
        let lists = BlockLists::default();
        for number in 0..=ABSENT_MAX {
            lists.remember_absent(&format!("{number}@localhost"), None);
        }
        assert!(lists.absent.lock().weight <= ABSENT_MAX);
        let last = format!("{ABSENT_MAX}@localhost");
        assert!(lists.absent(&last).is_some());
    }
}
