//! Stanzas as the store keeps them, with the version of the format.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, MessageType, Payload, PresenceType, Stanza};
use balcony_proto::xml::{Element, escape_attr};
use balcony_store::Stored;

/// The canonical form of a stanza in a stream whose content namespace is `jabber:client`.
const CANONICAL: u16 = 1;

/// What the header of a stanza holds in fields of its own.
const HEADER: [&str; 5] = ["to", "from", "id", "type", "xml:lang"];

/// The stanza as a row keeps it.
pub(crate) fn encode(stanza: &Stanza) -> Stored {
    Stored {
        format: CANONICAL,
        bytes: stanza.to_bytes(),
    }
}

/// Reads a row; `None`, with a line in the log, for one that this version cannot read.
pub(crate) fn decode(row: &Stored) -> Option<Stanza> {
    let stanza = match row.format {
        CANONICAL => Element::parse(&row.bytes, ns::CLIENT)
            .ok()
            .and_then(|e| from_element(&e)),
        _ => None,
    };
    if stanza.is_none() {
        tracing::error!(format = row.format, "a stored stanza cannot be read");
    }
    stanza
}

fn from_element(element: &Element) -> Option<Stanza> {
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

/// Attributes beyond the header's own. Those of other namespaces, which RFC 6120 §8.1 does not
/// know, are left behind.
fn extra(element: &Element) -> Option<std::sync::Arc<str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_survives_the_store() {
        let mut stanza = Stanza::message(MessageType::Chat)
            .with_from(Jid::parse("romeo@localhost/orchard").unwrap())
            .with_to(Jid::parse("juliet@localhost").unwrap())
            .with_id("m'1")
            .with_lang("en")
            .with_element(Element::new(ns::CLIENT, "body").with_text("a < b & c"))
            .with_element(Element::new(ns::RECEIPTS, "request"));
        stanza.extra = Some(" odd='&lt;'".into());
        let again = decode(&encode(&stanza)).unwrap();
        assert_eq!(again.to_bytes(), stanza.to_bytes());
        assert_eq!(again.kind, stanza.kind);
        assert_eq!(again.payload.children().count(), 2);
    }

    #[test]
    fn an_unknown_format_is_not_guessed_at() {
        let mut row = encode(&Stanza::presence(PresenceType::Subscribe));
        assert!(decode(&row).is_some());
        row.format = 99;
        assert!(decode(&row).is_none());
    }
}
