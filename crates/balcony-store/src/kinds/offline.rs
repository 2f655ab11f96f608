use crate::{BoxFuture, Result, Stored};

/// A stanza that waits for an absent account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineRow {
    /// Its place in the queue: grows, never used twice, with gaps.
    pub seq: i64,
    /// When the server received it, for its delay stamp (XEP-0203).
    pub received_at: i64,
    /// The stanza.
    pub stanza: Stored,
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OfflineTotal {
    /// Stanzas.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads of the offline queue. `account` is a bare JID.
pub trait Offline: Send + Sync {
    /// How much waits for the account, without reading it.
    fn total(&self, account: &str) -> BoxFuture<'_, Result<OfflineTotal>>;
    /// Up to `limit` rows after `after` (0: from the beginning), in the order of arrival.
    fn page(&self, account: &str, after: i64, limit: u32)
    -> BoxFuture<'_, Result<Vec<OfflineRow>>>;
}
