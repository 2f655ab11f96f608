//! XEP-0463 MUC Affiliations Versioning 0.2.0: who keeps the lists of a room hears what changed.
//!
//! A version is a sum of keyed hashes of what stands on the lists. So it is the same after a
//! restart, nobody makes one up, and whoever knows one was told that state (§5). The last changes
//! are remembered while the room is in memory; from any other version on the answer is everything.

use std::collections::{BTreeSet, VecDeque};

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza, StanzaError};
use balcony_proto::xml::Element;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::view::item;
use super::{Affiliation, Out, Role, Standing, State};

/// Changes that are remembered: some weeks of a room that is looked after.
const REMEMBERED: usize = 200;
/// Items of one message: some ten kilobytes of the usual addresses.
const ITEMS: usize = 200;

/// What of the lists somebody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Everything.
    All,
    /// All but who is banned.
    Public,
}

/// A version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark([u8; 16]);

/// The version of each view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    all: Mark,
    public: Mark,
}

/// One change of the lists.
#[derive(Clone, Debug)]
pub(in crate::muc) struct Changed {
    jid: Jid,
    since: Marks,
    until: Marks,
}

/// The versions of a room's lists.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The sum of what stands there; of nothing it is nothing.
    now: Marks,
    log: VecDeque<Changed>,
}

impl Mark {
    fn add(self, Mark(other): Mark) -> Mark {
        let Mark(mut sum) = self;
        for (byte, more) in sum.iter_mut().zip(other) {
            *byte ^= more;
        }
        Mark(sum)
    }

    fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl Marks {
    fn of(self, view: View) -> Mark {
        match view {
            View::All => self.all,
            View::Public => self.public,
        }
    }
}

impl View {
    /// An affiliation as it is seen.
    fn of(self, affiliation: Affiliation) -> Affiliation {
        match (self, affiliation) {
            (View::Public, Affiliation::Outcast) => Affiliation::None,
            _ => affiliation,
        }
    }
}

impl Changed {
    /// How a view changed. `None`: it did not.
    fn seen(&self, view: View) -> Option<(Mark, Mark)> {
        let (since, until) = (self.since.of(view), self.until.of(view));
        (since != until).then_some((since, until))
    }

    /// §4.2.2: what a broadcast says of it. `None`: this view did not change.
    pub(super) fn element(&self, room: &State, view: View) -> Option<Element> {
        let (since, until) = self.seen(view)?;
        Some(mav(
            Some(room.named_version(since)),
            room.named_version(until),
        ))
    }
}

fn mav(since: Option<String>, until: String) -> Element {
    Element::new(ns::MAV, "mav")
        .with_opt_attr("since", since)
        .with_attr("until", until)
}

impl State {
    /// §4.2.3: as with requests for the lists. `None`: nothing.
    pub(super) fn view(&self, who: Standing) -> Option<View> {
        let public = [Affiliation::Owner, Affiliation::Admin, Affiliation::Member];
        let sees = |affiliation| self.may_see(who, affiliation);
        match (public.into_iter().all(sees), sees(Affiliation::Outcast)) {
            (true, true) => Some(View::All),
            (true, false) => Some(View::Public),
            _ => None,
        }
    }

    /// A version as clients see it: of this room, and of no other with the same lists.
    fn named_version(&self, mark: Mark) -> String {
        mark.add(self.mark("", "")).text()
    }

    fn mark(&self, jid: &str, affiliation: &str) -> Mark {
        let mut mac = <Hmac<Sha256>>::new(&self.key.into());
        for part in ["affiliation", self.jid.as_str(), jid, affiliation] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        let hash = mac.finalize().into_bytes();
        let mut mark = Mark::default();
        mark.0
            .iter_mut()
            .zip(hash)
            .for_each(|(to, byte)| *to = byte);
        mark
    }

    /// Brings the versions to what a list says from now on. `None`: the same as before.
    pub(super) fn count_change(
        &mut self,
        jid: &Jid,
        before: Affiliation,
        now: Affiliation,
    ) -> Option<Changed> {
        let since = self.versions.now;
        let sum = |mark: Mark, view: View| {
            let parts = [view.of(before), view.of(now)].into_iter();
            let parts = parts.filter(|affiliation| *affiliation != Affiliation::None);
            parts.fold(mark, |mark, affiliation| {
                mark.add(self.mark(jid.as_str(), affiliation.as_str()))
            })
        };
        let until = Marks {
            all: sum(since.all, View::All),
            public: sum(since.public, View::Public),
        };
        self.versions.now = until;
        let jid = jid.clone();
        (since != until).then_some(Changed { jid, since, until })
    }

    /// Remembers a change, for those who were away.
    pub(super) fn remember_change(&mut self, changed: &Changed) {
        let log = &mut self.versions.log;
        if log.len() >= REMEMBERED {
            log.pop_front();
        }
        log.push_back(changed.clone());
    }

    /// The version that there is (§4.2.1).
    pub(super) fn version(&self, view: View) -> Element {
        mav(None, self.named_version(self.versions.now.of(view)))
    }

    /// §4.2.1: what a newcomer does not know, or that it is nothing for it (§4.2.3).
    pub(super) fn tell_versions(
        &self,
        (session, who): (&Jid, Standing),
        presence: &Stanza,
        asked: &Element,
        out: &mut Out,
    ) {
        let Some(view) = self.view(who) else {
            let mut request = Stanza::message(MessageType::Normal)
                .with_from(session.clone())
                .with_to(self.jid.clone());
            request.id.clone_from(&presence.id);
            let error = StanzaError {
                by: Some(self.jid.clone()),
                ..StanzaError::forbidden()
            };
            out.stanzas.extend(request.error(&error));
            return;
        };
        let now = self.named_version(self.versions.now.of(view));
        let since = asked.attr("since");
        if since == Some(now.as_str()) {
            return;
        }
        let changed = since.and_then(|since| self.changed_since(since, view));
        if let (Some(since), Some(changed)) = (since, changed) {
            let items = changed.into_iter().map(|jid| {
                let listed = self.lists.get(&jid).map(|listed| listed.affiliation);
                affiliated(&jid, view.of(listed.unwrap_or(Affiliation::None)))
            });
            let x = Element::new(ns::MUC_USER, "x").with_child(mav(Some(since.to_owned()), now));
            return self.push_versions(session, x.with_children(items), out);
        }
        self.tell_everything(session, view, out);
    }

    /// The addresses about which something changed from a version on. `None`: the room does not
    /// know that version any more, or too much changed for one message.
    fn changed_since(&self, since: &str, view: View) -> Option<BTreeSet<Jid>> {
        let log = &self.versions.log;
        let at = log.iter().rposition(|changed| {
            let seen = changed.seen(view);
            seen.is_some_and(|(mark, _)| self.named_version(mark) == since)
        })?;
        let after = log.iter().skip(at);
        let after = after.filter(|changed| changed.seen(view).is_some());
        let jids: BTreeSet<Jid> = after.map(|changed| changed.jid.clone()).collect();
        (jids.len() <= ITEMS).then_some(jids)
    }

    /// The whole of it. In several messages, each version between them is that of the part which
    /// was told: no room ever has it, so that whoever is cut off in between gets all of it again.
    fn tell_everything(&self, session: &Jid, view: View, out: &mut Out) {
        let listed = self.lists.iter();
        let listed = listed.map(|(jid, listed)| (jid, view.of(listed.affiliation)));
        let listed = listed.filter(|(_, affiliation)| *affiliation != Affiliation::None);
        let mut listed: Vec<(&Jid, Affiliation)> = listed.collect();
        listed.sort();
        let (mut told, mut since) = (Mark::default(), None);
        let mut parts = listed.chunks(ITEMS).peekable();
        if parts.peek().is_none() {
            let x = Element::new(ns::MUC_USER, "x").with_child(self.version(view));
            return self.push_versions(session, x, out);
        }
        for part in parts {
            for (jid, affiliation) in part {
                told = told.add(self.mark(jid.as_str(), affiliation.as_str()));
            }
            let until = self.named_version(told);
            let items = part.iter().map(|(jid, now)| affiliated(jid, *now));
            let x = Element::new(ns::MUC_USER, "x").with_child(mav(since, until.clone()));
            self.push_versions(session, x.with_children(items), out);
            since = Some(until);
        }
    }

    /// §4.2.2: a change of which no presence tells, to all who keep the lists. `itself`: whom it is
    /// about has heard.
    pub(super) fn tell_change(&self, changed: &Changed, itself: bool, out: &mut Out) {
        let jid = &changed.jid;
        let listed = self.lists.get(jid).map(|listed| listed.affiliation);
        let is_here = self.occupants().any(|occupant| occupant.account == *jid);
        for viewer in self.occupants() {
            let knows = itself && viewer.account == *jid;
            let Some(view) = self.view(viewer.standing()).filter(|_| !knows) else {
                continue;
            };
            let Some(versions) = changed.element(self, view) else {
                continue;
            };
            let now = view.of(listed.unwrap_or(Affiliation::None));
            let item = match is_here {
                true => affiliated(jid, now),
                false => item(now, Role::None).with_attr("jid", jid.as_str()),
            };
            let x = Element::new(ns::MUC_USER, "x").with_child(versions);
            let x = x.with_child(item);
            for seat in viewer.seats.iter().filter(|seat| seat.versions) {
                self.push_versions(&seat.jid, x.clone(), out);
            }
        }
    }

    fn push_versions(&self, to: &Jid, x: Element, out: &mut Out) {
        let message = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_to(to.clone());
        out.push(message.with_element(x));
    }
}

fn affiliated(jid: &Jid, affiliation: Affiliation) -> Element {
    Element::new(ns::MUC_USER, "item")
        .with_attr("affiliation", affiliation.as_str())
        .with_attr("jid", jid.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Listed, Plan};
    use super::*;
    use std::collections::BTreeMap;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn room() -> State {
        State::new(jid("coven@chat.localhost"), Config::default(), [7; 64])
    }

    fn set(room: &mut State, who: &str, affiliation: Affiliation) {
        let listed = (affiliation != Affiliation::None).then_some(Listed {
            affiliation,
            nick: None,
            reason: None,
        });
        room.carry_out(&Plan::of(jid(who), listed), &mut Out::default());
    }

    const OWNER: Standing = Standing {
        role: Role::Moderator,
        affiliation: Affiliation::Owner,
    };

    /// A client that keeps the lists.
    #[derive(Default)]
    struct Kept {
        version: Option<String>,
        lists: BTreeMap<String, String>,
        /// Whether the last answer was everything.
        whole: bool,
    }

    impl Kept {
        fn join(&mut self, room: &State, who: Standing) -> usize {
            let asked = Element::new(ns::MAV, "mav").with_opt_attr("since", self.version.clone());
            let presence = Stanza::presence(balcony_proto::stanza::PresenceType::Available);
            let mut out = Out::default();
            let session = jid("crone1@localhost/desktop");
            room.tell_versions((&session, who), &presence, &asked, &mut out);
            for message in &out.stanzas {
                let x = message.payload.find(ns::MUC_USER, "x").unwrap().element();
                let mav = x.child(ns::MAV, "mav").unwrap();
                self.whole = mav.attr("since").is_none();
                if self.whole {
                    self.lists.clear();
                } else {
                    assert_eq!(mav.attr("since"), self.version.as_deref());
                }
                self.version = mav.attr("until").map(str::to_owned);
                for item in x.children().filter(|child| child.name() == "item") {
                    let jid = item.attr("jid").unwrap().to_owned();
                    match item.attr("affiliation").unwrap() {
                        "none" => drop(self.lists.remove(&jid)),
                        affiliation => drop(self.lists.insert(jid, affiliation.to_owned())),
                    }
                }
            }
            let view = room.view(who).unwrap();
            let listed = room.lists.iter();
            let listed = listed.map(|(jid, listed)| (jid, view.of(listed.affiliation)));
            let listed = listed.filter(|(_, now)| *now != Affiliation::None);
            let all = listed.map(|(jid, now)| (jid.to_string(), now.as_str().to_owned()));
            assert_eq!(
                self.lists,
                all.collect(),
                "the client has what the room has"
            );
            let version = room.version(view);
            assert_eq!(version.attr("until"), self.version.as_deref());
            out.stanzas.len()
        }
    }

    #[test]
    fn who_was_away_hears_what_changed_and_no_more() {
        let mut room = room();
        let mut kept = Kept::default();
        assert_eq!(kept.join(&room, OWNER), 1, "an empty list is told as well");
        set(&mut room, "crone1@localhost", Affiliation::Owner);
        set(&mut room, "hag66@localhost", Affiliation::Member);
        kept.join(&room, OWNER);
        assert!(!kept.whole);
        assert_eq!(kept.join(&room, OWNER), 0);
        set(&mut room, "hag66@localhost", Affiliation::Outcast);
        set(&mut room, "crone1@localhost", Affiliation::None);
        set(&mut room, "far.example", Affiliation::Outcast);
        assert_eq!(kept.join(&room, OWNER), 1);
        assert!(!kept.whole);
        // There and back: the version is the same, as the lists are.
        set(&mut room, "far.example", Affiliation::None);
        set(&mut room, "far.example", Affiliation::Outcast);
        assert_eq!(kept.join(&room, OWNER), 0);
    }

    #[test]
    fn a_version_that_is_not_known_any_more_gets_everything() {
        let mut room = room();
        let mut kept = Kept::default();
        set(&mut room, "crone1@localhost", Affiliation::Owner);
        kept.join(&room, OWNER);
        for number in 0..=REMEMBERED {
            let who = format!("witch{number}@far.example");
            set(&mut room, &who, Affiliation::Member);
        }
        assert_eq!(kept.join(&room, OWNER), 2, "in two messages");
        assert_eq!(kept.lists.len(), REMEMBERED + 2);
        kept.version = Some("made up".to_owned());
        kept.join(&room, OWNER);
    }

    #[test]
    fn who_may_not_see_the_banned_hears_nothing_of_them() {
        let mut room = room();
        room.config.non_anonymous = true;
        let member = Standing {
            role: Role::Participant,
            affiliation: Affiliation::Member,
        };
        let mut kept = Kept::default();
        set(&mut room, "crone1@localhost", Affiliation::Owner);
        set(&mut room, "hag66@localhost", Affiliation::Member);
        kept.join(&room, member);
        set(&mut room, "x@far.example", Affiliation::Outcast);
        assert_eq!(kept.join(&room, member), 0);
        set(&mut room, "hag66@localhost", Affiliation::Outcast);
        assert_eq!(kept.join(&room, member), 1);
        room.config.non_anonymous = false;
        assert_eq!(room.view(member), None);
    }

    #[test]
    fn versions_are_of_one_room() {
        let mut one = room();
        let mut two = State::new(jid("heath@chat.localhost"), Config::default(), [7; 64]);
        assert_ne!(one.version(View::All), two.version(View::All));
        set(&mut one, "crone1@localhost", Affiliation::Owner);
        set(&mut two, "crone1@localhost", Affiliation::Owner);
        assert_ne!(one.version(View::All), two.version(View::All));
    }
}
