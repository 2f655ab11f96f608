//! Requests from one occupant to another (XEP-0045 §16.5.1, XEP-0410).

use std::collections::VecDeque;
use std::sync::Arc;

use balcony_core::module::{Ctx, Envelope};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Payload, StanzaError};

use super::deliver::send;
use super::room::State;
use super::rooms::Room;
use crate::service_iq::reply;

/// Requests of one room that may be on their way: each of a hundred occupants asks another
/// something. The oldest gets no answer then, and whoever asked asks again.
const MAX: usize = 500;
/// And of one session: a client that asks what each of the others can.
const MAX_OF_ONE: usize = 50;
/// Bytes of an id that is kept until the answer comes: those that clients make take 40.
const MAX_ID: usize = 1_024;

/// Requests that were passed on, and whose answers are to find their way back.
#[derive(Debug, Default)]
pub(in crate::muc) struct Relays {
    waiting: VecDeque<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Who asked.
    from: Jid,
    /// The id that it gave.
    id: Option<Arc<str>>,
    /// Who was asked: a nickname, for the answer's address.
    nick: String,
    /// The real address that may answer.
    answers: Jid,
}

/// A stanza from one occupant to another.
pub(super) fn relay(
    ctx: &mut Ctx<'_>,
    envelope: &Envelope,
    room: &Arc<Room>,
    nick: &str,
) -> Result<(), StanzaError> {
    let Kind::Iq(kind) = envelope.stanza.kind else {
        return Err(StanzaError::bad_request());
    };
    match kind {
        IqType::Get | IqType::Set => ask(ctx, envelope, room, nick),
        IqType::Result | IqType::Error => answered(ctx, envelope, room),
    }
}

fn ask(
    ctx: &mut Ctx<'_>,
    envelope: &Envelope,
    room: &Arc<Room>,
    nick: &str,
) -> Result<(), StanzaError> {
    let from = envelope.from().ok_or_else(StanzaError::bad_request)?;
    let request = &envelope.stanza;
    let mut state = room.state();
    if is_self_ping(&state, from, nick, request)? {
        drop(state);
        reply(ctx, request, Payload::empty());
        return Ok(());
    }
    if request.id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
        return Err(StanzaError::policy_violation().with_text("the id is too long"));
    }
    let (sender, addressee) = state.both(from, nick)?;
    let sender = state.address(&sender.nick);
    let seat = addressee.first().ok_or_else(StanzaError::item_not_found)?;
    // What belongs to the account and not to the client is asked of the account.
    let of_account = request
        .payload
        .first()
        .is_some_and(|child| matches!(child.ns(), ns::VCARD | ns::PUBSUB) && kind_is_get(request));
    let to = if of_account {
        seat.jid.bare()
    } else {
        seat.jid.clone()
    };
    let nick = addressee.nick.clone();
    let id = state
        .relays
        .note(from, request.id.clone(), nick, to.clone());
    drop(state);
    let mut passed = request.clone().with_from(sender).with_to(to);
    passed.id = Some(id.into());
    send(ctx, [passed]);
    Ok(())
}

fn kind_is_get(request: &balcony_proto::stanza::Stanza) -> bool {
    request.kind == Kind::Iq(IqType::Get)
}

/// XEP-0410 §3: whoever pings itself learns whether it is in the room.
fn is_self_ping(
    state: &State,
    from: &Jid,
    nick: &str,
    request: &balcony_proto::stanza::Stanza,
) -> Result<bool, StanzaError> {
    if request.payload.find(ns::PING, "ping").is_none() || !kind_is_get(request) {
        return Ok(false);
    }
    match state.seated(from) {
        None => Err(StanzaError::not_acceptable().with_text("you are not in the room")),
        Some(occupant) => Ok(occupant.nick == nick),
    }
}

/// The answer to what was passed on goes back to whoever asked.
pub(super) fn answered(
    ctx: &mut Ctx<'_>,
    envelope: &Envelope,
    room: &Arc<Room>,
) -> Result<(), StanzaError> {
    let answer = &envelope.stanza;
    let mut state = room.state();
    let waiting = envelope.from().zip(answer.id.as_deref());
    let Some(waiting) = waiting.and_then(|(from, id)| state.relays.take(from, id)) else {
        // Nobody asked, or not this one.
        return Ok(());
    };
    let address = state.address(&waiting.nick);
    drop(state);
    let mut passed = answer.clone().with_from(address).with_to(waiting.from);
    passed.id = waiting.id;
    send(ctx, [passed]);
    Ok(())
}

impl Relays {
    /// Notes a request; answers the id under which it is passed on.
    fn note(&mut self, from: &Jid, id: Option<Arc<str>>, nick: String, answers: Jid) -> String {
        let own = self.waiting.iter().enumerate();
        let own = own.filter(|(_, one)| one.from == *from);
        let own: Vec<usize> = own.map(|(at, _)| at).collect();
        // One's own oldest goes before anybody else's.
        let gone = match own.first() {
            Some(first) if own.len() >= MAX_OF_ONE => Some(*first),
            _ => (self.waiting.len() >= MAX).then_some(0),
        };
        if let Some(gone) = gone {
            self.waiting.remove(gone);
        }
        self.next += 1;
        self.waiting.push_back(Waiting {
            number: self.next,
            from: from.clone(),
            id,
            nick,
            answers,
        });
        format!("relay-{}", self.next)
    }

    fn take(&mut self, from: &Jid, id: &str) -> Option<Waiting> {
        let number: u64 = id.strip_prefix("relay-")?.parse().ok()?;
        let mut waiting = self.waiting.iter();
        let at = waiting.position(|one| one.number == number && one.answers == *from)?;
        self.waiting.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_a_lot_loses_his_own_questions() {
        let jid = |text: &str| Jid::parse(text).unwrap();
        let (romeo, juliet) = (jid("romeo@localhost/a"), jid("juliet@localhost/b"));
        let mut relays = Relays::default();
        let mut ask = |from: &Jid| relays.note(from, None, "nurse".to_owned(), juliet.clone());
        let first = ask(&juliet);
        let asked: Vec<String> = (0..=MAX_OF_ONE).map(|_| ask(&romeo)).collect();
        assert!(relays.take(&juliet, &asked[0]).is_none());
        assert!(relays.take(&juliet, &asked[1]).is_some());
        assert!(relays.take(&romeo, &first).is_none(), "another answers");
        assert!(relays.take(&juliet, &first).is_some());
        assert!(relays.take(&juliet, &first).is_none());
    }
}
