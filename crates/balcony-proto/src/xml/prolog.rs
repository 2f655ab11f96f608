//! What comes before the first stanza: the XML declaration and the stream header.

use super::canon::Canon;
use super::chars::leading_space;
use super::error::XmlError;
use super::tag::{AttrKind, Tag};
use super::value;
use crate::limits::Limits;
use crate::ns;
use crate::stream::StreamHeader;

/// Longest XML declaration taken. All that XML 1.0 §2.8 allows, generously spaced.
pub(super) const MAX_DECLARATION: usize = 128;

/// Checks `<?xml … ?>` (XML 1.0 §2.8; RFC 6120 §11.5, §11.6, §11.8).
pub(super) fn declaration(bytes: &[u8]) -> Result<(), XmlError> {
    const MALFORMED: XmlError = XmlError::NotWellFormed("XML declaration");
    let inner = bytes
        .strip_prefix(b"<?xml")
        .and_then(|rest| rest.strip_suffix(b"?>"))
        .ok_or(MALFORMED)?;
    let mut rest = std::str::from_utf8(inner).map_err(|_| XmlError::InvalidUtf8)?;
    let mut expected = ["version", "encoding", "standalone"].as_slice();
    let mut versioned = false;
    while !rest.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        let (name, value, after) = pseudo_attribute(rest).ok_or(MALFORMED)?;
        rest = after;
        let at = expected
            .iter()
            .position(|known| *known == name)
            .ok_or(MALFORMED)?;
        expected = expected.get(at + 1..).unwrap_or_default();
        match name {
            "version" if value == "1.0" => versioned = true,
            "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            "encoding" => return Err(XmlError::UnsupportedEncoding),
            // RFC 6120 §11.5: without external declarations it means nothing.
            "standalone" if value == "yes" || value == "no" => {}
            _ => return Err(MALFORMED),
        }
    }
    if versioned { Ok(()) } else { Err(MALFORMED) }
}

/// One ` name='value'`, and what follows it.
fn pseudo_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let space = leading_space(text.as_bytes());
    let (name, rest) = text.get(space..).filter(|_| space > 0)?.split_once('=')?;
    let rest = rest.get(leading_space(rest.as_bytes())..)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (value, rest) = rest.get(1..)?.split_once(quote)?;
    Some((name.trim_end_matches([' ', '\t', '\r', '\n']), value, rest))
}

/// A namespace declaration: prefix and name.
pub(super) type Binding = (Box<[u8]>, Box<[u8]>);

/// What the stream header settles for everything within it.
#[derive(Debug)]
pub(super) struct Root {
    /// Whether the root is `stream:stream` rather than `stream`.
    pub(super) prefixed: bool,
    /// Whether the prefix `stream` stands for the stream namespace.
    pub(super) stream_prefix: bool,
    /// What names without prefix mean.
    pub(super) default: DefaultNs,
    /// Other declarations.
    pub(super) bindings: Box<[Binding]>,
}

/// The default namespace of a stream (RFC 6120 §4.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultNs {
    Content,
    Streams,
    Nothing,
}

/// Reads the root's start tag.
pub(super) fn root(
    canon: &mut Canon,
    content_ns: &str,
    limits: &Limits,
    token: &[u8],
    tag: &Tag,
) -> Result<(Root, StreamHeader), XmlError> {
    canon.begin(b"", "", false, []);
    let default = canon.declarations(limits, token, tag)?.unwrap_or_default();
    canon.refuse_duplicates(token, tag)?;
    let scope = canon.scope();
    let ns = match tag.prefix(token) {
        b"" => default,
        prefix => scope.lookup(prefix)?,
    };
    // RFC 6120 §4.8.1.
    if scope.bytes(ns) != ns::STREAMS.as_bytes() {
        return Err(XmlError::InvalidNamespace);
    }
    // RFC 6120 §4.8.5 lets us accept `stream` only.
    let prefixed = match tag.prefix(token) {
        b"" => false,
        b"stream" => true,
        _ => return Err(XmlError::BadNamespacePrefix),
    };
    if tag.local(token) != b"stream" {
        return Err(XmlError::BadFormat("root is not a stream"));
    }
    let default = scope.bytes(default);
    let mut header = header(token, tag, default)?;
    header.dialback = scope
        .bindings()
        .any(|(_, name)| name == ns::DIALBACK.as_bytes());
    let default = match default {
        b"" => DefaultNs::Nothing,
        name if name == ns::STREAMS.as_bytes() && !prefixed => DefaultNs::Streams,
        name if name == content_ns.as_bytes() => DefaultNs::Content,
        // RFC 6120 §4.8.2: the content namespace is never that of streams.
        _ => return Err(XmlError::InvalidNamespace),
    };
    let is_stream =
        |(prefix, name): &(&[u8], &[u8])| *prefix == b"stream" && *name == ns::STREAMS.as_bytes();
    let bindings = || scope.bindings().filter(|(prefix, _)| !prefix.is_empty());
    let root = Root {
        prefixed,
        stream_prefix: bindings().any(|binding| is_stream(&binding)),
        default,
        bindings: bindings()
            .filter(|binding| !is_stream(binding))
            .map(|(prefix, name)| (prefix.into(), name.into()))
            .collect(),
    };
    Ok((root, header))
}

fn header(token: &[u8], tag: &Tag, default: &[u8]) -> Result<StreamHeader, XmlError> {
    let mut header = StreamHeader {
        content_ns: String::from_utf8_lossy(default).into_owned(),
        ..StreamHeader::default()
    };
    for attr in tag
        .attrs
        .iter()
        .filter(|attr| attr.kind != AttrKind::Declaration)
    {
        let text = value::decode(attr.raw(token), attr.plain)?;
        match attr.name(token) {
            b"to" => header.to = Some(text.into_owned()),
            b"from" => header.from = Some(text.into_owned()),
            b"id" => header.id = Some(text.into_owned()),
            b"version" => header.version = StreamHeader::parse_version(&text),
            b"xml:lang" => header.lang = Some(text.into_owned()),
            _ => {}
        }
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_xml_1_0_in_utf_8_is_taken() {
        for good in [
            "<?xml version='1.0'?>",
            "<?xml version=\"1.0\" encoding='utf-8' ?>",
            "<?xml  version = '1.0'\n encoding='UTF-8' standalone='yes'?>",
        ] {
            assert_eq!(declaration(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "<?xml?>",
            "<?xml ?>",
            "<?xml encoding='UTF-8'?>",
            "<?xml version='1.1'?>",
            "<?xml encoding='UTF-8' version='1.0'?>",
            "<?xml version='1.0'encoding='UTF-8'?>",
            "<?xml version='1.0' version='1.0'?>",
            "<?xml version='1.0' standalone='maybe'?>",
        ] {
            assert!(declaration(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(
            declaration(b"<?xml version='1.0' encoding='UTF-16'?>"),
            Err(XmlError::UnsupportedEncoding)
        );
    }
}
