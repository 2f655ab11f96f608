//! The only crate that knows SQL: what must last, by kind of data.
//!
//! Reads go through one trait for each kind; writes are values of [`Write`], gathered in a
//! [`WriteSet`] that is committed whole or not at all. A [`Ticket`] that resolved with `Ok` is a
//! promise: what it stands for is on the disk and is found after a crash of the machine.
//!
//! Accounts and rooms are named by their bare JID (`romeo@example.com`) or by host and localpart,
//! services by their domain, always already normalised (RFC 7622): the store compares bytes. Times
//! are microseconds since the Unix epoch, UTC, and come from the caller: there is no clock in here.

#![forbid(unsafe_code)]

mod archive_id;
#[cfg(any(test, feature = "contract"))]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // a suite of tests, compiled as a library for those who test their own backend
pub mod contract;
mod error;
mod kinds;
pub mod memory;
pub mod sqlite;
mod ticket;
mod write;

use std::future::Future;
use std::pin::Pin;

pub use error::{Error, Result};
pub use kinds::accounts::{
    Account, AccountEntry, Accounts, Credentials, HashName, KeyCount, ScramKey,
};
pub use kinds::archive::{
    Archive, ArchiveBounds, ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePage,
    ArchivePlace, ArchivePrefs, ArchiveRequest, ArchivedMessage, NotAnId,
};
pub use kinds::blocking::{BlockedByAccount, Blocking};
pub use kinds::invites::{Invite, Invites};
pub use kinds::last::{LastSeen, LastSeenAt};
pub use kinds::offline::{Offline, OfflineRow, OfflineTotal, Waiting};
pub use kinds::private::Private;
pub use kinds::pubsub::{
    ItemsPage, ItemsPlace, ItemsRequest, LastItem, Newest, NodeAffiliation, NodeData, NodeEntry,
    NodeSubscription, Pubsub, PubsubItem, SubscriptionState,
};
pub use kinds::push::{PushRegistration, PushRegistrations};
pub use kinds::remote::{RemoteQueue, RemoteRow};
pub use kinds::rooms::{Affiliation, RoomAffiliation, RoomData, RoomEntry, Rooms};
pub use kinds::roster::{
    PendingIn, Roster, RosterChange, RosterData, RosterItem, Subscription, TOMBSTONES,
};
pub use kinds::secrets::{Secrets, secret_or_create};
pub use kinds::streams::{StreamId, StreamRow, Streams};
pub use kinds::tokens::{ClientTokens, Token, TokenClient, TokenLogin, Tokens};
pub use kinds::vcards::{VCard, VCards};
pub use kinds::{Bounds, Stored};
pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
pub use ticket::{Committed, Resolve, Ticket};
pub use write::{Write, WriteSet};

/// A future that a trait object can hand out.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that lasts, behind one object: `Arc<dyn Store>`.
///
/// A read that starts after a ticket resolved sees what the ticket stands for.
pub trait Store: Send + Sync + 'static {
    /// Queues a set of writes: one transaction, applied in the order of the calls.
    ///
    /// Never blocks. Sets that arrive while the disk is busy share the next commit, and a set
    /// that is refused changes nothing and leaves its neighbours alone. Errors come by the
    /// ticket; [`Error::Busy`] at once when the queue is full. An empty set is done at once.
    fn commit(&self, writes: WriteSet) -> Ticket;

    /// Accounts and their SCRAM keys.
    fn accounts(&self) -> &dyn Accounts;
    /// Rosters and pending subscription requests.
    fn roster(&self) -> &dyn Roster;
    /// Stanzas that wait for an absent account.
    fn offline(&self) -> &dyn Offline;
    /// Private XML storage.
    fn private(&self) -> &dyn Private;
    /// vCards.
    fn vcards(&self) -> &dyn VCards;
    /// Block lists.
    fn blocking(&self) -> &dyn Blocking;
    /// When an account was last connected.
    fn last(&self) -> &dyn LastSeen;
    /// Invitations to register.
    fn invites(&self) -> &dyn Invites;
    /// Archives of messages.
    fn archive(&self) -> &dyn Archive;
    /// The journal of streams that can be resumed.
    fn streams(&self) -> &dyn Streams;
    /// Where notifications go.
    fn push(&self) -> &dyn PushRegistrations;
    /// What clients log in by without the password.
    fn tokens(&self) -> &dyn Tokens;
    /// Rooms and who has an affiliation in them.
    fn rooms(&self) -> &dyn Rooms;
    /// Nodes of publish-subscribe, with their items.
    fn pubsub(&self) -> &dyn Pubsub;
    /// What waits for servers of other domains.
    fn remote(&self) -> &dyn RemoteQueue;
    /// Keys that belong to the server itself.
    fn secrets(&self) -> &dyn Secrets;

    /// Commits what is queued, then lets go of the files. Later calls get [`Error::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}
