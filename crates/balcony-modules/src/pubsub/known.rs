//! Which nodes a hash of capabilities asks for (XEP-0060 §9.2, XEP-0115 §5.4), as far as it is
//! known or asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use balcony_core::module::Session;
use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::xep::disco::Info;
use parking_lot::Mutex;

use super::theirs::Place;

/// Hashes that are remembered, with their nodes: there are some hundreds of clients in use, each in
/// a few versions. Full, it begins anew, which costs a question for each client that comes online.
const MOST: usize = 4_000;

/// Nodes that one client may name, and bytes of all their names: clients name about twenty, and
/// with these bounds all that is remembered takes less than 20 MB.
const NODES: usize = 100;
const BYTES: usize = 4_096;

/// Hashes that are asked for at the same time. Whoever announces another one is asked when it shows
/// itself again.
const ASKED: usize = 1_000;

/// What a client wants to hear of: names of nodes, sorted.
pub(super) type Wants = Arc<[Box<str>]>;

/// Hash function and hash (XEP-0115 §4).
pub(super) type Key = (Option<String>, String);

/// Why a client's capabilities are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It came online: it gets the last items of all it wants.
    CameOnline,
    /// It says something else than before: it gets what it did not want then.
    Changed,
    /// The server was restarted: nothing is news to it.
    Restarted,
}

/// A client whose capabilities are looked at.
#[derive(Clone)]
pub(super) enum Client {
    /// A session here.
    Ours(Arc<Session>, Cause),
    /// One of a contact on another server.
    Theirs(Place),
}

impl Client {
    /// Its full JID.
    pub(super) fn jid(&self) -> &Jid {
        match self {
            Client::Ours(session, _) => session.jid(),
            Client::Theirs(place) => &place.full,
        }
    }

    /// Whether both stand for the same, and what one waits for is what the other does.
    fn is(&self, other: &Client) -> bool {
        match (self, other) {
            (Client::Ours(one, _), Client::Ours(other, _)) => one.id() == other.id(),
            (Client::Theirs(one), Client::Theirs(other)) => {
                (&one.full, &one.account) == (&other.full, &other.account)
            }
            _ => false,
        }
    }
}

/// The hashes that are known, and those that were asked for.
#[derive(Default)]
pub(super) struct Interests(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: Map<Key, Wants>,
    /// Whose clients wait for the answer of one of them.
    asked: Map<Key, VecDeque<Client>>,
}

impl Interests {
    pub(super) fn known(&self, key: &Key) -> Option<Wants> {
        self.0.lock().known.get(key).cloned()
    }

    /// Lets a client wait for the answer. Answers whether nobody has asked yet, and it is to be.
    pub(super) fn wait(&self, key: &Key, waiting: Client) -> bool {
        let mut inner = self.0.lock();
        if inner.asked.len() >= ASKED && !inner.asked.contains_key(key) {
            return false;
        }
        match inner.asked.get_mut(key) {
            Some(others) => {
                // Once, whatever it sends: each may take its time to answer.
                match (others.iter_mut().find(|other| other.is(&waiting)), &waiting) {
                    (Some(Client::Ours(_, before)), Client::Ours(_, Cause::CameOnline)) => {
                        *before = Cause::CameOnline;
                    }
                    (Some(_), _) => {}
                    (None, _) => others.push_back(waiting),
                }
                false
            }
            None => {
                inner.asked.insert(key.clone(), VecDeque::from([waiting]));
                true
            }
        }
    }

    /// The next that waits and could be asked. When there is none, nobody asks any more.
    pub(super) fn next(&self, key: &Key) -> Option<Client> {
        let mut inner = self.0.lock();
        let next = inner.asked.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            inner.asked.remove(key);
        }
        next
    }

    /// Takes all that wait for the answer of the client of this full JID: other accounts see it
    /// too.
    pub(super) fn of_same(&self, key: &Key, full: &Jid) -> Vec<Client> {
        let mut inner = self.0.lock();
        let Some(waiting) = inner.asked.get_mut(key) else {
            return Vec::new();
        };
        let (same, others) = waiting.drain(..).partition(|client| client.jid() == full);
        *waiting = others;
        same.into()
    }

    /// Remembers what a hash stands for. Answers who waits for it.
    pub(super) fn learn(&self, key: &Key, wants: &Wants) -> VecDeque<Client> {
        let mut inner = self.0.lock();
        if inner.known.len() >= MOST {
            inner.known.clear();
        }
        inner.known.insert(key.clone(), Arc::clone(wants));
        inner.asked.remove(key).unwrap_or_default()
    }
}

/// The nodes that a client wants to hear of.
pub(super) fn read(info: &Info) -> Wants {
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
