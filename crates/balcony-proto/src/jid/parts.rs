//! RFC 7622 §3.2 to §3.4: enforcement of each part of an address.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{JidError, MAX_PART_BYTES, Part, ascii, precis};

/// Longest part in bytes that is looked at before mapping. Mapping shortens
/// text at most threefold (full-width forms, decomposed Hangul), so nothing
/// longer can come down to [`MAX_PART_BYTES`]; it bounds the work done on what
/// a stranger sends.
const MAX_RAW_PART_BYTES: usize = 3 * MAX_PART_BYTES;

/// RFC 5890 §2.3.1: of ASCII, labels have letters, digits and hyphens only.
const DENIED: AsciiDenyList = AsciiDenyList::STD3;

/// RFC 5890 §2.3.1: a hyphen neither begins nor ends a label. Names with two
/// of them in the third and fourth place are in use, so those may stay.
const HYPHENS: Hyphens = Hyphens::CheckFirstLast;

/// Enforces a localpart: the UsernameCaseMapped profile of RFC 8265 §3.3, less
/// the characters that RFC 7622 §3.3.1 excludes.
///
/// # Errors
/// [`JidError`] about [`Part::Local`].
pub fn prepare_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_raw(text, Part::Local)?;
    let enforced = if ascii::is_local(text.as_bytes()) {
        Cow::Borrowed(text)
    } else if text.is_ascii() {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Owned(precis::username(text).ok_or(JidError::NotAllowed(Part::Local))?)
    };
    // After the mapping: full-width forms come down to the excluded characters.
    let excluded = |b: u8| b.is_ascii() && !ascii::is_local(&[b]);
    if enforced.bytes().any(excluded) {
        return Err(JidError::NotAllowed(Part::Local));
    }
    check_size(enforced, Part::Local)
}

/// Enforces a domainpart (RFC 7622 §3.2): an IPv6 literal in brackets, or a
/// domain name or IPv4 address without its final dot, A-labels made U-labels.
///
/// # Errors
/// [`JidError`] about [`Part::Domain`].
pub fn prepare_domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_raw(text, Part::Domain)?;
    // RFC 7622 §3.2: the final dot goes before any other step.
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(JidError::Empty(Part::Domain));
    }
    if ascii::is_domain(text.as_bytes()) {
        return Ok(Cow::Borrowed(text));
    }
    if let Some(literal) = text.strip_prefix('[') {
        return ip_literal(literal).map(Cow::Owned);
    }
    check_size(domain_name(text)?, Part::Domain)
}

/// Enforces a resourcepart: the OpaqueString profile of RFC 8265 §4.2.
///
/// Spaces are kept wherever they stand: RFC 7622 §3.5 lists a leading one as an
/// error (example 18), but neither the profile nor §3.4 forbids it.
///
/// # Errors
/// [`JidError`] about [`Part::Resource`].
pub fn prepare_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_raw(text, Part::Resource)?;
    if ascii::is_resource(text.as_bytes()) {
        return check_size(Cow::Borrowed(text), Part::Resource);
    }
    let enforced = precis::opaque(text).ok_or(JidError::NotAllowed(Part::Resource))?;
    check_size(Cow::Owned(enforced), Part::Resource)
}

fn check_raw(text: &str, part: Part) -> Result<(), JidError> {
    match text.len() {
        0 => Err(JidError::Empty(part)),
        1..=MAX_RAW_PART_BYTES => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

/// RFC 7622 §3.1: the length counts after mapping and normalisation.
fn check_size(text: Cow<'_, str>, part: Part) -> Result<Cow<'_, str>, JidError> {
    match text.len() {
        0 => Err(JidError::Empty(part)),
        1..=MAX_PART_BYTES => Ok(text),
        _ => Err(JidError::TooLong(part)),
    }
}

fn domain_name(text: &str) -> Result<Cow<'_, str>, JidError> {
    // The limits of RFC 1034 apply to the form that DNS sees.
    let a_labels = Uts46::new()
        .to_ascii(text.as_bytes(), DENIED, HYPHENS, DnsLength::Ignore)
        .map_err(|_| JidError::NotAllowed(Part::Domain))?;
    check_dns(&a_labels)?;
    // RFC 7622 §3.2.1: each A-label becomes a U-label.
    let u_labels = to_unicode(text)?;
    // UTS 46 lets symbols through that IDNA2008 does not (RFC 5892 §3), and
    // A-labels that decode to what looks like an A-label, which would be read
    // as another name the next time (RFC 5891 §4.2.3.1).
    let stable = to_unicode(&u_labels)? == u_labels;
    if !stable || !u_labels.split('.').all(precis::is_u_label) {
        return Err(JidError::NotAllowed(Part::Domain));
    }
    Ok(u_labels)
}

fn to_unicode(text: &str) -> Result<Cow<'_, str>, JidError> {
    match Uts46::new().to_unicode(text.as_bytes(), DENIED, HYPHENS) {
        (u_labels, Ok(())) => Ok(u_labels),
        (_, Err(_)) => Err(JidError::NotAllowed(Part::Domain)),
    }
}

fn check_dns(a_labels: &str) -> Result<(), JidError> {
    if a_labels.len() > ascii::MAX_DOMAIN_BYTES {
        return Err(JidError::TooLong(Part::Domain));
    }
    for label in a_labels.split('.') {
        match label.len() {
            0 => return Err(JidError::Empty(Part::Domain)),
            1..=ascii::MAX_LABEL_BYTES => {}
            _ => return Err(JidError::TooLong(Part::Domain)),
        }
    }
    Ok(())
}

/// RFC 7622 §3.1: IPv6 addresses stand in brackets, with the zone of RFC 6874
/// if there is one. The address is written as RFC 5952 §4 says, since one
/// address has many spellings. IPvFuture is refused: no version of it exists.
fn ip_literal(rest: &str) -> Result<String, JidError> {
    let malformed = JidError::NotAllowed(Part::Domain);
    let inner = rest.strip_suffix(']').ok_or(malformed)?;
    let (address, zone) = match inner.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (inner, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| malformed)?;
    let Some(zone) = zone else {
        return Ok(format!("[{address}]"));
    };
    // RFC 6874 §2: unreserved characters; percent-encoding in a zone is unheard of.
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    if zone.is_empty() || zone.len() > ascii::MAX_LABEL_BYTES || !zone.bytes().all(unreserved) {
        return Err(malformed);
    }
    Ok(format!("[{address}%25{zone}]"))
}
