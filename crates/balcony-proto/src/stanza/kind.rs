//! The three stanzas and the values of their `type` (RFC 6120 §8.2.3, RFC 6121 §4.7.1, §5.2.2).

/// Which stanza, with its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`
    Message(MessageType),
    /// `<presence/>`
    Presence(PresenceType),
    /// `<iq/>`
    Iq(IqType),
}

/// The `type` of a message (RFC 6121 §5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// A single message; also what an absent or unknown type means.
    #[default]
    Normal,
    /// Part of a one-to-one conversation.
    Chat,
    /// Part of a conversation of many.
    Groupchat,
    /// An alert that expects no reply.
    Headline,
    /// An error (RFC 6120 §8.3).
    Error,
}

/// The `type` of a presence (RFC 6121 §4.7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No type: available.
    #[default]
    Available,
    /// No longer available.
    Unavailable,
    /// Asks to receive the other's presence.
    Subscribe,
    /// Allows it.
    Subscribed,
    /// No longer wants it.
    Unsubscribe,
    /// Denies or ends it.
    Unsubscribed,
    /// A server asks for the current presence.
    Probe,
    /// An error (RFC 6120 §8.3).
    Error,
}

/// The `type` of an iq (RFC 6120 §8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IqType {
    /// Asks for information.
    Get,
    /// Gives or changes data.
    Set,
    /// Answers a get or set.
    Result,
    /// An error (RFC 6120 §8.3).
    Error,
}

impl MessageType {
    /// Reads the attribute. RFC 6121 §5.2.2: what is absent or unknown counts as normal.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("chat") => MessageType::Chat,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            Some("error") => MessageType::Error,
            _ => MessageType::Normal,
        }
    }

    /// The attribute's value, also for the default.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageType::Normal => "normal",
            MessageType::Chat => "chat",
            MessageType::Groupchat => "groupchat",
            MessageType::Headline => "headline",
            MessageType::Error => "error",
        }
    }
}

impl PresenceType {
    /// Reads the attribute. `None` for a value that RFC 6121 §4.7.1 does not define.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text {
            None => PresenceType::Available,
            Some("unavailable") => PresenceType::Unavailable,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some("probe") => PresenceType::Probe,
            Some("error") => PresenceType::Error,
            Some(_) => return None,
        })
    }

    /// The attribute's value; `None` for available, which has none.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            PresenceType::Available => return None,
            PresenceType::Unavailable => "unavailable",
            PresenceType::Subscribe => "subscribe",
            PresenceType::Subscribed => "subscribed",
            PresenceType::Unsubscribe => "unsubscribe",
            PresenceType::Unsubscribed => "unsubscribed",
            PresenceType::Probe => "probe",
            PresenceType::Error => "error",
        })
    }

    /// Whether it belongs to the handling of subscriptions (RFC 6121 §3).
    pub fn is_subscription(self) -> bool {
        matches!(
            self,
            PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed
        )
    }
}

impl IqType {
    /// Reads the attribute. `None` where it is absent or unknown, which is a bad request
    /// (RFC 6120 §8.2.3 point 2).
    pub fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text? {
            "get" => IqType::Get,
            "set" => IqType::Set,
            "result" => IqType::Result,
            "error" => IqType::Error,
            _ => return None,
        })
    }

    /// The attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            IqType::Get => "get",
            IqType::Set => "set",
            IqType::Result => "result",
            IqType::Error => "error",
        }
    }
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message(_) => "message",
            Kind::Presence(_) => "presence",
            Kind::Iq(_) => "iq",
        }
    }

    /// The `type` to write; `None` where the default needs none.
    pub fn type_attr(self) -> Option<&'static str> {
        match self {
            Kind::Message(MessageType::Normal) => None,
            Kind::Message(message_type) => Some(message_type.as_str()),
            Kind::Presence(presence_type) => presence_type.as_str(),
            Kind::Iq(iq_type) => Some(iq_type.as_str()),
        }
    }

    /// Whether the type is `error`.
    pub fn is_error(self) -> bool {
        self.error_kind() == self
    }

    /// The kind of an error that answers this one; `None` where none may be sent
    /// (RFC 6120 §8.2.3 point 4, §8.3.1 point 8).
    pub fn to_error(self) -> Option<Kind> {
        (!self.is_error() && self != Kind::Iq(IqType::Result)).then(|| self.error_kind())
    }

    fn error_kind(self) -> Kind {
        match self {
            Kind::Message(_) => Kind::Message(MessageType::Error),
            Kind::Presence(_) => Kind::Presence(PresenceType::Error),
            Kind::Iq(_) => Kind::Iq(IqType::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_count_as_each_rfc_says() {
        assert_eq!(MessageType::parse(Some("thumbs-up")), MessageType::Normal);
        assert_eq!(PresenceType::parse(Some("available")), None);
        assert_eq!(IqType::parse(None), None);
        assert_eq!(IqType::parse(Some("subscribe")), None);
    }

    #[test]
    fn every_written_type_is_read_back() {
        for text in ["normal", "chat", "groupchat", "headline", "error"] {
            assert_eq!(MessageType::parse(Some(text)).as_str(), text);
        }
        for text in ["unavailable", "subscribe", "unsubscribed", "probe", "error"] {
            assert_eq!(
                PresenceType::parse(Some(text)).unwrap().as_str(),
                Some(text)
            );
        }
        for text in ["get", "set", "result", "error"] {
            assert_eq!(IqType::parse(Some(text)).unwrap().as_str(), text);
        }
    }

    #[test]
    fn results_and_errors_have_no_error() {
        assert_eq!(Kind::Iq(IqType::Result).to_error(), None);
        assert_eq!(Kind::Presence(PresenceType::Error).to_error(), None);
        assert_eq!(
            Kind::Iq(IqType::Set).to_error(),
            Some(Kind::Iq(IqType::Error))
        );
    }
}
