//! XEP-0198 Stream Management 1.6.3: its elements, which are no stanzas and are never counted.

use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::Element;

/// What the other side says of the management of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    /// `<enable/>` (§3).
    Enable {
        /// The client wants to be allowed to resume.
        resume: bool,
        /// For how many seconds at most it wants to. `None`: it does not say.
        max: Option<u64>,
    },
    /// `<r/>` (§4): the other side asks how many of its stanzas are handled.
    Request,
    /// `<a/>` (§4): the other side has handled so many of ours.
    Answer(u32),
    /// An element of the namespace that has no place here, or lacks what it must have.
    Misplaced,
}

impl Management {
    /// Reads an element; `None` for one of another namespace.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Management> {
        if element.ns() != ns::SM {
            return None;
        }
        Some(match element.name() {
            "enable" => Management::Enable {
                // A boolean of XML Schema.
                resume: matches!(element.attr("resume"), Some("true" | "1")),
                max: element.attr("max").and_then(|max| max.trim().parse().ok()),
            },
            "r" => Management::Request,
            // §4: an <a/> MUST possess an 'h', which is an unsignedInt.
            "a" => match element.attr("h").and_then(|h| h.trim().parse().ok()) {
                Some(h) => Management::Answer(h),
                None => Management::Misplaced,
            },
            _ => Management::Misplaced,
        })
    }
}

/// The stream feature (§2), also the one within SASL2 (§9.2).
#[must_use]
pub fn feature() -> Element {
    Element::new(ns::SM, "sm")
}

/// `<enabled/>` (§3); with a name and seconds where the stream can be resumed.
#[must_use]
pub fn enabled(resumable: Option<(&str, u64)>) -> Element {
    let enabled = Element::new(ns::SM, "enabled");
    match resumable {
        Some((id, max)) => enabled
            .with_attr("id", id.to_owned())
            .with_attr("max", max.to_string())
            .with_attr("resume", "true"),
        None => enabled,
    }
}

/// `<resumed/>` (§5).
#[must_use]
pub fn resumed(previd: &str, h: u32) -> Element {
    Element::new(ns::SM, "resumed")
        .with_attr("h", h.to_string())
        .with_attr("previd", previd.to_owned())
}

/// `<failed/>` (§5, §6), with how many stanzas of the former stream were handled if that is known.
#[must_use]
pub fn failed(error: &StanzaError, h: Option<u32>) -> Element {
    let condition = Element::new(ns::STANZA_ERROR, error.condition.as_str());
    Element::new(ns::SM, "failed")
        .with_opt_attr("h", h.map(|h| h.to_string()))
        .with_child(condition)
}

/// The stream error for who acknowledges more than it was sent (§6).
#[must_use]
pub fn handled_count_too_high(h: u32, sent: u32) -> StreamError {
    let app = Element::new(ns::SM, "handled-count-too-high")
        .with_attr("h", h.to_string())
        .with_attr("send-count", sent.to_string());
    StreamError::new(StreamCondition::UndefinedCondition).with_app(app)
}

/// Appends `<a/>`: so many stanzas of the other side are handled.
pub fn write_answer(h: u32, out: &mut Vec<u8>) {
    let answer = Element::new(ns::SM, "a").with_attr("h", h.to_string());
    answer.write(ns::CLIENT, out);
}

/// Appends `<r/>`.
pub fn write_request(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Management> {
        Management::parse(&Element::parse(text.as_bytes(), ns::CLIENT).unwrap())
    }

    #[test]
    fn elements_are_read_as_the_specification_writes_them() {
        let enable = |resume, max| Some(Management::Enable { resume, max });
        assert_eq!(
            parse("<enable xmlns='urn:xmpp:sm:3'/>"),
            enable(false, None)
        );
        assert_eq!(
            parse("<enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/>"),
            enable(true, Some(60))
        );
        assert_eq!(
            parse("<r xmlns='urn:xmpp:sm:3'/>"),
            Some(Management::Request)
        );
        assert_eq!(
            parse("<a xmlns='urn:xmpp:sm:3' h='7'/>"),
            Some(Management::Answer(7))
        );
        for odd in [
            "<a xmlns='urn:xmpp:sm:3'/>",
            "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
        ] {
            assert_eq!(parse(odd), Some(Management::Misplaced), "{odd}");
        }
        assert_eq!(parse("<r xmlns='urn:xmpp:sm:2'/>"), None);
    }

    #[test]
    fn what_is_written_is_what_the_specification_shows() {
        let mut out = Vec::new();
        write_request(&mut out);
        write_answer(1, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>"
        );
        let failed = failed(&StanzaError::item_not_found(), Some(3));
        assert_eq!(failed.attr("h"), Some("3"));
        assert!(failed.child(ns::STANZA_ERROR, "item-not-found").is_some());
        let error = handled_count_too_high(10, 8);
        assert_eq!(error.condition, StreamCondition::UndefinedCondition);
    }
}
