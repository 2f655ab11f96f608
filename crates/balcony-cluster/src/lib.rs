//! The only crate that knows the bus: where accounts have sessions, and how stanzas reach them.
//!
//! The bus routes and may lose: nothing is only on the bus. What it loses is repaired from the
//! archive, the offline queue or the journal. [`Local`] is the whole cluster of one process; a bus
//! between machines implements the same [`Cluster`] and passes the same [`contract`].
#![forbid(unsafe_code)]

mod local;

pub use local::Local;

use std::sync::Arc;

use smallvec::SmallVec;

/// One server process of a cluster, unique while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub u64);

/// Keyed hash of a bare JID, so that the directory holds no addresses.
///
/// Two accounts with the same hash cost a needless hop, never a wrong delivery: the instance that
/// is asked looks the address up in its own session table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountHash(pub u64);

/// The instances on which an account has sessions. Nearly always one.
pub type Instances = SmallVec<[Instance; 2]>;

/// What arrives from another instance.
///
/// `bytes` is a stanza with its full addresses in the canonical form of `balcony_proto`.
pub type Inbound = Arc<dyn Fn(Instance, &[u8]) + Send + Sync>;

/// Why a hand-over to another instance failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The instance left or never was; the sender treats its sessions as gone.
    #[error("instance {0:?} is not part of the cluster")]
    Unknown(Instance),
    /// The way to the instance is full; the sender keeps what it has and tries again.
    #[error("the queue to instance {0:?} is full")]
    Busy(Instance),
}

/// The directory of sessions and the way to other instances.
///
/// The directory is soft state: an entry that is wrong costs a retry, never a message.
pub trait Cluster: Send + Sync + 'static {
    /// This process.
    fn local(&self) -> Instance;

    /// Tells the others that this instance now has `sessions` sessions of the account; zero
    /// removes the entry. Each instance owns its own entries.
    fn announce(&self, account: AccountHash, sessions: u32);

    /// The *other* instances that announced sessions of the account.
    fn others(&self, account: AccountHash) -> Instances;

    /// Hands a stanza to another instance. Success means that it was queued, not that it arrived.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the instance is gone, [`Error::Busy`] when its queue is full.
    fn forward(&self, to: Instance, bytes: &[u8]) -> Result<(), Error>;

    /// Sets who takes what arrives from other instances. Called once, at the start.
    fn on_inbound(&self, inbound: Inbound);
}

/// The suite that every [`Cluster`] passes, given two instances of one cluster.
pub mod contract {
    use super::{AccountHash, Cluster, Error, Instance};
    use std::sync::Arc;

    /// Runs every check of the contract.
    ///
    /// # Panics
    /// When an implementation breaks the contract.
    pub fn check(one: &dyn Cluster, two: &dyn Cluster) {
        directory_shows_the_others_only(one, two);
        a_forwarded_stanza_arrives_once(one, two);
        an_unknown_instance_is_an_error(one);
    }

    fn directory_shows_the_others_only(one: &dyn Cluster, two: &dyn Cluster) {
        let account = AccountHash(7);
        one.announce(account, 2);
        assert!(
            one.others(account).is_empty(),
            "an instance is not its own other"
        );
        assert_eq!(two.others(account).as_slice(), &[one.local()]);
        one.announce(account, 0);
        assert!(
            two.others(account).is_empty(),
            "zero sessions removes the entry"
        );
    }

    fn a_forwarded_stanza_arrives_once(one: &dyn Cluster, two: &dyn Cluster) {
        let (sender, receiver) = std::sync::mpsc::channel();
        two.on_inbound(Arc::new(move |from, bytes| {
            let _ = sender.send((from, bytes.to_vec()));
        }));
        let sent = one.forward(two.local(), b"<message/>");
        assert_eq!(sent, Ok(()));
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [(one.local(), b"<message/>".to_vec())]
        );
    }

    fn an_unknown_instance_is_an_error(one: &dyn Cluster) {
        let stranger = Instance(u64::MAX);
        assert_eq!(one.forward(stranger, b""), Err(Error::Unknown(stranger)));
    }
}
