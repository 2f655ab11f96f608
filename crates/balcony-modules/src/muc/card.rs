//! XEP-0486 MUC Avatars 0.1.0 and, below it, XEP-0054 vcard-temp: what a room looks like.

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, stanza_error};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, Write, WriteSet};

use super::deliver::deliver;
use super::iq::Asked;
use super::room::{Affiliation, Out, code};
use super::rooms::Room;
use crate::vcard;

/// Everybody who may ask what the room is may see it (§3.4).
///
/// # Errors
/// `item-not-found` for a room that has none.
pub(super) async fn get(core: &Core, asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    let room = asked.to.bare();
    let found = core.store().vcards().get(room.as_str()).await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    let payload = found.and_then(|row| vcard::decode(&row.payload));
    payload.ok_or_else(StanzaError::item_not_found)
}

/// §3.2: owners publish it, and everybody in the room hears that something changed.
///
/// # Errors
/// `forbidden` for others (§3.2), `policy-violation` for what is too large.
pub(super) async fn set(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    let _changing = room.change().await?;
    if room.state().affiliation(&asked.from.bare()) != Affiliation::Owner {
        return Err(
            StanzaError::forbidden().with_text("owners alone change what a room looks like")
        );
    }
    let account = asked.to.bare().to_string();
    let is_empty = asked.element.children().next().is_none();
    let write = if is_empty {
        Write::VCardRemove { account }
    } else {
        let vcard = vcard::row(&ctx.config(), asked.element)?;
        Write::VCardSet { account, vcard }
    };
    match ctx.commit(WriteSet::from(write)).await {
        // There was none.
        Ok(_) => {}
        Err(Error::NotFound) if is_empty => {}
        Err(cause) => return Err(stanza_error(&cause)),
    }
    let mut out = Out::default();
    let mut state = room.state();
    state.avatar = hashes(asked.element);
    state.tell_codes(&[code::CONFIG_CHANGED], &mut out);
    deliver(ctx.core(), out);
    Ok(Payload::empty())
}

/// The hashes of a room's pictures, for whoever asks what the room is (§3.3).
pub(super) async fn kept(core: &Core, room: &str) -> Result<Vec<String>, StanzaError> {
    let found = core.store().vcards().get(room).await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    let payload = found.and_then(|row| vcard::decode(&row.payload));
    let vcard = payload.and_then(|payload| payload.first().map(|child| child.element()));
    Ok(vcard.as_ref().map(hashes).unwrap_or_default())
}

/// §5.1: of each of the pictures, which are one in several formats.
fn hashes(vcard: &Element) -> Vec<String> {
    let photos = vcard
        .children()
        .filter(|child| child.is(ns::VCARD, "PHOTO"));
    let hashes = photos.filter_map(vcard::photo_hash);
    hashes
        .map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect()
}
