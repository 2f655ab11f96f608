//! What an operator sees of the streams and of what waits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balcony_core::Clock;
use balcony_core::remote::Peer;
use balcony_proto::stream::{StreamCondition, StreamError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::peers;

/// Who opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The other server.
    Incoming,
    /// This one.
    Outgoing,
}

/// One stream of another server or of a component.
#[derive(Clone, Debug)]
pub struct StreamFacts {
    /// Who opened it.
    pub direction: Direction,
    /// Our domains that it is for.
    pub locals: Vec<String>,
    /// The other domains, proved; empty as long as none is.
    pub remotes: Vec<String>,
    /// The other end.
    pub address: Option<SocketAddr>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// How the other side, or this one, proved its domain: `certificate` or `dialback`; `None` as
    /// long as it has not.
    pub proof: Option<&'static str>,
    /// Stanzas may go both ways (XEP-0288).
    pub bidirectional: bool,
    /// Stanzas are acknowledged (XEP-0198).
    pub acknowledged: bool,
    /// For how long it has been there.
    pub age: Duration,
    /// For how long no stanza has gone over it.
    pub idle: Duration,
    /// Stanzas that were sent.
    pub sent: u64,
    /// Stanzas that came.
    pub received: u64,
}

/// One domain that something waits for, or that could not be reached.
#[derive(Clone, Debug)]
pub struct QueueFacts {
    /// The domain.
    pub domain: String,
    /// Stanzas that wait.
    pub stanzas: usize,
    /// Bytes that wait or are not acknowledged.
    pub bytes: usize,
    /// Why it could not be reached the last time.
    pub failure: Option<String>,
    /// When it is tried again.
    pub retry_in: Option<Duration>,
}

/// What changes in the life of a stream.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) locals: Vec<String>,
    pub(crate) remotes: Vec<String>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) encrypted: bool,
    pub(crate) proof: Option<&'static str>,
    pub(crate) bidirectional: bool,
    pub(crate) acknowledged: bool,
}

impl Known {
    pub(crate) fn add_local(&mut self, domain: &str) {
        add(&mut self.locals, domain);
    }

    pub(crate) fn add_remote(&mut self, domain: &str) {
        add(&mut self.remotes, domain);
    }
}

fn add(list: &mut Vec<String>, domain: &str) {
    if !list.iter().any(|known| known == domain) {
        list.push(domain.to_owned());
    }
}

/// The proof of a component.
pub(crate) const COMPONENT: &str = "secret";

/// A stream as its task tells of it.
#[derive(Debug)]
pub(crate) struct Live {
    direction: Direction,
    since: Duration,
    /// The uptime at the last stanza, in milliseconds.
    last: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    known: Mutex<Known>,
    /// Why it is to end.
    end: Mutex<Option<StreamError>>,
    bell: Notify,
}

impl Live {
    pub(crate) fn new(direction: Direction, now: Duration) -> Live {
        Live {
            direction,
            since: now,
            last: AtomicU64::new(millis(now)),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            known: Mutex::default(),
            end: Mutex::default(),
            bell: Notify::new(),
        }
    }

    pub(crate) fn know(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock());
    }

    pub(crate) fn sent(&self, stanzas: u64, now: Duration) {
        self.sent.fetch_add(stanzas, Ordering::Relaxed);
        self.last.store(millis(now), Ordering::Relaxed);
    }

    pub(crate) fn received(&self, now: Duration) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.last.store(millis(now), Ordering::Relaxed);
    }

    /// For how long no stanza has gone over it.
    pub(crate) fn idle(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Whether a component is at its end.
    pub(crate) fn is_of_component(&self) -> bool {
        self.known.lock().proof == Some(COMPONENT)
    }

    /// Has the stream closed.
    pub(crate) fn kick(&self) {
        let mut error = StreamError::new(StreamCondition::Reset);
        error.text = Some("closed by an operator".into());
        *self.end.lock() = Some(error);
        self.bell.notify_one();
    }

    /// Waits until somebody wants it closed.
    pub(crate) async fn kicked(&self) -> StreamError {
        loop {
            self.bell.notified().await;
            if let Some(error) = self.end.lock().take() {
                return error;
            }
        }
    }

    /// Adds what it is about to the servers that there are streams with.
    pub(crate) fn add_to(&self, peers: &mut Vec<Peer>) {
        peers::add(peers, self.direction, &self.known.lock());
    }

    /// Whether it is about this domain of others.
    pub(crate) fn is_of(&self, remote: &str) -> bool {
        self.names_one(|known| known == remote)
    }

    /// Whether one of the domains of others that it is about is such a one.
    pub(crate) fn names_one(&self, such: impl Fn(&str) -> bool) -> bool {
        self.known.lock().remotes.iter().any(|known| such(known))
    }

    pub(crate) fn facts(&self, clock: &Clock) -> StreamFacts {
        let now = clock.uptime();
        let known = self.known.lock();
        StreamFacts {
            direction: self.direction,
            locals: known.locals.clone(),
            remotes: known.remotes.clone(),
            address: known.address,
            encrypted: known.encrypted,
            proof: known.proof,
            bidirectional: known.bidirectional,
            acknowledged: known.acknowledged,
            age: now.saturating_sub(self.since),
            idle: self.idle(now),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
