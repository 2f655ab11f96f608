//! An owned tree, for payloads off the hot path.

use std::borrow::Cow;

use super::error::XmlError;
use super::escape::{escape_attr, escape_text};

/// A name: a constant costs no allocation.
pub type Text = Cow<'static, str>;

/// What an element holds, in document order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data; two text nodes never stand side by side.
    Text(String),
}

/// An element with its namespace, attributes and content.
///
/// Attributes are keyed by their name; those of other namespaces by `{namespace}name`, those of
/// the `xml` prefix by `xml:lang` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    ns: Text,
    name: Text,
    attrs: Vec<(Text, String)>,
    nodes: Vec<Node>,
}

impl Element {
    /// An empty element. `name` must be an NCName (Namespaces in XML 1.0 §4).
    pub fn new(ns: impl Into<Text>, name: impl Into<Text>) -> Self {
        Element {
            ns: ns.into(),
            name: name.into(),
            attrs: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// With the attribute set.
    #[must_use]
    pub fn with_attr(mut self, key: impl Into<Text>, value: impl Into<String>) -> Self {
        self.set_attr(key, value);
        self
    }

    /// With the attribute set, if there is a value.
    #[must_use]
    pub fn with_opt_attr(self, key: impl Into<Text>, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with_attr(key, value),
            None => self,
        }
    }

    /// With a child at the end.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.push(child);
        self
    }

    /// With several children at the end.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.nodes.extend(children.into_iter().map(Node::Element));
        self
    }

    /// With text at the end.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.push_text(text);
        self
    }

    /// Sets an attribute, in place of an earlier value.
    pub fn set_attr(&mut self, key: impl Into<Text>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.attrs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.attrs.push((key, value)),
        }
    }

    /// Takes an attribute away.
    pub fn remove_attr(&mut self, key: &str) -> Option<String> {
        let at = self.attrs.iter().position(|(k, _)| k == key)?;
        Some(self.attrs.remove(at).1)
    }

    /// Adds a child at the end.
    pub fn push(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Adds text at the end, joined to text that stands there.
    pub fn push_text(&mut self, text: &str) {
        match self.nodes.last_mut() {
            Some(Node::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.nodes.push(Node::Text(text.to_owned())),
        }
    }

    /// Keeps only the children for which `keep` holds; text stays.
    pub fn retain(&mut self, keep: impl Fn(&Element) -> bool) {
        self.nodes.retain(|node| match node {
            Node::Element(child) => keep(child),
            Node::Text(_) => true,
        });
    }

    /// The namespace name, empty for none.
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// The name without prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the element `name` of `ns`.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// An attribute's value. Keys: see [`Element`].
    pub fn attr(&self, key: &str) -> Option<&str> {
        self.attrs
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All attributes in order.
    pub fn attrs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attrs.iter().map(|(k, v)| (k.as_ref(), v.as_str()))
    }

    /// All child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The first child `name` of `ns`.
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children().find(|child| child.is(ns, name))
    }

    /// The text of the first child `name` of `ns`.
    pub fn child_text(&self, ns: &str, name: &str) -> Option<String> {
        self.child(ns, name).map(Element::text)
    }

    /// The text directly in this element.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// Children and text in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Gives the children and text away.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// Appends the canonical form, as a child of an element in `parent_ns`.
    pub fn write(&self, parent_ns: &str, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.name.as_bytes());
        if self.ns != parent_ns {
            out.extend_from_slice(b" xmlns='");
            escape_attr(&self.ns, out);
            out.push(b'\'');
        }
        self.write_attrs(out);
        if self.nodes.is_empty() {
            return out.extend_from_slice(b"/>");
        }
        out.push(b'>');
        for node in &self.nodes {
            match node {
                Node::Element(child) => child.write(&self.ns, out),
                Node::Text(text) => escape_text(text, out),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'>');
    }

    fn write_attrs(&self, out: &mut Vec<u8>) {
        let mut declared: Vec<&str> = Vec::new();
        for (key, value) in &self.attrs {
            let Some((uri, local)) = key.strip_prefix('{').and_then(|key| key.rsplit_once('}'))
            else {
                write_attr(key, value, out);
                continue;
            };
            let number = declared
                .iter()
                .position(|known| *known == uri)
                .unwrap_or_else(|| {
                    declared.push(uri);
                    write_attr(&format!("xmlns:ns{}", declared.len() - 1), uri, out);
                    declared.len() - 1
                });
            write_attr(&format!("ns{number}:{local}"), value, out);
        }
    }

    /// The canonical form as a first-level or stand-alone element.
    pub fn to_bytes(&self, parent_ns: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(parent_ns, &mut out);
        out
    }

    /// Parses exactly one element, with white space around it allowed.
    ///
    /// # Errors
    /// What the scanner would say of it.
    pub fn parse(bytes: &[u8], ns_default: &str) -> Result<Element, XmlError> {
        super::scanner::parse_element(bytes, ns_default)
    }
}

/// Appends one attribute with a leading space.
pub(crate) fn write_attr(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_attr(value, out);
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(element: &Element) -> String {
        String::from_utf8(element.to_bytes("jabber:client")).unwrap()
    }

    #[test]
    fn namespace_is_declared_only_where_it_changes() {
        let element = Element::new("urn:a", "a")
            .with_child(Element::new("urn:a", "b"))
            .with_child(Element::new("jabber:client", "c").with_text("x"))
            .with_child(Element::new("", "d"));
        assert_eq!(
            written(&element),
            "<a xmlns='urn:a'><b/><c xmlns='jabber:client'>x</c><d xmlns=''/></a>"
        );
    }

    #[test]
    fn foreign_attributes_share_one_generated_prefix_per_namespace() {
        let element = Element::new("jabber:client", "a")
            .with_attr("{urn:x}p", "1")
            .with_attr("xml:lang", "en")
            .with_attr("{urn:x}q", "2");
        assert_eq!(
            written(&element),
            "<a xmlns:ns0='urn:x' ns0:p='1' xml:lang='en' ns0:q='2'/>"
        );
        let bytes = element.to_bytes("jabber:client");
        assert_eq!(Element::parse(&bytes, "jabber:client"), Ok(element));
    }

    #[test]
    fn what_is_written_parses_to_the_same_tree() {
        let element = Element::new("urn:a&b", "a")
            .with_attr("k", "it's <\n>")
            .with_text("x & y")
            .with_child(Element::new("urn:c", "c"))
            .with_text("]]>\r");
        assert_eq!(Element::parse(&element.to_bytes(""), ""), Ok(element));
    }
}
