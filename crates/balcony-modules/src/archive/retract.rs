//! XEP-0424 Message Retraction 0.4.2: what is retracted leaves a tombstone in both archives.

use balcony_core::module::{Envelope, Side};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Kind, MessageType, Stanza};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::Write;

use crate::stored;

/// The write that puts a tombstone in the place of what this message retracts, if it does: whether
/// or not it is archived itself, as what it retracts may be. Who retracts must be who wrote (§5):
/// the store looks for a message of the same sender.
pub(super) fn of(envelope: &Envelope, side: Side, account: &Jid, with: &Jid) -> Option<Write> {
    let stanza = &envelope.stanza;
    let Kind::Message(MessageType::Normal | MessageType::Chat) = stanza.kind else {
        return None;
    };
    let retract = stanza.payload.find(ns::RETRACT, "retract")?;
    let message_id = retract.attr("id").filter(|id| !id.is_empty())?.into_owned();
    // §5: the retraction itself stays, and it would be the first of this id that is found.
    if stanza.id.as_deref() == Some(message_id.as_str()) {
        return None;
    }
    // XEP-0045 §7.5: this is between occupants of a room, who have its bare JID in common.
    let with = match stanza.payload.find(ns::MUC_USER, "x").is_some() {
        true => with.clone(),
        false => with.bare(),
    };
    let sender = match side {
        Side::Sender => account.bare(),
        Side::Recipient => with.clone(),
    };
    Some(Write::ArchiveRetract {
        account: account.to_string(),
        with: with.to_string(),
        sender: sender.to_string(),
        tombstone: stored::encode(&tombstone(envelope, &message_id)),
        message_id,
    })
}

/// §4: nothing of the content, and which message took it away.
fn tombstone(envelope: &Envelope, message_id: &str) -> Stanza {
    let retraction = &envelope.stanza;
    let retracted = Element::new(ns::RETRACT, "retracted")
        .with_attr("id", retraction.id.as_deref().unwrap_or_default())
        .with_attr("stamp", date_time::format_utc(envelope.received_at()));
    let mut tombstone = Stanza::new(retraction.kind)
        .with_from(retraction.from.clone())
        .with_to(retraction.to.clone())
        .with_element(retracted);
    tombstone.id = Some(message_id.into());
    tombstone
}
