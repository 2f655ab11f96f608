//! Another nickname, another status (XEP-0045 §7.6, §7.7).

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Stanza, StanzaError};

use super::view::{self, Said, Shown, code};
use super::{Out, State, compared};

impl State {
    /// A session shows something else of itself (§7.7).
    pub(in crate::muc) fn show(&mut self, session: &Jid, presence: &Stanza, out: &mut Out) {
        let Some(occupant) = self.seated_mut(session) else {
            return;
        };
        let Some(at) = occupant.seats.iter().position(|seat| seat.jid == *session) else {
            return;
        };
        let mut seat = occupant.seats.remove(at);
        seat.presence = presence.payload.without(view::is_the_rooms);
        occupant.seats.push(seat);
        let occupant = occupant.clone();
        if let Some(seat) = occupant.first() {
            self.tell_all(Shown::available(&occupant, seat), out);
        }
    }

    /// An occupant takes another nickname, with all its sessions (§7.6).
    ///
    /// # Errors
    /// `conflict` when it is somebody else's.
    pub(in crate::muc) fn rename(
        &mut self,
        session: &Jid,
        nick: &str,
        out: &mut Out,
    ) -> Result<(), StanzaError> {
        let Some(occupant) = self.seated(session).cloned() else {
            return Err(StanzaError::not_acceptable());
        };
        self.check_nick(nick, &occupant.account)?;
        let (old, new) = (compared(&occupant.nick), compared(nick));
        // Another occupant of the same account has that name: they would be one.
        if old != new && self.occupants.contains_key(&new) {
            return Err(StanzaError::conflict());
        }
        let Some(seat) = occupant.first() else {
            return Ok(());
        };
        let said = Said {
            codes: &[code::RENAMED],
            nick: Some(nick),
            ..Said::default()
        };
        self.tell_all(
            Shown::available(&occupant, seat).leaving(None).saying(said),
            out,
        );
        let mut renamed = occupant.clone();
        nick.clone_into(&mut renamed.nick);
        for seat in &renamed.seats {
            self.seats.insert(seat.jid.clone(), new.clone());
        }
        self.occupants.remove(&old);
        self.occupants.insert(new, renamed.clone());
        if let Some(seat) = renamed.first() {
            self.tell_all(Shown::available(&renamed, seat), out);
        }
        Ok(())
    }
}
