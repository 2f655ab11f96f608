//! Attribute values and references (XML 1.0 §3.3.3, §4.1).

use std::borrow::Cow;

use super::chars::{is_ascii_name, is_xml_char};
use super::error::XmlError;
use super::words::plain_value;

/// The entities that need no declaration (XML 1.0 §4.6), the only ones that XMPP has
/// (RFC 6120 §11.1).
const PREDEFINED: [(&[u8], char); 5] = [
    (b"&lt;", '<'),
    (b"&gt;", '>'),
    (b"&amp;", '&'),
    (b"&apos;", '\''),
    (b"&quot;", '"'),
];

/// Bytes of the longest character reference taken. `&#x10FFFF;` is 10; the rest is for the
/// leading zeros that some writers put in.
const MAX_REFERENCE: usize = 16;

/// The reference that `bytes` begins with (with its `&`) and its length; `None` when the bytes
/// end within it.
pub(super) fn reference(bytes: &[u8]) -> Result<Option<(char, usize)>, XmlError> {
    if let Some(digits) = bytes.strip_prefix(b"&#") {
        return numeric(digits);
    }
    // Decided at the first byte that fits no known name, however much more has arrived.
    let mut common = 0;
    for (name, c) in PREDEFINED {
        let same = name.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if same == name.len() {
            return Ok(Some((c, same)));
        }
        common = common.max(same);
    }
    match bytes.get(common) {
        None => Ok(None),
        Some(byte) if is_ascii_name(*byte) || *byte >= 0x80 || *byte == b':' => {
            Err(XmlError::Restricted("entity reference"))
        }
        Some(b';') if common > 1 => Err(XmlError::Restricted("entity reference")),
        Some(_) => Err(XmlError::NotWellFormed("& without a reference")),
    }
}

fn numeric(digits: &[u8]) -> Result<Option<(char, usize)>, XmlError> {
    let (digits, radix, start) = match digits.strip_prefix(b"x") {
        Some(digits) => (digits, 16, 3),
        None => (digits, 10, 2),
    };
    let mut code = 0_u32;
    for (at, byte) in digits.iter().enumerate() {
        if start + at >= MAX_REFERENCE {
            return Err(XmlError::NotWellFormed("character reference too long"));
        }
        if *byte == b';' && at > 0 {
            // XML 1.0 §4.1, well-formedness constraint "Legal Character".
            return match char::from_u32(code).filter(|c| is_xml_char(*c)) {
                Some(c) => Ok(Some((c, start + at + 1))),
                None => Err(XmlError::NotWellFormed("reference to no character of XML")),
            };
        }
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            return Err(XmlError::NotWellFormed(
                "not a digit in a character reference",
            ));
        };
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    Ok(None)
}

/// Checks a raw value. `true`: it holds nothing but characters that canonical form leaves alone.
pub(super) fn check(raw: &[u8]) -> Result<bool, XmlError> {
    let mut at = 0;
    loop {
        at += plain_value(raw.get(at..).unwrap_or_default());
        match raw.get(at) {
            None => return Ok(true),
            Some(b'"') => at += 1,
            Some(_) => break,
        }
    }
    walk(raw, |_| ())?;
    Ok(false)
}

/// The value of a checked attribute.
#[inline]
pub(super) fn decode(raw: &[u8], plain: bool) -> Result<Cow<'_, str>, XmlError> {
    if plain {
        let text = std::str::from_utf8(raw).map_err(|_| XmlError::InvalidUtf8)?;
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(raw.len());
    walk(raw, |piece| text.push_str(piece))?;
    Ok(Cow::Owned(text))
}

/// Gives the normalised value in pieces (XML 1.0 §2.11, §3.3.3).
fn walk(raw: &[u8], mut piece: impl FnMut(&str)) -> Result<(), XmlError> {
    let mut rest = std::str::from_utf8(raw).map_err(|_| XmlError::InvalidUtf8)?;
    loop {
        let stop = rest.find(|c: char| c == '&' || c < ' ' || !is_xml_char(c));
        let Some((text, tail)) = stop.and_then(|at| rest.split_at_checked(at)) else {
            piece(rest);
            return Ok(());
        };
        piece(text);
        let used = match tail.as_bytes() {
            [b'&', ..] => {
                let Some((c, used)) = reference(tail.as_bytes())? else {
                    return Err(XmlError::NotWellFormed("reference without its end"));
                };
                piece(c.encode_utf8(&mut [0; 4]));
                used
            }
            [b'\r', b'\n', ..] => {
                piece(" ");
                2
            }
            [b'\r' | b'\n' | b'\t', ..] => {
                piece(" ");
                1
            }
            _ => return Err(XmlError::NotWellFormed("not a character of XML")),
        };
        rest = tail.get(used..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(raw: &str) -> Result<String, XmlError> {
        let plain = check(raw.as_bytes())?;
        decode(raw.as_bytes(), plain).map(Cow::into_owned)
    }

    #[test]
    fn values_are_normalised() {
        assert_eq!(value("a\r\nb\tc\rd").unwrap(), "a b c d");
        assert_eq!(value("&#10;&#xd;&#9;").unwrap(), "\n\r\t");
        assert_eq!(value("&lt;&apos;&quot;&#x1F600;").unwrap(), "<'\"\u{1F600}");
    }

    #[test]
    fn references_to_anything_else_are_restricted() {
        for bad in ["&lol;", "&ampx;", "&a;", "&é;", "&nbsp;"] {
            assert!(matches!(value(bad), Err(XmlError::Restricted(_))), "{bad}");
        }
        for bad in [
            "& ",
            "&;",
            "&#;",
            "&#x;",
            "&#xZ;",
            "&#12",
            "&amp",
            "&#0;",
            "&#xD800;",
            "&#xFFFE;",
            "&#x110000;",
            "&#99999999999;",
            "&#00000000000000000065;",
        ] {
            assert!(
                matches!(value(bad), Err(XmlError::NotWellFormed(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn characters_outside_xml_are_refused() {
        for bad in ["\0", "a\u{1}", "\u{FFFE}", "\u{FFFF}", "\u{B}"] {
            assert!(
                matches!(value(bad), Err(XmlError::NotWellFormed(_))),
                "{bad:?}"
            );
        }
        assert_eq!(check(b"\xC0\x80"), Err(XmlError::InvalidUtf8));
        assert_eq!(check(b"\xED\xA0\x80"), Err(XmlError::InvalidUtf8));
    }
}
