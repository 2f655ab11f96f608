//! Clients of contacts on other servers: what they want to hear of (XEP-0163 §4.3.2), as their
//! presence tells the accounts here that may see it.
//!
//! A client is forgotten when it says to the last of these accounts that it goes. What its server
//! never says, as when that one is lost, is bounded by what is remembered.

use std::collections::HashMap;
use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, Flow, Origin, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, Payload, PresenceType, StanzaError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::announced::Announced;
use super::interest;
use super::known::{Client, Key, Wants};
use super::{State, catch_up};
use crate::roster;

/// Clients of one contact: a person has a handful, and the oldest makes room for another.
const CLIENTS: usize = 20;

/// Accounts by which clients are seen, all together: each takes about 100 bytes, so that 20 MB are
/// the most. Whoever finds no place hears what it has subscribed to by itself.
const PLACES: usize = 200_000;

/// Presence stanzas for which a roster is read at the same time. Each takes a kilobyte meanwhile;
/// beyond, a client is noted when it shows itself again.
const LOOKING: usize = 10_000;

/// What is known of the clients of contacts elsewhere.
pub(super) struct Theirs {
    known: Mutex<Known>,
    looking: Arc<Semaphore>,
}

impl Default for Theirs {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            looking: Arc::new(Semaphore::new(LOOKING)),
        }
    }
}

#[derive(Default)]
struct Known {
    /// By the contact's bare JID.
    contacts: HashMap<Jid, Vec<Seen>>,
    /// Accounts in all of them.
    places: usize,
}

/// A client, as far as it is seen here.
struct Seen {
    full: Jid,
    key: Key,
    /// Grows when it says something else of itself.
    said: u32,
    /// `None`: that is not known yet.
    wants: Option<Wants>,
    /// What it wanted before it said what it says now.
    before: Option<Wants>,
    /// Accounts that it showed itself to, and what it said then.
    by: HashMap<Jid, u32>,
}

/// A client as one account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) full: Jid,
    pub(super) account: Jid,
    /// It says something else than before, and was there already.
    changed: bool,
    /// Its user is subscribed to the account, and thereby to its nodes (XEP-0060 §9.1.2).
    hears: bool,
}

impl Known {
    /// Answers what is new to the account; `None`: nothing is, or there is no place.
    fn note(&mut self, full: &Jid, key: &Key, account: &Jid) -> Option<bool> {
        if self.places >= PLACES {
            return None;
        }
        let clients = self.contacts.entry(full.bare()).or_default();
        let at = clients.iter().position(|seen| seen.full == *full);
        let mut seen = match at {
            Some(at) => clients.remove(at),
            None => Seen {
                full: full.clone(),
                key: key.clone(),
                said: 0,
                wants: None,
                before: None,
                by: HashMap::new(),
            },
        };
        if seen.key != *key {
            seen.key.clone_from(key);
            seen.said = seen.said.wrapping_add(1);
            seen.before = seen.wants.take();
        }
        let said = seen.by.insert(account.clone(), seen.said);
        self.places += usize::from(said.is_none());
        let news = match said {
            Some(said) if said == seen.said => None,
            Some(said) => Some(said.wrapping_add(1) == seen.said),
            None => Some(false),
        };
        clients.push(seen);
        if clients.len() > CLIENTS {
            let oldest = clients.remove(0);
            self.places -= oldest.by.len();
        }
        news
    }

    /// A client is not there any more for an account; all of the contact's, by its bare JID.
    fn forget(&mut self, who: &Jid, account: &Jid) {
        let bare = who.bare();
        let Some(clients) = self.contacts.get_mut(&bare) else {
            return;
        };
        for seen in clients.iter_mut() {
            if who.is_bare() || seen.full == *who {
                self.places -= usize::from(seen.by.remove(account).is_some());
            }
        }
        clients.retain(|seen| !seen.by.is_empty());
        if clients.is_empty() {
            self.contacts.remove(&bare);
        }
    }

    fn seen(&mut self, full: &Jid) -> Option<&mut Seen> {
        let clients = self.contacts.get_mut(&full.bare())?;
        clients.iter_mut().find(|seen| seen.full == *full)
    }
}

impl Theirs {
    fn says_the_same(&self, full: &Jid, key: &Key, account: &Jid) -> bool {
        let mut known = self.known.lock();
        let seen = known.seen(full);
        seen.is_some_and(|seen| seen.key == *key && seen.by.get(account) == Some(&seen.said))
    }

    /// The clients of a contact that an account sees and that want to hear of a node.
    pub(super) fn wanting(&self, contact: &Jid, account: &Jid, node: &str) -> Vec<Jid> {
        let known = self.known.lock();
        let clients = known.contacts.get(&contact.bare()).into_iter().flatten();
        let wanting = clients.filter(|seen| seen.by.contains_key(account) && seen.wants(node));
        wanting.map(|seen| seen.full.clone()).collect()
    }

    /// Puts down what a client wants that says this of itself. Answers what an account is to tell
    /// it of; `None`: it is gone, or says something else by now.
    pub(super) fn settle(&self, place: &Place, key: &Key, wants: &Wants) -> Option<Vec<String>> {
        let mut known = self.known.lock();
        let seen = known.seen(&place.full)?;
        if seen.key != *key || !seen.by.contains_key(&place.account) {
            return None;
        }
        seen.wants = Some(Arc::clone(wants));
        let before = seen.before.as_ref().filter(|_| place.changed);
        let had = |node: &str| before.is_some_and(|before| contains(before, node));
        let new = wants.iter().filter(|node| !had(node));
        Some(new.map(|node| node.to_string()).collect())
    }
}

impl Seen {
    fn wants(&self, node: &str) -> bool {
        self.wants
            .as_ref()
            .is_some_and(|wants| contains(wants, node))
    }
}

fn contains(wants: &Wants, node: &str) -> bool {
    wants
        .binary_search_by(|wanted| (**wanted).cmp(node))
        .is_ok()
}

/// Presence of a client on another server, for an account.
pub(super) fn arriving(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    if let (Origin::Foreign, Kind::Presence(kind)) = (envelope.origin(), envelope.stanza.kind)
        && let (Some(from), Some(to)) = (envelope.from(), envelope.to())
        && let Some(state) = ctx.state::<State>()
    {
        match kind {
            PresenceType::Available if from.is_full() => {
                shown(
                    ctx.core(),
                    state,
                    (from, &to.bare()),
                    &envelope.stanza.payload,
                );
            }
            PresenceType::Unavailable | PresenceType::Error => {
                state.theirs.known.lock().forget(from, &to.bare());
            }
            _ => {}
        }
    }
    Flow::Continue
}

fn shown(core: &Arc<Core>, state: &State, (full, account): (&Jid, &Jid), payload: &Payload) {
    let Some(announced) = Announced::read(payload) else {
        // Who says nothing wants nothing (XEP-0060 §9.2).
        return state.theirs.known.lock().forget(full, account);
    };
    if state.theirs.says_the_same(full, &announced.key(), account) {
        return;
    }
    // Most are in a room elsewhere, and no contacts.
    let contacts = roster::known_contacts(core, account);
    if contacts.is_some_and(|contacts| contacts.standing(full.bare_str()).is_none()) {
        return;
    }
    let Ok(looking) = Arc::clone(&state.theirs.looking).try_acquire_owned() else {
        return;
    };
    let (core, full, account) = (Arc::clone(core), full.clone(), account.clone());
    tokio::spawn(async move {
        let looked = core.lend(move |ctx| Box::pin(look(ctx, full, account, announced)));
        if let Err(error) = looked.await {
            let condition = error.condition.as_str();
            tracing::warn!(condition, "a contact's client is not noted");
        }
        drop(looking);
    });
}

/// Notes the client of somebody whom the account knows. What strangers show is no concern of the
/// account's nodes.
async fn look(
    ctx: &mut Ctx<'_>,
    full: Jid,
    account: Jid,
    announced: Announced,
) -> Result<(), StanzaError> {
    let standing = roster::standing(ctx, &account, &full).await;
    let standing = standing.map_err(|cause| stanza_error(&cause))?;
    let hears = standing.is_some_and(roster::Standing::shows_presence);
    let seen = standing.is_some_and(roster::Standing::sees_presence);
    let (true, Some(state)) = (hears || seen, ctx.state::<State>()) else {
        return Ok(());
    };
    let noted = state
        .theirs
        .known
        .lock()
        .note(&full, &announced.key(), &account);
    if let Some(changed) = noted {
        let place = Place {
            full,
            account,
            changed,
            hears,
        };
        interest::find_out(ctx.core(), announced, Client::Theirs(place));
    }
    Ok(())
}

/// It is known what a client wants: it gets the last items that it has not got (XEP-0163 §4.3.4).
pub(super) fn settle(core: &Arc<Core>, place: &Place, key: &Key, wants: &Wants) {
    let Some(state) = core.state::<State>() else {
        return;
    };
    if let Some(nodes) = state.theirs.settle(place, key, wants)
        && place.hears
    {
        catch_up::begin_elsewhere(core, &place.full, &place.account, nodes);
    }
}

/// A contact is subscribed to an account from now on: its clients get the last items.
pub(super) fn introduce(ctx: &Ctx<'_>, account: &Jid, contact: &Jid) {
    let Some(state) = ctx.state::<State>() else {
        return;
    };
    let found: Vec<(Jid, Vec<String>)> = {
        let known = state.theirs.known.lock();
        let clients = known.contacts.get(&contact.bare()).into_iter().flatten();
        let seen = clients.filter(|seen| seen.by.contains_key(account));
        let wanting = seen.filter_map(|seen| {
            let wants = seen.wants.as_ref()?.iter();
            Some((
                seen.full.clone(),
                wants.map(|node| node.to_string()).collect(),
            ))
        });
        wanting.collect()
    };
    for (full, nodes) in found {
        catch_up::begin_elsewhere(ctx.core(), &full, account, nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn key(ver: &str) -> Key {
        (Some("sha-1".to_owned()), ver.to_owned())
    }

    fn wants(nodes: &[&str]) -> Wants {
        nodes.iter().map(|node| (*node).into()).collect()
    }

    fn place(full: &str, account: &str, changed: bool) -> Place {
        Place {
            full: jid(full),
            account: jid(account),
            changed,
            hears: true,
        }
    }

    #[test]
    fn each_account_is_told_once_and_of_a_change_only_what_is_new() {
        let theirs = Theirs::default();
        let (full, juliet) = (jid("romeo@mantua.example/orchard"), jid("juliet@localhost"));
        let nurse = jid("nurse@localhost");
        let note = |ver: &str, by: &Jid| theirs.known.lock().note(&full, &key(ver), by);
        assert_eq!(note("1", &juliet), Some(false));
        let at = |by: &Jid, changed| place(full.as_str(), by.as_str(), changed);
        let told = theirs.settle(&at(&juliet, false), &key("1"), &wants(&["a"]));
        assert_eq!(told, Some(vec!["a".to_owned()]));
        assert_eq!(note("1", &juliet), None);
        assert!(theirs.says_the_same(&full, &key("1"), &juliet));
        assert!(!theirs.says_the_same(&full, &key("1"), &nurse));
        assert_eq!(note("2", &juliet), Some(true));
        assert!(
            theirs
                .settle(&at(&juliet, true), &key("1"), &wants(&["a"]))
                .is_none()
        );
        let told = theirs.settle(&at(&juliet, true), &key("2"), &wants(&["a", "b"]));
        assert_eq!(told, Some(vec!["b".to_owned()]));
        assert_eq!(note("2", &nurse), Some(false));
        let told = theirs.settle(&at(&nurse, false), &key("2"), &wants(&["a", "b"]));
        assert_eq!(told, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(
            theirs.wanting(&full, &juliet, "b"),
            std::slice::from_ref(&full)
        );
        theirs.known.lock().forget(&full, &juliet);
        assert!(theirs.wanting(&full, &juliet, "b").is_empty());
        assert_eq!(
            theirs.wanting(&full, &nurse, "b"),
            std::slice::from_ref(&full)
        );
        theirs.known.lock().forget(&full.bare(), &nurse);
        let known = theirs.known.lock();
        assert!(known.contacts.is_empty() && known.places == 0);
    }

    #[test]
    fn a_contact_has_so_many_clients() {
        let mut known = Known::default();
        for n in 0..CLIENTS + 5 {
            let full = jid(&format!("romeo@mantua.example/{n}"));
            known.note(&full, &key("1"), &jid("juliet@localhost"));
        }
        assert_eq!(known.places, CLIENTS);
        assert!(known.seen(&jid("romeo@mantua.example/0")).is_none());
        assert!(known.seen(&jid("romeo@mantua.example/24")).is_some());
    }
}
