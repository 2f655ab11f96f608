//! What occupants see of each other (XEP-0045 §7.2.2–§7.2.4).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Payload, PresenceType, Stanza};
use balcony_proto::xml::Element;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::versions::{Changed, View};
use super::{Affiliation, Occupant, Out, Role, Seat, State};

/// Stanzas that one request makes a room say: they are in memory until all of them are handed on, a
/// kilobyte each.
const MOST_AT_ONCE: usize = 100_000;

/// Status codes (§15.6.2).
pub(in crate::muc) mod code {
    /// Everybody sees the real address.
    pub(in crate::muc) const NON_ANONYMOUS: u16 = 100;
    /// The configuration changed.
    pub(in crate::muc) const CONFIG_CHANGED: u16 = 104;
    /// This is about whoever gets it.
    pub(in crate::muc) const SELF: u16 = 110;
    /// The room is archived.
    pub(in crate::muc) const LOGGED: u16 = 170;
    /// It no longer is.
    pub(in crate::muc) const NOT_LOGGED: u16 = 171;
    /// Real addresses are shown from now on.
    pub(in crate::muc) const NOW_NON_ANONYMOUS: u16 = 172;
    /// They are no longer.
    pub(in crate::muc) const NOW_SEMI_ANONYMOUS: u16 = 173;
    /// The room is new.
    pub(in crate::muc) const CREATED: u16 = 201;
    /// Banned.
    pub(in crate::muc) const BANNED: u16 = 301;
    /// Another nickname.
    pub(in crate::muc) const RENAMED: u16 = 303;
    /// Kicked.
    pub(in crate::muc) const KICKED: u16 = 307;
    /// Put out because of an affiliation.
    pub(in crate::muc) const NO_MEMBER: u16 = 321;
    /// Put out because the room is for members now.
    pub(in crate::muc) const MEMBERS_ONLY: u16 = 322;
    /// Put out because the service ends.
    pub(in crate::muc) const SHUT_DOWN: u16 = 332;
    /// Put out because of an error.
    pub(in crate::muc) const ERROR: u16 = 333;
}

/// What is said of an occupant beside where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::muc) struct Said<'a> {
    /// For everybody.
    pub(in crate::muc) codes: &'a [u16],
    /// For the session alone whose presence it is.
    pub(in crate::muc) own_codes: &'a [u16],
    /// The next nickname.
    pub(in crate::muc) nick: Option<&'a str>,
    pub(in crate::muc) reason: Option<&'a str>,
    /// The nickname of who did it.
    pub(in crate::muc) actor: Option<&'a str>,
    /// It comes in, and is told the version of the lists (XEP-0463 §4.2.1).
    pub(in crate::muc) enters: bool,
    /// How the lists change by it (XEP-0463 §4.2.2).
    pub(in crate::muc) changed: Option<&'a Changed>,
    /// The room is no more (§10.9).
    pub(in crate::muc) destroyed: Option<&'a Element>,
}

/// The occupant whose presence is told, and how.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) occupant: &'a Occupant,
    pub(super) seat: &'a Seat,
    pub(super) kind: PresenceType,
    /// Of an unavailable presence: what it says, in place of what the session showed.
    pub(super) farewell: Option<&'a Payload>,
    pub(super) said: Said<'a>,
}

/// What only the room may say, and what an occupant's presence therefore loses on its way.
pub(in crate::muc) fn is_the_rooms(child: &Child<'_>) -> bool {
    matches!(
        child.ns(),
        ns::MUC | ns::MUC_USER | ns::OCCUPANT_ID | ns::HATS
    )
}

impl State {
    /// XEP-0421 §3: the same for an account whenever it comes, and nothing by which anybody could
    /// tell whose it is.
    pub(in crate::muc) fn occupant_id(&self, account: &Jid) -> Element {
        let mut mac = <Hmac<Sha256>>::new(&self.key.into());
        mac.update(self.jid.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(account.bare_str().as_bytes());
        let id = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Element::new(ns::OCCUPANT_ID, "occupant-id").with_attr("id", id)
    }

    /// A presence of an occupant without its addressee. For an occupant that leaves, the role is
    /// `none` (§7.14).
    fn presence(
        &self,
        shown: Shown<'_>,
        with_address: bool,
        own: bool,
        versions: Option<Element>,
    ) -> Stanza {
        let Shown {
            occupant,
            seat,
            kind,
            farewell,
            said,
        } = shown;
        let leaves = kind == PresenceType::Unavailable && said.nick.is_none();
        let role = if leaves { Role::None } else { occupant.role };
        let item = item(occupant.affiliation, role)
            .with_opt_attr("jid", with_address.then(|| seat.jid.as_str()))
            .with_opt_attr("nick", said.nick);
        let item = explained(item, said.actor, said.reason);
        let x = Element::new(ns::MUC_USER, "x").with_children(versions);
        let mut x = x.with_child(item);
        if let Some(destroyed) = said.destroyed {
            x.push(destroyed.clone());
        }
        let own_codes = if own { said.own_codes } else { &[] };
        let codes = said.codes.iter().chain(own_codes);
        for code in codes.copied().chain(own.then_some(code::SELF)) {
            x.push(status(code));
        }
        let mut payload = match kind {
            PresenceType::Available => seat.presence.clone(),
            _ => farewell.cloned().unwrap_or_else(Payload::empty),
        };
        payload.add(&self.occupant_id(&occupant.account));
        payload.add(&x);
        let hats = self.hats_of(&occupant.account);
        if let Some(hats) = hats.filter(|_| kind == PresenceType::Available) {
            payload.add(&hats);
        }
        Stanza::presence(kind)
            .with_from(self.address(&occupant.nick))
            .with_payload(payload)
    }

    /// Tells everybody in the room of an occupant, its own sessions last (§7.2.2). Where the
    /// presence of such occupants is not told, only these.
    pub(super) fn tell_all(&self, shown: Shown<'_>, out: &mut Out) {
        self.tell_others(shown, out);
        self.tell_itself(shown, &shown.occupant.seats, out);
    }

    /// Tells all but the occupant itself, where the presence of such occupants is told.
    fn tell_others(&self, shown: Shown<'_>, out: &mut Out) {
        if self.config.tells_of(shown.occupant.role) {
            self.tell_viewers(shown, out);
        }
    }

    /// Tells all but the occupant itself.
    fn tell_viewers(&self, shown: Shown<'_>, out: &mut Out) {
        let nick = shown.occupant.nick.as_str();
        // One for each way in which it is seen.
        let mut made: Vec<((bool, Option<View>), Stanza)> = Vec::new();
        for viewer in self.occupants().filter(|viewer| viewer.nick != nick) {
            let with_address = self.shows_addresses(viewer.role);
            for seat in &viewer.seats {
                let view = self.keeps_lists(seat, viewer, shown.said);
                let key = (with_address, view);
                let presence = match made.iter().find(|(other, _)| *other == key) {
                    Some((_, presence)) => presence.clone(),
                    None => {
                        let versions = self.versions_in(shown.said, view);
                        let presence = self.presence(shown, with_address, false, versions);
                        made.push((key, presence.clone()));
                        presence
                    }
                };
                out.push(presence.with_to(seat.jid.clone()));
            }
        }
    }

    /// What of the lists a session hears with a change of them. `None`: nothing, or there is none.
    fn keeps_lists(&self, seat: &Seat, viewer: &Occupant, said: Said<'_>) -> Option<View> {
        let concerns = seat.versions && (said.changed.is_some() || said.enters);
        concerns.then(|| self.view(viewer.standing())).flatten()
    }

    fn versions_in(&self, said: Said<'_>, view: Option<View>) -> Option<Element> {
        said.changed?.element(self, view?)
    }

    /// §7.2.2: an occupant whose presence is not told any more does not stay where others saw it.
    pub(super) fn hide(&self, occupant: &Occupant, said: Said<'_>, out: &mut Out) {
        if let Some(seat) = occupant.first() {
            let gone = Shown::available(occupant, seat).leaving(None).saying(said);
            self.tell_viewers(gone, out);
        }
    }

    /// Whether everybody may be told of so many at once.
    pub(super) fn may_tell_of(&self, count: usize) -> bool {
        count.saturating_mul(self.occupants.len()) <= MOST_AT_ONCE
    }

    /// §10.2: the presence of other roles is told than of these before. Who was hidden is shown,
    /// and who was shown is gone, as if they came and went.
    ///
    /// In a room with very many that is left to their next presence.
    pub(in crate::muc) fn tell_of_others(&self, before: &[Role], out: &mut Out) {
        let other = |occupant: &&Occupant| {
            before.contains(&occupant.role) != self.config.tells_of(occupant.role)
        };
        if !self.may_tell_of(self.occupants().filter(other).count()) {
            return;
        }
        for occupant in self.occupants() {
            let was_told = before.contains(&occupant.role);
            match (was_told, self.config.tells_of(occupant.role)) {
                (true, false) => self.hide(occupant, Said::default(), out),
                (false, true) => {
                    if let Some(seat) = occupant.first() {
                        self.tell_viewers(Shown::available(occupant, seat), out);
                    }
                }
                _ => {}
            }
        }
    }

    /// Tells sessions of the occupant itself (§7.2.2: status 110).
    pub(super) fn tell_itself(&self, shown: Shown<'_>, seats: &[Seat], out: &mut Out) {
        // One knows one's own address.
        let to_others = Said {
            own_codes: &[],
            enters: false,
            ..shown.said
        };
        for seat in seats {
            let is_meant = seat.jid == shown.seat.jid;
            let said = if is_meant { shown.said } else { to_others };
            let view = self.keeps_lists(seat, shown.occupant, said);
            let versions = match said.enters {
                true => view.map(|view| self.version(view)),
                false => self.versions_in(said, view),
            };
            let presence = self.presence(shown.saying(said), true, true, versions);
            out.push(presence.with_to(seat.jid.clone()));
        }
    }

    /// Shows a newcomer who is there (§7.2.2).
    pub(super) fn show_others(&self, nick: &str, role: Role, to: &Jid, out: &mut Out) {
        let with_address = self.shows_addresses(role);
        let own = super::compared(nick);
        let others = self.occupants.iter().filter(|(other, _)| **other != own);
        for (_, occupant) in others.filter(|(_, other)| self.config.tells_of(other.role)) {
            if let Some(seat) = occupant.first() {
                let shown = Shown::available(occupant, seat);
                let presence = self.presence(shown, with_address, false, None);
                out.push(presence.with_to(to.clone()));
            }
        }
    }
}

impl<'a> Shown<'a> {
    pub(super) fn available(occupant: &'a Occupant, seat: &'a Seat) -> Shown<'a> {
        Shown {
            occupant,
            seat,
            kind: PresenceType::Available,
            farewell: None,
            said: Said::default(),
        }
    }

    pub(super) fn saying(self, said: Said<'a>) -> Shown<'a> {
        Shown { said, ..self }
    }

    pub(super) fn leaving(self, farewell: Option<&'a Payload>) -> Shown<'a> {
        Shown {
            kind: PresenceType::Unavailable,
            farewell,
            ..self
        }
    }
}

/// `<item/>` of `muc#user`.
pub(in crate::muc) fn item(affiliation: Affiliation, role: Role) -> Element {
    Element::new(ns::MUC_USER, "item")
        .with_attr("affiliation", affiliation.as_str())
        .with_attr("role", role.as_str())
}

/// Adds who did it, and why (§8.2).
fn explained(item: Element, actor: Option<&str>, reason: Option<&str>) -> Element {
    let actor = actor.map(|nick| Element::new(ns::MUC_USER, "actor").with_attr("nick", nick));
    let reason = reason.map(|reason| Element::new(ns::MUC_USER, "reason").with_text(reason));
    item.with_children(actor).with_children(reason)
}

/// `<status/>` of `muc#user`.
pub(in crate::muc) fn status(code: u16) -> Element {
    Element::new(ns::MUC_USER, "status").with_attr("code", code.to_string())
}
