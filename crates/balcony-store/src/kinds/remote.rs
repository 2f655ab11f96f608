use crate::{BoxFuture, Result, Stored};

/// A stanza that waits for a server of another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRow {
    /// Its place among all that wait, chosen by the writer; what is sent later has a higher one.
    pub id: i64,
    /// The domain it is for, as it stands in its `to`.
    pub domain: String,
    /// When the server received it.
    pub received_at: i64,
    /// The stanza.
    pub stanza: Stored,
}

/// Reads of what waits for other domains.
pub trait RemoteQueue: Send + Sync {
    /// Up to `limit` rows in the order of their ids, those behind `after`.
    fn after(&self, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<RemoteRow>>>;
}
