//! XEP-0352 Client State Indication 1.0.0: what a client that nobody looks at need not have now.
//!
//! Held back is what interests nobody until somebody looks: the presence of others, whether they
//! are writing, that they have got or read something, and what their personal nodes tell. Of
//! presence and chat states the newest tells all. Nothing is thrown away otherwise, and whatever
//! else comes brings all of it first.
//!
//! The state itself comes in elements of the stream, outside of stanzas.

use std::sync::Arc;

use balcony_core::module::{
    BindInline, Config, Ctx, Hold, HoldKey, KeyKind, ModuleSpec, OnBind, Section, Session, Spec,
    StreamFeature,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, MessageType, Payload, PresenceType, Stanza};
use balcony_proto::xml::Element;

use crate::keys::key;

/// Client state indication.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "csi",
    specs: &[Spec::xep("XEP-0352", "Client State Indication", "1.0.0")],
    // §4.1
    stream_features: &[StreamFeature {
        after_login: true,
        make: |_, _| Some(Element::new(ns::CSI, "csi")),
    }],
    // XEP-0386 §3.2: the session begins in that state.
    bind_inline: &[
        inline("active", |_, session, _| begin(session, true)),
        inline("inactive", |_, session, _| begin(session, false)),
    ],
    hold: Some(hold),
    config: &[&CONFIG],
    conversations: &["xep-0352"],
    ..ModuleSpec::NOTHING
};

/// `[client_state]`
static CONFIG: Section = Section {
    name: "client_state",
    doc: "What a client that nobody looks at need not have at once (XEP-0352). It gets it before \
          the next message, or when it becomes active.",
    list: false,
    keys: &[key(
        "hold_back",
        KeyKind::Choices(&[PRESENCE, SIGNALS, EVENTS]),
        "[\"presence\", \"signals\", \"events\"]",
        "`presence` is that of others; `signals` are chat states, receipts and markers that come \
         alone; `events` are what others publish (XEP-0163). What is held back does not wake a \
         telephone. An empty list holds back nothing.",
    )],
};

const PRESENCE: &str = "presence";
const SIGNALS: &str = "signals";
const EVENTS: &str = "events";

const fn inline(
    name: &'static str,
    run: fn(&mut Ctx<'_>, &Arc<Session>, Option<&Element>) -> Vec<Element>,
) -> BindInline {
    BindInline {
        var: ns::CSI,
        element: Some((ns::CSI, name)),
        run: OnBind::Now(run),
    }
}

fn begin(session: &Session, active: bool) -> Vec<Element> {
    session.set_active(active);
    Vec::new()
}

/// §3.2: administrators say what waits.
fn hold(config: &Config, session: &Session, stanza: &Stanza) -> Option<Hold> {
    let hold = holds(session.jid(), stanza)?;
    let what = match stanza.kind {
        Kind::Presence(_) => PRESENCE,
        Kind::Message(MessageType::Headline) => EVENTS,
        Kind::Message(_) | Kind::Iq(_) => SIGNALS,
    };
    let held_back = config.values(CONFIG.name).choices("hold_back");
    held_back.contains(&what).then_some(hold)
}

/// Whether a stanza for this full JID may wait until somebody looks at its client.
fn holds(own: &Jid, stanza: &Stanza) -> Option<Hold> {
    match stanza.kind {
        Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => {
            hold_presence(own, stanza)
        }
        Kind::Message(message_type) => hold_message(own, message_type, stanza),
        // Questions, answers, requests and errors: somebody waits for something.
        Kind::Presence(_) | Kind::Iq(_) => None,
    }
}

/// Presence of others, unless it is about this client itself, which may be in the middle of
/// something: what it has sent is told again, or it enters a room.
fn hold_presence(own: &Jid, stanza: &Stanza) -> Option<Hold> {
    let of_room = stanza.payload.find(ns::MUC_USER, "x");
    if stanza.from.as_ref() == Some(own) || of_room.is_some_and(|x| is_about_oneself(&x)) {
        return None;
    }
    Some(latest("presence", stanza, false))
}

/// XEP-0045 §7.2.2: status 110 tells an occupant that this is its own presence.
fn is_about_oneself(x: &Child<'_>) -> bool {
    let x = x.element();
    let mut codes = x
        .children()
        .filter(|child| child.is(ns::MUC_USER, "status"));
    codes.any(|status| status.attr("code") == Some("110"))
}

fn hold_message(own: &Jid, message_type: MessageType, stanza: &Stanza) -> Option<Hold> {
    match message_type {
        MessageType::Error => None,
        MessageType::Headline => hold_event(own, stanza),
        MessageType::Normal | MessageType::Chat | MessageType::Groupchat => {
            match copied(own, stanza) {
                Some((direction, original)) => hold_copy(direction, &original),
                None => hold_signal(stanza, "chat state"),
            }
        }
    }
}

/// What others publish (XEP-0163 §4.3). What another of the own devices publishes may be that its
/// user has read something, and concerns this one now.
fn hold_event(own: &Jid, stanza: &Stanza) -> Option<Hold> {
    let others = stanza.from.as_ref()?.bare_str() != own.bare_str();
    let event = stanza.payload.find(ns::PUBSUB_EVENT, "event").is_some();
    let shown = stanza.payload.find(ns::CLIENT, "body").is_some();
    (others && event && !shown).then_some(Hold::Each)
}

/// The copy of a message (XEP-0280 §7, §8), and which way it went.
fn copied(own: &Jid, stanza: &Stanza) -> Option<(&'static str, Stanza)> {
    if stanza.from.as_ref()?.as_str() != own.bare_str() {
        return None;
    }
    ["sent", "received"].into_iter().find_map(|direction| {
        let copy = stanza.payload.find(ns::CARBONS, direction)?.element();
        let forwarded = copy.child(ns::FORWARD, "forwarded")?;
        let original = forwarded.child(ns::CLIENT, "message")?;
        Some((direction, Stanza::from_element(original)?))
    })
}

/// What another device has sent says that its user has seen the conversation, by which this one
/// takes its notifications back; only that somebody writes is not worth that.
fn hold_copy(direction: &str, original: &Stanza) -> Option<Hold> {
    match direction {
        "received" => hold_signal(original, "copied chat state"),
        _ if says_only(&original.payload, &[ns::CHATSTATES]) => {
            Some(latest("sent chat state", original, true))
        }
        _ => None,
    }
}

/// Chat states (XEP-0085), receipts (XEP-0184) and markers (XEP-0333) that come alone.
fn hold_signal(stanza: &Stanza, about: &'static str) -> Option<Hold> {
    if says_only(&stanza.payload, &[ns::CHATSTATES]) {
        return Some(latest(about, stanza, false));
    }
    let signals = [ns::CHATSTATES, ns::RECEIPTS, ns::CHAT_MARKERS];
    says_only(&stanza.payload, &signals).then_some(Hold::Each)
}

/// Whether there is something of these namespaces, and else nothing but what goes with it.
fn says_only(payload: &Payload, namespaces: &[&str]) -> bool {
    let said = |child: &Child<'_>| namespaces.contains(&child.ns());
    payload.children().any(|child| said(&child))
        && payload
            .children()
            .all(|child| said(&child) || goes_along(&child))
}

/// What says nothing by itself: threads, hints, ids, and when a message came.
fn goes_along(child: &Child<'_>) -> bool {
    matches!(child.ns(), ns::HINTS | ns::STANZA_ID | ns::DELAY) || child.is(ns::CLIENT, "thread")
}

fn latest(about: &'static str, stanza: &Stanza, to: bool) -> Hold {
    Hold::Latest(HoldKey {
        about,
        from: stanza.from.clone(),
        to: stanza.to.clone().filter(|_| to),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "<body>Art thou there?</body>";
    const WRITES: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    const PAUSES: &str =
        "<paused xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>";
    const GOT: &str = "<received xmlns='urn:xmpp:receipts' id='1'/>";

    fn held(xml: &str) -> Option<Hold> {
        let own = Jid::parse("juliet@localhost/balcony").unwrap();
        let stanza = Stanza::parse(xml.as_bytes()).unwrap();
        holds(&own, &stanza)
    }

    fn chat(from: &str, content: &str) -> Option<Hold> {
        held(&format!(
            "<message from='{from}' type='chat'>{content}</message>"
        ))
    }

    fn copy(direction: &str, from: &str, to: &str, content: &str) -> Option<Hold> {
        let copy = format!(
            "<{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' from='{from}' to='{to}' type='chat'>{content}</message>\
             </forwarded></{direction}>"
        );
        chat("juliet@localhost", &copy)
    }

    #[test]
    fn presence_of_others_waits_and_the_newest_counts() {
        let here = held("<presence from='romeo@localhost/orchard'/>");
        assert!(matches!(here, Some(Hold::Latest(_))));
        let gone = held("<presence from='romeo@localhost/orchard' type='unavailable'/>");
        assert_eq!(here, gone);
        let elsewhere = held("<presence from='romeo@localhost/mantua'/>");
        assert!(elsewhere.is_some() && elsewhere != here);
        for now in [
            "<presence from='romeo@localhost' type='subscribe'/>",
            "<presence from='romeo@localhost' type='error'/>",
            "<presence from='juliet@localhost/balcony'/>",
            "<presence from='hall@chat.localhost/juliet'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>",
        ] {
            assert_eq!(held(now), None, "{now}");
        }
        assert!(held("<presence from='juliet@localhost/chamber'/>").is_some());
    }

    #[test]
    fn signals_wait_and_messages_do_not() {
        let romeo = "romeo@localhost/orchard";
        assert!(matches!(chat(romeo, WRITES), Some(Hold::Latest(_))));
        assert_eq!(chat(romeo, WRITES), chat(romeo, PAUSES));
        assert_ne!(chat(romeo, WRITES), chat("romeo@localhost/mantua", WRITES));
        assert_eq!(chat(romeo, GOT), Some(Hold::Each));
        assert_eq!(chat(romeo, &format!("{GOT}{WRITES}")), Some(Hold::Each));
        assert_eq!(chat(romeo, &format!("{WRITES}{BODY}")), None);
        assert_eq!(chat(romeo, BODY), None);
        assert_eq!(chat(romeo, "<thread>t</thread>"), None);
        assert_eq!(chat(romeo, "<x xmlns='urn:example'/>"), None);
        let error = format!("<message from='{romeo}' type='error'>{WRITES}</message>");
        assert_eq!(held(&error), None);
        assert_eq!(held("<iq from='localhost' type='get' id='1'/>"), None);
    }

    #[test]
    fn copies_are_looked_into() {
        let (own, romeo) = ("juliet@localhost/chamber", "romeo@localhost/orchard");
        let received = copy("received", romeo, own, WRITES);
        assert!(matches!(received, Some(Hold::Latest(_))));
        assert_eq!(copy("received", romeo, own, BODY), None);
        assert_eq!(copy("received", romeo, own, GOT), Some(Hold::Each));
        let sent = copy("sent", own, romeo, WRITES);
        assert!(matches!(sent, Some(Hold::Latest(_))));
        assert_ne!(sent, copy("sent", own, "nurse@localhost", WRITES));
        assert_eq!(copy("sent", own, romeo, GOT), None);
        assert_eq!(copy("sent", own, romeo, BODY), None);
    }

    #[test]
    fn what_others_publish_waits() {
        let event = |from: &str, more: &str| {
            held(&format!(
                "<message from='{from}' type='headline'>\
                 <event xmlns='http://jabber.org/protocol/pubsub#event'/>{more}</message>"
            ))
        };
        assert_eq!(event("romeo@localhost", ""), Some(Hold::Each));
        assert_eq!(event("romeo@localhost", BODY), None);
        assert_eq!(event("juliet@localhost", ""), None);
        assert_eq!(
            held("<message from='localhost' type='headline'><body>x</body></message>"),
            None
        );
    }
}
