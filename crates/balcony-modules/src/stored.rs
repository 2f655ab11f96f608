//! Stanzas as the store keeps them, with the version of the format.

use balcony_proto::stanza::Stanza;
use balcony_store::Stored;

/// The canonical form of a stanza in a stream whose content namespace is `jabber:client`.
const CANONICAL: u16 = 1;

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
        CANONICAL => Stanza::parse(&row.bytes),
        _ => None,
    };
    if stanza.is_none() {
        tracing::error!(format = row.format, "a stored stanza cannot be read");
    }
    stanza
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::jid::Jid;
    use balcony_proto::ns;
    use balcony_proto::stanza::{MessageType, PresenceType};
    use balcony_proto::xml::Element;

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
