//! Writing character data so that every parser reads back the same.

use std::borrow::Cow;

/// Appends `text` as the content of an element. Characters that XML 1.0 §2.2 forbids become
/// U+FFFD: what is sent must be well-formed whatever a module puts in.
pub fn escape_text(text: &str, out: &mut Vec<u8>) {
    escape(text.as_bytes(), out, |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        // Needed only in `]]>`; written always, so that cutting text can never make one.
        b'>' => Some(b"&gt;"),
        // A bare CR would be read back as LF (XML 1.0 §2.11).
        b'\r' => Some(b"&#xD;"),
        _ => None,
    });
}

/// Appends `text` as an attribute value between single quotes (the quotes are the caller's).
/// Forbidden characters become U+FFFD as in [`escape_text`].
pub fn escape_attr(text: &str, out: &mut Vec<u8>) {
    escape(text.as_bytes(), out, |byte| match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'\'' => Some(b"&apos;"),
        // Literal white space in a value is read back as spaces (XML 1.0 §3.3.3).
        b'\t' => Some(b"&#x9;"),
        b'\n' => Some(b"&#xA;"),
        b'\r' => Some(b"&#xD;"),
        _ => None,
    });
}

fn escape(mut rest: &[u8], out: &mut Vec<u8>, reference: fn(u8) -> Option<&'static [u8]>) {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    out.reserve(rest.len());
    loop {
        let stop = rest.iter().position(|&byte| {
            reference(byte).is_some()
                || (byte < 0x20 && byte != b'\t' && byte != b'\n')
                || byte == 0xEF
        });
        let Some((plain, tail)) = stop.and_then(|at| rest.split_at_checked(at)) else {
            return out.extend_from_slice(rest);
        };
        out.extend_from_slice(plain);
        let Some((&byte, after)) = tail.split_first() else {
            return;
        };
        rest = after;
        if let Some(text) = reference(byte) {
            out.extend_from_slice(text);
        } else if byte != 0xEF {
            out.extend_from_slice(REPLACEMENT);
        } else if let Some(after) = rest
            .strip_prefix(b"\xBF\xBE")
            .or_else(|| rest.strip_prefix(b"\xBF\xBF"))
        {
            // U+FFFE and U+FFFF are not characters of XML (XML 1.0 §2.2).
            out.extend_from_slice(REPLACEMENT);
            rest = after;
        } else {
            out.push(byte);
        }
    }
}

/// Resolves the references of our own canonical form. Unknown ones stay as they are.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('&') {
        out.push_str(plain);
        let known = [
            ("amp;", '&'),
            ("lt;", '<'),
            ("gt;", '>'),
            ("apos;", '\''),
            ("#x9;", '\t'),
            ("#xA;", '\n'),
            ("#xD;", '\r'),
        ];
        let found = known
            .iter()
            .find_map(|(name, c)| tail.strip_prefix(name).map(|after| (*c, after)));
        match found {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> String {
        let mut out = Vec::new();
        escape_text(s, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn attr(s: &str) -> String {
        let mut out = Vec::new();
        escape_attr(s, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_quotes_and_newlines_and_escapes_markup() {
        assert_eq!(text("a<b>&'\"\n\r]]>"), "a&lt;b&gt;&amp;'\"\n&#xD;]]&gt;");
    }

    #[test]
    fn attribute_white_space_survives_normalisation() {
        assert_eq!(attr("a'b\tc\nd\re"), "a&apos;b&#x9;c&#xA;d&#xD;e");
    }

    #[test]
    fn characters_outside_xml_become_the_replacement_character() {
        assert_eq!(
            text("a\u{1}b\u{FFFE}c\u{FFFF}"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}"
        );
        assert_eq!(attr("\0"), "\u{FFFD}");
        assert_eq!(text("\u{F000}\u{FFFD}"), "\u{F000}\u{FFFD}");
    }

    #[test]
    fn unescape_undoes_both() {
        let odd = "a<b>&'\"\n\r\t]]>";
        assert_eq!(unescape(&text(odd)), odd);
        assert_eq!(unescape(&attr(odd)), odd);
    }
}
