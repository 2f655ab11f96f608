//! What a client does not need at once waits while nobody looks at it (XEP-0352 §3).
//!
//! The core does not know what that is: a module says so of each stanza, with what makes an
//! earlier one pointless. Whatever else comes brings all that waits with it, so that a client sees
//! everything in the order in which it came, but for what was replaced.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_store::ArchiveId;

use crate::Core;
use crate::session::{Fate, Item, Session};

/// The presence of two or three contacts with several devices each, or of a small room, and a few
/// milliseconds of work to look through.
const MOST: usize = 200;

/// As much as 200 presences of the usual size take, which is what a client gets in one go when it
/// comes online.
const MOST_BYTES: usize = 64 * 1_024;

/// How a stanza may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A later one of the same kind takes its place.
    Latest(HoldKey),
    /// It is needed, but not now.
    Each,
}

/// What makes two stanzas of the same kind: of those that wait the last one tells all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldKey {
    /// What they are about, in a word that only one module uses.
    pub about: &'static str,
    /// Whose it is. `None`: nobody's, or it does not matter.
    pub from: Option<Jid>,
    /// To whom. `None`: it does not matter.
    pub to: Option<Jid>,
}

/// What waits for one session. Holds no memory while empty.
///
/// For a phone in a pocket this is often all that waits, and more than all else that is kept for
/// its session: an entry is as small as it can be, and room is made for a few of them at a time.
#[derive(Debug, Default)]
pub struct Held {
    entries: Vec<Entry>,
    bytes: usize,
}

/// One stanza that waits: 40 bytes of its own.
#[derive(Debug)]
struct Entry {
    /// Without addressee. What it says is shared with the other contacts who were told.
    stanza: Stanza,
    rest: Arc<Rest>,
}

/// What an entry has beside, and may have in common with those before it: twenty presences differ
/// in who sent them and what they say.
#[derive(Debug)]
struct Rest {
    to: Option<Jid>,
    /// `None`: each counts.
    key: Option<(&'static str, Key)>,
    received_at: i64,
    archived: Option<ArchiveId>,
    fate: Fate,
}

/// Whose the latest is to be.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    /// Of whoever the stanza is from, whomever it is to.
    Sender,
    Other(Box<HoldKey>),
}

/// Room is made for so many: the less, the less of it is empty, and nobody waits for it.
const ROOM: usize = 2;

impl Entry {
    fn new(item: Item, hold: Hold, before: Option<&Entry>) -> Self {
        let Item {
            mut stanza,
            received_at,
            archived,
            fate,
        } = item;
        let key = match hold {
            Hold::Each => None,
            Hold::Latest(key) if key.from == stanza.from && key.to.is_none() => {
                Some((key.about, Key::Sender))
            }
            Hold::Latest(key) => Some((key.about, Key::Other(Box::new(key)))),
        };
        let rest = Rest {
            to: stanza.to.take(),
            key,
            received_at,
            archived,
            fate,
        };
        let rest = match before {
            Some(before) if before.rest.is_like(&rest) => Arc::clone(&before.rest),
            _ => Arc::new(rest),
        };
        Self { stanza, rest }
    }

    fn is(&self, wanted: &HoldKey) -> bool {
        match &self.rest.key {
            Some((about, Key::Sender)) => {
                *about == wanted.about && wanted.to.is_none() && wanted.from == self.stanza.from
            }
            Some((_, Key::Other(key))) => **key == *wanted,
            None => false,
        }
    }

    fn item(&self) -> Item {
        let rest = &self.rest;
        Item {
            stanza: self.stanza.clone().with_to(rest.to.clone()),
            received_at: rest.received_at,
            archived: rest.archived,
            fate: rest.fate.clone(),
        }
    }
}

impl Rest {
    /// Whether the other says the same, of a stanza that is of no use to anybody else, as presence.
    fn is_like(&self, other: &Rest) -> bool {
        let forgotten = |rest: &Rest| {
            matches!(rest.fate, Fate::Forgotten) && rest.archived.is_none() && rest.received_at == 0
        };
        forgotten(self) && forgotten(other) && self.key == other.key && self.to == other.to
    }
}

/// What became of a stanza that was to wait.
#[derive(Debug)]
pub struct Pushed {
    /// This one will not be written: the client has no use for it any more.
    pub replaced: Option<Box<Item>>,
    /// As much waits as may: all of it is to be written now.
    pub full: bool,
}

impl Held {
    /// Adds a stanza behind all that waits.
    #[must_use]
    pub fn push(&mut self, item: Item, hold: Hold) -> Pushed {
        let replaced = self.replaced_by(&hold);
        self.bytes += item.stanza.size();
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(ROOM);
        }
        let entry = Entry::new(item, hold, self.entries.last());
        self.entries.push(entry);
        Pushed {
            replaced: replaced.map(Box::new),
            full: self.entries.len() >= MOST || self.bytes >= MOST_BYTES,
        }
    }

    fn replaced_by(&mut self, hold: &Hold) -> Option<Item> {
        let Hold::Latest(key) = hold else {
            return None;
        };
        let at = self.entries.iter().position(|entry| entry.is(key))?;
        let item = self.entries.remove(at).item();
        self.bytes = self.bytes.saturating_sub(item.stanza.size());
        Some(item)
    }

    /// Takes all that waits, in order.
    pub fn flush(&mut self) -> impl Iterator<Item = Item> + use<> {
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().map(|entry| entry.item())
    }

    /// What waits, in order.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.entries.iter().map(Entry::item)
    }

    /// About how many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Core {
    /// Whether a stanza may wait while nobody looks at the session's client, by the first module
    /// that says so. `None`: the client is to have it now, behind all that waits.
    #[must_use]
    pub fn holds(&self, session: &Session, stanza: &Stanza) -> Option<Hold> {
        let mut asked = self.modules().iter().filter_map(|module| module.hold);
        let config = self.config();
        asked.find_map(|hold| hold(&config, session, stanza))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashMap;

    use balcony_proto::ns;
    use balcony_proto::stanza::{MessageType, PresenceType};
    use balcony_proto::xml::Element;
    use proptest::prelude::*;

    /// What happens to a session whose client nobody looks at.
    #[derive(Clone, Debug)]
    enum Step {
        /// Presence of one of a few contacts.
        Presence(u8),
        /// A chat state of one of them.
        State(u8),
        /// Something that may wait, and of which each counts.
        Event,
        /// Something that must not wait.
        Message,
        /// The client becomes active.
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..6_u8).prop_map(Step::Presence),
            4 => (0..6_u8).prop_map(Step::State),
            2 => Just(Step::Event),
            1 => Just(Step::Message),
            1 => Just(Step::Flush),
        ]
    }

    fn key(about: &'static str, who: u8) -> Hold {
        Hold::Latest(HoldKey {
            about,
            from: Jid::parse(&format!("user{who}@localhost")).ok(),
            to: None,
        })
    }

    fn hold(step: &Step) -> Option<Hold> {
        match step {
            Step::Presence(who) => Some(key("presence", *who)),
            Step::State(who) => Some(key("state", *who)),
            Step::Event => Some(Hold::Each),
            Step::Message | Step::Flush => None,
        }
    }

    /// A stanza that says which step made it.
    fn item(at: usize) -> Item {
        let stanza = Stanza::message(MessageType::Normal).with_id(at.to_string());
        Item::new(stanza, 0)
    }

    fn number(item: &Item) -> usize {
        item.stanza.id.as_deref().unwrap().parse().unwrap()
    }

    /// Which steps the client sees, in order, with and without holding back.
    fn play(steps: &[Step]) -> (Vec<usize>, Vec<usize>) {
        let (mut held, mut seen, mut plain) = (Held::default(), Vec::new(), Vec::new());
        for (at, step) in steps.iter().enumerate() {
            if !matches!(step, Step::Flush) {
                plain.push(at);
            }
            match hold(step) {
                Some(hold) => {
                    if held.push(item(at), hold).full {
                        seen.extend(held.flush().map(|item| number(&item)));
                    }
                }
                None => {
                    seen.extend(held.flush().map(|item| number(&item)));
                    if matches!(step, Step::Message) {
                        seen.push(at);
                    }
                }
            }
            assert!(held.entries.len() < MOST && held.bytes() < MOST_BYTES);
            let bytes: usize = held.items().map(|item| item.stanza.size()).sum();
            assert_eq!(held.bytes(), bytes);
        }
        seen.extend(held.flush().map(|item| number(&item)));
        assert!(held.is_empty() && held.bytes() == 0);
        (seen, plain)
    }

    /// The last step of each kind: what the client believes in the end.
    fn view(steps: &[Step], seen: &[usize]) -> HashMap<String, usize> {
        let kind = |at: &usize| format!("{:?}", steps[*at]);
        seen.iter().map(|at| (kind(at), *at)).collect()
    }

    proptest! {
        #[test]
        fn the_client_ends_with_the_same_view(steps in prop::collection::vec(step(), 0..400)) {
            let (seen, plain) = play(&steps);
            prop_assert!(seen.is_sorted(), "nothing overtakes: {seen:?}");
            prop_assert_eq!(view(&steps, &seen), view(&steps, &plain));
            // What is not replaced by a later one is there, all of it.
            let needed = |at: &&usize| !matches!(hold(&steps[**at]), Some(Hold::Latest(_)));
            let kept: Vec<_> = seen.iter().filter(needed).collect();
            prop_assert_eq!(kept, plain.iter().filter(needed).collect::<Vec<_>>());
            // Before each message the client knows what it would know.
            for (place, at) in seen.iter().enumerate() {
                if matches!(steps[*at], Step::Message) {
                    let before = plain.iter().position(|other| other == at).unwrap();
                    prop_assert_eq!(
                        view(&steps, &seen[..place]),
                        view(&steps, &plain[..before])
                    );
                }
            }
        }
    }

    #[test]
    fn as_much_waits_as_may_by_number_and_by_bytes() {
        let mut held = Held::default();
        for at in 1..MOST {
            assert!(!held.push(item(at), Hold::Each).full);
        }
        assert!(held.push(item(MOST), Hold::Each).full);
        assert_eq!(held.flush().count(), MOST);

        let long = || {
            let stanza = Stanza::presence(PresenceType::Available);
            Item::new(stanza.with_lang("x".repeat(MOST_BYTES)), 0)
        };
        assert!(held.push(long(), key("presence", 1)).full);
        let _ = held.flush();
        // Also when it takes the place of a short one.
        assert!(!held.push(item(1), key("presence", 1)).full);
        assert!(held.push(long(), key("presence", 1)).full);
    }

    #[test]
    fn presences_of_several_have_in_common_what_is_the_same() {
        let presence = |who: &str, to: &str| {
            let mut stanza = Stanza::presence(PresenceType::Available);
            stanza.to = Jid::parse(to).ok();
            stanza.from = Jid::parse(who).ok();
            stanza
                .payload
                .add(&Element::new(ns::CLIENT, "show").with_text(who));
            Item::from(stanza)
        };
        let latest = |item: &Item| {
            Hold::Latest(HoldKey {
                about: "presence",
                from: item.stanza.from.clone(),
                to: None,
            })
        };
        let came = [
            ("a@x", "o@x"),
            ("b@x", "o@x"),
            ("c@x", "o@x/1"),
            ("d@x", "o@x/1"),
        ];
        let items: Vec<Item> = came.iter().map(|(who, to)| presence(who, to)).collect();
        let mut held = Held::default();
        for item in &items {
            assert!(held.push(item.clone(), latest(item)).replaced.is_none());
        }
        let same = |one: usize, other: usize| {
            Arc::ptr_eq(&held.entries[one].rest, &held.entries[other].rest)
        };
        assert!(same(0, 1) && !same(1, 2) && same(2, 3));
        let written = |item: Item| item.stanza.to_element();
        let waits: Vec<_> = held.flush().map(written).collect();
        assert_eq!(waits, items.into_iter().map(written).collect::<Vec<_>>());
    }

    #[test]
    fn the_one_that_is_replaced_comes_back() {
        let mut held = Held::default();
        let _ = held.push(item(1), key("presence", 1));
        let _ = held.push(item(2), key("state", 1));
        let replaced = held.push(item(3), key("presence", 1)).replaced;
        assert_eq!(number(&replaced.unwrap()), 1);
        assert_eq!(held.flush().map(|i| number(&i)).collect::<Vec<_>>(), [2, 3]);
    }
}
