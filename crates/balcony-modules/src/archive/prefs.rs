//! XEP-0441 MAM Preferences 0.2.0: what an account wants archived, at hand while it is connected.

use std::hash::BuildHasher;
use std::sync::Arc;

use balcony_core::module::{Answer, BoxFuture, Core, Ctx, Event, Request, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{ArchiveDefault, ArchivePrefs, Result, Write, WriteSet};
use parking_lot::RwLock;

use super::own_account;
use crate::roster;
use crate::turns::Turns;

/// Two workers hardly meet at one of 64 locks.
const SHARDS: usize = 64;

/// JIDs on one list: more than people write by hand, and each message is compared with them.
const LISTED: usize = 200;

/// Of some accounts.
type Shard = RwLock<Map<Jid, Known>>;

/// The preferences of connected accounts.
pub(super) struct Preferences {
    shards: Box<[Shard]>,
    hasher: Keyed,
    /// Whose turn it is to read or change them: what is at hand is what is stored.
    turns: Turns,
}

/// What is known of a connected account.
#[derive(Clone, Default)]
struct Known {
    /// It has an archive: it lasts longer than its stream.
    lasts: bool,
    /// `None`: what the configuration says.
    prefs: Option<Arc<ArchivePrefs>>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: Keyed::default(),
            turns: Turns::default(),
        }
    }
}

impl Preferences {
    fn shard(&self, account: &str) -> Option<&Shard> {
        let hash = self.hasher.hash_one(account);
        let at = usize::try_from(hash).unwrap_or_default() % SHARDS;
        self.shards.get(at)
    }

    fn get(&self, account: &str) -> Option<Known> {
        self.shard(account)?.read().get(account).cloned()
    }

    fn set(&self, account: &Jid, known: Known) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard.write().insert(account.compact(), known);
        }
    }

    fn forget(&self, account: &Jid) {
        if let Some(shard) = self.shard(account.as_str()) {
            shard.write().remove(account.as_str());
        }
    }

    /// Forgets an account unless it has sessions. Looked at under the lock: who binds is in the
    /// table before it asks here, and so finds what it needs or loads it.
    fn forget_absent(&self, ctx: &Ctx<'_>, account: &Jid) {
        if let Some(shard) = self.shard(account.as_str()) {
            let mut shard = shard.write();
            if ctx.sessions_of(account).is_empty() {
                shard.remove(account.as_str());
            }
        }
    }
}

/// Whether an account archives what it exchanges with somebody. `None`: it is not connected, so
/// only the store can tell.
pub(super) fn archives(core: &Core, account: &Jid, other: &Jid) -> Option<bool> {
    let known = core.state::<Preferences>()?.get(account.bare_str())?;
    let listed = || {
        let contacts = roster::known_contacts(core, account);
        // Not at hand where `roster` is the default only since the last reload: kept, as below.
        contacts.is_none_or(|contacts| contacts.standing(other.bare_str()).is_some())
    };
    Some(known.lasts && decide(core, known.prefs.as_deref(), other, listed))
}

/// Whether an account has an archive at all. Not known of one that is absent, or that the store did
/// not tell of: all but anonymous ones have.
pub(super) fn has_archive(core: &Core, account: &Jid) -> bool {
    let known = core.state::<Preferences>();
    let known = known.and_then(|known| known.get(account.bare_str()));
    known.is_none_or(|known| known.lasts)
}

/// [`archives`] for an account that is connected, though its preferences are not at hand: because
/// the store did not answer as it was bound, say. What cannot be decided is kept.
pub(super) fn archives_surely(core: &Core, account: &Jid, other: &Jid) -> bool {
    archives(core, account, other).unwrap_or_else(|| decide(core, None, other, || true))
}

/// [`archives`] for an account that may be absent.
///
/// # Errors
/// Those of the store.
pub(super) async fn archives_absent(ctx: &mut Ctx<'_>, account: &Jid, other: &Jid) -> Result<bool> {
    if let Some(archives) = archives(ctx.core(), account, other) {
        return Ok(archives);
    }
    let prefs = ctx.store().archive().prefs(account.bare_str()).await?;
    let listed = roster::standing(ctx, account, other).await?.is_some();
    Ok(decide(ctx.core(), prefs.as_ref(), other, || listed))
}

/// The rules of §2.1, §2.3: never before always before the rest.
fn decide(
    core: &Core,
    prefs: Option<&ArchivePrefs>,
    other: &Jid,
    listed: impl FnOnce() -> bool,
) -> bool {
    let on = |list: &[String]| list.iter().any(|jid| matches(jid, other));
    let default = match prefs {
        Some(prefs) if on(&prefs.never) => return false,
        Some(prefs) if on(&prefs.always) => return true,
        Some(prefs) => prefs.default,
        None => fallback(core),
    };
    match default {
        ArchiveDefault::Always => true,
        ArchiveDefault::Never => false,
        ArchiveDefault::Roster => listed(),
    }
}

fn fallback(core: &Core) -> ArchiveDefault {
    use balcony_core::module::ConfiguredArchive as Configured;
    match core.config().archive.default {
        Configured::Always => ArchiveDefault::Always,
        Configured::Roster => ArchiveDefault::Roster,
        Configured::Never => ArchiveDefault::Never,
    }
}

/// §2.3.1: a bare JID on a list stands for all its resources.
fn matches(listed: &str, jid: &Jid) -> bool {
    match listed.contains('/') {
        true => listed == jid.as_str(),
        false => listed == jid.bare_str(),
    }
}

/// Loads the preferences before anything can be sent to the session.
pub(super) fn on_bound<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Bound(session) = event else { return };
        let account = session.account().clone();
        let Some(preferences) = ctx.state::<Preferences>() else {
            return;
        };
        let _turn = preferences.turns.take(account.as_str()).await;
        if preferences.get(account.as_str()).is_none() {
            keep_at_hand(ctx, preferences, &account).await;
        }
    })
}

/// Reads the preferences of an account for its sessions. The caller has the turn.
async fn keep_at_hand(ctx: &mut Ctx<'_>, preferences: &Preferences, account: &Jid) {
    match load(ctx, account).await {
        Ok(known) => preferences.set(account, known),
        Err(cause) => {
            tracing::warn!(%cause, %account, "archived by default");
            preferences.forget(account);
        }
    }
    // The session may have ended meanwhile.
    preferences.forget_absent(ctx, account);
}

async fn load(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Known> {
    let config = ctx.config();
    let host = config.host(account.domain());
    let lasts = match (host.is_some_and(|host| host.anonymous), account.local()) {
        (true, Some(user)) => {
            let accounts = ctx.store().accounts();
            accounts.exists(account.domain(), user).await?
        }
        _ => true,
    };
    let prefs = ctx.store().archive().prefs(account.as_str()).await?;
    let default = prefs
        .as_ref()
        .map_or(fallback(ctx.core()), |prefs| prefs.default);
    if default == ArchiveDefault::Roster {
        // At hand from now on, as the decision may not wait for it.
        roster::contacts(ctx, account).await?;
    }
    Ok(Known {
        lasts,
        prefs: prefs.map(Arc::new),
    })
}

pub(super) fn on_ended(ctx: &mut Ctx<'_>, event: &Event) {
    if let (Event::Ended(session), Some(preferences)) = (event, ctx.state::<Preferences>()) {
        preferences.forget_absent(ctx, session.account());
    }
}

/// A session of a deleted account may linger while another account gets its name: the old one has
/// no archive any more, and the new one has one from its beginning.
pub(super) fn on_account<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let (Event::AccountCreated(account) | Event::AccountDeleted(account)) = event else {
            return;
        };
        let Some(preferences) = ctx.state::<Preferences>() else {
            return;
        };
        let _turn = preferences.turns.take(account.as_str()).await;
        if preferences.get(account.as_str()).is_none() {
            return;
        }
        if matches!(event, Event::AccountDeleted(_)) {
            preferences.set(account, Known::default());
            preferences.forget_absent(ctx, account);
        } else {
            keep_at_hand(ctx, preferences, account).await;
        }
    })
}

/// §2.1: what is in force.
pub(super) fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = own_account(request)?;
        let prefs = ctx.store().archive().prefs(account.as_str()).await;
        let prefs = prefs.map_err(|cause| stanza_error(&cause))?;
        Ok(written(&prefs.unwrap_or(ArchivePrefs {
            default: fallback(ctx.core()),
            always: Vec::new(),
            never: Vec::new(),
        })))
    })
}

/// §2.1: changes them, and answers with what is in force then.
pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = own_account(request)?;
        let prefs = read(&request.element()?)?;
        let preferences = ctx.state::<Preferences>();
        let preferences = preferences.ok_or_else(StanzaError::internal_server_error)?;
        let _turn = preferences.turns.take(account.as_str()).await;
        // Before the change is stored: what is answered with an error must not be in force later.
        if prefs.default == ArchiveDefault::Roster {
            let loaded = roster::contacts(ctx, &account).await;
            loaded.map_err(|cause| stanza_error(&cause))?;
        }
        let write = Write::ArchivePrefsSet {
            account: account.to_string(),
            prefs: prefs.clone(),
        };
        let done = ctx.commit(WriteSet::from(write)).await;
        done.map_err(|cause| stanza_error(&cause))?;
        let known = Known {
            lasts: true,
            prefs: Some(Arc::new(prefs.clone())),
        };
        preferences.set(&account, known);
        // The session may have ended meanwhile.
        preferences.forget_absent(ctx, &account);
        Ok(written(&prefs))
    })
}

const NAMES: [(ArchiveDefault, &str); 3] = [
    (ArchiveDefault::Always, "always"),
    (ArchiveDefault::Never, "never"),
    (ArchiveDefault::Roster, "roster"),
];

fn read(prefs: &Element) -> std::result::Result<ArchivePrefs, StanzaError> {
    let wanted = prefs.attr("default");
    let default = NAMES.iter().find(|(_, name)| wanted == Some(*name));
    let (default, _) = default.ok_or_else(StanzaError::bad_request)?;
    let list = |name: &str| {
        let list = prefs.child(ns::MAM, name).into_iter();
        let jids = list.flat_map(Element::children);
        let jids: Vec<String> = jids
            .filter(|child| child.is(ns::MAM, "jid"))
            .map(|jid| Jid::parse(jid.text().trim()).map(|jid| jid.to_string()))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| StanzaError::new(balcony_proto::stanza::Condition::JidMalformed))?;
        match jids.len() > LISTED {
            true => Err(StanzaError::not_allowed().with_text("the list is too long")),
            false => Ok(jids),
        }
    };
    Ok(ArchivePrefs {
        default: *default,
        always: list("always")?,
        never: list("never")?,
    })
}

/// Both lists are there even if they are empty.
fn written(prefs: &ArchivePrefs) -> Payload {
    let list = |name: &'static str, jids: &[String]| {
        let jid = |jid: &String| Element::new(ns::MAM, "jid").with_text(jid);
        Element::new(ns::MAM, name).with_children(jids.iter().map(jid))
    };
    let default = NAMES.iter().find(|(known, _)| *known == prefs.default);
    Payload::from_element(
        &Element::new(ns::MAM, "prefs")
            .with_opt_attr("default", default.map(|(_, name)| *name))
            .with_child(list("always", &prefs.always))
            .with_child(list("never", &prefs.never)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<ArchivePrefs, StanzaError> {
        read(&Element::parse(text.as_bytes(), ns::MAM).unwrap())
    }

    #[test]
    fn preferences_are_read_as_they_are_written() {
        let text = "<prefs default='roster'><always><jid>ROMEO@montague.lit</jid></always></prefs>";
        let prefs = parse(text).unwrap();
        assert_eq!(prefs.default, ArchiveDefault::Roster);
        assert_eq!(prefs.always, ["romeo@montague.lit"]);
        let again = written(&prefs).first().unwrap().element();
        assert_eq!(read(&again).unwrap(), prefs);
        assert!(again.child(ns::MAM, "never").is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("<prefs/>").is_err());
        assert!(parse("<prefs default='often'/>").is_err());
        assert!(parse("<prefs default='always'><never><jid>@</jid></never></prefs>").is_err());
        let many = "<jid>a@b</jid>".repeat(LISTED + 1);
        let many = format!("<prefs default='always'><always>{many}</always></prefs>");
        assert!(parse(&many).is_err());
    }

    #[test]
    fn a_bare_jid_on_a_list_stands_for_its_resources() {
        let orchard = Jid::parse("romeo@localhost/orchard").unwrap();
        assert!(matches("romeo@localhost", &orchard));
        assert!(matches("romeo@localhost/orchard", &orchard));
        assert!(!matches("romeo@localhost/garden", &orchard));
    }
}
