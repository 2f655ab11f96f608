//! The stream header (RFC 6120 §4.7).

use crate::ns;
use crate::xml::escape_attr;

/// The attributes of `<stream:stream>`, references resolved, addresses not yet looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// The host that is wanted, or in an answer the client (§4.7.2).
    pub to: Option<String>,
    /// Who speaks (§4.7.1).
    pub from: Option<String>,
    /// The stream's id; only the receiving entity sets one (§4.7.3).
    pub id: Option<String>,
    /// Major and minor version (§4.7.5). `None`: absent or no version at all, as before 1.0.
    pub version: Option<(u8, u8)>,
    /// The default language of the stream (§4.7.4).
    pub lang: Option<String>,
    /// The default namespace: the content namespace, or that of streams where each element
    /// carries its own (§4.8.2). Empty where none was declared.
    pub content_ns: String,
    /// The namespace of dialback is declared, by any prefix: the way in which a server says that it
    /// knows dialback (XEP-0220 §2.4.1). We write it with the prefix `db`, which some servers
    /// insist on.
    pub dialback: bool,
}

impl StreamHeader {
    /// The version as §4.7.5 wants it read: two numbers, leading zeros ignored.
    pub(crate) fn parse_version(text: &str) -> Option<(u8, u8)> {
        let (major, minor) = text.split_once('.')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More than 255 is as far beyond us as 255 is.
            digits.then(|| {
                text.trim_start_matches('0')
                    .parse()
                    .unwrap_or(if text.contains(|c| c != '0') {
                        u8::MAX
                    } else {
                        0
                    })
            })
        };
        Some((number(major)?, number(minor)?))
    }
}

/// Appends the XML declaration and `<stream:stream …>` (§4.2, §11.5).
pub fn write_open(header: &StreamHeader, content_ns: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
    escape_attr(content_ns, out);
    out.extend_from_slice(b"' xmlns:stream='");
    out.extend_from_slice(ns::STREAMS.as_bytes());
    out.push(b'\'');
    if header.dialback {
        crate::xml::write_attr("xmlns:db", ns::DIALBACK, out);
    }
    let version = header
        .version
        .map(|(major, minor)| format!("{major}.{minor}"));
    let attrs = [
        ("from", &header.from),
        ("to", &header.to),
        ("id", &header.id),
        ("version", &version),
        ("xml:lang", &header.lang),
    ];
    for (name, value) in attrs {
        if let Some(value) = value {
            crate::xml::write_attr(name, value, out);
        }
    }
    out.push(b'>');
}

/// Appends `</stream:stream>` (§4.4).
pub fn write_close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</stream:stream>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_two_numbers() {
        let parse = StreamHeader::parse_version;
        assert_eq!(parse("1.0"), Some((1, 0)));
        assert_eq!(parse("6.01"), Some((6, 1)));
        assert_eq!(parse("2.999"), Some((2, 255)));
        assert_eq!(parse("1"), None);
        assert_eq!(parse("1."), None);
        assert_eq!(parse("+1.0"), None);
    }

    #[test]
    fn header_is_written_with_declaration_and_escaping() {
        let header = StreamHeader {
            to: Some("o'connor@localhost".into()),
            version: Some((1, 0)),
            ..StreamHeader::default()
        };
        let mut out = Vec::new();
        write_open(&header, ns::CLIENT, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='o&apos;connor@localhost' \
             version='1.0'>"
        );
    }
}
