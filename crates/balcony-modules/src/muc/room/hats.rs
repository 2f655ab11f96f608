//! XEP-0317 Hats 0.3.1: what a room calls people beside their roles, and who wears it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::Field;
use balcony_proto::xml::Element;
use sha2::{Digest as _, Sha256};

use super::view::{Shown, code};
use super::{Occupant, Out, State};

/// The fields of forms, of requests as well as in the store.
pub(in crate::muc) const URI: &str = "hats#uri";
pub(in crate::muc) const TITLE: &str = "hats#title";
pub(in crate::muc) const HUE: &str = "hats#hue";
pub(in crate::muc) const JID: &str = "hats#jid";

/// Bytes of a URI and of a title: a long line. Everybody gets them with each presence.
const MAX_LINE: usize = 256;
/// Hats of one person: with the longest words their presence grows by four kilobytes.
const MAX_WORN: usize = 8;
/// Bytes of all hats of a room and the addresses of all who wear one: a thousand usual addresses.
/// They are read with the room's configuration.
const MAX_BYTES: usize = 48 * 1_024;

/// What is kept of a hat and of an address beside their texts, about.
const HAT_BYTES: usize = 256;
const ADDRESS_BYTES: usize = 32;

/// Hats of a room: more than people tell apart.
const MOST: usize = 64;

/// A hat (§3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::muc) struct Hat {
    /// What it is told by.
    pub(in crate::muc) uri: String,
    /// For people.
    pub(in crate::muc) title: String,
    /// Its colour: an angle in degrees. `None`: clients choose.
    pub(in crate::muc) hue: Option<String>,
}

/// The hats of a room, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::muc) struct Hats(Vec<Worn>);

/// A hat, and the bare JIDs that wear it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Worn {
    hat: Hat,
    by: BTreeSet<Jid>,
}

impl Hat {
    /// A hat that can be shown to everybody.
    ///
    /// # Errors
    /// `bad-request`, with the reason.
    pub(in crate::muc) fn new(uri: &str, title: &str, hue: &str) -> Result<Hat, StanzaError> {
        let bad = |text| Err(StanzaError::bad_request().with_text(text));
        let (uri, title, hue) = (uri.trim(), title.trim(), hue.trim());
        if !is_uri(uri) || uri.len() > MAX_LINE {
            return bad("a hat needs a URI of at most 256 bytes");
        }
        if title.is_empty() || title.len() > MAX_LINE {
            return bad("a hat needs a title of at most 256 bytes");
        }
        // A number of so many digits says all that a screen shows.
        let is_angle = |hue: &str| {
            hue.parse()
                .is_ok_and(|angle| (0.0..=360.0).contains(&angle))
        };
        if !(hue.is_empty() || hue.len() <= 16 && is_angle(hue)) {
            return bad("a hue is an angle from 0 to 360");
        }
        Ok(Hat {
            uri: uri.to_owned(),
            title: title.to_owned(),
            hue: Some(hue.to_owned()).filter(|hue| !hue.is_empty()),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(ns::HATS, "hat")
            .with_attr("title", self.title.as_str())
            .with_attr("uri", self.uri.as_str())
            .with_opt_attr("hue", self.hue.as_deref())
    }

    /// As a row of a table.
    pub(in crate::muc) fn fields(&self) -> Vec<Field> {
        let hue = self.hue.clone().unwrap_or_default();
        vec![
            Field::of(TITLE, self.title.clone()),
            Field::of(URI, self.uri.clone()),
            Field::of(HUE, hue),
        ]
    }
}

/// RFC 3986 §3.1: a scheme, a colon, and something behind it.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let odd = |c: char| c.is_whitespace() || c.is_control();
    starts && scheme.chars().all(of_scheme) && !rest.is_empty() && !rest.contains(odd)
}

impl Hats {
    /// All there are.
    pub(in crate::muc) fn all(&self) -> impl Iterator<Item = &Hat> {
        self.0.iter().map(|worn| &worn.hat)
    }

    /// Those of one bare JID.
    pub(in crate::muc) fn of(&self, account: &Jid) -> impl Iterator<Item = &Hat> {
        let worn = self.0.iter().filter(|worn| worn.by.contains(account));
        worn.map(|worn| &worn.hat)
    }

    /// Who wears what.
    pub(in crate::muc) fn worn(&self) -> impl Iterator<Item = (&Jid, &Hat)> {
        let worn = self.0.iter();
        worn.flat_map(|worn| worn.by.iter().map(|jid| (jid, &worn.hat)))
    }

    /// Makes a hat, or changes the one of that URI (§3.2).
    ///
    /// # Errors
    /// `resource-constraint` when there are too many.
    pub(in crate::muc) fn put(&mut self, hat: Hat) -> Result<(), StanzaError> {
        match self.0.iter_mut().find(|worn| worn.hat.uri == hat.uri) {
            Some(worn) => worn.hat = hat,
            None => self.0.push(Worn {
                hat,
                by: BTreeSet::new(),
            }),
        }
        self.check_size()
    }

    /// Takes a hat out of the room, and off everybody (§3.3).
    pub(in crate::muc) fn remove(&mut self, uri: &str) {
        self.0.retain(|worn| worn.hat.uri != uri);
    }

    /// Gives somebody a hat (§3.5).
    ///
    /// # Errors
    /// `item-not-found` for a hat that there is not, `resource-constraint` when somebody, or
    /// everybody together, has too many.
    pub(in crate::muc) fn assign(&mut self, uri: &str, account: Jid) -> Result<(), StanzaError> {
        let worn = self.of(&account).filter(|hat| hat.uri != uri).count();
        if worn >= MAX_WORN {
            let error = StanzaError::resource_constraint();
            return Err(error.with_text("nobody wears more than eight hats"));
        }
        let hat = self.0.iter_mut().find(|worn| worn.hat.uri == uri);
        let hat = hat.ok_or_else(StanzaError::item_not_found)?;
        hat.by.insert(account);
        self.check_size()
    }

    /// Takes a hat off somebody (§3.6).
    pub(in crate::muc) fn unassign(&mut self, uri: &str, account: &Jid) {
        let hat = self.0.iter_mut().find(|worn| worn.hat.uri == uri);
        if let Some(hat) = hat {
            hat.by.remove(account);
        }
    }

    /// Takes all hats off somebody. Answers whether there was one.
    pub(in crate::muc) fn bare(&mut self, account: &Jid) -> bool {
        let mut removed = false;
        for worn in &mut self.0 {
            removed |= worn.by.remove(account);
        }
        removed
    }

    fn check_size(&self) -> Result<(), StanzaError> {
        let sizes = self.0.iter().map(|Worn { hat, by }| {
            let addresses = by.iter().map(|jid| ADDRESS_BYTES + jid.as_str().len());
            HAT_BYTES + hat.uri.len() + hat.title.len() + addresses.sum::<usize>()
        });
        if self.0.len() > MOST || sizes.sum::<usize>() > MAX_BYTES {
            return Err(StanzaError::resource_constraint().with_text("the room has too many hats"));
        }
        Ok(())
    }

    /// By which clients see that there are others than they know (§2). `None`: there are none.
    pub(in crate::muc) fn hash(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for hat in self.all() {
            let hue = hat.hue.as_deref().unwrap_or_default();
            for part in [hat.uri.as_str(), hat.title.as_str(), hue] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
        }
        let hex = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Some(hex)
    }

    /// As rows of a form that is kept.
    pub(in crate::muc) fn rows(&self) -> impl Iterator<Item = Vec<Field>> {
        self.0.iter().map(|worn| {
            let by = Field {
                var: Some(JID.to_owned()),
                ..Field::default()
            };
            let mut row = worn.hat.fields();
            row.push(by.with_values(worn.by.iter().map(Jid::to_string)));
            row
        })
    }

    /// What [`rows`](Self::rows) gave. What cannot be read is left out.
    pub(in crate::muc) fn of_rows(rows: &[Vec<Field>]) -> Hats {
        let read = |row: &Vec<Field>| {
            let values = |var: &str| {
                let field = row.iter().find(|field| field.var() == Some(var));
                field.map_or(&[] as &[String], |field| &field.values)
            };
            let one = |var| values(var).first().map_or("", String::as_str);
            let hat = Hat::new(one(URI), one(TITLE), one(HUE)).ok()?;
            let by = values(JID).iter().filter_map(|jid| Jid::parse(jid).ok());
            let by = by.collect();
            Some(Worn { hat, by })
        };
        Hats(rows.iter().filter_map(read).collect())
    }
}

impl State {
    /// §3.1: what an occupant wears. `None`: nothing.
    pub(super) fn hats_of(&self, account: &Jid) -> Option<Element> {
        let mut worn = self.hats.of(account).peekable();
        worn.peek()?;
        let hats = Element::new(ns::HATS, "hats");
        Some(hats.with_children(worn.map(Hat::to_element)))
    }

    /// Other hats than before: everybody sees those whose hats are others now (§3.2, §3.3, §3.6),
    /// and hears of it when the room has others (§3.2).
    pub(in crate::muc) fn put_on(&mut self, hats: Hats, out: &mut Out) {
        let before = std::mem::replace(&mut self.hats, hats);
        let other = |occupant: &&Occupant| {
            let account = &occupant.account;
            !before.of(account).eq(self.hats.of(account))
        };
        let changed: Vec<&Occupant> = self.occupants().filter(other).collect();
        if self.may_tell_of(changed.len()) {
            for (occupant, seat) in changed.into_iter().filter_map(|o| Some((o, o.first()?))) {
                self.tell_all(Shown::available(occupant, seat), out);
            }
        }
        if !before.all().eq(self.hats.all()) {
            self.tell_codes(&[code::CONFIG_CHANGED], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn hat(number: usize) -> Hat {
        Hat::new(&format!("urn:hat:{number}"), "Hat", "171.43").unwrap()
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut hats = Hats::default();
        hats.put(hat(1)).unwrap();
        hats.put(Hat::new("http://x.example/#y", "<Host> & 'more'", "").unwrap())
            .unwrap();
        hats.assign("urn:hat:1", jid("hag66@localhost")).unwrap();
        hats.assign("urn:hat:1", jid("o\\27hara@localhost"))
            .unwrap();
        let rows: Vec<Vec<Field>> = hats.rows().collect();
        assert_eq!(Hats::of_rows(&rows), hats);
        assert_eq!(hats.worn().count(), 2);
    }

    #[test]
    fn a_hat_that_makes_no_sense_is_refused() {
        let long = "x".repeat(MAX_LINE + 1);
        for (uri, title, hue) in [
            ("", "Host", ""),
            ("host", "Host", ""),
            ("1:host", "Host", ""),
            ("urn:", "Host", ""),
            ("urn:a b", "Host", ""),
            (&format!("urn:{long}"), "Host", ""),
            ("urn:host", " ", ""),
            ("urn:host", &long, ""),
            ("urn:host", "Host", "blue"),
            ("urn:host", "Host", "360.1"),
            ("urn:host", "Host", "NaN"),
            ("urn:host", "Host", "1.00000000000000000"),
        ] {
            let error = Hat::new(uri, title, hue).unwrap_err();
            assert_eq!(
                error.condition,
                Condition::BadRequest,
                "{uri} {title} {hue}"
            );
        }
    }

    #[test]
    fn nobody_and_no_room_has_too_many() {
        let mut hats = Hats::default();
        for number in 0..=MAX_WORN {
            hats.put(hat(number)).unwrap();
        }
        for number in 0..MAX_WORN {
            let uri = format!("urn:hat:{number}");
            hats.assign(&uri, jid("hag66@localhost")).unwrap();
            hats.assign(&uri, jid("hag66@localhost")).unwrap();
        }
        let refused = hats.assign("urn:hat:8", jid("hag66@localhost"));
        assert_eq!(
            refused.unwrap_err().condition,
            Condition::ResourceConstraint
        );
        let unknown = hats.assign("urn:hat:99", jid("crone1@localhost"));
        assert_eq!(unknown.unwrap_err().condition, Condition::ItemNotFound);
        let full = (0..10_000).find_map(|number| hats.put(hat(number)).err());
        assert_eq!(full.unwrap().condition, Condition::ResourceConstraint);
    }

    #[test]
    fn the_hash_is_of_all_that_clients_keep() {
        let mut hats = Hats::default();
        assert_eq!(hats.hash(), None);
        hats.put(hat(1)).unwrap();
        let first = hats.hash();
        hats.assign("urn:hat:1", jid("hag66@localhost")).unwrap();
        assert_eq!(hats.hash(), first);
        hats.put(Hat::new("urn:hat:1", "Cap", "171.43").unwrap())
            .unwrap();
        assert_ne!(hats.hash(), first);
        assert_eq!(hats.of(&jid("hag66@localhost")).count(), 1);
    }
}
