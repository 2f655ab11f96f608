use crate::{ArchiveId, BoxFuture, Result, Stored};

/// A stanza that waits for an absent account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineRow {
    /// Its place in the queue: grows, never used twice, with gaps.
    pub seq: i64,
    /// When the server received it, for its delay stamp (XEP-0203).
    pub received_at: i64,
    /// The stanza.
    pub stanza: Stored,
    /// Its id in the account's archive, where that holds the stanza.
    pub archived: Option<ArchiveId>,
}

/// Where the stanza of a new row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Here.
    Stanza(Stored),
    /// In the account's archive, put there by the last [`Write::ArchivePush`](crate::Write) to this
    /// account before it in the same set; Broken when there is none.
    ArchivedNow,
    /// In the account's archive, already. A row whose message is not there any more is not made,
    /// and that is no error: retention took it.
    Archived(ArchiveId),
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
    /// Rows whose message the archive has dropped meanwhile are left out.
    /// Up to `limit` rows after `after` (0: from the beginning), in the order of arrival.
    fn page(&self, account: &str, after: i64, limit: u32)
    -> BoxFuture<'_, Result<Vec<OfflineRow>>>;
}
