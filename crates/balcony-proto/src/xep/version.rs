//! XEP-0092 Software Version 1.1: which software an entity runs.

use crate::ns;
use crate::xml::Element;

/// `<query xmlns='jabber:iq:version'/>` of a result (XEP-0092 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// What people call the software.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The operating system. `None`: not said (§5).
    pub os: Option<String>,
}

impl Version {
    /// Reads a `<query/>`; what is missing, though required, is empty.
    #[must_use]
    pub fn parse(query: &Element) -> Self {
        let text = |name| query.child_text(ns::VERSION, name);
        Version {
            name: text("name").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            os: text("os"),
        }
    }

    /// The `<query/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let text = |name: &'static str, text: &str| Element::new(ns::VERSION, name).with_text(text);
        Element::new(ns::VERSION, "query")
            .with_child(text("name", &self.name))
            .with_child(text("version", &self.version))
            .with_children(self.os.iter().map(|os| text("os", os)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_and_read_back() {
        let version = Version {
            name: "Exodus".into(),
            version: "0.7.0.4".into(),
            os: Some("Windows-XP 5.01.2600".into()),
        };
        assert_eq!(Version::parse(&version.to_element()), version);
    }
}
