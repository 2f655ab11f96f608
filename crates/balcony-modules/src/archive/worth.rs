//! Which messages are worth keeping: in the archive (XEP-0313 §6.1.1), and in the offline queue
//! (XEP-0160 §3). One table for both; `docs/archiving.md` shows it.

use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, MessageType, Payload};
use balcony_proto::xep::hints::Hints;

/// What a message is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    /// It belongs into the archives of both sides.
    pub(crate) archive: bool,
    /// It waits for an absent recipient.
    pub(crate) queue: bool,
}

const NOTHING: Worth = Worth {
    archive: false,
    queue: false,
};

/// What a child is worth by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    /// The state of a conversation, or what goes with something else.
    Passing,
    /// Somebody may wait for it, and nobody will look for it in a history.
    Waits,
    /// Part of the conversation.
    Lasts,
}

/// The table, without preferences (XEP-0441).
pub(crate) fn worth(kind: Kind, payload: &Payload) -> Worth {
    let Kind::Message(MessageType::Normal | MessageType::Chat) = kind else {
        return NOTHING;
    };
    let hints = Hints::of(payload);
    // XEP-0334 §4.2
    if hints.no_store {
        return NOTHING;
    }
    let content = payload.children().map(|child| content(&child)).max();
    let content = content.unwrap_or(Content::Passing);
    Worth {
        // XEP-0334 §4.1, §4.4
        archive: !hints.no_permanent_store && (hints.store || content == Content::Lasts),
        queue: hints.store || content >= Content::Waits,
    }
}

fn content(child: &Child<'_>) -> Content {
    use Content::{Lasts, Passing, Waits};
    match (child.ns(), child.name()) {
        (ns::CLIENT, "thread") | (ns::CHATSTATES | ns::HINTS | ns::STANZA_ID, _) => Passing,
        // A request for a receipt or a marker goes with the message that it is about.
        (ns::RECEIPTS, "request") | (ns::CHAT_MARKERS, "markable") => Passing,
        (ns::CLIENT, "body") => Lasts,
        (ns::RECEIPTS | ns::CHAT_MARKERS, _) => Lasts,
        (ns::JINGLE_MESSAGE | ns::CALL_INVITES, _) => Lasts,
        (ns::RETRACT | ns::REACTIONS | ns::SFS, _) => Lasts,
        (ns::OMEMO | ns::OMEMO_OLD | ns::OPENPGP | ns::ENCRYPTION, _) => Lasts,
        (ns::CONFERENCE, "x") => Lasts,
        (ns::MUC_USER, "x") if is_invitation(child) => Lasts,
        _ => Waits,
    }
}

/// An invitation to a room, or that it is declined (XEP-0045 §7.8.2).
fn is_invitation(child: &Child<'_>) -> bool {
    let element = child.element();
    let of_muc = |name| element.child(ns::MUC_USER, name).is_some();
    of_muc("invite") || of_muc("decline")
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xml::Element;

    const CHAT: Kind = Kind::Message(MessageType::Chat);

    fn of(kind: Kind, children: &[(&'static str, &'static str)]) -> (bool, bool) {
        let elements = children.iter().map(|(ns, name)| Element::new(*ns, *name));
        let elements: Vec<_> = elements.collect();
        let worth = worth(kind, &Payload::from_elements(&elements));
        (worth.archive, worth.queue)
    }

    #[test]
    fn what_is_kept_depends_on_the_type() {
        let body = [(ns::CLIENT, "body")];
        assert_eq!(of(CHAT, &body), (true, true));
        assert_eq!(of(Kind::Message(MessageType::Normal), &body), (true, true));
        for kind in [
            MessageType::Groupchat,
            MessageType::Headline,
            MessageType::Error,
        ] {
            assert_eq!(of(Kind::Message(kind), &body), (false, false), "{kind:?}");
        }
    }

    #[test]
    fn what_passes_is_not_kept_and_the_rest_at_least_waits() {
        let passing = [
            (ns::CHATSTATES, "composing"),
            (ns::CLIENT, "thread"),
            (ns::RECEIPTS, "request"),
        ];
        assert_eq!(of(CHAT, &passing), (false, false));
        assert_eq!(of(CHAT, &[]), (false, false));
        assert_eq!(of(CHAT, &[("urn:example", "odd")]), (false, true));
        for lasting in [
            (ns::RECEIPTS, "received"),
            (ns::CHAT_MARKERS, "displayed"),
            (ns::JINGLE_MESSAGE, "propose"),
            (ns::RETRACT, "retract"),
            (ns::REACTIONS, "reactions"),
            (ns::OMEMO_OLD, "encrypted"),
            (ns::ENCRYPTION, "encryption"),
            (ns::SFS, "file-sharing"),
            (ns::CALL_INVITES, "invite"),
        ] {
            assert_eq!(of(CHAT, &[lasting]), (true, true), "{lasting:?}");
        }
    }

    #[test]
    fn hints_are_obeyed() {
        let body = (ns::CLIENT, "body");
        let hinted = |hint| of(CHAT, &[body, (ns::HINTS, hint)]);
        assert_eq!(hinted("no-store"), (false, false));
        assert_eq!(hinted("no-permanent-store"), (false, true));
        let state = [(ns::CHATSTATES, "gone"), (ns::HINTS, "store")];
        assert_eq!(of(CHAT, &state), (true, true));
        let error = Kind::Message(MessageType::Error);
        assert_eq!(of(error, &[body, (ns::HINTS, "store")]), (false, false));
    }

    #[test]
    fn an_invitation_to_a_room_is_kept_and_what_a_room_says_else_is_not() {
        let x = |name| {
            let x = Element::new(ns::MUC_USER, "x").with_child(Element::new(ns::MUC_USER, name));
            worth(CHAT, &Payload::from_element(&x)).archive
        };
        assert!(x("invite") && x("decline"));
        assert!(!x("item"));
    }
}
