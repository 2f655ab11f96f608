//! Entering a room (XEP-0045 §7.1, §7.2).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, ErrorType, Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;
use subtle::ConstantTimeEq as _;

use super::history::Wanted;
use super::view::{self, Said, Shown, code};
use super::{Affiliation, Occupant, Out, Role, Seat, Standing, State, compared};

/// Owners and admins who come in though a room is full (§7.2.9): as many as a large room has, and
/// no way to stuff it.
const EXTRA: usize = 50;

/// Sessions of one occupant: more than a person has devices.
const MAX_SEATS: usize = 32;

/// Somebody at the door.
pub(in crate::muc) struct Entry<'a> {
    /// The full JID.
    pub(in crate::muc) session: &'a Jid,
    pub(in crate::muc) nick: &'a str,
    /// The presence as it came, with `<x xmlns='…/muc'/>`.
    pub(in crate::muc) presence: &'a Stanza,
    /// Occupants that the service lets into one room.
    pub(in crate::muc) max_users: usize,
    /// Microseconds since the Unix epoch.
    pub(in crate::muc) now: i64,
    /// The room was made for this entry (§10.1.1).
    pub(in crate::muc) created: bool,
}

impl State {
    /// Lets a session in. What it gets is in the order of §7.1.
    ///
    /// # Errors
    /// Those of §7.2.17.
    pub(in crate::muc) fn enter(
        &mut self,
        entry: &Entry<'_>,
        out: &mut Out,
    ) -> Result<(), StanzaError> {
        let x = entry.presence.payload.find(ns::MUC, "x");
        let x = x.map_or_else(|| Element::new(ns::MUC, "x"), |x| x.element());
        // §7.2.1: whoever is in already lost track, and gets everything again.
        let again = self.seats.get(entry.session) == Some(&compared(entry.nick));
        if !again {
            self.check_entry(entry, &x)?;
        }
        let affiliation = self.affiliation(&entry.session.bare());
        let newcomer = Role::of_newcomer(affiliation, self.config.moderated);
        let role = self.named(entry.nick).map_or(newcomer, |there| there.role);
        let versions = x.child(ns::MAV, "mav");
        if let Some(asked) = versions {
            // XEP-0463 §4.2.1: before any presence.
            let who = (entry.session, Standing { role, affiliation });
            self.tell_versions(who, entry.presence, asked, out);
        }
        self.show_others(entry.nick, role, entry.session, out);
        let keeps = versions.is_some();
        self.sit_down(entry.session, entry.nick, &entry.presence.payload, keeps);
        self.announce_entry(entry, out);
        let wanted = Wanted::of(&x, entry.now);
        self.tell_history(&wanted, entry.session, out);
        self.tell_subject(entry.session, out);
        Ok(())
    }

    /// A session is in its seat again, from before a restart, and nobody hears of it.
    pub(in crate::muc) fn seat(
        &mut self,
        session: &Jid,
        nick: &str,
        presence: &Payload,
        versions: bool,
    ) {
        let account = session.bare();
        let banned = self.affiliation(&account) == Affiliation::Outcast;
        if !banned && self.check_nick(nick, &account).is_ok() {
            self.sit_down(session, nick, presence, versions);
        }
    }

    fn sit_down(&mut self, session: &Jid, nick: &str, presence: &Payload, versions: bool) {
        let account = session.bare();
        let affiliation = self.affiliation(&account);
        let role = Role::of_newcomer(affiliation, self.config.moderated);
        let key = compared(nick);
        let occupants = &mut self.occupants;
        let occupant = occupants.entry(key.clone()).or_insert_with(|| Occupant {
            nick: nick.to_owned(),
            account,
            affiliation,
            role,
            seats: Vec::new(),
        });
        occupant.seats.retain(|seat| seat.jid != *session);
        occupant.seats.push(Seat {
            jid: session.clone(),
            presence: presence.without(view::is_the_rooms),
            versions,
        });
        self.seats.insert(session.clone(), key);
    }

    /// Tells everybody, the session itself last.
    fn announce_entry(&self, entry: &Entry<'_>, out: &mut Out) {
        let Some(occupant) = self.named(entry.nick) else {
            return;
        };
        let Some(seat) = occupant.first() else {
            return;
        };
        let codes = [
            // §7.2.3
            (self.config.non_anonymous, code::NON_ANONYMOUS),
            // §7.2.12
            (self.config.archive, code::LOGGED),
            // §10.1.1
            (entry.created, code::CREATED),
            // §7.2.2: what is in the address is not what was asked for.
            (occupant.nick != entry.nick, 210),
        ];
        let own_codes: Vec<u16> = codes
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, code)| *code)
            .collect();
        let said = Said {
            own_codes: &own_codes,
            enters: true,
            ..Said::default()
        };
        self.tell_all(Shown::available(occupant, seat).saying(said), out);
    }

    fn check_entry(&self, entry: &Entry<'_>, x: &Element) -> Result<(), StanzaError> {
        let account = entry.session.bare();
        let affiliation = self.affiliation(&account);
        let high = affiliation >= Affiliation::Admin;
        // §7.2.10
        if self.locked && affiliation != Affiliation::Owner {
            return Err(StanzaError::item_not_found());
        }
        // §7.2.7
        if affiliation == Affiliation::Outcast {
            return Err(StanzaError::forbidden());
        }
        // §7.2.6
        if self.config.members_only && affiliation < Affiliation::Member {
            return Err(StanzaError::registration_required());
        }
        self.check_password(x, affiliation)?;
        // §7.2.9
        let limit = self.config.max_users.map_or(entry.max_users, |max| {
            entry
                .max_users
                .min(usize::try_from(max).unwrap_or(usize::MAX))
        });
        let limit = if high {
            limit.saturating_add(EXTRA)
        } else {
            limit
        };
        let present = self.named(entry.nick);
        if present.is_none() && self.occupants.len() >= limit {
            let mut full = StanzaError::service_unavailable();
            full.etype = ErrorType::Wait;
            return Err(full.with_text("the room is full"));
        }
        if present.is_some_and(|occupant| occupant.seats.len() >= MAX_SEATS) {
            return Err(StanzaError::resource_constraint());
        }
        self.check_nick(entry.nick, &account)
    }

    /// §7.2.5
    fn check_password(&self, x: &Element, affiliation: Affiliation) -> Result<(), StanzaError> {
        let Some(password) = &self.config.password else {
            return Ok(());
        };
        // Whoever may read it in the configuration need not know it.
        if affiliation == Affiliation::Owner {
            return Ok(());
        }
        let given = x.child_text(ns::MUC, "password").unwrap_or_default();
        match bool::from(given.as_bytes().ct_eq(password.as_bytes())) {
            true => Ok(()),
            // The presence has a password in it, a wrong one perhaps by a slip of the hand.
            false => Err(StanzaError::not_authorized().without_quote()),
        }
    }

    /// §7.2.8: a nickname is its occupant's, or whose it is reserved for.
    ///
    /// # Errors
    /// `conflict`.
    pub(in crate::muc) fn check_nick(&self, nick: &str, account: &Jid) -> Result<(), StanzaError> {
        let taken = self
            .named(nick)
            .is_some_and(|there| there.account != *account);
        let key = compared(nick);
        let reserved = self
            .reserved
            .get(&key)
            .is_some_and(|owner| owner != account);
        match taken || reserved {
            true => Err(StanzaError::new(Condition::Conflict)),
            false => Ok(()),
        }
    }
}
