//! Stream errors (RFC 6120 §4.9).

use std::borrow::Cow;

use crate::ns;
use crate::xml::{Element, XmlError};

macro_rules! conditions {
    ($($name:ident, $text:literal, $section:literal;)*) => {
        /// The conditions of RFC 6120 §4.9.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum StreamCondition {
            $(#[doc = concat!("`", $text, "` (RFC 6120 §4.9.3.", $section, ")")] $name,)*
        }

        impl StreamCondition {
            /// Every condition, in the RFC's order.
            pub const ALL: &'static [StreamCondition] = &[$(StreamCondition::$name),*];

            /// The element's name.
            pub fn as_str(self) -> &'static str {
                match self { $(StreamCondition::$name => $text,)* }
            }

            /// Reads the element's name; unknown ones are undefined-condition (§4.9.2).
            pub fn parse(name: &str) -> Self {
                match name {
                    $($text => StreamCondition::$name,)*
                    _ => StreamCondition::UndefinedCondition,
                }
            }
        }
    };
}

conditions! {
    BadFormat, "bad-format", "1";
    BadNamespacePrefix, "bad-namespace-prefix", "2";
    Conflict, "conflict", "3";
    ConnectionTimeout, "connection-timeout", "4";
    HostGone, "host-gone", "5";
    HostUnknown, "host-unknown", "6";
    ImproperAddressing, "improper-addressing", "7";
    InternalServerError, "internal-server-error", "8";
    InvalidFrom, "invalid-from", "9";
    InvalidNamespace, "invalid-namespace", "10";
    InvalidXml, "invalid-xml", "11";
    NotAuthorized, "not-authorized", "12";
    NotWellFormed, "not-well-formed", "13";
    PolicyViolation, "policy-violation", "14";
    RemoteConnectionFailed, "remote-connection-failed", "15";
    Reset, "reset", "16";
    ResourceConstraint, "resource-constraint", "17";
    RestrictedXml, "restricted-xml", "18";
    SeeOtherHost, "see-other-host", "19";
    SystemShutdown, "system-shutdown", "20";
    UndefinedCondition, "undefined-condition", "21";
    UnsupportedEncoding, "unsupported-encoding", "22";
    UnsupportedFeature, "unsupported-feature", "23";
    UnsupportedStanzaType, "unsupported-stanza-type", "24";
    UnsupportedVersion, "unsupported-version", "25";
}

/// An error that ends the stream (RFC 6120 §4.9.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// What went wrong.
    pub condition: StreamCondition,
    /// For people who look into it, in English; never interpreted (§4.9.2).
    pub text: Option<Cow<'static, str>>,
    /// An application-specific condition (§4.9.4).
    pub app: Option<Element>,
}

impl StreamError {
    /// A condition alone.
    pub fn new(condition: StreamCondition) -> Self {
        StreamError {
            condition,
            text: None,
            app: None,
        }
    }

    /// With a text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition.
    #[must_use]
    pub fn with_app(mut self, app: Element) -> Self {
        self.app = Some(app);
        self
    }

    /// Appends `<stream:error>…</stream:error>`. The header that declares the prefix has been
    /// sent before, and the closing tag follows (§4.9.1.1).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<stream:error>");
        Element::new(ns::STREAM_ERROR, self.condition.as_str()).write("", out);
        if let Some(text) = &self.text {
            Element::new(ns::STREAM_ERROR, "text")
                .with_attr("xml:lang", "en")
                .with_text(text)
                .write("", out);
        }
        if let Some(app) = &self.app {
            app.write("", out);
        }
        out.extend_from_slice(b"</stream:error>");
    }

    /// Reads the `<error/>` of the stream namespace. `None` for any other element.
    pub fn parse(error: &Element) -> Option<Self> {
        if !error.is(ns::STREAMS, "error") {
            return None;
        }
        let condition = error
            .children()
            .find(|child| child.ns() == ns::STREAM_ERROR && child.name() != "text")
            .map_or(StreamCondition::UndefinedCondition, |child| {
                StreamCondition::parse(child.name())
            });
        let app = error
            .children()
            .find(|child| child.ns() != ns::STREAM_ERROR);
        Some(StreamError {
            condition,
            text: error.child_text(ns::STREAM_ERROR, "text").map(Cow::Owned),
            app: app.cloned(),
        })
    }
}

impl From<XmlError> for StreamError {
    /// The text repeats only our own words, never the peer's.
    fn from(error: XmlError) -> Self {
        StreamError::new(error.stream_condition()).with_text(error.to_string())
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        StreamError::new(condition)
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.condition.as_str())?;
        match &self.text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StreamError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_survives_the_round_trip() {
        for condition in StreamCondition::ALL {
            let error = StreamError::new(*condition)
                .with_text("why")
                .with_app(Element::new("urn:a", "detail"));
            let mut out = Vec::new();
            error.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            let inner = text
                .strip_prefix("<stream:error>")
                .and_then(|text| text.strip_suffix("</stream:error>"))
                .unwrap();
            let bytes = format!("<error xmlns='{}'>{inner}</error>", ns::STREAMS);
            let element = Element::parse(bytes.as_bytes(), "").unwrap();
            assert_eq!(StreamError::parse(&element), Some(error));
        }
    }
}
