//! Writing character data so that every parser reads back the same.

use std::borrow::Cow;

/// The bytes that need a closer look in text and in attributes.
const IN_TEXT: u8 = 1;
const IN_ATTR: u8 = 2;
static SPECIAL: [u8; 256] = special_bytes();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler, where a bad index fails the build
const fn special_bytes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 255 {
        table[byte as usize] = match byte {
            b'\t' | b'\n' | b'\'' => IN_ATTR,
            // 0xEF begins U+FFFE and U+FFFF.
            0..0x20 | b'&' | b'<' | b'>' | 0xEF => IN_TEXT | IN_ATTR,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Appends `text` as the content of an element. Characters that XML 1.0 §2.2 forbids become
/// U+FFFD: what is sent must be well-formed whatever a module puts in.
pub fn escape_text(text: &str, out: &mut Vec<u8>) {
    escape::<IN_TEXT>(text.as_bytes(), out);
}

/// Appends `text` as an attribute value between single quotes (the quotes are the caller's).
/// Forbidden characters become U+FFFD as in [`escape_text`].
pub fn escape_attr(text: &str, out: &mut Vec<u8>) {
    escape::<IN_ATTR>(text.as_bytes(), out);
}

/// Whether [`escape_attr`] would append `text` as it is.
pub(crate) fn is_plain_attr(text: &str) -> bool {
    first_special::<IN_ATTR>(text.as_bytes()).is_none()
}

fn escape<const WHERE: u8>(mut rest: &[u8], out: &mut Vec<u8>) {
    loop {
        let stop = first_special::<WHERE>(rest);
        let Some((plain, tail)) = stop.and_then(|at| rest.split_at_checked(at)) else {
            return out.extend_from_slice(rest);
        };
        out.extend_from_slice(plain);
        let used = reference(tail, out);
        rest = tail.get(used..).unwrap_or_default();
    }
}

/// Where the first byte stands that needs a closer look.
fn first_special<const WHERE: u8>(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks();
    let plain = chunks.iter().take_while(|chunk| is_plain(chunk)).count();
    let from = plain.saturating_mul(CHUNK);
    // The end is looked at together with what stands before it, which is known to be plain.
    let ends_plain = plain == chunks.len() && bytes.last_chunk().is_some_and(is_plain);
    if ends_plain || (plain == chunks.len() && rest.is_empty()) {
        return None;
    }
    let special = |byte: &u8| {
        SPECIAL
            .get(usize::from(*byte))
            .is_some_and(|class| class & WHERE != 0)
    };
    let at = bytes.get(from..)?.iter().position(special)?;
    Some(from.saturating_add(at))
}

/// Bytes that are looked at together.
const CHUNK: usize = 16;

/// Whether no byte needs a closer look, be it in text or in an attribute. Comparisons and no table,
/// for the compiler makes a few instructions of these for the whole chunk.
fn is_plain(chunk: &[u8; CHUNK]) -> bool {
    let special = |byte: u8| {
        (byte < 0x20)
            | (byte == b'&')
            | (byte == b'<')
            | (byte == b'>')
            | (byte == b'\'')
            | (byte == 0xEF)
    };
    !chunk
        .iter()
        .fold(false, |found, byte| found | special(*byte))
}

/// Writes the special byte that `tail` begins with; gives the bytes dealt with.
#[cold]
fn reference(tail: &[u8], out: &mut Vec<u8>) -> usize {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    let (written, used): (&[u8], usize) = match tail {
        [b'&', ..] => (b"&amp;", 1),
        [b'<', ..] => (b"&lt;", 1),
        // Needed only in `]]>`; written always, so that cutting text can never make one.
        [b'>', ..] => (b"&gt;", 1),
        [b'\'', ..] => (b"&apos;", 1),
        // Literal white space in a value is read back as spaces (XML 1.0 §3.3.3), and a bare CR
        // in text as LF (§2.11).
        [b'\t', ..] => (b"&#x9;", 1),
        [b'\n', ..] => (b"&#xA;", 1),
        [b'\r', ..] => (b"&#xD;", 1),
        // U+FFFE and U+FFFF are not characters of XML (XML 1.0 §2.2).
        [0xEF, 0xBF, 0xBE | 0xBF, ..] => (REPLACEMENT, 3),
        [0xEF, ..] => (b"\xEF", 1),
        _ => (REPLACEMENT, 1),
    };
    out.extend_from_slice(written);
    used
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
    fn a_special_character_is_found_wherever_it_stands() {
        for length in 0..50 {
            let plain = "x".repeat(length);
            assert_eq!(attr(&plain), plain);
            for at in 0..length {
                let mut odd = plain.clone();
                odd.replace_range(at..=at, "<");
                let mut escaped = plain.clone();
                escaped.replace_range(at..=at, "&lt;");
                assert_eq!((text(&odd), attr(&odd)), (escaped.clone(), escaped));
                odd.replace_range(at..=at, "'");
                assert_eq!(text(&odd), odd);
            }
        }
    }

    #[test]
    fn unescape_undoes_both() {
        let odd = "a<b>&'\"\n\r\t]]>";
        assert_eq!(unescape(&text(odd)), odd);
        assert_eq!(unescape(&attr(odd)), odd);
    }
}
