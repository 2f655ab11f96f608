//! RFC 7622 XMPP addresses: parsing, enforcement and comparison of JIDs.
//!
//! Every [`Jid`] is enforced when it is made, so that two JIDs name the same
//! entity exactly when their texts are the same bytes (§3.2.3, §3.3, §3.4).

mod ascii;
mod bidi;
mod code_point;
mod context;
mod parts;
mod precis;

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::xml::{escape_attr, is_plain_attr};

pub use parts::{prepare_domain, prepare_local, prepare_resource};

/// Longest localpart, domainpart or resourcepart in bytes, after enforcement (RFC 7622 §3.1).
pub const MAX_PART_BYTES: usize = 1023;

/// Longest JID in bytes: three parts and two separators (RFC 7622 §3.1).
pub const MAX_JID_BYTES: usize = 3 * MAX_PART_BYTES + 2;

/// One of the three parts of an address (RFC 7622 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands before the first `@`.
    Local,
    /// The host: the only part that every JID has.
    Domain,
    /// What stands after the first `/`.
    Resource,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Local => "localpart",
            Part::Domain => "domainpart",
            Part::Resource => "resourcepart",
        })
    }
}

/// Why a string is no JID. Always the fault of whoever sent the string; a
/// stanza that carries it is answered with `jid-malformed` (RFC 7622 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JidError {
    /// A part is empty although its separator is there, or there is no domainpart.
    #[error("the {0} is empty")]
    Empty(Part),
    /// A part is longer than [`MAX_PART_BYTES`], or a domain or one of its
    /// labels longer than DNS allows (RFC 1034 §3.1).
    #[error("the {0} is too long")]
    TooLong(Part),
    /// A part holds a character that its profile does not allow, or breaks a
    /// rule about the whole part, such as the Bidi rule (RFC 5893 §2).
    #[error("the {0} holds a character or sequence that is not allowed")]
    NotAllowed(Part),
}

/// An XMPP address in its enforced form (RFC 7622).
///
/// Equality, order and hash are those of the text, so maps keyed by `Jid` can
/// be asked with a `&str` of enforced text. A clone counts a reference, and so
/// does the bare address of a full one.
#[derive(Clone)]
pub struct Jid {
    /// This address, or that of which it is the beginning.
    text: Arc<str>,
    /// Bytes of `text` that are this address.
    len: u16,
    /// Position of the `@` before the domainpart; 0 when there is no localpart.
    at: u16,
    /// Position of the `/` after the domainpart; 0 when there is no resourcepart.
    slash: u16,
    /// Nothing of it needs escaping in an attribute: known once, for it is written many times.
    plain: bool,
}

impl Jid {
    /// Splits and enforces an address.
    ///
    /// # Errors
    /// [`JidError`] names the part at fault.
    pub fn parse(text: &str) -> Result<Jid, JidError> {
        // An address that is already enforced ASCII, as nearly all are, costs
        // one look at each byte and one allocation.
        if let Some((at, slash)) = ascii::separators(text) {
            return Ok(Jid::new(Arc::from(text), at, slash));
        }
        // RFC 7622 §3.2: the first '/' and then the first '@' before it, found
        // before any character is mapped (§3.1, implementation note).
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        match bare.split_once('@') {
            Some((local, domain)) => Jid::from_parts(Some(local), domain, resource),
            None => Jid::from_parts(None, bare, resource),
        }
    }

    /// Enforces the parts and joins them.
    ///
    /// # Errors
    /// [`JidError`] names the first part at fault.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Jid, JidError> {
        let local = local.map(prepare_local).transpose()?;
        let domain = prepare_domain(domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        Ok(Jid::join(local.as_deref(), &domain, resource.as_deref()))
    }

    /// Joins enforced parts. Each is at most [`MAX_PART_BYTES`] long, so the
    /// positions fit.
    fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> Jid {
        let mut text = String::with_capacity(
            local.map_or(0, |l| l.len() + 1) + domain.len() + resource.map_or(0, |r| r.len() + 1),
        );
        let (mut at, mut slash) = (0, 0);
        if let Some(local) = local {
            at = local.len() as u16;
            text.push_str(local);
            text.push('@');
        }
        text.push_str(domain);
        if let Some(resource) = resource {
            slash = text.len() as u16;
            text.push('/');
            text.push_str(resource);
        }
        Jid::new(text.into(), at, slash)
    }

    fn new(text: Arc<str>, at: u16, slash: u16) -> Jid {
        Jid {
            len: text.len() as u16,
            plain: is_plain_attr(&text),
            text,
            at,
            slash,
        }
    }

    /// Appends it as an attribute value between single quotes, which are the caller's.
    pub(crate) fn write_attr(&self, out: &mut Vec<u8>) {
        match self.plain {
            true => out.extend_from_slice(self.as_str().as_bytes()),
            false => escape_attr(self.as_str(), out),
        }
    }

    /// The whole address, enforced.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Bytes of [`Jid::as_str`].
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The localpart (RFC 7622 §3.3); `None` when the address has none.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.text
            .get(..usize::from(self.at))
            .filter(|local| !local.is_empty())
    }

    /// The domainpart (RFC 7622 §3.2), internationalised labels as U-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        let bare = self.bare_str();
        let start = if self.at == 0 {
            0
        } else {
            usize::from(self.at) + 1
        };
        bare.get(start..).unwrap_or_default()
    }

    /// The resourcepart (RFC 7622 §3.4); `None` when the address is bare.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        if self.slash == 0 {
            return None;
        }
        self.as_str().get(usize::from(self.slash) + 1..)
    }

    /// Whether there is no resourcepart.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.slash == 0
    }

    /// Whether there is a resourcepart.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slash != 0
    }

    /// Whether the address is a domainpart and nothing else.
    #[must_use]
    pub fn is_domain(&self) -> bool {
        self.at == 0 && self.slash == 0
    }

    /// The address without its resourcepart.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        if self.slash == 0 {
            return self.as_str();
        }
        self.text.get(..usize::from(self.slash)).unwrap_or_default()
    }

    /// The address without its resourcepart, in the same allocation. Who keeps it for long where
    /// others chose the resourcepart takes its [`Jid::compact`].
    #[must_use]
    pub fn bare(&self) -> Jid {
        if self.slash == 0 {
            return self.clone();
        }
        Jid {
            text: Arc::clone(&self.text),
            len: self.slash,
            at: self.at,
            slash: 0,
            plain: self.plain || is_plain_attr(self.bare_str()),
        }
    }

    /// The same address, which holds no more memory than it needs.
    #[must_use]
    pub fn compact(&self) -> Jid {
        if self.text.len() == usize::from(self.len) {
            return self.clone();
        }
        Jid {
            text: Arc::from(self.as_str()),
            ..*self
        }
    }

    /// The domainpart alone; no allocation if the address is one already.
    #[must_use]
    pub fn domain_jid(&self) -> Jid {
        if self.is_domain() {
            return self.clone();
        }
        Jid::new(Arc::from(self.domain()), 0, 0)
    }

    /// The same bare address with another resourcepart, which is enforced.
    ///
    /// # Errors
    /// [`JidError`] when `resource` is no resourcepart.
    pub fn with_resource(&self, resource: &str) -> Result<Jid, JidError> {
        let resource: Cow<'_, str> = prepare_resource(resource)?;
        Ok(Jid::join(self.local(), self.domain(), Some(&resource)))
    }
}

impl PartialEq for Jid {
    #[inline]
    fn eq(&self, other: &Jid) -> bool {
        self.len == other.len && self.as_str() == other.as_str()
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Jid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Jid) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Jid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jid").field(&self.as_str()).finish()
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Jid, JidError> {
        Jid::parse(text)
    }
}

impl TryFrom<&str> for Jid {
    type Error = JidError;

    fn try_from(text: &str) -> Result<Jid, JidError> {
        Jid::parse(text)
    }
}

#[cfg(test)]
mod tests;
