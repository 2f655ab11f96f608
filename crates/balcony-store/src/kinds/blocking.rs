use crate::{BoxFuture, Result};

/// The blocked JIDs of several accounts, by account.
pub type BlockedByAccount = Vec<(String, Vec<String>)>;

/// Reads of block lists (XEP-0191). `account` is a bare JID.
pub trait Blocking: Send + Sync {
    /// The blocked JIDs, ordered bytewise.
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<String>>>;
    /// The same for several accounts in one read, in their order; those with an empty list are left
    /// out.
    fn lists(&self, accounts: &[String]) -> BoxFuture<'_, Result<BlockedByAccount>>;
}
