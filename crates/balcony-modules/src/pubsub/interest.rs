//! What clients want to hear of (XEP-0060 §9.2): the nodes whose names stand with `+notify` in what
//! the client's capabilities (XEP-0115) promise.
//!
//! A hash that nobody has told of before is asked for once, whoever announces it; the answer counts
//! for all who announce it when it proves itself, and else for who gave it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Core, Ctx, Event, Session};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza};
use balcony_proto::xep::caps::Caps;
use balcony_proto::xep::disco::Info;
use balcony_proto::xml::Element;
use parking_lot::Mutex;

use super::{State, catch_up};

/// Hashes that are remembered, with their nodes: there are some hundreds of clients in use, each in
/// a few versions. Full, it begins anew, which costs a question for each client that comes online.
const MOST: usize = 4_000;

/// Nodes that one client may name, and bytes of all their names: clients name about twenty, and
/// with these bounds all that is remembered takes less than 20 MB.
const NODES: usize = 100;
const BYTES: usize = 4_096;

/// How long a client may take to answer. One that is slower is asked again when it comes online.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client wants to hear of: names of nodes, sorted.
pub(super) type Wants = Arc<[Box<str>]>;

/// Hash function and hash (XEP-0115 §4).
type Key = (Option<String>, String);

/// Why a client's capabilities are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It came online: it gets the last items of all it wants.
    CameOnline,
    /// It says something else than before: it gets what it did not want then.
    Changed,
    /// The server was restarted: nothing is news to it.
    Restarted,
}

/// Note of a session: what its client wants.
struct Interest {
    key: Key,
    wants: Wants,
}

/// Note of a session that is being sent last items: what it has heard meanwhile is not sent again.
struct Hearing(HashSet<(Jid, String)>);

/// The hashes that are known, and those that were asked for.
#[derive(Default)]
pub(super) struct Interests(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: HashMap<Key, Wants>,
    /// Whose clients wait for the answer of one of them.
    asked: HashMap<Key, VecDeque<(Arc<Session>, Cause)>>,
}

impl Interests {
    fn known(&self, key: &Key) -> Option<Wants> {
        self.0.lock().known.get(key).cloned()
    }

    /// Lets a session wait for the answer. Answers whether nobody has asked yet.
    fn wait(&self, key: &Key, session: &Arc<Session>, cause: Cause) -> bool {
        let mut inner = self.0.lock();
        let waiting = (Arc::clone(session), cause);
        match inner.asked.get_mut(key) {
            Some(others) => {
                others.push_back(waiting);
                false
            }
            None => {
                inner.asked.insert(key.clone(), VecDeque::from([waiting]));
                true
            }
        }
    }

    /// The next that waits and could be asked. When there is none, nobody asks any more.
    fn next(&self, key: &Key) -> Option<(Arc<Session>, Cause)> {
        let mut inner = self.0.lock();
        let next = inner.asked.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            inner.asked.remove(key);
        }
        next
    }

    /// Remembers what a hash stands for. Answers who waits for it.
    fn learn(&self, key: &Key, wants: &Wants) -> VecDeque<(Arc<Session>, Cause)> {
        let mut inner = self.0.lock();
        if inner.known.len() >= MOST {
            inner.known.clear();
        }
        inner.known.insert(key.clone(), Arc::clone(wants));
        inner.asked.remove(key).unwrap_or_default()
    }
}

/// Whether a client is available and wants to hear of a node.
pub(super) fn wants(session: &Session, node: &str) -> bool {
    let wants = |interest: &Interest| {
        let found = interest
            .wants
            .binary_search_by(|wanted| (**wanted).cmp(node));
        found.is_ok()
    };
    session.is_available() && session.notes(|notes| notes.get().is_some_and(wants))
}

/// A client that is about to hear news of a node need not be sent its last item.
pub(super) fn heard(session: &Session, owner: &Jid, node: &str) {
    session.notes(|notes| {
        if let Some(Hearing(heard)) = notes.get_mut() {
            heard.insert((owner.clone(), node.to_owned()));
        }
    });
}

/// From now on it is noted what a client hears.
pub(super) fn begin_hearing(session: &Session) {
    session.notes(|notes| drop(notes.set(Hearing(HashSet::new()))));
}

/// Whether a client has heard of a node meanwhile.
pub(super) fn has_heard(session: &Session, owner: &Jid, node: &str) -> bool {
    let of = (owner.clone(), node.to_owned());
    session.notes(|notes| {
        notes
            .get()
            .is_some_and(|Hearing(heard)| heard.contains(&of))
    })
}

/// The last items are sent.
pub(super) fn end_hearing(session: &Session) {
    session.notes(|notes| drop(notes.take::<Hearing>()));
}

/// A client shows itself, with its capabilities.
pub(super) fn on_available(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Available { session, first } = event else {
        return;
    };
    let cause = match first {
        true => Cause::CameOnline,
        false => Cause::Changed,
    };
    look(ctx.core(), session, cause);
}

/// A session that an orderly stop wrote down has its presence already.
pub(super) fn on_bound(ctx: &mut Ctx<'_>, event: &Event) {
    if let Event::Bound(session) = event
        && session.is_available()
    {
        look(ctx.core(), session, Cause::Restarted);
    }
}

fn caps_of(session: &Session) -> Option<Caps> {
    let presence = session.presence()?;
    let caps = presence.payload.find(ns::CAPS, "c")?;
    Caps::parse(&caps.element())
}

fn key(caps: &Caps) -> Key {
    (caps.hash.clone(), caps.ver.clone())
}

fn look(core: &Arc<Core>, session: &Arc<Session>, cause: Cause) {
    let Some(state) = core.state::<State>() else {
        return;
    };
    let Some(caps) = caps_of(session) else {
        // Who says nothing wants nothing (§9.2).
        session.notes(|notes| drop(notes.take::<Interest>()));
        return;
    };
    let key = key(&caps);
    let noted = |interest: &Interest| (interest.key == key).then(|| Arc::clone(&interest.wants));
    let before = session.notes(|notes| notes.get().and_then(noted));
    match before {
        Some(_) if cause != Cause::CameOnline => {}
        Some(wants) => settle(core, session, &key, &wants, cause),
        None => match state.interests.known(&key) {
            Some(wants) => settle(core, session, &key, &wants, cause),
            None if state.interests.wait(&key, session, cause) => {
                tokio::spawn(ask(Arc::clone(core), caps));
            }
            None => {}
        },
    }
}

/// Asks the clients that announce a hash, until the answer of one proves itself.
async fn ask(core: Arc<Core>, caps: Caps) {
    let key = key(&caps);
    let Some(state) = core.state::<State>() else {
        return;
    };
    while let Some((session, cause)) = state.interests.next(&key) {
        if session.has_ended() {
            continue;
        }
        let Some(info) = question(&core, &session, &caps).await else {
            continue;
        };
        let wants = read(&info);
        settle(&core, &session, &key, &wants, cause);
        // XEP-0115 §5.4: what does not prove itself counts for nobody else.
        if caps.proves(&info) {
            for (session, cause) in state.interests.learn(&key, &wants) {
                settle(&core, &session, &key, &wants, cause);
            }
        }
    }
}

/// XEP-0115 §6.2
async fn question(core: &Arc<Core>, session: &Session, caps: &Caps) -> Option<Info> {
    let query = Element::new(ns::DISCO_INFO, "query").with_attr("node", caps.disco_node());
    let iq = Stanza::new(Kind::Iq(IqType::Get))
        .with_from(session.account().domain_jid())
        .with_to(session.jid().clone())
        .with_element(query);
    let answer = core.request(iq, PATIENCE).await.ok()?;
    if answer.is_error() {
        return None;
    }
    let query = answer.payload.find(ns::DISCO_INFO, "query")?;
    Some(Info::parse(&query.element()))
}

/// The nodes that a client wants to hear of.
fn read(info: &Info) -> Wants {
    let mut bytes = 0;
    let named = info
        .features
        .iter()
        .filter_map(|var| var.strip_suffix("+notify"));
    let named = named
        .filter(|node| !node.is_empty())
        .take(NODES)
        .take_while(|node| {
            bytes += node.len();
            bytes <= BYTES
        });
    let mut nodes: Vec<Box<str>> = named.map(Box::from).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.into()
}

/// It is known what a client wants: it gets the last items that it has not got (XEP-0163 §4.3.4).
fn settle(core: &Arc<Core>, session: &Arc<Session>, key: &Key, wants: &Wants, cause: Cause) {
    // It has changed its mind meanwhile.
    if caps_of(session).is_none_or(|caps| self::key(&caps) != *key) {
        return;
    }
    let interest = Interest {
        key: key.clone(),
        wants: Arc::clone(wants),
    };
    let before = session.notes(|notes| notes.set(interest));
    let before = before.filter(|_| cause == Cause::Changed);
    let had = |node: &Box<str>| before.as_ref().is_some_and(|had| had.wants.contains(node));
    let new = wants.iter().filter(|node| !had(node));
    let new: Vec<String> = new.map(|node| String::from(&**node)).collect();
    if cause != Cause::Restarted && !new.is_empty() {
        catch_up::begin(core, session, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xep::disco::Identity;

    fn info(features: impl IntoIterator<Item = String>) -> Info {
        let info = Info::of(Identity::new("client", "pc"));
        features.into_iter().fold(info, Info::with_feature)
    }

    #[test]
    fn names_with_notify_are_what_is_wanted() {
        let features = ["urn:b+notify", "urn:a+notify", "urn:c", "+notify"];
        let wants = read(&info(features.map(str::to_owned)));
        let wants: Vec<&str> = wants.iter().map(|node| &**node).collect();
        assert_eq!(wants, ["urn:a", "urn:b"]);
    }

    #[test]
    fn who_wants_too_much_gets_a_part() {
        let many = (0..1_000).map(|n| format!("urn:{n}+notify"));
        assert_eq!(read(&info(many)).len(), NODES);
        let long = (0..10).map(|n| format!("{n}{}+notify", "x".repeat(1_000)));
        assert_eq!(read(&info(long)).len(), 4);
    }

    #[test]
    fn what_is_known_has_a_bound() {
        let interests = Interests::default();
        let key = |n: usize| (Some("sha-1".to_owned()), n.to_string());
        let wants: Wants = Arc::new([]);
        for n in 0..=MOST {
            interests.learn(&key(n), &wants);
        }
        assert!(interests.known(&key(0)).is_none());
        assert!(interests.known(&key(MOST)).is_some());
        assert!(interests.0.lock().known.len() <= MOST);
    }
}
