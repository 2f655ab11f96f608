//! Which messages a person wants to be told of.

use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, MessageType, Stanza};

/// Whether a message is worth a notification: somebody wrote something, in plain or encrypted, or
/// calls, or invites. Not worth it are what ends a call, receipts, chat states, and all that
/// programs tell each other.
pub(super) fn is_worth_it(stanza: &Stanza) -> bool {
    let Kind::Message(message_type) = stanza.kind else {
        return false;
    };
    match message_type {
        MessageType::Error | MessageType::Headline => false,
        // The subject of a room and its messages have a body or none.
        MessageType::Groupchat => stanza.payload.children().any(|child| is_text(&child)),
        MessageType::Normal | MessageType::Chat => {
            let mut children = stanza.payload.children();
            children.any(|child| is_text(&child) || is_invitation(&child))
        }
    }
}

fn is_text(child: &Child<'_>) -> bool {
    match child.ns() {
        ns::CLIENT => child.name() == "body" && !child.text().is_empty(),
        ns::OMEMO | ns::OMEMO_OLD => child.name() == "encrypted" && has_text(child),
        ns::ENCRYPTION => child.name() == "encryption",
        _ => false,
    }
}

/// XEP-0384 §5.5.3: without a payload the message only carries keys, and no person wrote it.
fn has_text(encrypted: &Child<'_>) -> bool {
    encrypted
        .element()
        .children()
        .any(|child| child.name() == "payload")
}

fn is_invitation(child: &Child<'_>) -> bool {
    match child.ns() {
        ns::JINGLE_MESSAGE => child.name() == "propose",
        ns::CALL_INVITES => child.name() == "invite",
        ns::CONFERENCE => child.name() == "x",
        ns::MUC_USER => child.element().child(ns::MUC_USER, "invite").is_some(),
        _ => false,
    }
}

/// The message that a client is about to get, also if it gets it as a copy of what came for another
/// device (XEP-0280 §7).
pub(super) fn original(stanza: &Stanza) -> Option<Stanza> {
    let Some(copy) = stanza.payload.find(ns::CARBONS, "received") else {
        return Some(stanza.clone());
    };
    let copy = copy.element();
    let forwarded = copy.child(ns::FORWARD, "forwarded")?;
    Stanza::from_element(forwarded.child(ns::CLIENT, "message")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(message_type: &str, content: &str) -> bool {
        let xml = format!("<message type='{message_type}'>{content}</message>");
        is_worth_it(&Stanza::parse(xml.as_bytes()).unwrap())
    }

    const KEYS: &str = "<header sid='1'/>";

    #[test]
    fn what_people_write_is_worth_it() {
        assert!(worth("chat", "<body>Art thou there?</body>"));
        assert!(worth("normal", "<body>Art thou there?</body>"));
        assert!(worth("groupchat", "<body>Art thou there?</body>"));
        assert!(!worth("chat", "<body/>"));
        assert!(!worth("headline", "<body>Art thou there?</body>"));
        assert!(!worth("error", "<body>Art thou there?</body>"));
        assert!(!worth("groupchat", "<subject>Verona</subject>"));
        assert!(worth(
            "chat",
            "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/>"
        ));
        for ns in [ns::OMEMO, ns::OMEMO_OLD] {
            let omemo = |more| format!("<encrypted xmlns='{ns}'>{KEYS}{more}</encrypted>");
            assert!(worth("chat", &omemo("<payload>abc</payload>")));
            assert!(!worth("chat", &omemo("")));
        }
    }

    #[test]
    fn calls_and_invitations_are_and_signals_are_not() {
        for content in [
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<invite xmlns='urn:xmpp:call-invites:0'/>",
            "<x xmlns='jabber:x:conference' jid='hall@chat.localhost'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
        ] {
            assert!(worth("normal", content), "{content}");
        }
        for content in [
            "",
            "<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'/>",
        ] {
            assert!(!worth("chat", content), "{content}");
        }
    }

    #[test]
    fn a_copy_is_worth_what_was_copied() {
        let copy = |direction: &str| {
            let xml = format!(
                "<message type='chat'><{direction} xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat'>\
                 <body>Aye</body></message></forwarded></{direction}></message>"
            );
            original(&Stanza::parse(xml.as_bytes()).unwrap()).unwrap()
        };
        assert!(is_worth_it(&copy("received")));
        assert!(!is_worth_it(&copy("sent")));
    }
}
