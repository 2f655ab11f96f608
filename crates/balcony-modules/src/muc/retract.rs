//! XEP-0424 Message Retraction 0.4.2 and XEP-0425 Moderated Message Retraction 0.3.0 in rooms: what
//! was said is taken back by whoever said it, or by a moderator.

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::{ArchiveFilter, ArchiveId, ArchivePlace, ArchiveRequest, Error, Write};

use super::room::{Role, State, is_subject_change};
use super::rooms::{Room, Rooms};
use super::serve;
use crate::stored;

/// Bytes of a moderator's reason: a long line.
const MAX_REASON: usize = 1_024;

/// Whether an occupant takes something back.
pub(super) fn retracts(message: &Stanza) -> bool {
    message.payload.find(ns::RETRACT, "retract").is_some()
}

/// Whether a moderator does.
pub(super) fn moderates(request: &Stanza) -> bool {
    request.payload.find(ns::MODERATE, "moderate").is_some()
}

/// What a message of the room says, and where it is in the archive.
struct Meant {
    id: ArchiveId,
    message: Stanza,
}

/// A message that takes back another of the same occupant. It is passed on and archived like any
/// other, and leaves a tombstone in the place of the other.
///
/// # Errors
/// `forbidden` for what somebody else wrote (XEP-0424 §5), and what [`State::speak`] says.
pub(super) async fn by_author(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
) -> Result<(), StanzaError> {
    let (from, to) = addresses(envelope)?;
    let rooms = ctx.state::<Rooms>();
    let room = rooms.and_then(|rooms| rooms.get(&to));
    let room =
        room.ok_or_else(|| StanzaError::not_acceptable().with_text("you are not in the room"))?;
    let retract = envelope.stanza.payload.find(ns::RETRACT, "retract");
    let id = retract.and_then(|retract| retract.attr("id").map(|id| id.into_owned()));
    let meant = find(ctx.core(), &to, id.as_deref().unwrap_or_default()).await?;
    let Some(meant) = meant else {
        // What the room does not know, clients may.
        return serve::speak(&ctx.config(), envelope, &room, (&from, &to), None);
    };
    // §5: of the same occupant, whatever its nickname was or is.
    let own = room.state().occupant_id(&from.bare());
    if occupant_id(&meant.message).as_deref() != own.attr("id") {
        return Err(StanzaError::forbidden().with_text("somebody else wrote that"));
    }
    let retracted = retracted(envelope.stanza.id.as_deref(), envelope.received_at());
    let tombstone = tombstone(&meant.message, retracted);
    let config = ctx.config();
    serve::speak(&config, envelope, &room, (&from, &to), Some(meant.id))?;
    envelope.writes.push(replace(&to, meant.id, &tombstone));
    Ok(())
}

/// XEP-0425 §3: a moderator's request. What it writes is committed with the message that tells
/// everybody.
///
/// # Errors
/// `forbidden` for whoever is no moderator in the room, `item-not-found` for what is not in the
/// archive, or not any more; `bad-request` for another action than a retraction.
pub(super) async fn by_moderator(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
) -> Result<(), StanzaError> {
    let (from, to) = addresses(envelope)?;
    let rooms = ctx.state::<Rooms>();
    let rooms = rooms.ok_or_else(StanzaError::internal_server_error)?;
    let room = rooms.load(ctx.core(), &to).await?;
    let room = room.ok_or_else(StanzaError::item_not_found)?;
    let done = moderate(ctx.core(), envelope, &room, (&from, &to)).await;
    // It may have been read for this alone.
    Rooms::leave_empty(ctx.core(), &room);
    done
}

async fn moderate(
    core: &Core,
    envelope: &mut Envelope,
    room: &Arc<Room>,
    (from, to): (&Jid, &Jid),
) -> Result<(), StanzaError> {
    let child = envelope.stanza.payload.find(ns::MODERATE, "moderate");
    let request = child.ok_or_else(StanzaError::bad_request)?.element();
    if request.child(ns::RETRACT, "retract").is_none() {
        return Err(StanzaError::bad_request().with_text("messages are retracted, nothing else"));
    }
    let reason = request.child_text(ns::MODERATE, "reason");
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    if reason.as_ref().is_some_and(|text| text.len() > MAX_REASON) {
        return Err(StanzaError::policy_violation().with_text("the reason is too long"));
    }
    let moderated = moderated(&room.state(), from)?;
    let meant = find(core, to, request.attr("id").unwrap_or_default()).await?;
    let meant = meant.ok_or_else(StanzaError::item_not_found)?;
    // The id ties the tombstone to the message that tells of it (XEP-0424 §4).
    let id = format!("moderated-{}", meant.id);
    let explain = |element: Element| {
        let reason = reason.as_deref();
        let reason = reason.map(|text| Element::new(ns::RETRACT, "reason").with_text(text));
        element.with_child(moderated.clone()).with_children(reason)
    };
    let retracted = explain(retracted(Some(&id), envelope.received_at()));
    let retract = Element::new(ns::RETRACT, "retract").with_attr("id", meant.id.to_string());
    let mut told = Stanza::message(MessageType::Groupchat)
        .with_from(to.clone())
        .with_element(explain(retract));
    told.id = Some(id.into());
    let tombstone = tombstone(&meant.message, retracted);
    envelope.writes.push(replace(to, meant.id, &tombstone));
    serve::announce(envelope, room, told, meant.id);
    Ok(())
}

/// XEP-0425 §3.1: who did it.
fn moderated(state: &State, from: &Jid) -> Result<Element, StanzaError> {
    let moderator = state.seated(from);
    let moderator = moderator.filter(|occupant| occupant.role == Role::Moderator);
    let moderator = moderator.ok_or_else(StanzaError::forbidden)?;
    let by = state.address(&moderator.nick);
    let id = state.occupant_id(&moderator.account);
    Ok(Element::new(ns::MODERATE, "moderated")
        .with_attr("by", by.as_str())
        .with_child(id))
}

fn addresses(envelope: &Envelope) -> Result<(Jid, Jid), StanzaError> {
    let both = envelope.from().cloned().zip(envelope.to().map(Jid::bare));
    both.ok_or_else(StanzaError::bad_request)
}

/// A message by its id in the room's archive. A subject is changed and not taken back, and what
/// was taken back is not there any more.
async fn find(core: &Core, room: &Jid, id: &str) -> Result<Option<Meant>, StanzaError> {
    let Ok(id) = id.parse::<ArchiveId>() else {
        return Ok(None);
    };
    let request = ArchiveRequest {
        filter: ArchiveFilter {
            ids: vec![id],
            ..ArchiveFilter::default()
        },
        place: ArchivePlace::First,
        limit: 1,
    };
    let page = match core.store().archive().page(room.as_str(), request).await {
        Ok(page) => page,
        Err(Error::NotFound) => return Ok(None),
        Err(cause) => return Err(stanza_error(&cause)),
    };
    let row = page.messages.into_iter().next();
    let message = row.and_then(|row| stored::decode(&row.stanza));
    let message = message.filter(|message| {
        let gone = message.payload.find(ns::RETRACT, "retracted").is_some();
        !gone && !is_subject_change(&message.payload)
    });
    Ok(message.map(|message| Meant { id, message }))
}

fn occupant_id(message: &Stanza) -> Option<String> {
    let id = message.payload.find(ns::OCCUPANT_ID, "occupant-id")?;
    id.attr("id").map(|id| id.into_owned())
}

/// XEP-0424 §4
fn retracted(by: Option<&str>, at: i64) -> Element {
    Element::new(ns::RETRACT, "retracted")
        .with_attr("id", by.unwrap_or_default())
        .with_attr("stamp", date_time::format_utc(at))
}

/// Nothing of what it said; who said it stays.
fn tombstone(message: &Stanza, retracted: Element) -> Stanza {
    let stays = |child: &Child<'_>| matches!(child.ns(), ns::OCCUPANT_ID | ns::MUC_USER);
    let mut tombstone = message.clone();
    tombstone.payload = message.payload.without(|child| !stays(child));
    tombstone.payload.add(&retracted);
    tombstone
}

fn replace(room: &Jid, id: ArchiveId, tombstone: &Stanza) -> Write {
    Write::ArchiveReplace {
        account: room.to_string(),
        id,
        tombstone: stored::encode(tombstone),
    }
}

/// Whether this is the id of a message in the room's archive.
pub(super) fn has_id(payload: &Payload, room: &Jid, id: &str) -> bool {
    let mut children = payload.children();
    children.any(|child| {
        child.is(ns::STANZA_ID, "stanza-id")
            && child.attr("by").is_some_and(|by| by == room.as_str())
            && child.attr("id").is_some_and(|own| own == id)
    })
}
