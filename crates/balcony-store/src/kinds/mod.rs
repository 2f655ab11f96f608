//! One file for each kind of data: its values and the trait that reads them.

pub(crate) mod accounts;
pub(crate) mod archive;
pub(crate) mod blocking;
pub(crate) mod invites;
pub(crate) mod last;
pub(crate) mod offline;
pub(crate) mod private;
pub(crate) mod pubsub;
pub(crate) mod push;
pub(crate) mod remote;
pub(crate) mod rooms;
pub(crate) mod roster;
pub(crate) mod secrets;
pub(crate) mod streams;
pub(crate) mod tokens;
pub(crate) mod vcards;

/// Bytes that the store keeps without looking inside, with the version of their format, so that
/// an old row can still be read after the canonical form of a stanza changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stored {
    /// Format version, chosen by the writer.
    pub format: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How much of one kind an account may keep; a write that would pass it fails with
/// [`Error::Limit`](crate::Error::Limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many rows.
    pub rows: u32,
    /// At most so many bytes of payload in all of them together.
    pub bytes: u64,
}

impl Bounds {
    /// Which bound a total passes, if any.
    pub(crate) fn check(self, rows: u64, bytes: u64) -> crate::Result<()> {
        if rows > u64::from(self.rows) {
            return Err(crate::Error::Limit("rows"));
        }
        if bytes > self.bytes {
            return Err(crate::Error::Limit("bytes"));
        }
        Ok(())
    }
}
