//! The rosters of the accounts that are connected here: what presence needs of them, and no more.
//!
//! A roster is loaded when it is first needed and dropped with the last session of its account.
//! Only [`super::change()`] changes one, so what is cached is what is stored.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use balcony_core::module::Ctx;
use balcony_proto::jid::Jid;
use balcony_store::{Error, Result, RosterData, Subscription};
use parking_lot::RwLock;

use crate::turns::{Turn, Turns};

/// What a roster item says about presence (RFC 6121 §2.1.2), without name and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) subscription: Subscription,
    /// A request of the user waits for the contact (§2.1.2.2).
    pub(crate) ask: bool,
    /// A request of the contact is approved in advance (§2.1.2.1).
    pub(crate) approved: bool,
}

impl Standing {
    /// Whether the contact receives the user's presence.
    pub(crate) fn shows_presence(self) -> bool {
        matches!(self.subscription, Subscription::From | Subscription::Both)
    }

    /// Whether the user receives the contact's presence.
    pub(crate) fn sees_presence(self) -> bool {
        matches!(self.subscription, Subscription::To | Subscription::Both)
    }
}

/// A contact: 32 bytes, and its address beside it.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) jid: Jid,
    pub(crate) standing: Standing,
}

/// A roster as presence needs it. Never changed; a changed roster is another one.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    /// The version of the last change (§2.6).
    pub(crate) version: u64,
    /// Ordered by address.
    items: Box<[Contact]>,
    /// Who waits for the user's answer; few, and mostly none.
    pending: Box<[Jid]>,
}

impl Contacts {
    /// Takes what presence needs of a stored roster.
    pub(crate) fn new(data: &RosterData) -> Self {
        let jid = |text: &str| Jid::parse(text).ok();
        let item = |item: &balcony_store::RosterItem| {
            let standing = Standing {
                subscription: item.subscription,
                ask: item.ask,
                approved: item.approved,
            };
            Some(Contact {
                jid: jid(&item.jid)?,
                standing,
            })
        };
        Self {
            version: data.version,
            items: data.items.iter().filter_map(item).collect(),
            pending: data
                .pending_in
                .iter()
                .filter_map(|request| jid(&request.jid))
                .collect(),
        }
    }

    /// The items.
    pub(crate) fn items(&self) -> &[Contact] {
        &self.items
    }

    /// Who waits for the user's answer to a subscription request.
    pub(crate) fn pending(&self) -> &[Jid] {
        &self.pending
    }

    /// Whether a request of this bare JID waits.
    pub(crate) fn is_pending(&self, bare: &str) -> bool {
        self.pending.iter().any(|jid| jid.as_str() == bare)
    }

    /// How a bare JID stands; `None` when it is not in the roster.
    pub(crate) fn standing(&self, bare: &str) -> Option<Standing> {
        let at = self.place(bare).ok()?;
        self.items.get(at).map(|contact| contact.standing)
    }

    fn place(&self, bare: &str) -> std::result::Result<usize, usize> {
        self.items
            .binary_search_by(|contact| contact.jid.as_str().cmp(bare))
    }

    /// The same with another standing for one contact; `None` takes the contact out.
    pub(super) fn with_item(&self, jid: &Jid, standing: Option<Standing>) -> Self {
        let mut items = self.items.to_vec();
        match (self.place(jid.as_str()), standing) {
            (Ok(at), Some(standing)) => {
                if let Some(contact) = items.get_mut(at) {
                    contact.standing = standing;
                }
            }
            (Ok(at), None) => drop(items.remove(at)),
            (Err(at), Some(standing)) => items.insert(
                at,
                Contact {
                    jid: jid.clone(),
                    standing,
                },
            ),
            (Err(_), None) => {}
        }
        Self {
            version: self.version + 1,
            items: items.into(),
            pending: self.pending.clone(),
        }
    }

    /// The same with a request more or less.
    pub(super) fn with_pending(&self, jid: &Jid, waits: bool) -> Self {
        let mut pending: Vec<Jid> = self.pending.iter().filter(|p| *p != jid).cloned().collect();
        if waits {
            pending.push(jid.clone());
        }
        Self {
            version: self.version,
            items: self.items.clone(),
            pending: pending.into(),
        }
    }
}

/// Two workers hardly meet at one of 64 locks, and 64 empty maps take 5 KB.
const SHARDS: usize = 64;

type Shard = RwLock<HashMap<Box<str>, Arc<Contacts>>>;

/// The rosters by account, and whose turn it is to change one.
pub(crate) struct Rosters {
    shards: Box<[Shard]>,
    hasher: RandomState,
    turns: Turns,
}

impl Default for Rosters {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            turns: Turns::default(),
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
    pub(super) async fn turn(&self, account: &Jid) -> Turn<'_> {
        self.turns.take(account.as_str()).await
    }

    pub(super) fn forget(&self, account: &Jid) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard.write().remove(account.as_str());
        }
    }

    /// Keeps a roster while its account has sessions here. The caller has the turn.
    pub(super) fn keep(&self, ctx: &Ctx<'_>, account: &Jid, contacts: &Arc<Contacts>) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard
                .write()
                .insert(account.as_str().into(), Arc::clone(contacts));
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
    let contacts = Arc::new(Contacts::new(&data));
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
    Ok(item.map(|item| Standing {
        subscription: item.subscription,
        ask: item.ask,
        approved: item.approved,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn standing(subscription: Subscription) -> Standing {
        Standing {
            subscription,
            ..Standing::default()
        }
    }

    #[test]
    fn a_contact_takes_32_bytes_beside_its_address() {
        assert!(size_of::<Contact>() <= 32, "{}", size_of::<Contact>());
    }

    #[test]
    fn contacts_are_found_after_each_change() {
        let mut contacts = Contacts::default();
        for name in ["romeo@localhost", "benvolio@localhost", "nurse@localhost"] {
            contacts = contacts.with_item(&jid(name), Some(standing(Subscription::To)));
        }
        contacts = contacts.with_item(&jid("nurse@localhost"), Some(standing(Subscription::Both)));
        contacts = contacts.with_item(&jid("benvolio@localhost"), None);
        assert_eq!(
            contacts.standing("romeo@localhost"),
            Some(standing(Subscription::To))
        );
        assert_eq!(
            contacts.standing("nurse@localhost"),
            Some(standing(Subscription::Both))
        );
        assert_eq!(contacts.standing("benvolio@localhost"), None);
        assert_eq!(contacts.items().len(), 2);
        assert_eq!(contacts.version, 5);
    }

    #[test]
    fn a_request_waits_once_and_changes_no_version() {
        let tybalt = jid("tybalt@localhost");
        let once = Contacts::default()
            .with_pending(&tybalt, true)
            .with_pending(&tybalt, true);
        assert_eq!(once.pending(), std::slice::from_ref(&tybalt));
        assert!(once.is_pending("tybalt@localhost"));
        let gone = once.with_pending(&tybalt, false);
        assert!(!gone.is_pending("tybalt@localhost"));
        assert_eq!(gone.version, 0);
    }
}
