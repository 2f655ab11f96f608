//! XEP-0334 Message Processing Hints 1.0.0: what a sender wishes to become of a message.

use crate::ns;
use crate::stanza::Payload;

/// The hints of one message, each as a question whether it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `<no-permanent-store/>`: keep it no longer than delivery takes (XEP-0334 §4.1).
    pub no_permanent_store: bool,
    /// `<no-store/>`: keep it nowhere, not even until the recipient is back (§4.2).
    pub no_store: bool,
    /// `<no-copy/>`: do not copy it to other resources (§4.3).
    pub no_copy: bool,
    /// `<store/>`: keep it although it may not look worth it (§4.4).
    pub store: bool,
}

impl Hints {
    /// Reads the hints among the children of a message. The caller ignores those of a message of
    /// type error, which may only quote them (§5).
    #[must_use]
    pub fn of(payload: &Payload) -> Self {
        let mut hints = Hints::default();
        for child in payload.children().filter(|child| child.is_in(ns::HINTS)) {
            match child.name() {
                "no-permanent-store" => hints.no_permanent_store = true,
                "no-store" => hints.no_store = true,
                "no-copy" => hints.no_copy = true,
                "store" => hints.store = true,
                _ => {}
            }
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Element;

    #[test]
    fn hints_are_found_among_other_children() {
        let payload = Payload::from_elements(&[
            Element::new(ns::CLIENT, "body").with_text("Wherefore art thou"),
            Element::new(ns::HINTS, "no-store"),
            Element::new(ns::HINTS, "no-copy"),
            Element::new("urn:example", "store"),
        ]);
        let expected = Hints {
            no_store: true,
            no_copy: true,
            ..Hints::default()
        };
        assert_eq!(Hints::of(&payload), expected);
    }
}
