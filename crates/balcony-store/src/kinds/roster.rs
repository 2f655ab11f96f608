use crate::{BoxFuture, Result, Stored};

/// How many removed contacts an account's roster remembers. A client that was away for more than
/// that gets the whole roster (RFC 6121 §2.6.3), which is no longer than a thousand small items:
/// more memory of removals would save little.
pub const TOMBSTONES: u32 = 100;

/// Who receives whose presence (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Subscription {
    /// Neither has a subscription.
    #[default]
    None,
    /// The user has a subscription to the contact's presence.
    To,
    /// The contact has a subscription to the user's presence.
    From,
    /// Both.
    Both,
}

impl Subscription {
    /// As written in a roster item and as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Subscription> {
        match text {
            "none" => Some(Subscription::None),
            "to" => Some(Subscription::To),
            "from" => Some(Subscription::From),
            "both" => Some(Subscription::Both),
            _ => None,
        }
    }
}

/// A roster item (RFC 6121 §2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RosterItem {
    /// The contact's bare JID.
    pub jid: String,
    /// The name that the user gave.
    pub name: Option<String>,
    /// The groups, in the order given.
    pub groups: Vec<String>,
    /// The subscription state, without its pending parts.
    pub subscription: Subscription,
    /// Pending out: the user asked for the contact's presence.
    pub ask: bool,
    /// The user approved a request that has not come yet (RFC 6121 §3.4).
    pub approved: bool,
    /// The roster version that this item came with. Set by the store, ignored in a write.
    pub version: u64,
}

/// A subscription request that the user has not answered (pending in).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingIn {
    /// Who asks: a bare JID.
    pub jid: String,
    /// When it arrived.
    pub received_at: i64,
    /// The whole presence stanza, which is sent again at each login (RFC 6121 §3.1.3).
    pub stanza: Stored,
}

/// All that a login needs of a roster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RosterData {
    /// The version of the last change. Only grows, and an account that was deleted and created
    /// again never repeats an old one (RFC 6121 §2.6).
    pub version: u64,
    /// The items, ordered by JID bytewise.
    pub items: Vec<RosterItem>,
    /// The unanswered requests, the oldest first.
    pub pending_in: Vec<PendingIn>,
}

/// One change since an older version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// The item as it is now.
    Set(RosterItem),
    /// The contact was removed.
    Removed {
        /// Its bare JID.
        jid: String,
        /// The version that the removal came with.
        version: u64,
    },
}

impl RosterChange {
    /// The version that this change came with.
    pub fn version(&self) -> u64 {
        match self {
            RosterChange::Set(item) => item.version,
            RosterChange::Removed { version, .. } => *version,
        }
    }
}

/// Reads of rosters. `account` is a bare JID.
pub trait Roster: Send + Sync {
    /// The roster; an empty one with version 0 when there is no such account.
    fn load(&self, account: &str) -> BoxFuture<'_, Result<RosterData>>;
    /// One item.
    fn item(&self, account: &str, jid: &str) -> BoxFuture<'_, Result<Option<RosterItem>>>;
    /// What a contact is in each of these rosters, in their order; those that it is not in are left
    /// out. One read, however many rosters there are.
    fn of_contact(
        &self,
        accounts: &[String],
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, RosterItem)>>>;
    /// What changed after `version`, in the order of versions; at most one change for a contact.
    ///
    /// `None` when that cannot be told: the version is not one of this roster, or is so old that
    /// removals are forgotten ([`TOMBSTONES`]). The whole roster is to be sent then.
    fn changes_since(
        &self,
        account: &str,
        version: u64,
    ) -> BoxFuture<'_, Result<Option<Vec<RosterChange>>>>;
}

/// The first version of the roster of the account with this number.
///
/// Numbers are never used twice, so versions are not either: 32 bits count the changes, which
/// leaves room for two thousand million accounts in a signed 64-bit column.
pub(crate) fn first_version(account_id: i64) -> i64 {
    account_id << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscription_is_read_back() {
        for state in [
            Subscription::None,
            Subscription::To,
            Subscription::From,
            Subscription::Both,
        ] {
            assert_eq!(Subscription::parse(state.as_str()), Some(state));
        }
        assert_eq!(Subscription::parse("remove"), None);
    }
}
