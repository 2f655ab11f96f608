//! Users on their way into a room (XEP-0045).

use std::time::Duration;

use crate::error::Result;
use crate::wire::{Bound, Engine, Load, markup};

/// §7.2.14: without a history.
fn entry(room: &str, session: usize) -> String {
    format!(
        "<presence to='{room}/nick{session}'><x xmlns='http://jabber.org/protocol/muc'>\
         <history maxchars='0'/></x></presence>"
    )
}

/// Occupants on their way into the room.
pub(crate) struct Entering {
    room: String,
    sessions: Vec<usize>,
    quiet: bool,
    /// The first one is its owner, and has let the others in (§10.1.2).
    open: bool,
    presences: u64,
    subjects: usize,
}

impl Entering {
    /// The first of these sessions makes the room and opens it.
    ///
    /// # Errors
    /// [`Error::Timeout`](crate::error::Error::Timeout), and those of the engine.
    pub(crate) fn open(
        engine: &mut Engine,
        room: &str,
        sessions: Vec<usize>,
        quiet: bool,
        limit: Duration,
    ) -> Result<Entering> {
        let mut entering = Entering {
            room: room.to_owned(),
            sessions,
            quiet,
            open: false,
            presences: 0,
            subjects: 0,
        };
        if let Some(owner) = entering.sessions.first() {
            engine.send(*owner, entry(room, *owner).as_bytes());
        }
        engine.turn_until(&mut entering, limit, "the room", |entering| entering.open)?;
        Ok(entering)
    }

    /// The others enter, all at once.
    ///
    /// # Errors
    /// As [`Entering::open`].
    pub(crate) fn all(&mut self, engine: &mut Engine, limit: Duration) -> Result<()> {
        for session in self.sessions.iter().skip(1) {
            engine.send(*session, entry(&self.room, *session).as_bytes());
        }
        engine.turn_until(self, limit, "the occupants", Entering::is_over)
    }

    /// How many came while the others entered.
    pub(crate) fn presences(&self) -> u64 {
        self.presences
    }

    /// Everybody has seen everybody (§7.1): each newcomer those who were there and itself, and
    /// those who were there the newcomer.
    fn is_over(&self) -> bool {
        let others = (self.sessions.len() as u64).saturating_sub(1);
        let all = match self.quiet {
            true => others,
            false => others * (others + 1) + others,
        };
        self.presences >= all && self.subjects >= self.sessions.len()
    }

    /// Whether the room, or an occupant of it, sent this.
    fn is_from_room(&self, stanza: &[u8]) -> bool {
        let from = markup::attribute(stanza, "from").unwrap_or_default();
        let behind = from.strip_prefix(self.room.as_bytes());
        behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

impl Load for Entering {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if !self.is_from_room(stanza) {
            return Ok(());
        }
        if markup::is(stanza, "presence") {
            if self.open {
                self.presences += 1;
                return Ok(());
            }
            let configure = configuration(&self.room, self.quiet);
            engine.send(session, configure.as_bytes());
        } else if markup::is(stanza, "message") {
            self.subjects += 1;
        } else if markup::attribute(stanza, "id") == Some(b"open") {
            self.open = true;
        }
        Ok(())
    }
}

/// §10.1.2, or §10.2 with what is to be changed.
fn configuration(room: &str, quiet: bool) -> String {
    let fields = match quiet {
        true => {
            "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value>\
             </field><field var='muc#roomconfig_presencebroadcast'/>"
        }
        false => "",
    };
    format!(
        "<iq type='set' id='open' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'>{fields}</x></query></iq>"
    )
}
