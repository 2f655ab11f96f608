//! Of which messages a session's account has copies: an error about one of them is copied too
//! (XEP-0280 §6.1).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use balcony_core::module::Session;
use balcony_proto::jid::Jid;

/// An error comes back within the time of a few messages, and 32 of 8 bytes are less than one
/// message takes.
const REMEMBERED: usize = 32;

/// Fingerprints of the messages of a session that were copied to others, the newest last.
#[derive(Default)]
struct Recent(VecDeque<u64>);

/// A message with this id went between the session and a peer, and was copied. Without an id no
/// error can name it.
pub(super) fn remember(session: &Session, id: Option<&str>, peer: &Jid) {
    let Some(id) = id else { return };
    let print = fingerprint(id, peer);
    session.notes(|notes| match notes.get_mut::<Recent>() {
        Some(recent) => recent.add(print),
        None => {
            let mut recent = Recent::default();
            recent.add(print);
            notes.set(recent);
        }
    });
}

/// Whether such a message was copied lately.
pub(super) fn remembers(session: &Session, id: Option<&str>, peer: &Jid) -> bool {
    let Some(id) = id else { return false };
    let print = fingerprint(id, peer);
    session.notes(|notes| {
        let recent = notes.get::<Recent>();
        recent.is_some_and(|recent| recent.0.contains(&print))
    })
}

impl Recent {
    fn add(&mut self, print: u64) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(print);
    }
}

/// RFC 6121 §8.5.3.2.1: an error about a message to a full JID may come from the bare one, and one
/// about a message to a bare JID from a full one. Whoever makes two messages alike has a copy of
/// an error too much.
fn fingerprint(id: &str, peer: &Jid) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, peer.bare_str()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_remembered() {
        let mut recent = Recent::default();
        let peer = Jid::parse("romeo@localhost/orchard").unwrap();
        let print = |n: usize| fingerprint(&n.to_string(), &peer);
        (0..=REMEMBERED).for_each(|n| recent.add(print(n)));
        assert_eq!(recent.0.len(), REMEMBERED);
        assert!(!recent.0.contains(&print(0)));
        assert!(recent.0.contains(&print(1)) && recent.0.contains(&print(REMEMBERED)));
        assert_eq!(print(1), fingerprint("1", &peer.bare()));
    }
}
