//! XML as XMPP uses it (RFC 6120 §11): a strict scanner, a small tree, and one canonical form.
//!
//! The canonical form is what we send and keep. Single quotes; no prefixes on elements; `xmlns`
//! only where an element's namespace differs from its parent's; attributes in their own
//! namespaces get a generated prefix declared on that element, `xml:` attributes stay; `<a/>`
//! for an empty element; CDATA and character references become plain text; `&`, `<`, `>` (in
//! attributes also `'`, tab and newline) and the carriage return are written as references.

mod canon;
mod chars;
mod element;
mod error;
mod escape;
mod head;
mod prolog;
pub(crate) mod reader;
mod scanner;
mod scope;
mod tag;
mod text;
mod value;
mod words;

pub(crate) use element::write_attr;
pub use element::{Element, Node, Text};
pub use error::{Limit, XmlError};
pub(crate) use escape::is_plain_attr;
pub use escape::{escape_attr, escape_text};
pub(crate) use scanner::parse_payload;
pub use scanner::{Item, Scanner};
