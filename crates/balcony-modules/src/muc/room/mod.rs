//! A room as a machine: what comes in changes its state and gives stanzas for its occupants. It
//! reads no clock and asks no store.

pub(super) mod activity;
pub(super) mod admin;
pub(super) mod config;
mod enter;
pub(super) mod hats;
mod history;
mod leave;
mod message;
mod nick;
mod pace;
pub(super) mod power;
mod private;
mod versions;
mod view;

use std::collections::BTreeMap;

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::{Payload, Stanza};

use super::relay::Relays;
pub(super) use admin::Plan;
pub(super) use config::Config;
pub(super) use enter::Entry;
pub(super) use history::{History, Past, is_dated};
pub(super) use message::{Spoken, is_subject_change};
pub(super) use pace::{Rate, Rates, Told};
pub(super) use power::{Affiliation, Role, Standing};
pub(super) use view::{Said, code, item, status};

/// Somebody in the room: a nickname, and the sessions that share it.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    pub(super) nick: String,
    /// The bare JID behind it.
    pub(super) account: Jid,
    pub(super) affiliation: Affiliation,
    pub(super) role: Role,
    /// At least one; the one that said something of its presence last is the last.
    pub(super) seats: Vec<Seat>,
}

/// One session of an occupant.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// Its full JID.
    pub(super) jid: Jid,
    /// What it shows, without what only the room may say.
    pub(super) presence: Payload,
    /// It keeps the lists of the room, and hears what changes them (XEP-0463).
    pub(super) versions: bool,
}

/// What a list of the room says of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) affiliation: Affiliation,
    /// The nickname that nobody else may have.
    pub(super) nick: Option<String>,
    pub(super) reason: Option<String>,
}

/// The room's subject (XEP-0045 §7.2.15).
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// From whoever set it, with the subject alone.
    pub(super) message: Stanza,
    /// When: microseconds since the Unix epoch.
    pub(super) at: i64,
}

/// All that is known of a room.
pub(super) struct State {
    pub(super) jid: Jid,
    pub(super) config: Config,
    /// The owner has not said yet what it is to be (§10.1.1).
    pub(super) locked: bool,
    pub(super) subject: Option<Subject>,
    /// The hashes of its pictures (XEP-0486).
    pub(super) avatar: Vec<String>,
    pub(super) hats: hats::Hats,
    /// By bare JID, or domain.
    pub(super) lists: Map<Jid, Listed>,
    /// Who has a nickname for himself, by what nicknames are compared by.
    reserved: Map<String, Jid>,
    /// The same for those who are there.
    occupants: BTreeMap<String, Occupant>,
    /// The nickname of each full JID, as compared.
    seats: Map<Jid, String>,
    pub(super) history: History,
    pub(super) activity: activity::Activity,
    paces: pace::Paces,
    /// When accounts spoke last, while slow mode counts it: microseconds since the Unix epoch.
    spoke: Map<Jid, i64>,
    versions: versions::Versions,
    /// By which occupant ids are made (XEP-0421).
    key: [u8; 64],
    /// Requests between occupants.
    pub(super) relays: Relays,
    /// It is no longer in the table of rooms: another was loaded in its place, or will be.
    pub(super) closed: bool,
}

/// What comes of something.
#[derive(Default, Debug)]
pub(super) struct Out {
    /// Stanzas for occupants, each with its `to`, in the order in which they are to come.
    pub(super) stanzas: Vec<Stanza>,
    /// The account that wrote them. `None`: the room tells them, and they are news to nobody who is
    /// away.
    pub(super) by: Option<Jid>,
    /// Sessions that are no longer in this room.
    pub(super) gone: Vec<(Jid, Jid)>,
}

/// Nicknames that differ in case alone are one: nobody can look like another that easily.
fn compared(nick: &str) -> String {
    nick.to_lowercase()
}

impl State {
    pub(super) fn new(jid: Jid, config: Config, key: [u8; 64]) -> State {
        State {
            jid,
            config,
            locked: false,
            subject: None,
            avatar: Vec::new(),
            hats: hats::Hats::default(),
            lists: Map::default(),
            reserved: Map::default(),
            occupants: BTreeMap::new(),
            seats: Map::default(),
            history: History::default(),
            activity: activity::Activity::default(),
            paces: pace::Paces::default(),
            spoke: Map::default(),
            versions: versions::Versions::default(),
            key,
            relays: Relays::default(),
            closed: false,
        }
    }

    /// The occupants, by nickname.
    pub(super) fn occupants(&self) -> impl Iterator<Item = &Occupant> {
        self.occupants.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.occupants.is_empty()
    }

    /// The occupant with this nickname.
    pub(super) fn named(&self, nick: &str) -> Option<&Occupant> {
        self.occupants.get(&compared(nick))
    }

    /// The occupant that this session is.
    pub(super) fn seated(&self, session: &Jid) -> Option<&Occupant> {
        self.occupants.get(self.seats.get(session)?)
    }

    fn seated_mut(&mut self, session: &Jid) -> Option<&mut Occupant> {
        self.occupants.get_mut(self.seats.get(session)?)
    }

    /// What somebody is to the room: by the own address, else by the domain.
    pub(super) fn affiliation(&self, account: &Jid) -> Affiliation {
        let listed = |jid: &Jid| self.lists.get(jid).map(|listed| listed.affiliation);
        let own = listed(account);
        let own = own.or_else(|| listed(&account.domain_jid()));
        own.unwrap_or(Affiliation::None)
    }

    /// What somebody is to the room and in it.
    pub(super) fn standing(&self, session: &Jid) -> Standing {
        match self.seated(session) {
            Some(occupant) => occupant.standing(),
            None => Standing {
                role: Role::None,
                affiliation: self.affiliation(&session.bare()),
            },
        }
    }

    /// The address of an occupant.
    pub(super) fn address(&self, nick: &str) -> Jid {
        // A nickname came as the resourcepart of such an address.
        self.jid
            .with_resource(nick)
            .unwrap_or_else(|_| self.jid.clone())
    }

    /// Whether somebody of this role sees the real addresses (§7.2.4, §7.2.3).
    fn shows_addresses(&self, role: Role) -> bool {
        self.config.non_anonymous || role == Role::Moderator
    }
}

impl Occupant {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            role: self.role,
            affiliation: self.affiliation,
        }
    }

    /// The session that stands for all of them.
    pub(super) fn first(&self) -> Option<&Seat> {
        self.seats.last()
    }
}

impl Out {
    fn push(&mut self, stanza: Stanza) {
        self.stanzas.push(stanza);
    }
}

#[cfg(test)]
mod tests;
