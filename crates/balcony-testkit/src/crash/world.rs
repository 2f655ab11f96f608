//! What all devices of a round share.

use std::net::SocketAddr;

use balcony_proto::jid::Jid;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::seeded::Seeded;

/// The host that the server serves.
pub(super) const HOST: &str = "localhost";
/// The password of every account.
pub(super) const PASSWORD: &str = "secret";

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Messages, and connections that break.
    Load,
    /// Nothing new: until everything sent is answered.
    Settle,
    /// One more message from each to each, so that nothing before it is the last.
    LastWords,
    /// Until each has what is for it.
    CatchUp,
    /// The archives are read.
    Read,
    /// The streams are closed.
    End,
    /// Somebody did not get through, and the others need not wait.
    GiveUp,
}

/// Where the server listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) plain: SocketAddr,
    pub(super) direct: SocketAddr,
}

/// What the devices do, and how much of it.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// The account of each device.
    pub(super) accounts: Vec<usize>,
    /// Milliseconds between two deeds of a device, on average.
    pub(super) pause: u64,
    /// Some devices connect by TLS, SASL2 and Bind 2; the others in clear.
    pub(super) tls: bool,
}

/// The shared part.
#[derive(Debug)]
pub(super) struct World {
    pub(super) load: Load,
    pub(super) seed: Seeded,
    pub(super) begun: Instant,
    pub(super) place: watch::Receiver<Place>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Where a device says that it is through with a phase.
    pub(super) through: mpsc::UnboundedSender<(usize, Phase)>,
    /// The full JID of each device that is bound.
    pub(super) bound: Mutex<Vec<Option<Jid>>>,
}

impl World {
    /// The bare JID of an account.
    pub(super) fn account(&self, number: usize) -> String {
        format!("{}@{HOST}", user(number))
    }

    /// The full JID of one of the account's devices, which may be gone by now.
    pub(super) fn full_jid(&self, account: usize) -> Option<String> {
        let devices = self.load.accounts.iter().enumerate();
        let of_account = devices.filter(|(_, of)| **of == account);
        let bound = self.bound.lock();
        let jids = of_account.filter_map(|(device, _)| bound.get(device)?.as_ref());
        jids.map(ToString::to_string).next()
    }

    /// The accounts to which a device writes: the other of its pair most of all, then the next.
    pub(super) fn peers(&self, account: usize) -> Vec<usize> {
        let count = self.load.accounts.iter().max().map_or(0, |last| last + 1);
        let others = [account ^ 1, account ^ 1, account + 2, account + 3];
        let others = others.into_iter().map(|other| other % count.max(1));
        others.filter(|other| *other != account).collect()
    }
}

/// The localpart of an account.
pub(super) fn user(number: usize) -> String {
    format!("user{number}")
}
