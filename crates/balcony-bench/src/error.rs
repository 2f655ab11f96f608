//! What makes a measurement worthless or impossible.

use std::io;

use balcony_stream::initiating::Failure;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why there is no result, or none that counts. Each is told to the person who runs the benchmark.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// Something of the operating system.
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    /// The handshake, or a record.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A user could not log in.
    #[error("login of {who} failed: {failure}")]
    Login { who: String, failure: Failure },
    /// The server closed a stream that was in use.
    #[error("the server closed the stream of {who}{text}")]
    Closed { who: String, text: String },
    /// The server sent what it should not have.
    #[error("{who} got {what}: {stanza}")]
    Unexpected {
        who: String,
        what: &'static str,
        stanza: String,
    },
    /// Messages did not arrive once and in order, or were not acknowledged.
    #[error(
        "{lost} lost, {duplicated} duplicated, {reordered} reordered, \
         {unacknowledged} not acknowledged: this does not count"
    )]
    Faults {
        lost: u64,
        duplicated: u64,
        reordered: u64,
        unacknowledged: u64,
    },
    /// Nothing came any more, or not all of it.
    #[error("timed out waiting for {0}")]
    Timeout(String),
    /// The server refused to make an account or a roster.
    #[error("the server refused: {0}")]
    Refused(String),
}

impl Error {
    /// For `map_err`: an error of the operating system while doing `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// The server ended a stream and gave no reason, as it answers the end of ours (RFC 6120 §4.4).
    pub(crate) fn is_plain_end(&self) -> bool {
        matches!(self, Error::Closed { text, .. } if text.is_empty())
    }

    /// The server sent `stanza` to `who`, of which at most a line is shown.
    pub(crate) fn unexpected(who: &str, what: &'static str, stanza: &[u8]) -> Error {
        Error::Unexpected {
            who: who.to_owned(),
            what,
            stanza: shown(stanza),
        }
    }
}

/// A stanza for the person, cut.
pub(crate) fn shown(stanza: &[u8]) -> String {
    /// Enough to see the type, the addresses and the error condition.
    const SHOWN: usize = 400;
    String::from_utf8_lossy(stanza.get(..SHOWN).unwrap_or(stanza)).into_owned()
}
