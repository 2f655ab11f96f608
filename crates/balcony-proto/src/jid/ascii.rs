//! The short way for addresses that are enforced ASCII already.
//!
//! For such text the profiles of RFC 7622 map nothing, so a table look-up per
//! byte decides what the PRECIS and IDNA tables would.

/// The byte may stand in a localpart as it is.
const LOCAL: u8 = 1;
/// The byte may stand in a label of a domain name as it is.
const LABEL: u8 = 2;
/// The byte may stand in a resourcepart.
const RESOURCE: u8 = 4;

/// Longest label of a domain name in bytes (RFC 1034 §3.1).
pub(super) const MAX_LABEL_BYTES: usize = 63;

/// Longest domain name in bytes: 255 octets on the wire (RFC 1034 §3.1) less
/// the first length octet and the root label.
pub(super) const MAX_DOMAIN_BYTES: usize = 253;

const CLASS: [u8; 256] = classes();

#[allow(clippy::indexing_slicing)] // evaluated at compile time, within the table's bounds
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        let b = byte as u8;
        // RFC 8265 §4.2.1: OpaqueString takes printable ASCII and the space.
        table[byte] = RESOURCE;
        // RFC 7622 §3.3.1, and the IdentifierClass has no space (RFC 8264 §4.2.3).
        let excluded = matches!(
            b,
            b' ' | b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@'
        );
        if !excluded && !b.is_ascii_uppercase() {
            table[byte] |= LOCAL;
        }
        // RFC 5890 §2.3.1: letters, digits, hyphen.
        if b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' {
            table[byte] |= LABEL;
        }
        byte += 1;
    }
    table
}

fn all(bytes: &[u8], class: u8) -> bool {
    bytes
        .iter()
        .all(|&b| CLASS.get(usize::from(b)).is_some_and(|c| c & class != 0))
}

/// Whether `bytes` is a localpart's worth of characters that map to themselves.
pub(super) fn is_local(bytes: &[u8]) -> bool {
    all(bytes, LOCAL)
}

/// Whether `bytes` is a resourcepart's worth of characters that map to themselves.
pub(super) fn is_resource(bytes: &[u8]) -> bool {
    all(bytes, RESOURCE)
}

/// Whether `bytes` is a domain name of lower-case NR-LDH labels, within the
/// lengths of RFC 1034, with no label that may be an A-label.
pub(super) fn is_domain(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_DOMAIN_BYTES && bytes.split(|&b| b == b'.').all(is_label)
}

fn is_label(label: &[u8]) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && all(label, LABEL)
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
        && !label.starts_with(b"xn--")
}

/// The positions of `@` and `/` in an enforced ASCII address, 0 for one that
/// is not there; `None` when the address needs the long way or is no address.
pub(super) fn separators(text: &str) -> Option<(u16, u16)> {
    let bytes = text.as_bytes();
    if bytes.len() > super::MAX_JID_BYTES {
        return None;
    }
    let slash = memchr::memchr(b'/', bytes);
    let (bare, resource) = match slash {
        Some(slash) => (bytes.get(..slash)?, bytes.get(slash + 1..)?),
        None => (bytes, [].as_slice()),
    };
    let at = memchr::memchr(b'@', bare);
    let (local, domain) = match at {
        Some(at) => (bare.get(..at)?, bare.get(at + 1..)?),
        None => ([].as_slice(), bare),
    };
    let sizes = (at.is_none() || is_size(local)) && (slash.is_none() || is_size(resource));
    if !sizes || !is_local(local) || !is_domain(domain) || !is_resource(resource) {
        return None;
    }
    Some((at.unwrap_or(0) as u16, slash.unwrap_or(0) as u16))
}

fn is_size(part: &[u8]) -> bool {
    (1..=super::MAX_PART_BYTES).contains(&part.len())
}
