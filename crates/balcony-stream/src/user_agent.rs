//! XEP-0388 §2.3 `<user-agent/>`: what a client says of itself when it authenticates.

use balcony_proto::ns;
use balcony_proto::xml::Element;

/// A client's own description. The server must not show it to anyone but the account (XEP-0388
/// §2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// A UUID v4 that stays the same for this installation of the client.
    pub id: Option<String>,
    /// The client's name, as `AwesomeXMPP`.
    pub software: Option<String>,
    /// The device's name, as `Juliet's phone`.
    pub device: Option<String>,
}

/// Longer texts are cut: 36 is a UUID, and 128 bytes name any software; more only fills our memory.
const ID_BYTES: usize = 36;
const NAME_BYTES: usize = 128;

impl UserAgent {
    /// Reads the element; what it doesn't know or what is too long it leaves out.
    pub(crate) fn parse(element: &Element) -> UserAgent {
        let text = |name| {
            let text = element.child(ns::SASL2, name)?.text().trim().to_string();
            (!text.is_empty() && text.len() <= NAME_BYTES).then_some(text)
        };
        UserAgent {
            id: element
                .attr("id")
                .filter(|id| (1..=ID_BYTES).contains(&id.len()))
                .map(str::to_string),
            software: text("software"),
            device: text("device"),
        }
    }

    pub(crate) fn to_element(&self) -> Element {
        let mut element = Element::new(ns::SASL2, "user-agent");
        if let Some(id) = &self.id {
            element.set_attr("id", id.clone());
        }
        for (name, value) in [("software", &self.software), ("device", &self.device)] {
            if let Some(value) = value {
                element.push(Element::new(ns::SASL2, name).with_text(value));
            }
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let agent = UserAgent {
            id: Some("d4565fa7-4d72-4749-b3d3-740edbf87770".into()),
            software: Some("Balcony".into()),
            device: None,
        };
        assert_eq!(UserAgent::parse(&agent.to_element()), agent);
    }

    #[test]
    fn an_overlong_name_is_left_out() {
        let agent = UserAgent {
            software: Some("x".repeat(129)),
            ..UserAgent::default()
        };
        assert_eq!(UserAgent::parse(&agent.to_element()), UserAgent::default());
    }
}
