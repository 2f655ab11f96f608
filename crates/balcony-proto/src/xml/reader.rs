//! Reads canonical bytes, which the scanner or a writer of this crate made. Nothing here checks
//! well-formedness again; on anything else than canonical bytes it stops, and never panics.

use std::borrow::Cow;

use super::element::{Element, Node};
use super::escape::unescape;
use crate::ns;

/// One step through canonical bytes.
#[derive(Debug)]
pub(crate) enum Token<'a> {
    Start { tag: StartTag<'a>, empty: bool },
    End,
    Text(Cow<'a, str>),
}

/// What stands between `<` and `>` or `/>`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartTag<'a> {
    pub(crate) name: &'a str,
    attrs: &'a str,
}

impl<'a> StartTag<'a> {
    fn new(inner: &'a str) -> Self {
        match inner.split_once(' ') {
            Some((name, attrs)) => StartTag { name, attrs },
            None => StartTag {
                name: inner,
                attrs: "",
            },
        }
    }

    /// The attributes as written: name and escaped value.
    pub(crate) fn raw_attrs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.attrs;
        std::iter::from_fn(move || {
            let (name, after) = rest.trim_start().split_once("='")?;
            let (value, after) = after.split_once('\'')?;
            rest = after;
            Some((name, value))
        })
    }

    /// The namespace declared on this element, if one is.
    pub(crate) fn xmlns(&self) -> Option<Cow<'a, str>> {
        let (name, value) = self.raw_attrs().next()?;
        (name == "xmlns").then(|| unescape(value))
    }

    /// The attribute `key`, spelled as in [`Element::attr`].
    pub(crate) fn attr(&self, key: &str) -> Option<Cow<'a, str>> {
        if !key.starts_with('{') {
            let plain = |name: &str| name == key && name != "xmlns" && !name.starts_with("xmlns:");
            return self
                .raw_attrs()
                .find_map(|(name, value)| plain(name).then(|| unescape(value)));
        }
        self.attrs()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The attributes without declarations, keyed as in [`Element::attr`].
    pub(crate) fn attrs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let tag = *self;
        self.raw_attrs().filter_map(move |(name, value)| {
            if name == "xmlns" || name.starts_with("xmlns:") {
                return None;
            }
            Some((tag.key(name), unescape(value)))
        })
    }

    fn key(&self, name: &'a str) -> Cow<'a, str> {
        let Some((prefix, local)) = name.split_once(':') else {
            return Cow::Borrowed(name);
        };
        if prefix == "xml" {
            return Cow::Borrowed(name);
        }
        let uri = self.raw_attrs().find_map(|(declared, value)| {
            (declared.strip_prefix("xmlns:") == Some(prefix)).then(|| unescape(value))
        });
        Cow::Owned(format!("{{{}}}{local}", uri.unwrap_or_default()))
    }
}

/// Walks canonical text token by token.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Bytes that are not UTF-8 read as nothing.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader {
            rest: std::str::from_utf8(bytes).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(markup) = self.rest.strip_prefix('<') else {
            let end = memchr::memchr(b'<', self.rest.as_bytes()).unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest;
            return Some(Token::Text(unescape(text)));
        };
        // Canonical form writes every other `>` as a reference.
        let (inner, rest) = markup.split_once('>')?;
        self.rest = rest;
        if inner.starts_with('/') {
            return Some(Token::End);
        }
        let (inner, empty) = match inner.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        Some(Token::Start {
            tag: StartTag::new(inner),
            empty,
        })
    }
}

/// Builds the nodes of canonical `bytes`; elements without a declaration are in `ns_default`.
pub(crate) fn nodes(bytes: &[u8], ns_default: &str) -> Vec<Node> {
    let mut top = Element::new(ns_default.to_owned(), "");
    let mut open: Vec<Element> = Vec::new();
    for token in Reader::new(bytes) {
        match token {
            Token::Start { tag, empty } => {
                let parent = open.last().unwrap_or(&top);
                let element = element_of(tag, parent.ns());
                if empty {
                    open.last_mut().unwrap_or(&mut top).push(element);
                } else {
                    open.push(element);
                }
            }
            Token::End => {
                if let Some(element) = open.pop() {
                    open.last_mut().unwrap_or(&mut top).push(element);
                }
            }
            Token::Text(text) => open.last_mut().unwrap_or(&mut top).push_text(&text),
        }
    }
    top.into_nodes()
}

fn element_of(tag: StartTag<'_>, inherited: &str) -> Element {
    let uri = match tag.xmlns() {
        Some(uri) => uri.into_owned(),
        None => inherited.to_owned(),
    };
    let mut element = Element::new(known(uri), tag.name.to_owned());
    for (key, value) in tag.attrs() {
        element.set_attr(key.into_owned(), value.into_owned());
    }
    element
}

/// The commonest namespace need not be kept once per element.
fn known(uri: String) -> Cow<'static, str> {
    match uri.as_str() {
        ns::CLIENT => Cow::Borrowed(ns::CLIENT),
        _ => Cow::Owned(uri),
    }
}
