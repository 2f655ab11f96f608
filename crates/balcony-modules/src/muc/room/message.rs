//! Messages to everybody, and the subject (XEP-0045 §7.4, §8.1; XEP-0500).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, ErrorType, MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;

use super::history::{Past, is_dated};
use super::pace::MANY;
use super::{Affiliation, Occupant, Out, Rates, Role, State, Subject, Told};
use crate::muc::retract;

/// A message that the room takes.
#[derive(Debug)]
pub(in crate::muc) struct Spoken {
    /// As everybody gets it, without an addressee and without its id in the archive.
    pub(in crate::muc) message: Stanza,
    /// It changes the subject.
    pub(in crate::muc) is_subject: bool,
    /// Who says it.
    pub(in crate::muc) session: Jid,
}

impl State {
    /// Whether the room takes a message of type `groupchat`, and what it makes of it.
    ///
    /// # Errors
    /// `not-acceptable` for whoever is not in the room, `forbidden` for whoever may not speak
    /// (§7.4) or not change the subject (§8.1), `policy-violation` for whoever speaks again too
    /// soon (XEP-0500 §6) or says too much ([`State::keep_pace`]).
    pub(in crate::muc) fn speak(
        &mut self,
        session: &Jid,
        message: &Stanza,
        now: i64,
        rates: &Rates<'_>,
    ) -> Result<Spoken, StanzaError> {
        let is_subject = is_subject_change(&message.payload);
        let Some(occupant) = self.seated(session) else {
            return Err(StanzaError::not_acceptable().with_text("you are not in the room"));
        };
        // §5.1.1
        let participates = occupant.role >= Role::Participant;
        let may = match is_subject {
            true => {
                occupant.role == Role::Moderator || (participates && self.config.change_subject)
            }
            false => participates,
        };
        if !may {
            return Err(StanzaError::forbidden());
        }
        self.check_pace(occupant, message, now)?;
        let account = occupant.account.clone();
        let message = self.reflected(occupant, message, MessageType::Groupchat);
        self.keep_pace(&account, Told::Message, rates, now)?;
        if message.body().is_some() {
            self.note_spoken(account, now);
        }
        Ok(Spoken {
            message,
            is_subject,
            session: session.clone(),
        })
    }

    /// XEP-0500 §6: of texts, not of what is said about others; admins and owners need not wait.
    fn check_pace(
        &self,
        occupant: &Occupant,
        message: &Stanza,
        now: i64,
    ) -> Result<(), StanzaError> {
        let seconds = self.config.slow_mode;
        let is_text = message.payload.find(ns::CLIENT, "body").is_some();
        let waits = seconds > 0 && occupant.affiliation < Affiliation::Admin && is_text;
        // A clock that was set back makes nobody wait for longer than that.
        let spoke = self.spoke.get(&occupant.account).map(|at| *at.min(&now));
        let next = spoke.map(|at| at.saturating_add(i64::from(seconds) * 1_000_000));
        if !waits || next.is_none_or(|next| now >= next) {
            return Ok(());
        }
        let mut error = StanzaError::policy_violation();
        error.etype = ErrorType::Wait;
        Err(error.with_text(format!("one message in {seconds} seconds in this room")))
    }

    /// XEP-0500 §9: by account, whatever nickname it has and however often it comes in.
    fn note_spoken(&mut self, account: Jid, now: i64) {
        let wait = i64::from(self.config.slow_mode) * 1_000_000;
        if wait == 0 {
            self.spoke.clear();
            return;
        }
        if self.spoke.len() >= MANY {
            self.spoke.retain(|_, at| now < at.saturating_add(wait));
        }
        self.spoke.insert(account, now);
    }

    /// A message as it comes from an occupant: with its address, and with nothing that only the
    /// room may say.
    pub(super) fn reflected(
        &self,
        occupant: &Occupant,
        message: &Stanza,
        message_type: MessageType,
    ) -> Stanza {
        let room = self.jid.as_str();
        let payload = message.payload.without(|child| is_forged(child, room));
        let mut reflected = Stanza::message(message_type)
            .with_from(self.address(&occupant.nick))
            .with_payload(payload);
        reflected.id.clone_from(&message.id);
        reflected.lang.clone_from(&message.lang);
        reflected.payload.add(&self.occupant_id(&occupant.account));
        reflected
    }

    /// What was said as the archive keeps it: with who said it, for those who may know (XEP-0313
    /// §6.1.2).
    pub(in crate::muc) fn revealed(&self, spoken: &Spoken) -> Stanza {
        let standing = self.standing(&spoken.session);
        let item = super::view::item(standing.affiliation, standing.role)
            .with_attr("jid", spoken.session.as_str());
        let x = Element::new(ns::MUC_USER, "x").with_child(item);
        spoken.message.clone().with_element(x)
    }

    /// Everybody gets what was said, and newcomers will.
    pub(in crate::muc) fn spoken(
        &mut self,
        spoken: Spoken,
        at: i64,
        remember: bool,
        out: &mut Out,
    ) {
        self.activity.note(at, &spoken.message.payload);
        self.tell_everybody(&spoken.message, out);
        if spoken.is_subject {
            self.subject = Some(Subject {
                message: spoken.message,
                at,
            });
        } else if remember {
            let most = self.config.history;
            let by = self.standing(&spoken.session).affiliation;
            let past = Past {
                at,
                dated: is_dated(by, &spoken.message),
                message: spoken.message,
            };
            self.history.push(past, most);
        }
    }

    /// Newcomers do not get the message with this id in the archive (XEP-0424 §5).
    pub(in crate::muc) fn forget(&mut self, id: &str) {
        let room = self.jid.clone();
        self.history
            .retain(|message| !retract::has_id(&message.payload, &room, id));
    }

    /// One stanza for all sessions of all occupants.
    pub(in crate::muc) fn tell_everybody(&self, stanza: &Stanza, out: &mut Out) {
        for occupant in self.occupants() {
            for seat in &occupant.seats {
                out.push(stanza.clone().with_to(seat.jid.clone()));
            }
        }
    }

    /// A message of the room that says nothing but these codes (§10.2.1).
    pub(in crate::muc) fn tell_codes(&self, codes: &[u16], out: &mut Out) {
        let codes = codes.iter().map(|code| super::view::status(*code));
        let x = Element::new(ns::MUC_USER, "x").with_children(codes);
        let message = Stanza::message(MessageType::Groupchat)
            .with_from(self.jid.clone())
            .with_element(x);
        self.tell_everybody(&message, out);
    }
}

/// §8.1: a subject, and neither a body nor a thread.
pub(in crate::muc) fn is_subject_change(payload: &Payload) -> bool {
    let has = |name| payload.find(ns::CLIENT, name).is_some();
    has("subject") && !has("body") && !has("thread")
}

/// What only the room may say: what it tells of occupants, whose stanza this is and where it is in
/// the archive (XEP-0421 §4, XEP-0359 §3), and when it came to the room.
fn is_forged(child: &Child<'_>, room: &str) -> bool {
    let by_room = |name: &str| child.attr(name).is_some_and(|value| is_bare(&value, room));
    match (child.ns(), child.name()) {
        (ns::MUC_USER | ns::OCCUPANT_ID | ns::HATS, _) => true,
        // What was taken back, and by whom, only the room says (XEP-0425 §5).
        (ns::MODERATE, _) | (ns::RETRACT, "retracted") => true,
        (ns::RETRACT, "retract") => child.element().child(ns::MODERATE, "moderated").is_some(),
        (ns::STANZA_ID, "stanza-id") => by_room("by"),
        (ns::DELAY, "delay") => by_room("from"),
        _ => false,
    }
}

fn is_bare(text: &str, room: &str) -> bool {
    Jid::parse(text.trim()).is_ok_and(|jid| jid.bare_str() == room)
}
