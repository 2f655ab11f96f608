//! Whom a session sent directed presence (RFC 6121 §4.6).

use balcony_core::module::{Flow, Session, SessionNote};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;

/// Addresses that one session may keep: the rooms of the busiest clients are under 300. Each costs
/// about 70 bytes, so the list stays under 40 KB.
const MAX: usize = 500;

/// Note of a session: who must learn that it went.
#[derive(Default)]
struct Directed(Vec<Jid>);

/// One address on a line, so that they all hear of the end also after a restart.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "directed",
    save: |session| {
        session.notes(|notes| {
            let Directed(list) = notes.get()?;
            let lines: Vec<&str> = list.iter().map(Jid::as_str).collect();
            Some(lines.join("\n"))
        })
    },
    restore: |session, text| {
        let list = text.lines().filter_map(|line| Jid::parse(line).ok());
        let list = Directed(list.take(MAX).collect());
        session.notes(|notes| notes.set(list));
    },
};

/// Notes that directed presence goes to `to`. Who is subscribed is noted too: that may change
/// before the session ends, and [`rest`] leaves out who hears of it anyway.
pub(super) fn sent(session: &Session, to: &Jid) -> Flow {
    session.notes(|notes| {
        if notes.get::<Directed>().is_none() {
            notes.set(Directed::default());
        }
        let Some(Directed(list)) = notes.get_mut() else {
            return Flow::Continue;
        };
        if list.contains(to) {
            return Flow::Continue;
        }
        if list.len() >= MAX {
            let text = "directed presence to too many addresses";
            return Flow::Reject(StanzaError::resource_constraint().with_text(text));
        }
        list.push(to.clone());
        Flow::Continue
    })
}

/// §4.6.1: presence was taken back, by either side.
pub(super) fn withdrawn(session: &Session, other: &Jid) {
    session.notes(|notes| {
        let Some(Directed(list)) = notes.get_mut() else {
            return;
        };
        list.retain(|jid| jid != other);
        if list.is_empty() {
            notes.take::<Directed>();
        }
    });
}

/// Whether the session showed itself to somebody, under whatever resource: in a room one enters as
/// one occupant and is asked by the others.
pub(super) fn includes(session: &Session, other: &Jid) -> bool {
    session.notes(|notes| {
        let list = notes.get::<Directed>();
        list.is_some_and(|Directed(list)| list.iter().any(|j| j.bare_str() == other.bare_str()))
    })
}

/// Takes the list, for the session that becomes unavailable.
pub(super) fn take(session: &Session) -> Vec<Jid> {
    session
        .notes(|notes| notes.take::<Directed>())
        .map(|list| list.0)
        .unwrap_or_default()
}
