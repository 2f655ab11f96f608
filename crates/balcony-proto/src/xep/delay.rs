//! XEP-0203 Delayed Delivery 2.0: the note that a stanza was held back.

use super::date_time;
use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// `<delay xmlns='urn:xmpp:delay'/>` (XEP-0203 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Who held the stanza back, or sent it in the first place. `None`: not said.
    pub from: Option<Jid>,
    /// When it was sent: microseconds since the Unix epoch, UTC.
    pub stamp: i64,
    /// Why, for people.
    pub reason: Option<String>,
}

impl Delay {
    /// Reads a `<delay/>`. `None` without a stamp that is a DateTime, which is required.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Self> {
        let text = element.text();
        Some(Delay {
            from: element.attr("from").and_then(|from| Jid::parse(from).ok()),
            stamp: date_time::parse(element.attr("stamp")?)?,
            reason: Some(text).filter(|text| !text.trim().is_empty()),
        })
    }

    /// The element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(ns::DELAY, "delay")
            .with_opt_attr("from", self.from.as_ref().map(Jid::as_str))
            .with_attr("stamp", date_time::format_utc(self.stamp))
            .with_text(self.reason.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let text = "<delay xmlns='urn:xmpp:delay' from='capulet.com' \
                    stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>";
        let element = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        let delay = Delay::parse(&element).unwrap();
        assert_eq!(delay.from.as_ref().map(Jid::as_str), Some("capulet.com"));
        assert_eq!(delay.reason.as_deref(), Some("Offline Storage"));
        assert_eq!(delay.to_element(), element);
    }

    #[test]
    fn a_delay_without_a_stamp_is_none() {
        assert_eq!(Delay::parse(&Element::new(ns::DELAY, "delay")), None);
    }
}
