//! XEP-0202 Entity Time 2.0: what time it is at an entity.

use super::date_time;
use crate::ns;
use crate::xml::Element;

/// `<time xmlns='urn:xmpp:time'/>` of a result (XEP-0202 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// The offset from UTC, as XEP-0082 writes it: `-06:00`.
    pub offset: String,
    /// Microseconds since the Unix epoch, UTC.
    pub utc: i64,
}

impl Time {
    /// Reads a `<time/>`. `None` without a sound time, which is required.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Self> {
        Some(Time {
            offset: element.child_text(ns::TIME, "tzo")?,
            utc: date_time::parse(&element.child_text(ns::TIME, "utc")?)?,
        })
    }

    /// The `<time/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let text = |name: &'static str, text: &str| Element::new(ns::TIME, name).with_text(text);
        Element::new(ns::TIME, "time")
            .with_child(text("tzo", &self.offset))
            .with_child(text("utc", &date_time::format_utc(self.utc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let text =
            "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>";
        let element = Element::parse(text.as_bytes(), "").unwrap();
        assert_eq!(Time::parse(&element).unwrap().to_element(), element);
    }
}
