//! What one occupant sends another (XEP-0045 §7.5, §16.5.1).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza, StanzaError};
use balcony_proto::xml::Element;

use super::config::AllowPm;
use super::{Occupant, Role, State};

impl State {
    /// A private message: one stanza for each session of the addressee.
    ///
    /// # Errors
    /// `not-acceptable` for whoever is not in the room, `item-not-found` where nobody has that
    /// nickname, `forbidden` where the configuration does not allow it.
    pub(in crate::muc) fn whisper(
        &self,
        session: &Jid,
        nick: &str,
        message: &Stanza,
        message_type: MessageType,
    ) -> Result<Vec<Stanza>, StanzaError> {
        let (sender, addressee) = self.both(session, nick)?;
        let may = match self.config.allow_pm {
            AllowPm::Anyone => true,
            // Visitors may turn to those who can let them speak.
            AllowPm::Participants => {
                sender.role >= Role::Participant || addressee.role == Role::Moderator
            }
            AllowPm::Moderators => {
                sender.role == Role::Moderator || addressee.role == Role::Moderator
            }
            AllowPm::Nobody => false,
        };
        if !may {
            return Err(StanzaError::forbidden());
        }
        // §7.5: by which clients tell it from a message of somebody on another server.
        let message = self
            .reflected(sender, message, message_type)
            .with_element(Element::new(ns::MUC_USER, "x"));
        let seats = addressee.seats.iter();
        Ok(seats
            .map(|seat| message.clone().with_to(seat.jid.clone()))
            .collect())
    }

    /// The occupant that a session is, and the one with a nickname.
    ///
    /// # Errors
    /// `not-acceptable`, `item-not-found`.
    pub(in crate::muc) fn both(
        &self,
        session: &Jid,
        nick: &str,
    ) -> Result<(&Occupant, &Occupant), StanzaError> {
        let sender = self.seated(session);
        let sender = sender
            .ok_or_else(|| StanzaError::not_acceptable().with_text("you are not in the room"))?;
        let addressee = self.named(nick).ok_or_else(StanzaError::item_not_found)?;
        Ok((sender, addressee))
    }
}
