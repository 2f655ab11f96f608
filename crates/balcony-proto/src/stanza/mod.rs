//! Stanzas: a typed header, and the payload as canonical bytes (RFC 6120 §8).

mod bad;
mod child;
mod error;
mod kept;
mod kind;
mod payload;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use bad::{BadStanza, StanzaName};
pub use child::Child;
pub use error::{Condition, ErrorType, StanzaError};
pub use kind::{IqType, Kind, MessageType, PresenceType};
pub use payload::Payload;
pub(crate) use payload::Recorder;

use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, escape_attr};

/// Payload bytes that an error stanza still quotes. Enough to recognise what failed; more would
/// let one large stanza be bounced at its size (RFC 6120 §8.3.1 point 6).
const QUOTED_BYTES: usize = 2_048;

/// A message, presence or iq: an address, and what is said to it ([`Said`]), whose fields are read
/// and changed like the stanza's own.
///
/// A room says the same to a thousand occupants, so a clone shares what is said, and costs two
/// reference counts. Who changes it gets a copy of their own first.
#[derive(Clone, Debug)]
pub struct Stanza {
    /// The addressee. `None`: the server itself, on the sender's behalf (RFC 6120 §8.1.1.1).
    pub to: Option<Jid>,
    said: Arc<Said>,
}

/// All of a stanza but its addressee.
#[derive(Clone, Debug)]
pub struct Said {
    /// Which stanza, and its `type`.
    pub kind: Kind,
    /// The sender. `None`: the entity at the other end of the stream.
    pub from: Option<Jid>,
    /// The `id`; required for iq (RFC 6120 §8.1.3).
    pub id: Option<Arc<str>>,
    /// `xml:lang`, that of the stream where the stanza had none (RFC 6120 §8.1.5).
    pub lang: Option<Arc<str>>,
    /// Other attributes in canonical form, each with a leading space.
    pub extra: Option<Arc<str>>,
    /// The content.
    pub payload: Payload,
}

impl Deref for Stanza {
    type Target = Said;

    fn deref(&self) -> &Said {
        &self.said
    }
}

impl DerefMut for Stanza {
    fn deref_mut(&mut self) -> &mut Said {
        Arc::make_mut(&mut self.said)
    }
}

impl Said {
    /// To `to`.
    pub fn to(self, to: Option<Jid>) -> Stanza {
        Stanza {
            to,
            said: Arc::new(self),
        }
    }
}

impl Stanza {
    /// An empty stanza of a kind.
    pub fn new(kind: Kind) -> Self {
        let said = Said {
            kind,
            from: None,
            id: None,
            lang: None,
            extra: None,
            payload: Payload::empty(),
        };
        said.to(None)
    }

    /// An empty message.
    pub fn message(message_type: MessageType) -> Self {
        Stanza::new(Kind::Message(message_type))
    }

    /// An empty presence.
    pub fn presence(presence_type: PresenceType) -> Self {
        Stanza::new(Kind::Presence(presence_type))
    }

    /// An empty iq with the id that its answer will carry.
    pub fn iq(iq_type: IqType, id: impl Into<Arc<str>>) -> Self {
        Stanza::new(Kind::Iq(iq_type)).with_id(id)
    }

    /// To `to`.
    #[must_use]
    pub fn with_to(mut self, to: impl Into<Option<Jid>>) -> Self {
        self.to = to.into();
        self
    }

    /// From `from`.
    #[must_use]
    pub fn with_from(mut self, from: impl Into<Option<Jid>>) -> Self {
        self.from = from.into();
        self
    }

    /// With an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// With a language.
    #[must_use]
    pub fn with_lang(mut self, lang: impl Into<Arc<str>>) -> Self {
        self.lang = Some(lang.into());
        self
    }

    /// With this payload in place of the old one.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// With one more child.
    #[must_use]
    pub fn with_element(mut self, element: Element) -> Self {
        self.payload.add(&element);
        self
    }

    /// Whether the type is `error`.
    pub fn is_error(&self) -> bool {
        self.kind.is_error()
    }

    /// Whether this is an iq of type get or set, which must be answered (RFC 6120 §8.2.3).
    pub fn is_request(&self) -> bool {
        matches!(self.kind, Kind::Iq(IqType::Get | IqType::Set))
    }

    /// The text of the first body.
    pub fn body(&self) -> Option<String> {
        self.payload
            .find(ns::CLIENT, "body")
            .map(|body| body.text())
    }

    /// Appends the stanza. It carries no `xmlns`: the stream's content namespace is its own, so
    /// the same bytes go to clients and to servers (RFC 6120 §4.8.3).
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_with(self.to.as_ref(), out);
    }

    /// [`Stanza::write`] with another `to`, for fan-out: no stanza is built for each recipient.
    pub fn write_with(&self, to: Option<&Jid>, out: &mut Vec<u8>) {
        self.write_as("", to, out);
    }

    /// Appends the stanza as an element within another, with the namespace of its own that it has
    /// there: `jabber:client`.
    pub(crate) fn write_within(&self, out: &mut Vec<u8>) {
        self.write_as(" xmlns='jabber:client'", self.to.as_ref(), out);
    }

    fn write_as(&self, xmlns: &str, to: Option<&Jid>, out: &mut Vec<u8>) {
        out.reserve(self.size());
        let name = self.kind.name().as_bytes();
        out.push(b'<');
        out.extend_from_slice(name);
        out.extend_from_slice(xmlns.as_bytes());
        self.write_header(to, out);
        if self.payload.is_blank() {
            return out.extend_from_slice(b"/>");
        }
        out.push(b'>');
        self.payload.write(out);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.push(b'>');
    }

    fn write_header(&self, to: Option<&Jid>, out: &mut Vec<u8>) {
        jid_attr(b" from='", self.from.as_ref(), out);
        jid_attr(b" to='", to, out);
        header_attr(b" id='", self.id.as_deref(), out);
        if let Some(text) = self.kind.type_attr() {
            out.extend_from_slice(b" type='");
            out.extend_from_slice(text.as_bytes());
            out.push(b'\'');
        }
        header_attr(b" xml:lang='", self.lang.as_deref(), out);
        if let Some(extra) = &self.extra {
            out.extend_from_slice(extra.as_bytes());
        }
    }

    /// The stanza's bytes as [`Stanza::write`] makes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// About how many bytes it takes on the wire, for queues that are bounded in bytes.
    pub fn size(&self) -> usize {
        let jid = |jid: &Option<Jid>| jid.as_ref().map_or(0, |jid| jid.len() + 8);
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + 12);
        // Both tags and the type take about 48.
        48 + jid(&self.to)
            + jid(&self.from)
            + text(&self.id)
            + text(&self.lang)
            + text(&self.extra)
            + self.payload.len()
    }

    /// The iq of type result that answers this one, addresses swapped.
    #[must_use]
    pub fn result(&self, payload: Payload) -> Stanza {
        self.answer(Kind::Iq(IqType::Result)).with_payload(payload)
    }

    /// The error that answers this stanza, addresses swapped, with a short original quoted unless
    /// it has a secret in it.
    /// `None` where nothing may be answered: to an error (RFC 6120 §8.3.1 point 8) and to an
    /// iq result (§8.2.3 point 4).
    pub fn error(&self, error: &StanzaError) -> Option<Stanza> {
        let kind = self.kind.to_error()?;
        let mut answer = self.answer(kind);
        if self.payload.len() <= QUOTED_BYTES && !error.unquoted {
            // RFC 6120 §8.3.1 point 7: an <error/> that a non-error carried is not ours to echo.
            answer.payload = self.payload.without(|child| child.is(ns::CLIENT, "error"));
        }
        answer.payload.add(&error.to_element());
        Some(answer)
    }

    fn answer(&self, kind: Kind) -> Stanza {
        let mut answer = Stanza::new(kind);
        answer.to = self.from.clone();
        answer.from = self.to.clone();
        answer.id = self.id.clone();
        answer
    }

    /// What an error stanza says (RFC 6120 §8.3.2). `None` for other types.
    pub fn stanza_error(&self) -> Option<StanzaError> {
        if !self.is_error() {
            return None;
        }
        let child = self.payload.find(ns::CLIENT, "error");
        Some(match child {
            Some(child) => StanzaError::parse(&child.element()),
            None => StanzaError::new(Condition::UndefinedCondition),
        })
    }

    /// The whole stanza as a tree in `jabber:client`, for forwarding it within another
    /// (XEP-0297) or keeping it in a document.
    pub fn to_element(&self) -> Element {
        let bytes = self.to_bytes();
        let mut nodes = crate::xml::reader::nodes(&bytes, ns::CLIENT).into_iter();
        match nodes.next() {
            Some(crate::xml::Node::Element(element)) => element,
            _ => Element::new(ns::CLIENT, self.kind.name()),
        }
    }
}

fn jid_attr(start: &[u8], value: Option<&Jid>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(start);
        value.write_attr(out);
        out.push(b'\'');
    }
}

fn header_attr(start: &[u8], value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(start);
        escape_attr(value, out);
        out.push(b'\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn text(stanza: &Stanza) -> String {
        String::from_utf8(stanza.to_bytes()).unwrap()
    }

    fn chat() -> Stanza {
        Stanza::message(MessageType::Chat)
            .with_to(jid("juliet@localhost"))
            .with_from(jid("romeo@localhost/orchard"))
            .with_id("m'1")
            .with_element(Element::new(ns::CLIENT, "body").with_text("a < b"))
    }

    #[test]
    fn header_is_escaped_and_content_carries_no_xmlns() {
        assert_eq!(
            text(&chat()),
            "<message from='romeo@localhost/orchard' to='juliet@localhost' id='m&apos;1' \
             type='chat'><body>a &lt; b</body></message>"
        );
    }

    #[test]
    fn copies_share_what_is_said_until_one_changes_it() {
        let said = chat();
        let other = said.clone().with_to(jid("nurse@localhost"));
        assert!(Arc::ptr_eq(&said.said, &other.said));
        let changed = other.clone().with_id("m2");
        assert_eq!(said.id.as_deref(), Some("m'1"));
        assert_eq!(other.id.as_deref(), Some("m'1"));
        assert_eq!(changed.id.as_deref(), Some("m2"));
        assert_eq!(changed.to, other.to);
        assert_eq!(size_of::<Stanza>(), 32);
    }

    #[test]
    fn default_types_are_left_out() {
        assert_eq!(text(&Stanza::message(MessageType::Normal)), "<message/>");
        assert_eq!(
            text(&Stanza::presence(PresenceType::Available)),
            "<presence/>"
        );
    }

    #[test]
    fn error_swaps_addresses_and_quotes_a_short_original() {
        let error = chat().error(&StanzaError::service_unavailable()).unwrap();
        assert_eq!(error.to, chat().from);
        assert_eq!(error.from, chat().to);
        assert_eq!(error.body().as_deref(), Some("a < b"));
        assert_eq!(
            error.stanza_error().unwrap().condition,
            Condition::ServiceUnavailable
        );
    }

    #[test]
    fn a_long_original_is_not_quoted() {
        let long = chat().with_payload(Payload::from_element(
            &Element::new(ns::CLIENT, "body").with_text(&"x".repeat(QUOTED_BYTES)),
        ));
        let error = long.error(&StanzaError::not_allowed()).unwrap();
        assert_eq!(error.body(), None);
        assert!(error.to_bytes().len() < 400);
    }

    #[test]
    fn a_secret_is_not_quoted() {
        let error = StanzaError::not_acceptable().without_quote();
        let answer = chat().error(&error).unwrap();
        assert_eq!(
            (answer.body(), answer.payload.children().count()),
            (None, 1)
        );
    }

    #[test]
    fn errors_and_results_are_never_answered_with_an_error() {
        let error = chat().error(&StanzaError::conflict()).unwrap();
        assert!(error.error(&StanzaError::conflict()).is_none());
        let result = Stanza::iq(IqType::Result, "1");
        assert!(result.error(&StanzaError::conflict()).is_none());
    }

    #[test]
    fn to_element_is_the_stanza_in_the_client_namespace() {
        let element = chat().to_element();
        assert!(element.is(ns::CLIENT, "message"));
        assert_eq!(element.attr("id"), Some("m'1"));
        assert_eq!(
            element.child_text(ns::CLIENT, "body").as_deref(),
            Some("a < b")
        );
    }
}
