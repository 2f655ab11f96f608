//! Where the elements of a stream begin and end, and no more: the server's XML is cut, not checked.

use memchr::{memchr, memchr3};

/// What stands at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A whole first-level element, that ends here.
    Element(usize),
    /// White space up to here.
    Space(usize),
    /// The end of the stream (RFC 6120 §4.4).
    Close,
    /// More must come.
    Partial,
}

/// Finds the first element. Comments, CDATA sections and processing instructions do not occur:
/// RFC 6120 §11.1 forbids a server to send all but CDATA, and none writes that.
pub(crate) fn front(bytes: &[u8]) -> Front {
    let space = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    if space > 0 {
        return Front::Space(space);
    }
    match bytes {
        [b'<', b'/', ..] => Front::Close,
        [b'<', _, ..] => element(bytes).map_or(Front::Partial, Front::Element),
        _ => Front::Partial,
    }
}

fn element(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    loop {
        let open = at + memchr(b'<', bytes.get(at..)?)?;
        let end = open + tag_end(bytes.get(open..)?)?;
        if bytes.get(open + 1) == Some(&b'/') {
            depth = depth.saturating_sub(1);
        } else if bytes.get(end.wrapping_sub(2)) != Some(&b'/') {
            depth += 1;
        }
        if depth == 0 {
            return Some(end);
        }
        at = end;
    }
}

/// The length of the tag at the front. A `>` within quotes does not end it.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr3(b'>', b'"', b'\'', tag.get(at..)?)?;
        let quote = *tag.get(found)?;
        if quote == b'>' {
            return Some(found + 1);
        }
        at = found + 1 + memchr(quote, tag.get(found + 1..)?)? + 1;
    }
}

/// The raw value of an attribute of the first tag.
pub(crate) fn attribute<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tag = element.get(..tag_end(element)?)?;
    let mut at = memchr(b' ', tag)?;
    loop {
        let rest = tag.get(at..)?;
        at += rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let equals = at + memchr(b'=', tag.get(at..)?)?;
        let quote = *tag.get(equals + 1)?;
        let begin = equals + 2;
        let end = begin + memchr(quote, tag.get(begin..)?)?;
        if tag.get(at..equals)? == name.as_bytes() {
            return tag.get(begin..end);
        }
        at = end + 1;
    }
}

/// Whether the element has this name.
pub(crate) fn is(element: &[u8], name: &str) -> bool {
    let behind = element
        .strip_prefix(b"<")
        .and_then(|rest| rest.strip_prefix(name.as_bytes()));
    behind
        .and_then(|rest| rest.first())
        .is_some_and(|byte| b" />\t\r\n".contains(byte))
}

/// Whether it is one of the three stanzas (RFC 6120 §8).
pub(crate) fn is_stanza(element: &[u8]) -> bool {
    ["message", "iq", "presence"]
        .into_iter()
        .any(|name| is(element, name))
}

/// A decimal number in an attribute of the first tag.
pub(crate) fn number(element: &[u8], name: &str) -> Option<u32> {
    decimal(attribute(element, name)?)
}

/// A decimal number.
pub(crate) fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// A raw value without the five entities of XML (RFC 6120 §11.1 has no others).
pub(crate) fn unescaped(raw: &[u8]) -> String {
    const ENTITIES: [(&str, &str); 5] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&apos;", "'"),
        ("&quot;", "\""),
        // Last: what it makes is no entity.
        ("&amp;", "&"),
    ];
    let text = String::from_utf8_lossy(raw).into_owned();
    if !text.contains('&') {
        return text;
    }
    let replace = |text: String, (entity, means): (&str, &str)| text.replace(entity, means);
    ENTITIES.into_iter().fold(text, replace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Front {
        front(text.as_bytes())
    }

    #[test]
    fn elements_end_where_they_end() {
        assert_eq!(cut("<a/><b/>"), Front::Element(4));
        assert_eq!(cut("<a><b/><c>x</c></a>rest"), Front::Element(19));
        assert_eq!(cut("<a b='/>'>x</a>"), Front::Element(15));
        assert_eq!(cut("<a b=\"it's\"/>"), Front::Element(13));
        assert_eq!(cut(" \n<a/>"), Front::Space(2));
        assert_eq!(cut("</stream:stream>"), Front::Close);
    }

    #[test]
    fn no_prefix_of_an_element_is_whole() {
        let text = "<message to='romeo@localhost' x=\"a>b\"><body>O &lt; <b>x</b></body></message>";
        for end in 0..text.len() {
            assert_eq!(cut(&text[..end]), Front::Partial, "{end}");
        }
        assert_eq!(cut(text), Front::Element(text.len()));
    }

    #[test]
    fn attributes_are_those_of_the_first_tag() {
        let text = b"<iq type='get' id=\"7\" from='a b=c'><query node='n'/></iq>";
        assert_eq!(attribute(text, "type"), Some(&b"get"[..]));
        assert_eq!(attribute(text, "id"), Some(&b"7"[..]));
        assert_eq!(attribute(text, "from"), Some(&b"a b=c"[..]));
        assert_eq!(attribute(text, "node"), None);
        assert_eq!(attribute(b"<iq/>", "id"), None);
    }

    #[test]
    fn names_are_whole() {
        assert!(is(b"<iq id='1'/>", "iq"));
        assert!(!is(b"<iqs/>", "iq"));
        assert!(is_stanza(b"<message/>") && is_stanza(b"<presence to='a'/>"));
        assert!(!is_stanza(b"<r xmlns='urn:xmpp:sm:3'/>"));
    }

    #[test]
    fn values_are_read_as_numbers_and_without_entities() {
        assert_eq!(number(b"<a h='4294967295'/>", "h"), Some(u32::MAX));
        assert_eq!(number(b"<a h='4294967296'/>", "h"), None);
        assert_eq!(number(b"<a/>", "h"), None);
        assert_eq!(unescaped(b"a&amp;lt;&apos;b"), "a&lt;'b");
    }
}
