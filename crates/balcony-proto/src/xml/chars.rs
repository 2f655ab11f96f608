//! Which characters XML allows, and where (XML 1.0, fifth edition, §2.2 and §2.3).

use super::error::{Limit, XmlError};

const START: u8 = 1;
const NAME: u8 = 2;

/// What an ASCII byte may be within a name without its colon (NCName, Namespaces in XML 1.0 §3).
static CLASS: [u8; 256] = classes();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler, where a bad index fails the build
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => START | NAME,
            b'0'..=b'9' | b'-' | b'.' => NAME,
            _ => 0,
        };
        byte += 1;
    }
    table
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether an ASCII byte may stand in a name.
#[inline]
pub(super) fn is_ascii_name(byte: u8) -> bool {
    class(byte) & NAME != 0
}

/// How many bytes `bytes` begins with that may stand in a name without colon.
#[inline]
pub(super) fn leading_ascii_name(bytes: &[u8]) -> usize {
    for (at, byte) in bytes.iter().enumerate() {
        if !is_ascii_name(*byte) {
            return at;
        }
    }
    bytes.len()
}

/// Whether an ASCII byte may begin a name.
#[inline]
pub(super) fn is_ascii_name_start(byte: u8) -> bool {
    class(byte) & START != 0
}

/// White space (XML 1.0 §2.3, production 3).
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// How many bytes of white space `bytes` begins with.
#[inline]
pub(super) fn leading_space(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_space(**byte)).count()
}

/// A character of XML (XML 1.0 §2.2, production 2).
pub(super) fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        _ => c >= ' ',
    }
}

/// NameStartChar beyond ASCII (XML 1.0 §2.3, production 4).
fn is_name_start(c: char) -> bool {
    matches!(c,
        '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// NameChar beyond ASCII (XML 1.0 §2.3, production 4a).
fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// The character that `bytes` begins with and its length; `None` when the bytes end within it.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(char, usize)>, XmlError> {
    let head = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => match head.get(..error.valid_up_to()) {
            Some(valid) if !valid.is_empty() => std::str::from_utf8(valid).unwrap_or_default(),
            _ if error.error_len().is_none() => return Ok(None),
            _ => return Err(XmlError::InvalidUtf8),
        },
    };
    Ok(valid.chars().next().map(|c| (c, c.len_utf8())))
}

/// The length of the qualified name that `bytes` begins with, and of its prefix (0 for none).
/// `None` when the bytes end before the name does.
#[inline]
pub(super) fn name(bytes: &[u8], limit: u16) -> Result<Option<(u16, u16)>, XmlError> {
    let plain = leading_ascii_name(bytes);
    let begins = bytes.first().is_some_and(|byte| class(*byte) & START != 0);
    let ends = bytes
        .get(plain)
        .is_some_and(|byte| *byte < 128 && *byte != b':');
    match u16::try_from(plain) {
        Ok(plain) if begins && ends && plain <= limit => Ok(Some((plain, 0))),
        _ => any_name(bytes, limit),
    }
}

/// [`name`] for what has a prefix, is not ASCII, not complete, or not a name.
fn any_name(bytes: &[u8], limit: u16) -> Result<Option<(u16, u16)>, XmlError> {
    let mut at = 0_u16;
    let mut prefix = 0_u16;
    // Whether the next character begins a name or the part after the colon.
    let mut begins = true;
    while let Some(&byte) = bytes.get(usize::from(at)) {
        let length = if byte < 128 {
            if class(byte) & if begins { START } else { NAME } != 0 {
                begins = false;
                1
            } else if byte == b':' && !begins && prefix == 0 {
                prefix = at;
                begins = true;
                1
            } else if begins {
                return Err(XmlError::NotWellFormed("not a name"));
            } else {
                return Ok(Some((at, prefix)));
            }
        } else {
            let rest = bytes.get(usize::from(at)..).unwrap_or_default();
            let Some((c, length)) = decode(rest)? else {
                return Ok(None);
            };
            if !if begins {
                is_name_start(c)
            } else {
                is_name_char(c)
            } {
                return Err(XmlError::NotWellFormed("not a name character"));
            }
            begins = false;
            length as u16
        };
        // At most 4 more than `limit`, which itself fits.
        at = at.saturating_add(length);
        if at > limit {
            return Err(XmlError::Policy(Limit::NameBytes));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_grammar_says() {
        assert_eq!(name(b"message to", 99), Ok(Some((7, 0))));
        assert_eq!(name(b"stream:stream>", 99), Ok(Some((13, 6))));
        assert_eq!(name("été>".as_bytes(), 99), Ok(Some((5, 0))));
        assert_eq!(name(b"mess", 99), Ok(None));
        assert_eq!(name(b"a:", 99), Ok(None));
        assert_eq!(name(b"a\xC3", 99), Ok(None));
    }

    #[test]
    fn what_is_no_qualified_name_is_refused() {
        for bad in [
            "1a ",
            "-a ",
            ":a ",
            "a::b ",
            "a: ",
            "a:1 ",
            " ",
            "\u{D7} ",
            "a\u{2000} ",
        ] {
            assert!(name(bad.as_bytes(), 99).is_err(), "{bad:?}");
        }
        // A second colon ends the name, and nothing after a name may begin with one.
        assert_eq!(name(b"a:b:c ", 99), Ok(Some((3, 1))));
        assert_eq!(name(b"a\xFF", 99), Err(XmlError::InvalidUtf8));
        assert_eq!(name(b"aaaa ", 3), Err(XmlError::Policy(Limit::NameBytes)));
    }

    #[test]
    fn middle_dot_may_not_begin_a_name() {
        assert!(name("\u{B7}a ".as_bytes(), 99).is_err());
        assert_eq!(name("a\u{B7} ".as_bytes(), 99), Ok(Some((3, 0))));
    }
}
