//! The priority of a presence stanza (RFC 6121 §4.7.2.3).

use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};

/// Reads the priority; absent means 0.
///
/// # Errors
/// `bad-request` for anything but one integer between -128 and 127.
pub(super) fn read(payload: &Payload) -> Result<i8, StanzaError> {
    let mut elements = payload
        .children()
        .filter(|child| child.is(ns::CLIENT, "priority"));
    let Some(first) = elements.next() else {
        return Ok(0);
    };
    if elements.next().is_some() {
        return Err(StanzaError::bad_request().with_text("more than one priority"));
    }
    first.text().trim().parse().map_err(|_| {
        StanzaError::bad_request().with_text("the priority is no integer between -128 and 127")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xml::Element;

    fn priority(texts: &[&str]) -> Option<i8> {
        let element = |text: &&str| Element::new(ns::CLIENT, "priority").with_text(text);
        let elements: Vec<_> = texts.iter().map(element).collect();
        read(&Payload::from_elements(&elements)).ok()
    }

    #[test]
    fn the_range_is_that_of_the_specification() {
        assert_eq!(priority(&[]), Some(0));
        assert_eq!(priority(&["-128"]), Some(-128));
        assert_eq!(priority(&["127"]), Some(127));
        assert_eq!(priority(&[" 5\n"]), Some(5));
        for wrong in ["128", "-129", "", "high", "1.5", "99999999999"] {
            assert_eq!(priority(&[wrong]), None, "{wrong:?}");
        }
        assert_eq!(priority(&["1", "1"]), None);
    }
}
