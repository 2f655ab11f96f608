//! XML as XMPP uses it (RFC 6120 §11): a strict scanner, a small tree, and one canonical form.
//!
//! The canonical form is what we send and keep. Single quotes; no prefixes on elements; `xmlns`
//! only where an element's namespace differs from its parent's; attributes in their own
//! namespaces get a generated prefix declared on that element, `xml:` attributes stay; `<a/>`
//! for an empty element; CDATA and character references become plain text; `&`, `<`, `>` (in
//! attributes also `'`, tab and newline) and the carriage return are written as references.

mod element;
mod error;
mod escape;
pub(crate) mod reader;

pub(crate) use element::write_attr;
pub use element::{Element, Node, Text};
pub use error::{Limit, XmlError};
pub use escape::{escape_attr, escape_text};

use crate::stanza::Payload;

/// See [`Payload::parse`].
pub(crate) fn parse_payload(bytes: &[u8]) -> Result<Payload, XmlError> {
    let elements: Vec<_> = reader::nodes(bytes, crate::ns::CLIENT)
        .into_iter()
        .filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
        .collect();
    Ok(Payload::from_elements(&elements))
}
