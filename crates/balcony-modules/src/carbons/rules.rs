//! Which messages are copied (XEP-0280 §6.1).

use balcony_core::module::Side;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, MessageType, Payload, Stanza};
use balcony_proto::xep::hints::Hints;

/// Whether a message is copied to the other devices of the account on this side. `answers_copied`
/// tells of an error whether it is about a message that was copied.
pub(super) fn is_eligible(
    stanza: &Stanza,
    side: Side,
    answers_copied: impl FnOnce() -> bool,
) -> bool {
    let Kind::Message(message_type) = stanza.kind else {
        return false;
    };
    if is_withheld(&stanza.payload) {
        return false;
    }
    match message_type {
        MessageType::Error => answers_copied(),
        MessageType::Groupchat => false,
        _ if side == Side::Recipient && is_private_of_room(stanza) => false,
        MessageType::Chat => true,
        MessageType::Normal if stanza.payload.find(ns::CLIENT, "body").is_some() => true,
        MessageType::Normal | MessageType::Headline => stanza
            .payload
            .children()
            .any(|child| is_conversation(&child)),
    }
}

/// §9: whether the sender wants no copies.
fn is_withheld(payload: &Payload) -> bool {
    // XEP-0334 §4.3 wants no copies of what has `no-copy`, with or without `<private/>`.
    payload.find(ns::CARBONS, "private").is_some() || Hints::of(payload).no_copy || is_copy(payload)
}

/// Whether a message says that it is a copy. One that comes this way was made by somebody else, and
/// §11 has it ignored by whoever gets it: it is not made worth more by a true copy around it.
fn is_copy(payload: &Payload) -> bool {
    ["sent", "received"]
        .iter()
        .any(|name| payload.find(ns::CARBONS, name).is_some())
}

/// Whether a child belongs to a conversation of people, whatever the type of the message.
fn is_conversation(child: &Child<'_>) -> bool {
    match child.ns() {
        ns::RECEIPTS | ns::CHATSTATES | ns::CHAT_MARKERS => true,
        // A direct invitation (XEP-0249).
        ns::CONFERENCE => child.name() == "x",
        // A mediated invitation, or the private message of a client to an occupant.
        ns::MUC_USER => child.name() == "x",
        _ => false,
    }
}

/// Whether this comes from an occupant of a room, which sends it to all clients that are there by
/// itself. Invitations come from the room.
fn is_private_of_room(stanza: &Stanza) -> bool {
    stanza.from.as_ref().is_some_and(Jid::is_full)
        && stanza
            .payload
            .find(ns::MUC_USER, "x")
            .is_some_and(|x| x.element().child(ns::MUC_USER, "invite").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};
    use balcony_proto::xml::Element;

    fn stanza(message_type: MessageType, children: &[(&'static str, &'static str)]) -> Stanza {
        let elements: Vec<_> = children
            .iter()
            .map(|(ns, name)| Element::new(*ns, *name))
            .collect();
        Stanza::message(message_type)
            .with_from(Jid::parse("room@chat.localhost/romeo").unwrap())
            .with_payload(Payload::from_elements(&elements))
    }

    fn both(message_type: MessageType, children: &[(&'static str, &'static str)]) -> [bool; 2] {
        let stanza = stanza(message_type, children);
        [Side::Sender, Side::Recipient].map(|side| is_eligible(&stanza, side, || false))
    }

    const BODY: (&str, &str) = (ns::CLIENT, "body");
    const ROOM: (&str, &str) = (ns::MUC_USER, "x");

    #[test]
    fn the_type_decides_and_what_belongs_to_conversations() {
        assert_eq!(both(Chat, &[]), [true; 2]);
        assert_eq!(both(Normal, &[BODY]), [true; 2]);
        assert_eq!(both(Normal, &[]), [false; 2]);
        assert_eq!(both(Normal, &[(ns::PUBSUB_EVENT, "event")]), [false; 2]);
        assert_eq!(both(Headline, &[BODY]), [false; 2]);
        for ns in [ns::RECEIPTS, ns::CHATSTATES, ns::CHAT_MARKERS] {
            assert_eq!(both(Normal, &[(ns, "any")]), [true; 2]);
            assert_eq!(both(Headline, &[(ns, "any")]), [true; 2]);
        }
    }

    #[test]
    fn rooms_have_rules_of_their_own() {
        assert_eq!(both(Groupchat, &[BODY]), [false; 2]);
        assert_eq!(both(Groupchat, &[(ns::CHATSTATES, "active")]), [false; 2]);
        assert_eq!(both(Normal, &[(ns::CONFERENCE, "x")]), [true; 2]);
        // A private message: copied by the sender's server alone.
        assert_eq!(both(Chat, &[BODY, ROOM]), [true, false]);
        assert_eq!(both(Normal, &[ROOM]), [true, false]);
        let invited = Element::new(ns::MUC_USER, "x")
            .with_child(Element::new(ns::MUC_USER, "invite").with_attr("from", "r@localhost"));
        let mut invitation = stanza(Normal, &[]);
        invitation.payload.add(&invited);
        assert!(is_eligible(&invitation, Side::Sender, || false));
        assert!(is_eligible(&invitation, Side::Recipient, || false));
    }

    #[test]
    fn the_sender_may_want_no_copies_and_a_copy_is_not_copied() {
        for child in [
            (ns::CARBONS, "private"),
            (ns::HINTS, "no-copy"),
            (ns::CARBONS, "sent"),
            (ns::CARBONS, "received"),
        ] {
            assert_eq!(both(Chat, &[BODY, child]), [false; 2], "{child:?}");
        }
    }

    #[test]
    fn an_error_is_copied_like_the_message_that_it_is_about() {
        let error = stanza(Error, &[BODY]);
        for side in [Side::Sender, Side::Recipient] {
            assert!(is_eligible(&error, side, || true));
            assert!(!is_eligible(&error, side, || false));
        }
    }
}
