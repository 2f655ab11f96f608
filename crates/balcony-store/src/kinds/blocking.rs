use crate::{BoxFuture, Result};

/// Reads of block lists (XEP-0191). `account` is a bare JID.
pub trait Blocking: Send + Sync {
    /// The blocked JIDs, ordered bytewise.
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<String>>>;
}
