//! What comes for the service, its rooms and their occupants, to whom it belongs (XEP-0045 §16).

use std::sync::Arc;

use balcony_core::module::{BoxFuture, Config, Ctx, Envelope, Flow, Side};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{
    IqType, Kind, MessageType, Payload, PresenceType, Stanza, StanzaError,
};
use balcony_store::{ArchiveEntry, ArchiveId, Write};

use super::deliver::{deliver, is_blocked, send};
use super::room::{Out, Spoken};
use super::rooms::{Room, Rooms, kept_subject};
use super::{entry, invite, iq, relay, retract, settings};
use crate::service_iq::reply;
use crate::{archive, stanza_id, stored};

/// Note of an envelope: what the room makes of it, once it is kept.
struct Taken {
    spoken: Spoken,
    room: Arc<Room>,
    /// What it takes back.
    retracts: Option<ArchiveId>,
}

/// Note of an envelope: what a moderator took back, and the message that tells everybody.
struct Announced {
    message: Stanza,
    room: Arc<Room>,
    retracts: ArchiveId,
}

/// What needs no look into the store.
pub(super) fn take(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Option<Flow> {
    let (Some(from), Some(to)) = (envelope.from().cloned(), envelope.to().cloned()) else {
        return Some(Flow::Drop("a stanza without an address"));
    };
    let kind = envelope.stanza.kind;
    if to.local().is_none() {
        return match kind {
            Kind::Iq(IqType::Get | IqType::Set) if to.is_bare() => None,
            Kind::Iq(IqType::Get | IqType::Set) | Kind::Message(_) => {
                Some(Flow::Reject(StanzaError::service_unavailable()))
            }
            _ => Some(Flow::Handled),
        };
    }
    match kind {
        Kind::Iq(IqType::Get | IqType::Set) if to.is_bare() => return None,
        Kind::Presence(
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe,
        ) => return Some(Flow::Handled),
        _ => {}
    }
    let leaves = kind == Kind::Presence(PresenceType::Unavailable);
    if settings::is_too_large(&ctx.config(), &envelope.stanza) {
        if !leaves {
            let error = StanzaError::policy_violation().with_text("too large for a room");
            return Some(Flow::Reject(signed(error, envelope)));
        }
        // Whoever goes is gone, without the farewell.
        envelope.stanza.payload = Payload::empty();
    }
    let room = ctx.state::<Rooms>()?.get(&to.bare());
    match (room, kind) {
        // Whoever comes in may be the first.
        (None, Kind::Presence(PresenceType::Available)) => None,
        (Some(_), Kind::Message(MessageType::Groupchat))
            if to.is_bare() && retract::retracts(&envelope.stanza) =>
        {
            None
        }
        // An invitation may change who is a member.
        (_, Kind::Message(MessageType::Normal)) if to.is_bare() => None,
        (Some(room), Kind::Presence(PresenceType::Available)) if to.is_full() => {
            present(ctx, envelope, &room, &to)
        }
        (room, kind) => Some(in_room(ctx, envelope, room, kind, (&from, &to))),
    }
}

/// The same for what must be looked up, or changes what is kept of a room.
pub(super) fn wait<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> BoxFuture<'a, Flow> {
    Box::pin(async move {
        let stanza = envelope.stanza.clone();
        let kept = match stanza.kind {
            Kind::Message(MessageType::Groupchat) => Some(retract::by_author(ctx, envelope).await),
            Kind::Iq(IqType::Set) if retract::moderates(&stanza) => {
                Some(retract::by_moderator(ctx, envelope).await)
            }
            _ => None,
        };
        match kept {
            Some(Ok(())) => return Flow::Continue,
            Some(Err(error)) => return Flow::Reject(signed(error, envelope)),
            None => {}
        }
        let answer = match stanza.kind {
            Kind::Iq(_) => iq::answer(ctx, &stanza).await,
            Kind::Presence(_) => entry::enter(ctx, &stanza, envelope.received_at()).await,
            Kind::Message(_) => invite::message(ctx, &stanza, envelope.received_at()).await,
        };
        match answer {
            Ok(()) => Flow::Handled,
            Err(error) => Flow::Reject(signed(error, envelope)),
        }
    })
}

/// An error that says that it comes from the room.
fn signed(error: StanzaError, envelope: &Envelope) -> StanzaError {
    let by = envelope.to().map(Jid::bare);
    StanzaError { by, ..error }
}

fn in_room(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    room: Option<Arc<Room>>,
    kind: Kind,
    (from, to): (&Jid, &Jid),
) -> Flow {
    let Some(room) = room else {
        return absent(kind);
    };
    let outcome = match (kind, to.resource()) {
        (Kind::Presence(PresenceType::Available), None) => Err(StanzaError::jid_malformed()),
        // §7.14: from the seat that is left. To another occupant it says that nobody else may see
        // the sender, as when that one is blocked.
        (Kind::Presence(PresenceType::Unavailable), Some(nick)) if !sits(&room, from, nick) => {
            Ok(())
        }
        (Kind::Presence(PresenceType::Unavailable), _) => {
            let payload = envelope.stanza.payload.clone();
            entry::leave(ctx.core(), &room, from, Some(&payload));
            Ok(())
        }
        (Kind::Presence(_) | Kind::Message(MessageType::Error), _) => {
            entry::failed(ctx.core(), &room, envelope);
            Ok(())
        }
        (Kind::Message(MessageType::Groupchat), None) => {
            return match speak(&ctx.config(), envelope, &room, (from, to), None) {
                Ok(()) => Flow::Continue,
                Err(error) => Flow::Reject(signed(error, envelope)),
            };
        }
        // §7.5
        (Kind::Message(MessageType::Groupchat), Some(_)) => Err(StanzaError::bad_request()),
        (Kind::Message(_), None) => {
            Err(StanzaError::bad_request().with_text("a room takes messages of type groupchat"))
        }
        (Kind::Message(kind), Some(nick)) => whisper(ctx, envelope, &room, nick, kind),
        (Kind::Iq(_), Some(nick)) => relay::relay(ctx, envelope, &room, nick),
        (Kind::Iq(_), None) => relay::answered(ctx, envelope, &room),
    };
    match outcome {
        Ok(()) => Flow::Handled,
        Err(error) => Flow::Reject(signed(error, envelope)),
    }
}

/// Presence for an occupant. `None`: the room must be looked for anew.
fn present(ctx: &Ctx<'_>, envelope: &Envelope, room: &Arc<Room>, to: &Jid) -> Option<Flow> {
    let nick = to.resource().unwrap_or_default();
    let shown = entry::present(ctx, &envelope.stanza, envelope.received_at(), room, nick)?;
    Some(match shown {
        Ok(()) => Flow::Handled,
        Err(error) => Flow::Reject(signed(error, envelope)),
    })
}

/// Whether a session is the occupant with this nickname.
fn sits(room: &Room, session: &Jid, nick: &str) -> bool {
    let state = room.state();
    let own = state.seated(session).map(|occupant| &occupant.nick);
    own.is_some() && own == state.named(nick).map(|occupant| &occupant.nick)
}

/// For a room that is not in memory, in which therefore nobody is.
fn absent(kind: Kind) -> Flow {
    match kind {
        // §7.4, §7.5: as in any room that one is not in, whether or not it is there.
        Kind::Message(MessageType::Error) | Kind::Presence(_) => Flow::Handled,
        Kind::Message(_) | Kind::Iq(IqType::Get | IqType::Set) => {
            Flow::Reject(StanzaError::not_acceptable().with_text("you are not in the room"))
        }
        Kind::Iq(_) => Flow::Handled,
    }
}

/// §7.4, §8.1: what everybody is to hear goes into the room's archive first. What takes something
/// back does so whatever it asks for itself (XEP-0424 §5).
pub(super) fn speak(
    config: &Config,
    envelope: &mut Envelope,
    room: &Arc<Room>,
    (from, to): (&Jid, &Jid),
    retracts: Option<ArchiveId>,
) -> Result<(), StanzaError> {
    let received_at = envelope.received_at();
    let (spoken, archived, revealed) = {
        let mut state = room.state();
        let spoken = state.speak(
            from,
            &envelope.stanza,
            received_at,
            &settings::rates(config),
        )?;
        let revealed = state.revealed(&spoken);
        (spoken, state.config.archive, revealed)
    };
    if spoken.is_subject {
        envelope.writes.push(Write::RoomSubjectSet {
            room: to.to_string(),
            subject: Some(kept_subject(&spoken.message, received_at)),
        });
    }
    let lasts = spoken.is_subject || retracts.is_some() || is_worth_archiving(&spoken);
    if archived && lasts {
        let entry = ArchiveEntry {
            received_at,
            with: spoken
                .message
                .from
                .as_ref()
                .map(Jid::to_string)
                .unwrap_or_default(),
            incoming: false,
            message_id: spoken.message.id.as_deref().map(str::to_owned),
            stanza: stored::encode(&revealed),
        };
        envelope.archive(Side::Recipient, to.to_string(), entry);
    }
    let room = Arc::clone(room);
    envelope.notes().set(Taken {
        spoken,
        room,
        retracts,
    });
    Ok(())
}

/// The same as between two people (XEP-0313 §6.1.1).
fn is_worth_archiving(spoken: &Spoken) -> bool {
    let kind = Kind::Message(MessageType::Chat);
    archive::worth(kind, &spoken.message.payload).archive
}

/// It is kept: now everybody gets it.
pub(super) fn committed(ctx: &mut Ctx<'_>, envelope: &mut Envelope) {
    if let Some(announced) = envelope.notes().take::<Announced>() {
        return told(ctx, envelope, announced);
    }
    let Some(taken) = envelope.notes().take::<Taken>() else {
        return;
    };
    let Taken {
        mut spoken,
        room,
        retracts,
    } = taken;
    let id = envelope.archive_id(Side::Recipient);
    if let (Some(id), Some(to)) = (id, envelope.to()) {
        spoken.message.payload.add(&stanza_id::element(to, id));
    }
    let remember = id.is_some() || is_worth_archiving(&spoken);
    let mut out = Out {
        by: Some(spoken.session.bare()),
        ..Out::default()
    };
    let mut state = room.state();
    if let Some(id) = retracts {
        state.forget(&id.to_string());
    }
    state.spoken(spoken, envelope.received_at(), remember, &mut out);
    deliver(ctx.core(), out);
}

/// What the room itself says, about a message that it took back.
pub(super) fn announce(
    envelope: &mut Envelope,
    room: &Arc<Room>,
    message: Stanza,
    retracts: ArchiveId,
) {
    let jid = room.state().jid.to_string();
    if room.state().config.archive {
        let entry = ArchiveEntry {
            received_at: envelope.received_at(),
            with: jid.clone(),
            incoming: false,
            message_id: message.id.as_deref().map(str::to_owned),
            stanza: stored::encode(&message),
        };
        envelope.archive(Side::Recipient, jid, entry);
    }
    let room = Arc::clone(room);
    envelope.notes().set(Announced {
        message,
        room,
        retracts,
    });
}

/// Everybody hears it, and then the moderator that it is done (XEP-0425 §3.1).
fn told(ctx: &mut Ctx<'_>, envelope: &Envelope, announced: Announced) {
    let Announced {
        mut message,
        room,
        retracts,
    } = announced;
    let mut out = Out::default();
    let mut state = room.state();
    if let Some(id) = envelope.archive_id(Side::Recipient) {
        message.payload.add(&stanza_id::element(&state.jid, id));
    }
    state.forget(&retracts.to_string());
    state.tell_everybody(&message, &mut out);
    deliver(ctx.core(), out);
    drop(state);
    reply(ctx, &envelope.stanza, Payload::empty());
}

/// §7.5
fn whisper(
    ctx: &mut Ctx<'_>,
    envelope: &Envelope,
    room: &Room,
    nick: &str,
    kind: MessageType,
) -> Result<(), StanzaError> {
    let from = envelope.from().ok_or_else(StanzaError::bad_request)?;
    let mut sent = room.state().whisper(from, nick, &envelope.stanza, kind)?;
    // What the guards of an account refuse would come back as if its owner were gone.
    sent.retain(|stanza| {
        let to = stanza.to.as_ref();
        to.is_some_and(|to| !is_blocked(ctx.core(), to, stanza))
    });
    if sent.is_empty() {
        return Err(StanzaError::service_unavailable());
    }
    send(ctx, sent);
    Ok(())
}

/// Whether presence is sent to come in (§7.2.1).
pub(super) fn asks_to_enter(presence: &Stanza) -> bool {
    presence.payload.find(ns::MUC, "x").is_some()
}
