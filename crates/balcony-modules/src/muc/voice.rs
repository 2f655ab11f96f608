//! Asking to speak, and letting somebody (XEP-0045 §7.13, §8.6).

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{MessageType, Stanza, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};

use super::room::{Occupant, Out, Role, State};

/// §15.5.2
pub(super) const FORM: &str = "http://jabber.org/protocol/muc#request";

const ROLE: &str = "muc#role";
const SESSION: &str = "muc#jid";
const NICK: &str = "muc#roomnick";
const ALLOW: &str = "muc#request_allow";

impl State {
    /// A request by a visitor, or the answer of a moderator.
    ///
    /// # Errors
    /// `not-acceptable` for whoever is not in the room, `forbidden` for whoever may not grant it,
    /// `bad-request` for another form.
    pub(super) fn voice(
        &mut self,
        from: &Jid,
        form: &DataForm,
        out: &mut Out,
    ) -> Result<(), StanzaError> {
        if form.form_type != FormType::Submit {
            return Err(StanzaError::bad_request());
        }
        let Some(occupant) = self.seated(from).cloned() else {
            return Err(StanzaError::not_acceptable().with_text("you are not in the room"));
        };
        if form.value(ROLE) != Some(Role::Participant.as_str()) {
            return Err(StanzaError::bad_request().with_text("only voice can be asked for"));
        }
        match form.value(ALLOW) {
            Some(answer) if occupant.role == Role::Moderator => {
                if matches!(answer, "true" | "1")
                    && let Some(nick) = form.value(NICK)
                {
                    self.give_voice(&occupant, nick, out)?;
                }
                Ok(())
            }
            Some(_) => Err(StanzaError::forbidden()),
            None if occupant.role == Role::Visitor => {
                self.ask_moderators(&occupant, out);
                Ok(())
            }
            None => Err(StanzaError::bad_request().with_text("you may speak already")),
        }
    }

    fn ask_moderators(&self, occupant: &Occupant, out: &mut Out) {
        let session = occupant
            .first()
            .map(|seat| seat.jid.to_string())
            .unwrap_or_default();
        let form = DataForm::about(FormType::Form, FORM)
            .with_title("Voice request")
            .with_instructions("Whether this visitor may speak.")
            .with_field(
                Field::new(FieldType::ListSingle, ROLE)
                    .labelled("Requested role")
                    .with_choice("participant", "Participant")
                    .with_value("participant"),
            )
            .with_field(
                Field::new(FieldType::JidSingle, SESSION)
                    .labelled("Address")
                    .with_value(session),
            )
            .with_field(
                Field::new(FieldType::TextSingle, NICK)
                    .labelled("Nickname")
                    .with_value(occupant.nick.clone()),
            )
            .with_field(Field::boolean(ALLOW, false).labelled("Let this visitor speak?"));
        let message = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_element(form.to_element());
        let moderators = self
            .occupants()
            .filter(|occupant| occupant.role == Role::Moderator);
        for seat in moderators.flat_map(|moderator| &moderator.seats) {
            out.stanzas.push(message.clone().with_to(seat.jid.clone()));
        }
    }
}
