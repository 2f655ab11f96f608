//! The two ways in which SASL messages travel: RFC 6120 §6 and XEP-0388.

use balcony_proto::ns;
use balcony_proto::sasl::{self, SaslError};
use balcony_proto::xml::Element;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// RFC 6120 §6.
    Classic,
    /// XEP-0388.
    Sasl2,
}

impl Profile {
    pub(crate) fn ns(self) -> &'static str {
        match self {
            Profile::Classic => ns::SASL,
            Profile::Sasl2 => ns::SASL2,
        }
    }

    /// An element whose text is a message. Both leave the text out when there is none; an empty
    /// message is `=` where its presence says something (RFC 6120 §6.4.2), and never in SASL2
    /// (XEP-0388 §2.2).
    pub(crate) fn message(self, name: &'static str, message: Option<&[u8]>) -> Element {
        let element = Element::new(self.ns(), name);
        match message {
            Some(b"") if self == Profile::Sasl2 => element,
            Some(message) => element.with_text(&sasl::encode(message)),
            None => element,
        }
    }

    /// Reads the text of an element. In SASL2 the `=` of classic SASL has no meaning.
    pub(crate) fn decode(self, element: &Element) -> Result<Vec<u8>, SaslError> {
        match (self, element.text().as_str()) {
            (Profile::Sasl2, "=") => Err(SaslError::IncorrectEncoding),
            (_, text) => sasl::decode(text),
        }
    }

    /// RFC 6120 §6.5; XEP-0388 §2.6.2 takes the conditions from there, in their namespace.
    pub(crate) fn failure(self, error: SaslError) -> Element {
        Element::new(self.ns(), "failure").with_child(Element::new(ns::SASL, error.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_message_is_an_equals_sign_in_classic_sasl_only() {
        let empty = |profile: Profile| profile.message("response", Some(b"")).text();
        assert_eq!(
            (
                empty(Profile::Classic).as_str(),
                empty(Profile::Sasl2).as_str()
            ),
            ("=", "")
        );
        let equals = Element::new("", "response").with_text("=");
        assert_eq!(Profile::Classic.decode(&equals), Ok(Vec::new()));
        assert_eq!(
            Profile::Sasl2.decode(&equals),
            Err(SaslError::IncorrectEncoding)
        );
    }
}
