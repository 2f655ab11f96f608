//! Reading back a stanza that was kept as it was written.

use std::sync::Arc;

use super::{IqType, Kind, MessageType, Payload, PresenceType, Stanza};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, escape_attr};

/// What the header of a stanza holds in fields of its own.
const HEADER: [&str; 5] = ["to", "from", "id", "type", "xml:lang"];

impl Stanza {
    /// Reads what [`Stanza::write`] wrote, in a stream whose content namespace is `jabber:client`.
    /// `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Stanza> {
        Stanza::from_element(&Element::parse(bytes, ns::CLIENT).ok()?)
    }

    /// Reads what [`Stanza::to_element`] gave. `None` for anything else.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Stanza> {
        let kind = element.attr("type");
        let kind = match element.name() {
            "message" => Kind::Message(MessageType::parse(kind)),
            "presence" => Kind::Presence(PresenceType::parse(kind)?),
            "iq" => Kind::Iq(IqType::parse(kind)?),
            _ => return None,
        };
        let children: Vec<Element> = element.children().cloned().collect();
        let address = |name| element.attr(name).map(Jid::parse).transpose().ok();
        let mut stanza = Stanza::new(kind)
            .with_to(address("to")?)
            .with_from(address("from")?)
            .with_payload(Payload::from_elements(&children));
        stanza.id = element.attr("id").map(Into::into);
        stanza.lang = element.attr("xml:lang").map(Into::into);
        stanza.extra = extra(element);
        Some(stanza)
    }
}

/// Attributes beyond the header's own. Those of other namespaces, which RFC 6120 §8.1 does not
/// know, are left behind.
fn extra(element: &Element) -> Option<Arc<str>> {
    let mut text = Vec::new();
    for (name, value) in element.attrs() {
        if HEADER.contains(&name) || name.starts_with('{') {
            continue;
        }
        text.push(b' ');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"='");
        escape_attr(value, &mut text);
        text.push(b'\'');
    }
    let text = String::from_utf8(text)
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(text.into())
}
