//! Leaving a room, and being put out of it (XEP-0045 §7.14, §8.2, §9.1, §11.1).

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Payload;

use super::view::{self, Said, Shown, code};
use super::{Affiliation, Occupant, Out, State};

impl State {
    /// A session goes. Answers whether it was there.
    pub(in crate::muc) fn leave(
        &mut self,
        session: &Jid,
        farewell: Option<&Payload>,
        said: Said<'_>,
        out: &mut Out,
    ) -> bool {
        let Some(key) = self.seats.remove(session) else {
            return false;
        };
        let Some(occupant) = self.occupants.get_mut(&key) else {
            return false;
        };
        let farewell = farewell.map(|payload| payload.without(view::is_the_rooms));
        let Some(at) = occupant.seats.iter().position(|seat| seat.jid == *session) else {
            return false;
        };
        let seat = occupant.seats.remove(at);
        out.gone.push((session.clone(), self.jid.clone()));
        let was_first = at == occupant.seats.len();
        let occupant = occupant.clone();
        let shown = Shown::available(&occupant, &seat)
            .leaving(farewell.as_ref())
            .saying(said);
        // §7.14: whoever goes learns of it first.
        self.tell_itself(shown, std::slice::from_ref(&seat), out);
        if occupant.seats.is_empty() {
            self.occupants.remove(&key);
            self.tell_all(shown, out);
        } else if was_first && let Some(seat) = occupant.first() {
            // What the others see of it is now what another of its sessions shows.
            self.tell_all(Shown::available(&occupant, seat), out);
        }
        true
    }

    /// Puts an occupant out, with all its sessions.
    pub(in crate::muc) fn put_out(&mut self, nick: &str, said: Said<'_>, out: &mut Out) {
        let Some(occupant) = self.occupants.remove(&super::compared(nick)) else {
            return;
        };
        for seat in &occupant.seats {
            self.seats.remove(&seat.jid);
            out.gone.push((seat.jid.clone(), self.jid.clone()));
        }
        if let Some(seat) = occupant.first() {
            let shown = Shown::available(&occupant, seat).leaving(None).saying(said);
            self.tell_itself(shown, &occupant.seats, out);
            let gone = Occupant {
                seats: Vec::new(),
                ..occupant.clone()
            };
            self.tell_all(
                Shown {
                    occupant: &gone,
                    ..shown
                },
                out,
            );
        }
    }

    /// §11.1: a session does not answer any more.
    pub(in crate::muc) fn lost(&mut self, session: &Jid, out: &mut Out) -> bool {
        let said = Said {
            // A kick, 307, is what somebody did: not this.
            codes: &[code::ERROR],
            ..Said::default()
        };
        self.leave(session, None, said, out)
    }

    /// Puts some sessions out, each of which is told so; of the others, who stays sees them go.
    pub(in crate::muc) fn put_sessions_out(
        &mut self,
        goes: impl Fn(&Jid) -> bool,
        said: Said<'_>,
        out: &mut Out,
    ) {
        let mut left = Vec::new();
        for (key, occupant) in &mut self.occupants {
            let (gone, stay) = std::mem::take(&mut occupant.seats)
                .into_iter()
                .partition::<Vec<_>, _>(|seat| goes(&seat.jid));
            occupant.seats = stay;
            for seat in gone {
                self.seats.remove(&seat.jid);
                out.gone.push((seat.jid.clone(), self.jid.clone()));
                left.push((key.clone(), occupant.clone(), seat));
            }
        }
        self.occupants
            .retain(|_, occupant| !occupant.seats.is_empty());
        for (key, occupant, seat) in left {
            let shown = Shown::available(&occupant, &seat)
                .leaving(None)
                .saying(said);
            self.tell_itself(shown, std::slice::from_ref(&seat), out);
            if !self.occupants.contains_key(&key) {
                self.tell_all(shown, out);
            }
        }
    }

    /// Puts everybody out, for `said` (§10.9, §11.2).
    pub(in crate::muc) fn put_all_out(&mut self, said: Said<'_>, out: &mut Out) {
        let occupants = std::mem::take(&mut self.occupants);
        let gone = self
            .seats
            .drain()
            .map(|(session, _)| (session, self.jid.clone()));
        out.gone.extend(gone);
        for mut occupant in occupants.into_values() {
            occupant.affiliation = Affiliation::None;
            if let Some(seat) = occupant.first() {
                let shown = Shown::available(&occupant, seat).leaving(None).saying(said);
                self.tell_itself(shown, &occupant.seats, out);
            }
        }
    }
}
