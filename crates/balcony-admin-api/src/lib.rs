//! Requests and answers of the admin API: the words that admin commands and the server share.
//!
//! Over the admin socket each is one JSON object on a line. A client writes one [`Call`]; the
//! server writes one [`Answer`], or for [`Request::Trace`] one [`Answer::Trace`] after another
//! until the client closes. A connection may carry several calls, one after the other.
#![forbid(unsafe_code)]

mod answer;
mod request;
mod secret;

pub use answer::{
    Account, Answer, Direction, ErrorKind, HostStats, Invite, RemoteQueue, ServerStream, Session,
    Stats, TraceLine, Versions,
};
pub use request::{Call, Request};
pub use secret::Secret;

/// The version of this API. A server answers a call of another version with an error that says
/// so; it grows when a request or answer changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// Bytes of the longest call, its newline included. The longest real one holds a JID of 3 KB and a
/// password; a server closes on more, so that a stuck client cannot make it hold more.
pub const MAX_CALL: usize = 64 * 1024;

/// Bytes of the longest answer, its newline included: a full page of accounts whose JIDs have the
/// greatest length, every character escaped. A server cuts the text of a trace to stay below.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Accounts in one page of [`Request::UserList`], at most.
pub const MAX_PAGE: u32 = 1_000;
