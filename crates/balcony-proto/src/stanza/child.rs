//! A look at one direct child of a stanza, without building it.

use std::borrow::Cow;
use std::fmt;

use super::payload::{Entry, Shared, is_content};
use crate::ns;
use crate::xml::reader::{Reader, Token};
use crate::xml::{Element, Node, reader};

/// A direct child of a stanza: name and namespace from the index, the rest read when asked.
#[derive(Clone, Copy)]
pub struct Child<'a> {
    part: Shared<'a>,
    entry: Entry,
}

impl<'a> Child<'a> {
    pub(super) fn new(part: Shared<'a>, entry: Entry) -> Self {
        Child { part, entry }
    }

    pub(super) fn range(&self) -> (usize, usize) {
        (self.entry.start as usize, self.entry.end as usize)
    }

    /// The namespace name, `None` for the content namespace.
    pub(super) fn foreign_ns(&self) -> Option<&'a [u8]> {
        (!is_content(self.entry)).then(|| self.part.namespace(self.entry).as_bytes())
    }

    /// The namespace name; [`ns::CLIENT`] for the content namespace of any stream.
    pub fn ns(&self) -> &'a str {
        self.part.namespace(self.entry)
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    fn name_bytes(&self) -> &'a [u8] {
        let at = self.entry.start as usize + 1;
        self.part.slice(at, self.entry.name_len as usize)
    }

    /// Whether this is the element `name` of `ns`. Asked many times of each message: compares
    /// bytes, which need not be looked through for that.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name_bytes() == name.as_bytes() && self.is_in(ns)
    }

    /// Whether it is in the namespace `ns`; as cheap.
    pub fn is_in(&self, ns: &str) -> bool {
        self.part.namespace_bytes(self.entry) == ns.as_bytes()
    }

    /// The canonical text of this child.
    pub fn bytes(&self) -> &'a [u8] {
        let (start, end) = self.range();
        self.part.slice(start, end.saturating_sub(start))
    }

    /// An attribute of the child itself. Reads no further than its start tag.
    pub fn attr(&self, key: &str) -> Option<Cow<'a, str>> {
        match Reader::new(self.bytes()).next()? {
            Token::Start { tag, .. } => tag.attr(key),
            _ => None,
        }
    }

    /// The text directly within the child, that of grandchildren left out.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut depth = 0_usize;
        for token in Reader::new(self.bytes()) {
            match token {
                Token::Start { empty: false, .. } => depth += 1,
                Token::Start { .. } => {}
                Token::End => depth = depth.saturating_sub(1),
                Token::Text(run) if depth == 1 => text.push_str(&run),
                Token::Text(_) => {}
            }
        }
        text
    }

    /// The child as a tree.
    pub fn element(&self) -> Element {
        match reader::nodes(self.bytes(), ns::CLIENT).into_iter().next() {
            Some(Node::Element(element)) => element,
            _ => Element::new(self.ns().to_owned(), self.name().to_owned()),
        }
    }
}

impl fmt::Debug for Child<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Payload;

    #[test]
    fn text_is_only_the_childs_own() {
        let payload = Payload::from_element(
            &Element::new("urn:a", "a")
                .with_text("one ")
                .with_child(Element::new("urn:a", "b").with_text("not this"))
                .with_child(Element::new("urn:a", "c"))
                .with_text("& two"),
        );
        assert_eq!(payload.first().unwrap().text(), "one & two");
    }

    #[test]
    fn attr_reads_the_start_tag_only() {
        let payload = Payload::from_element(
            &Element::new("urn:a", "a")
                .with_attr("x", "'1'")
                .with_attr("{urn:b}y", "2")
                .with_child(Element::new("urn:a", "b").with_attr("z", "3")),
        );
        let child = payload.first().unwrap();
        assert_eq!(child.attr("x").unwrap(), "'1'");
        assert_eq!(child.attr("{urn:b}y").unwrap(), "2");
        assert_eq!(child.attr("z"), None);
        assert_eq!(child.attr("xmlns"), None);
    }

    #[test]
    fn element_carries_its_namespace() {
        let element = Element::new("urn:a", "a").with_child(Element::new(ns::CLIENT, "body"));
        assert_eq!(
            Payload::from_element(&element).first().unwrap().element(),
            element
        );
    }
}
