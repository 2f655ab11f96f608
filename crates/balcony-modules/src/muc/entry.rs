//! Coming in, showing oneself and going (XEP-0045 §7.2, §7.6, §7.7, §7.14, §10.1).

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, Origin, Session, SessionNote};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, Payload, PresenceType, Stanza, StanzaError};
use balcony_proto::xml::Element;

use super::deliver::deliver;
use super::room::{Affiliation, Entry, Out, Role, Said, State, Told, code, item, status};
use super::rooms::{Room, Rooms};
use super::{serve, settings};

/// Note of a session: the rooms that it is in.
#[derive(Clone, Default)]
struct InRooms(Vec<InRoom>);

/// A room that a session is in.
#[derive(Clone)]
struct InRoom {
    /// The room with the nickname.
    seat: Jid,
    /// It keeps the room's lists (XEP-0463).
    versions: bool,
}

/// Stands before the address of a room whose lists are kept. No address begins with it.
const KEEPS: char = '\t';

impl InRoom {
    fn save(&self) -> String {
        let mark = if self.versions { "\t" } else { "" };
        format!("{mark}{}", self.seat)
    }

    fn restore(line: &str) -> Option<InRoom> {
        let seat = Jid::parse(line.trim_start_matches(KEEPS)).ok()?;
        let versions = line.starts_with(KEEPS);
        Some(InRoom { seat, versions })
    }
}

/// Who is in a room is in it still after a restart.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "muc",
    save: |session| {
        session.notes(|notes| {
            let InRooms(rooms) = notes.get()?;
            let lines: Vec<String> = rooms.iter().map(InRoom::save).collect();
            Some(lines.join("\n"))
        })
    },
    restore: |session, text| {
        let rooms = text.lines().filter_map(InRoom::restore);
        let rooms = InRooms(rooms.collect());
        session.notes(|notes| notes.set(rooms));
    },
};

/// A session came in, or has another nickname now.
fn note_entered(core: &Core, session: &Jid, seat: &Jid, presence: &Stanza) {
    if let Some(session) = core.sessions().find(session) {
        session.notes(|notes| {
            let InRooms(mut rooms) = notes.take().unwrap_or_default();
            let is_same = |other: &InRoom| other.seat.bare_str() == seat.bare_str();
            let x = presence.payload.find(ns::MUC, "x");
            let versions = match x {
                Some(x) => x.element().child(ns::MAV, "mav").is_some(),
                None => rooms.iter().any(|other| is_same(other) && other.versions),
            };
            rooms.retain(|other| !is_same(other));
            let seat = seat.clone();
            rooms.push(InRoom { seat, versions });
            notes.set(InRooms(rooms));
        });
    }
}

/// All sessions of an occupant have another nickname now, whichever of them asked for it.
fn note_renamed(core: &Core, state: &State, session: &Jid, seat: &Jid) {
    let seats = state.seated(session).into_iter();
    for jid in seats
        .flat_map(|occupant| &occupant.seats)
        .map(|seat| &seat.jid)
    {
        let Some(session) = core.sessions().find(jid) else {
            continue;
        };
        session.notes(|notes| {
            let InRooms(mut rooms) = notes.take().unwrap_or_default();
            for room in &mut rooms {
                if room.seat.bare_str() == seat.bare_str() {
                    room.seat = seat.clone();
                }
            }
            notes.set(InRooms(rooms));
        });
    }
}

pub(super) fn note_left(core: &Core, session: &Jid, room: &Jid) {
    if let Some(session) = core.sessions().find(session) {
        session.notes(|notes| {
            let InRooms(mut rooms) = notes.take().unwrap_or_default();
            rooms.retain(|other| other.seat.bare_str() != room.bare_str());
            if !rooms.is_empty() {
                notes.set(InRooms(rooms));
            }
        });
    }
}

/// A session is back from before a restart: it takes its seats, and nobody hears of it.
pub(super) async fn come_back(core: &Arc<Core>, session: &Session) {
    let InRooms(rooms) = session
        .notes(|notes| notes.get().cloned())
        .unwrap_or_default();
    let Some(table) = core.state::<Rooms>() else {
        return;
    };
    for place in rooms {
        if let Err(error) = sit_down(core, table, session, &place).await {
            tracing::warn!(?error, room = %place.seat, "a seat in a room is lost");
        }
    }
}

async fn sit_down(
    core: &Core,
    table: &Rooms,
    session: &Session,
    place: &InRoom,
) -> Result<(), StanzaError> {
    let (room, nick) = (place.seat.bare(), place.seat.resource());
    let Some(nick) = nick else { return Ok(()) };
    // It was not to last, and went, when there is none.
    while let Some(room) = table.load(core, &room).await? {
        let mut state = room.state();
        if !state.closed {
            let payload = session.presence().map(|presence| presence.payload.clone());
            let payload = payload.unwrap_or_else(Payload::empty);
            state.seat(session.jid(), nick, &payload, place.versions);
            return Ok(());
        }
    }
    Ok(())
}

/// Presence for an occupant of a room that is in memory. `None`: it was let go of just now.
pub(super) fn present(
    ctx: &Ctx<'_>,
    presence: &Stanza,
    received_at: i64,
    room: &Arc<Room>,
    nick: &str,
) -> Option<Result<(), StanzaError>> {
    let mut state = room.state();
    if state.closed {
        return None;
    }
    Some(in_open_room(ctx, presence, received_at, &mut state, nick))
}

fn in_open_room(
    ctx: &Ctx<'_>,
    presence: &Stanza,
    received_at: i64,
    state: &mut State,
    nick: &str,
) -> Result<(), StanzaError> {
    let core = ctx.core();
    let (from, to) = addresses(presence)?;
    let mut out = Out::default();
    let seated = state.seated(from).map(|occupant| occupant.nick.clone());
    if seated.is_none() && !serve::asks_to_enter(presence) {
        not_there(core, from, to);
        return Ok(());
    }
    let config = ctx.config();
    let rates = settings::rates(&config);
    state.keep_pace(&from.bare(), Told::Presence, &rates, received_at)?;
    match seated {
        Some(own) if own == nick && !serve::asks_to_enter(presence) => {
            state.show(from, presence, &mut out);
        }
        Some(own) if own != nick => {
            state.rename(from, nick, &mut out)?;
            note_renamed(core, state, from, to);
            deliver(core, out);
            return Ok(());
        }
        _ => {
            let entry = Entry {
                session: from,
                nick,
                presence,
                max_users: settings::max_users(&ctx.config()),
                now: received_at,
                created: false,
            };
            state.enter(&entry, &mut out)?;
        }
    }
    note_entered(core, from, to, presence);
    deliver(core, out);
    Ok(())
}

/// Presence for an occupant of a room that is not in memory, or not there at all: it is made then.
pub(super) async fn enter(
    ctx: &mut Ctx<'_>,
    presence: &Stanza,
    received_at: i64,
) -> Result<(), StanzaError> {
    let (from, to) = addresses(presence)?;
    let nick = to.resource().ok_or_else(StanzaError::jid_malformed)?;
    if !serve::asks_to_enter(presence) {
        not_there(ctx.core(), from, to);
        return Ok(());
    }
    let rooms = ctx.state::<Rooms>();
    let rooms = rooms.ok_or_else(StanzaError::internal_server_error)?;
    let (core, jid) = (ctx.core(), to.bare());
    loop {
        let (room, created) = match rooms.load(core, &jid).await? {
            Some(room) => (room, false),
            None => {
                let config = settings::may_create(core, &jid, &from.bare()).await?;
                match rooms.create(core, &jid, &from.bare(), config).await {
                    Ok(room) => (room, true),
                    // Somebody else was faster.
                    Err(error) if error.condition == Condition::Conflict => continue,
                    Err(error) => return Err(error),
                }
            }
        };
        let mut out = Out::default();
        let mut state = room.state();
        if state.closed {
            continue;
        }
        let entry = Entry {
            session: from,
            nick,
            presence,
            max_users: settings::max_users(&ctx.config()),
            now: received_at,
            created,
        };
        let config = ctx.config();
        let rates = settings::rates(&config);
        let paced = state.keep_pace(&from.bare(), Told::Presence, &rates, received_at);
        let entered = paced.and_then(|()| state.enter(&entry, &mut out));
        if entered.is_ok() {
            note_entered(core, from, to, presence);
            deliver(core, out);
        }
        drop(state);
        Rooms::leave_empty(core, &room);
        return entered;
    }
}

fn addresses(presence: &Stanza) -> Result<(&Jid, &Jid), StanzaError> {
    let both = presence.from.as_ref().zip(presence.to.as_ref());
    both.filter(|(from, _)| from.is_full())
        .ok_or_else(StanzaError::bad_request)
}

/// §7.2.18: whoever thinks that it is in the room is told that it is not.
fn not_there(core: &Arc<Core>, from: &Jid, to: &Jid) {
    let reason = Element::new(ns::MUC_USER, "reason").with_text("You are not in the room.");
    let codes = [code::SELF, code::KICKED, code::ERROR];
    let x = Element::new(ns::MUC_USER, "x")
        .with_child(item(Affiliation::None, Role::None).with_child(reason))
        .with_children(codes.into_iter().map(status));
    let kick = Stanza::presence(PresenceType::Unavailable)
        .with_from(to.clone())
        .with_to(from.clone())
        .with_element(x);
    let out = Out {
        stanzas: vec![kick],
        ..Out::default()
    };
    deliver(core, out);
}

/// A session goes, by itself or with its connection.
pub(super) fn leave(core: &Arc<Core>, room: &Arc<Room>, from: &Jid, farewell: Option<&Payload>) {
    let mut out = Out::default();
    let mut state = room.state();
    if state.leave(from, farewell, Said::default(), &mut out) {
        deliver(core, out);
    }
    drop(state);
    Rooms::leave_empty(core, room);
}

/// §11.1: an error that says that somebody is not there any more.
pub(super) fn failed(core: &Arc<Core>, room: &Arc<Room>, envelope: &Envelope) {
    let condition = envelope.stanza.stanza_error().map(|error| error.condition);
    let (Some(from), Some(condition)) = (envelope.from(), condition) else {
        return;
    };
    let said = Said {
        codes: &[code::ERROR],
        ..Said::default()
    };
    let mut out = Out::default();
    let mut state = room.state();
    match outage(core, envelope, condition) {
        Outage::Nothing => return,
        Outage::Session => drop(state.lost(from, &mut out)),
        Outage::Server => {
            let there = |session: &Jid| session.domain() == from.domain();
            state.put_sessions_out(there, said, &mut out);
        }
    }
    deliver(core, out);
    drop(state);
    Rooms::leave_empty(core, room);
}

/// Who is not there any more.
enum Outage {
    Nothing,
    /// Whoever the error is from.
    Session,
    /// Everybody on its server: each of them alone would be told of all others that go.
    Server,
}

fn outage(core: &Core, envelope: &Envelope, condition: Condition) -> Outage {
    use Condition::{
        Gone, ItemNotFound, JidMalformed, PolicyViolation, RecipientUnavailable, Redirect,
        RemoteServerNotFound, RemoteServerTimeout, ServiceUnavailable,
    };
    let elsewhere = envelope.from().is_some_and(|from| core.is_elsewhere(from));
    // What this server itself could not bring there; a client may say so of itself alone.
    let is_ours = matches!(envelope.origin(), Origin::Server) && elsewhere;
    match condition {
        RemoteServerNotFound | RemoteServerTimeout | PolicyViolation if is_ours => Outage::Server,
        // It has missed something, and nobody would tell it.
        _ if is_ours => Outage::Session,
        Gone | ItemNotFound | JidMalformed | RecipientUnavailable | Redirect
        | RemoteServerNotFound | RemoteServerTimeout | ServiceUnavailable => Outage::Session,
        _ => Outage::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_keeps_of_its_rooms_comes_back() {
        for versions in [false, true] {
            let seat = Jid::parse("coven@chat.localhost/third witch").unwrap();
            let saved = InRoom {
                seat: seat.clone(),
                versions,
            };
            let restored = InRoom::restore(&saved.save()).unwrap();
            assert_eq!((restored.seat, restored.versions), (seat, versions));
        }
    }
}
