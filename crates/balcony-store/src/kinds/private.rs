use crate::{BoxFuture, Result, Stored};

/// Reads of private XML storage (XEP-0049). `account` is a bare JID.
pub trait Private: Send + Sync {
    /// The element stored under the namespace and name of its root.
    fn get(&self, account: &str, ns: &str, name: &str) -> BoxFuture<'_, Result<Option<Stored>>>;
}
