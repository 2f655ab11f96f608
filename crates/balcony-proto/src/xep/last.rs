//! XEP-0012 Last Activity 2.0: for how long an entity has been away, idle or up.

use crate::ns;
use crate::xml::Element;

/// `<query xmlns='jabber:iq:last'/>` of a result (XEP-0012 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Seconds since an account was last connected, a resource was last used, or a server started.
    pub seconds: u64,
    /// The status of the presence with which an account went (§3).
    pub status: Option<String>,
}

impl Last {
    /// Reads a `<query/>`. `None` without the number, which is required.
    #[must_use]
    pub fn parse(query: &Element) -> Option<Self> {
        Some(Last {
            seconds: query.attr("seconds")?.trim().parse().ok()?,
            status: Some(query.text()).filter(|text| !text.is_empty()),
        })
    }

    /// The `<query/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(ns::LAST, "query")
            .with_attr("seconds", self.seconds.to_string())
            .with_text(self.status.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let text = "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>";
        let element = Element::parse(text.as_bytes(), "").unwrap();
        let last = Last::parse(&element).unwrap();
        assert_eq!(
            (last.seconds, last.status.as_deref()),
            (903, Some("Heading Home"))
        );
        assert_eq!(last.to_element(), element);
        assert_eq!(Last::parse(&Element::new(ns::LAST, "query")), None);
    }
}
