use crate::{BoxFuture, Result, Stored};

/// What a client names to resume its stream (XEP-0198 §5): 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

/// Whoever knows it and the account's password has the stream, so a log tells half of it.
impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let half = self.0.iter().take(8);
        half.clone().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

/// What lasts of a stream that can be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// Whose: a bare JID.
    pub account: String,
    /// How many of the client's stanzas are committed, modulo 2^32 (XEP-0198 §4).
    pub handled: u32,
    /// The session as an orderly stop left it. `None`: the stream was not stopped in order.
    pub state: Option<Stored>,
    /// When it may be forgotten.
    pub expires_at: i64,
}

/// Reads of the stream journal.
pub trait Streams: Send + Sync {
    /// The stream with this id.
    fn get(&self, id: StreamId) -> BoxFuture<'_, Result<Option<StreamRow>>>;
    /// Up to `limit` streams that an orderly stop left with a state, ordered by id, those after
    /// `after`.
    fn kept(
        &self,
        after: Option<StreamId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamRow)>>>;
}
