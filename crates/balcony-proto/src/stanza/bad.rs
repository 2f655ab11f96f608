//! A well-formed stanza whose header is not in order: answered with an error, not the end of
//! the stream.

use std::sync::Arc;

use super::{Condition, Kind, Stanza, StanzaError};
use crate::jid::Jid;
use crate::stanza::{IqType, MessageType, PresenceType};

/// Which of the three elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StanzaName {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

/// A stanza with a malformed address, an iq without a known type, an id or its one child, or a
/// presence of unknown type. Its attributes stand as received, references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadStanza {
    /// Which stanza.
    pub name: StanzaName,
    /// `type` as received.
    pub type_attr: Option<String>,
    /// `id` as received.
    pub id: Option<Arc<str>>,
    /// `to` as received.
    pub to: Option<String>,
    /// `from` as received.
    pub from: Option<String>,
    /// What is wrong: `jid-malformed` or `bad-request`.
    pub condition: Condition,
}

impl BadStanza {
    /// The error to send back; the owner of the stream sets `to`. `None` when the stanza was
    /// itself an error or result (RFC 6120 §8.3.1 point 8, §8.2.3 point 4).
    pub fn answer(&self) -> Option<Stanza> {
        let kind = match (self.name, self.type_attr.as_deref()) {
            (_, Some("error")) | (StanzaName::Iq, Some("result")) => return None,
            (StanzaName::Message, _) => Kind::Message(MessageType::Error),
            (StanzaName::Presence, _) => Kind::Presence(PresenceType::Error),
            (StanzaName::Iq, _) => Kind::Iq(IqType::Error),
        };
        let mut answer = Stanza::new(kind);
        answer.id = self.id.clone();
        // RFC 6120 §8.3.1 point 2: never a malformed JID in the answer's addresses.
        answer.from = self.to.as_deref().and_then(|to| Jid::parse(to).ok());
        Some(answer.with_element(StanzaError::new(self.condition).to_element()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(name: StanzaName, type_attr: Option<&str>) -> BadStanza {
        BadStanza {
            name,
            type_attr: type_attr.map(str::to_owned),
            id: Some("x".into()),
            to: Some("@@".into()),
            from: None,
            condition: Condition::JidMalformed,
        }
    }

    #[test]
    fn answer_never_repeats_a_malformed_address() {
        let answer = bad(StanzaName::Iq, Some("get")).answer().unwrap();
        assert_eq!(answer.from, None);
        assert_eq!(answer.id.as_deref(), Some("x"));
        assert_eq!(
            answer.stanza_error().unwrap().condition,
            Condition::JidMalformed
        );
    }

    #[test]
    fn errors_and_results_get_no_answer() {
        assert!(bad(StanzaName::Message, Some("error")).answer().is_none());
        assert!(bad(StanzaName::Iq, Some("result")).answer().is_none());
        assert!(bad(StanzaName::Message, Some("result")).answer().is_some());
    }
}
