use crate::{BoxFuture, Result};

/// When and how an account went offline (XEP-0012 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSeenAt {
    /// When its last resource became unavailable.
    pub at: i64,
    /// The status text of that presence.
    pub status: Option<String>,
}

/// Reads of last activity. `account` is a bare JID.
pub trait LastSeen: Send + Sync {
    /// `None`: never seen, or no such account.
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<LastSeenAt>>>;
}
