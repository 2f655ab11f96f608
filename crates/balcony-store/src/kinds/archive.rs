use std::fmt;
use std::str::FromStr;

use crate::{BoxFuture, Result, Stored};

/// The public id of an archived message, which is also its stanza-id (XEP-0359).
///
/// It is unpredictable (XEP-0313 §3, XEP-0359 §6): a keyed permutation of archive and sequence,
/// whose key is in the store. It says nothing about order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveId(pub u128);

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is not an id of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an archived message")]
pub struct NotAnId;

impl FromStr for ArchiveId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<ArchiveId, NotAnId> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(id) if digits && text.len() == 32 => Ok(ArchiveId(id)),
            _ => Err(NotAnId),
        }
    }
}

/// A message as it is to be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// When the server took it on. What is kept never runs backwards within an archive: a time
    /// before that of the last message becomes that of the last message.
    pub received_at: i64,
    /// The other party: a bare or full JID, in the spelling of RFC 7622.
    pub with: String,
    /// It came for the account, from the other party, so that a crash before anybody took it must
    /// not lose it from sight: see [`Write::TakeUp`](crate::Write::TakeUp). Else the account wrote
    /// it.
    pub incoming: bool,
    /// The id by which the sender will name it (XEP-0424 §5.1): its `id` attribute.
    pub message_id: Option<String>,
    /// The message, without the stanza-id that its row gives it.
    pub stanza: Stored,
}

/// A message as it was archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// Its id.
    pub id: ArchiveId,
    /// When the server took it on; grows within an archive.
    pub received_at: i64,
    /// The message, or the tombstone in its place.
    pub stanza: Stored,
}

/// Which messages of an archive are meant. Conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveFilter {
    /// The other party: a bare JID stands for all its resources too, a full one for itself.
    pub with: Option<String>,
    /// Received at this time or later.
    pub start: Option<i64>,
    /// Received at this time or earlier.
    pub end: Option<i64>,
    /// Behind this message (XEP-0313 §4.1.3 `after-id`).
    pub after: Option<ArchiveId>,
    /// Before this message (`before-id`).
    pub before: Option<ArchiveId>,
    /// Only these (`ids`); empty: any.
    pub ids: Vec<ArchiveId>,
}

/// A page of what a filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRequest {
    /// Which messages.
    pub filter: ArchiveFilter,
    /// Where the page stands among them.
    pub place: ArchivePlace,
    /// How many messages at most.
    pub limit: u32,
}

/// Where a page stands (XEP-0059).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchivePlace {
    /// At the beginning.
    #[default]
    First,
    /// At the end.
    Last,
    /// Right behind this message.
    After(ArchiveId),
    /// Right before this message.
    Before(ArchiveId),
}

/// The messages of a page, in the order of the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// The messages.
    pub messages: Vec<ArchivedMessage>,
    /// Whether nothing is left beyond the page in the direction in which it was asked for.
    pub complete: bool,
    /// How many messages the filter lets through. `None`: it would cost too much to count them.
    pub count: Option<u64>,
}

/// The ends of an archive (XEP-0313 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// The oldest message and its time.
    pub first: (ArchiveId, i64),
    /// The newest message and its time.
    pub last: (ArchiveId, i64),
}

/// Of whose messages an account wants an archive (XEP-0441 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveDefault {
    /// All.
    Always,
    /// None.
    Never,
    /// Those of and to contacts on the roster.
    Roster,
}

/// An account's preferences (XEP-0441).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePrefs {
    /// For everybody who is on neither list.
    pub default: ArchiveDefault,
    /// Always archived: bare or full JIDs.
    pub always: Vec<String>,
    /// Never archived: bare or full JIDs.
    pub never: Vec<String>,
}

/// How far back a retraction looks for its message ([`Write::ArchiveRetract`](crate::Write)), in
/// messages with the other party: who retracts something regrets what was written lately.
pub(crate) const RETRACT_AMONG: usize = 1_000;
/// And in messages of the archive: those with others are passed over, a few milliseconds at most.
pub(crate) const RETRACT_WITHIN: usize = 20_000;

/// Whether a filter by this JID means this party: a bare JID stands for its resources too.
pub(crate) fn is_party(party: &str, jid: &str) -> bool {
    match party.strip_prefix(jid) {
        Some("") => true,
        // RFC 7622 §3.1: the first slash begins the resourcepart.
        Some(rest) => rest.starts_with('/') && !jid.contains('/'),
        None => false,
    }
}

/// Reads of archives. `account` is a bare JID.
pub trait Archive: Send + Sync {
    /// A page. NotFound when the archive has no message of an id that the place, or `after`,
    /// `before` or `ids` of the filter, names (XEP-0313 §4.1.3, XEP-0059 §2.4).
    fn page(&self, account: &str, request: ArchiveRequest) -> BoxFuture<'_, Result<ArchivePage>>;
    /// The ends; `None` when the archive is empty.
    fn bounds(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchiveBounds>>>;
    /// The preferences; `None` when the account has chosen nothing.
    fn prefs(&self, account: &str) -> BoxFuture<'_, Result<Option<ArchivePrefs>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_jid_stands_for_its_resources() {
        assert!(is_party("juliet@x", "juliet@x"));
        assert!(is_party("juliet@x/a/b", "juliet@x"));
        assert!(is_party("juliet@x/a/b", "juliet@x/a/b"));
        assert!(!is_party("juliet@x/a/b", "juliet@x/a"));
        assert!(!is_party("juliet@xy", "juliet@x"));
        assert!(!is_party("juliet@x", "juliet@x/a"));
        assert!(!is_party("juliet@x", "x"));
    }

    #[test]
    fn an_id_is_read_back_and_nothing_else_is() {
        let id = ArchiveId(0xab);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "ab", "+00000000000000000000000000000ab", "zz"] {
            assert_eq!(text.parse::<ArchiveId>(), Err(NotAnId), "{text:?}");
        }
        assert!(
            "0000000000000000000000000000000AB"
                .parse::<ArchiveId>()
                .is_err()
        );
    }
}
