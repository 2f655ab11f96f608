//! The attributes of a stanza's start tag, typed (RFC 6120 §8.1).

use std::sync::Arc;

use super::error::XmlError;
use super::scanner::Item;
use super::tag::RawAttr;
use super::value;
use crate::jid::Jid;
use crate::stanza::{
    BadStanza, Condition, IqType, Kind, MessageType, Payload, PresenceType, Said, StanzaName,
};

#[derive(Debug, Default)]
enum Address {
    #[default]
    Absent,
    Good(Jid),
    Malformed(String),
}

impl Address {
    fn parse(text: &str) -> Self {
        match Jid::parse(text) {
            Ok(jid) => Address::Good(jid),
            Err(_) => Address::Malformed(text.to_owned()),
        }
    }

    fn is_malformed(&self) -> bool {
        matches!(self, Address::Malformed(_))
    }

    fn jid(self) -> Option<Jid> {
        match self {
            Address::Good(jid) => Some(jid),
            _ => None,
        }
    }

    fn into_text(self) -> Option<String> {
        match self {
            Address::Absent => None,
            Address::Good(jid) => Some(jid.as_str().to_owned()),
            Address::Malformed(text) => Some(text),
        }
    }
}

/// `type`, as far as it means something.
#[derive(Debug)]
enum Type {
    Known(Kind),
    Unknown(Option<String>),
}

impl Type {
    fn parse(name: StanzaName, text: Option<&str>) -> Self {
        let kind = match name {
            StanzaName::Message => Some(Kind::Message(MessageType::parse(text))),
            StanzaName::Presence => PresenceType::parse(text).map(Kind::Presence),
            StanzaName::Iq => IqType::parse(text).map(Kind::Iq),
        };
        kind.map_or_else(|| Type::Unknown(text.map(str::to_owned)), Type::Known)
    }
}

/// A stanza's header while its payload is still being read.
#[derive(Debug)]
pub(super) struct Head {
    name: StanzaName,
    stanza_type: Type,
    to: Address,
    from: Address,
    id: Option<Arc<str>>,
    lang: Option<Arc<str>>,
    extra: Option<Arc<str>>,
}

impl Head {
    pub(super) fn new(name: StanzaName) -> Self {
        Head {
            name,
            stanza_type: Type::parse(name, None),
            to: Address::Absent,
            from: Address::Absent,
            id: None,
            lang: None,
            extra: None,
        }
    }

    /// Takes the attribute if it is one of the five common ones (RFC 6120 §8.1).
    pub(super) fn take(&mut self, attr: &RawAttr, token: &[u8]) -> Result<bool, XmlError> {
        let text = || value::decode(attr.raw(token), attr.plain);
        match attr.name(token) {
            b"to" => self.to = Address::parse(&text()?),
            b"from" => self.from = Address::parse(&text()?),
            b"id" => self.id = Some(text()?.into()),
            b"type" => self.stanza_type = Type::parse(self.name, Some(&text()?)),
            b"xml:lang" => self.lang = Some(text()?.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The other attributes in canonical form.
    pub(super) fn set_extra(&mut self, canonical: Vec<u8>) {
        if let Ok(text) = String::from_utf8(canonical) {
            self.extra = (!text.is_empty()).then(|| text.into());
        }
    }

    /// The stanza, now that its payload with `children` elements is there.
    pub(super) fn finish(self, payload: Payload, children: usize, lang: Option<&Arc<str>>) -> Item {
        let condition = match self.stanza_type {
            // RFC 6120 §8.3.3.8.
            _ if self.to.is_malformed() || self.from.is_malformed() => Condition::JidMalformed,
            // RFC 6120 §8.2.3 points 1 and 5.
            Type::Known(Kind::Iq(IqType::Get | IqType::Set)) if children != 1 => {
                Condition::BadRequest
            }
            Type::Known(Kind::Iq(_)) if self.id.is_none() => Condition::BadRequest,
            Type::Known(kind) => {
                let said = Said {
                    kind,
                    from: self.from.jid(),
                    id: self.id,
                    // RFC 6120 §4.7.4: the stream's language where the stanza has none.
                    lang: self.lang.or_else(|| lang.cloned()),
                    extra: self.extra,
                    payload,
                };
                return Item::Stanza(said.to(self.to.jid()));
            }
            // RFC 6120 §8.2.3 point 2, RFC 6121 §4.7.1.
            Type::Unknown(_) => Condition::BadRequest,
        };
        Item::BadStanza(BadStanza {
            name: self.name,
            type_attr: match self.stanza_type {
                Type::Known(kind) => kind.type_attr().map(str::to_owned),
                Type::Unknown(text) => text,
            },
            id: self.id,
            to: self.to.into_text(),
            from: self.from.into_text(),
            condition,
        })
    }
}
