//! Server to server, in and out, and external components: how stanzas come from and go to domains
//! that others serve (RFC 6120, XEP-0220, XEP-0114).
//!
//! To follow a stanza that leaves, begin at [`Federation`]'s `send`: it waits in the queue of its
//! domain ([`peer`]), a task opens a stream ([`outgoing`]) or one is there, and a stream's
//! [`cargo`] takes it from the queue. To follow one that comes, begin at [`incoming`]; its
//! [`arrivals`] hand it to the core.
#![forbid(unsafe_code)]

mod arrivals;
mod cargo;
mod components;
pub mod doctor;
mod facts;
mod failure;
mod incoming;
mod network;
mod outgoing;
mod peer;
mod peers;
mod queue;
mod reach;
mod rest;
mod retry;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use balcony_core::Core;
use balcony_core::config::Config;
use balcony_core::remote::{self, Admitted, Departing, Remote};
use balcony_proto::stanza::{Stanza, StanzaError};
use balcony_stream::Random;
use balcony_stream::s2s::{How, Secret, Settings};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

pub use facts::{Direction, QueueFacts, StreamFacts};
pub use failure::{Failure, Kind};
pub use network::Network;
pub use reach::{Opened, Reach, Secured, Shown, Socket};

use components::Components;
use facts::Live;
use peer::{Key, Peer};

/// How long the other side may take to acknowledge what it got, or to read: then the connection is
/// dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon a stream on which answers are outstanding is looked at again.
const SOON: Duration = Duration::from_secs(1);

/// How long closing a connection may take.
const CLOSE: Duration = Duration::from_secs(5);

/// What streams go by.
fn settings(shared: &Shared, config: &Config) -> Arc<Settings> {
    let limits = &config.limits;
    Arc::new(Settings {
        after_proof: balcony_proto::limits::Limits {
            stanza_bytes: config.federation.stanza,
            ..limits.after_login
        },
        before_proof: limits.before_login,
        timeouts: balcony_stream::Timeouts {
            tls_handshake: limits.timeouts.tls_handshake,
            negotiation: config.federation.connect,
            ..balcony_stream::Timeouts::default()
        },
        ..Settings::new(shared.secret.clone())
    })
}

/// How a domain was proved, in a word.
fn proof(how: How) -> &'static str {
    match how {
        How::External => "certificate",
        How::Claim => "dialback",
    }
}

/// All that goes to and comes from domains that others serve.
#[derive(Clone)]
pub struct Federation {
    shared: Arc<Shared>,
}

/// The peers that there is something to say of. Locked before one of them is.
pub(crate) type Table = HashMap<Key, Arc<Peer>>;

/// What the streams share.
pub(crate) struct Shared {
    pub(crate) reach: Arc<dyn Reach>,
    pub(crate) random: Random,
    /// From which keys of dialback are made (XEP-0185 §3).
    pub(crate) secret: Secret,
    peers: Mutex<Table>,
    /// The streams that are open, in the order in which they were opened.
    streams: Mutex<BTreeMap<u64, Arc<Live>>>,
    next: AtomicU64,
    /// Of all queues.
    pub(crate) bytes: AtomicUsize,
    pub(crate) counters: Counters,
    pub(crate) components: Components,
    /// Streams that others opened.
    incoming: AtomicUsize,
    /// Streams that we opened, or are about to.
    outgoing: AtomicUsize,
    /// Tasks that are not over.
    tasks: AtomicUsize,
    stop: watch::Sender<bool>,
}

/// What happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Stanzas that arrived at other servers, as far as that can be known.
    pub(crate) delivered: AtomicU64,
    /// Stanzas that were given back to their senders.
    pub(crate) returned: AtomicU64,
    /// Stanzas that came.
    pub(crate) received: AtomicU64,
    /// Streams that could not be opened.
    pub(crate) failures: AtomicU64,
    /// Domains that others claimed and did not prove.
    pub(crate) unproved: AtomicU64,
}

/// A stream in the list, as long as this lives.
pub(crate) struct Listed {
    shared: Arc<Shared>,
    pub(crate) number: u64,
    pub(crate) live: Arc<Live>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.streams.lock().remove(&self.number);
    }
}

/// A task that a stop waits for.
struct Task(Arc<Shared>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Runs a task that a stop waits for.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.task();
        tokio::spawn(async move {
            let _task = task;
            work.await;
        });
    }

    fn task(self: &Arc<Self>) -> Task {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        Task(Arc::clone(self))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the server stops.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`, so this ends only by the wish to stop.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn list(self: &Arc<Self>, direction: Direction, now: Duration) -> Listed {
        let number = self.number();
        let live = Arc::new(Live::new(direction, now));
        self.streams.lock().insert(number, Arc::clone(&live));
        Listed {
            shared: Arc::clone(self),
            number,
            live,
        }
    }

    /// The peer that brings what `local` sends to `remote`.
    pub(crate) fn peer(&self, local: &str, remote: &str) -> Arc<Peer> {
        self.peer_and_table(local, remote).0
    }

    /// The same with the table, which is locked: nothing is set apart meanwhile.
    fn peer_and_table(&self, local: &str, remote: &str) -> (Arc<Peer>, MutexGuard<'_, Table>) {
        let apart = Key {
            remote: remote.into(),
            local: Some(local.into()),
        };
        let mut peers = self.peers.lock();
        if let Some(peer) = peers.get(&apart) {
            return (Arc::clone(peer), peers);
        }
        let key = Key {
            local: None,
            ..apart
        };
        let peer = peers
            .entry(key)
            .or_insert_with_key(|key| Peer::new(key.clone()));
        (Arc::clone(peer), peers)
    }

    /// From now on what `local` sends where `peer` does has a stream of its own, and so has what
    /// waits there.
    pub(crate) fn part(&self, peer: &Peer, local: &str) -> Arc<Peer> {
        let key = Key {
            remote: peer.key.remote.clone(),
            local: Some(local.into()),
        };
        let mut peers = self.peers.lock();
        let apart = peers
            .entry(key)
            .or_insert_with_key(|key| Peer::new(key.clone()));
        let apart = Arc::clone(apart);
        // With the table locked: what comes later must not stand before what is moved.
        peer.move_line(local, &apart);
        apart
    }

    pub(crate) fn count_received(&self) {
        self.counters.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_unproved(&self) {
        self.counters.unproved.fetch_add(1, Ordering::Relaxed);
    }

    /// One byte of chance.
    pub(crate) fn chance(&self) -> u8 {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let [byte] = byte;
        byte
    }
}

impl Federation {
    /// Federation over this network. The secret is that of the server for dialback: the same on all
    /// instances of one.
    #[must_use]
    pub fn new(reach: Arc<dyn Reach>, random: Random, secret: [u8; 32]) -> Federation {
        Federation {
            shared: Arc::new(Shared {
                reach,
                random,
                secret: Secret::new(&secret),
                peers: Mutex::default(),
                streams: Mutex::default(),
                next: AtomicU64::new(1),
                bytes: AtomicUsize::new(0),
                counters: Counters::default(),
                components: Components::default(),
                incoming: AtomicUsize::new(0),
                outgoing: AtomicUsize::new(0),
                tasks: AtomicUsize::new(0),
                stop: watch::Sender::new(false),
            }),
        }
    }

    /// Serves a connection that another server opened, until it is over.
    pub async fn serve(
        &self,
        core: Arc<Core>,
        socket: Box<dyn Socket>,
        address: std::net::SocketAddr,
        security: balcony_stream::Security,
    ) {
        let most = core.config().federation.connections as usize;
        let others = self.shared.incoming.fetch_add(1, Ordering::Relaxed);
        let _task = self.shared.task();
        if others < most {
            incoming::serve(Arc::clone(&self.shared), core, socket, address, security).await;
        } else {
            tracing::warn!(%address, "too many streams from other servers");
        }
        self.shared.incoming.fetch_sub(1, Ordering::Relaxed);
    }

    /// Serves a connection of an external component, until it is over.
    pub async fn serve_component(
        &self,
        core: Arc<Core>,
        socket: Box<dyn Socket>,
        address: std::net::SocketAddr,
    ) {
        let _task = self.shared.task();
        components::serve(Arc::clone(&self.shared), core, socket, address).await;
    }

    /// What is to be done once in a while: forgets stanzas that have arrived, and domains that
    /// nothing waits for. Call it about once a second.
    pub fn tick(&self, core: &Arc<Core>) {
        core.forget_arrived();
        let now = core.clock().uptime();
        // Whoever holds one is about to put something into it.
        let forgettable = |peer: &Arc<Peer>| Arc::strong_count(peer) == 1 && peer.is_idle(now);
        self.shared
            .peers
            .lock()
            .retain(|_, peer| !forgettable(peer));
    }

    /// The streams that are open.
    #[must_use]
    pub fn streams(&self, core: &Core) -> Vec<StreamFacts> {
        let streams = self.shared.streams.lock();
        streams
            .values()
            .map(|live| live.facts(core.clock()))
            .collect()
    }

    /// The domains that something waits for, or that could not be reached, by name.
    #[must_use]
    pub fn queues(&self, core: &Core) -> Vec<QueueFacts> {
        let now = core.clock().uptime();
        let peers = self.shared.peers.lock();
        let mut queues: Vec<_> = peers.values().map(|peer| peer.facts(now)).collect();
        queues.sort_by(|one, two| one.domain.cmp(&two.domain));
        queues
    }

    /// Closes all streams with a domain, and tries at once to reach it when something waits for it.
    /// Answers how many were closed.
    pub fn kick(&self, domain: &str) -> usize {
        let streams = self.shared.streams.lock();
        let of = streams.values().filter(|live| live.is_of(domain));
        let kicked = of.map(|live| live.kick()).count();
        drop(streams);
        let peers = self.shared.peers.lock();
        let of = peers.values().filter(|peer| *peer.key.remote == *domain);
        of.for_each(|peer| peer.hurry());
        kicked
    }

    /// Closes the streams with domains that a new configuration does not speak with, or has itself.
    pub fn enforce(&self, config: &Config) {
        self.shared.components.enforce(config);
        for live in self.shared.streams.lock().values() {
            if !live.is_of_component() && live.names_one(|remote| is_forbidden(config, remote)) {
                live.kick();
            }
        }
    }

    /// What is counted since the start, by its name in the metrics.
    #[must_use]
    pub fn counters(&self) -> Vec<(String, u64)> {
        let counters = &self.shared.counters;
        let streams = self.shared.streams.lock().len() as u64;
        [
            ("federation_delivered", &counters.delivered),
            ("federation_returned", &counters.returned),
            ("federation_received", &counters.received),
            ("federation_failures", &counters.failures),
            ("federation_unproved", &counters.unproved),
        ]
        .map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)))
        .into_iter()
        .chain([
            ("federation_streams".to_owned(), streams),
            (
                "federation_queued_bytes".to_owned(),
                self.shared.bytes.load(Ordering::Relaxed) as u64,
            ),
        ])
        .collect()
    }

    /// Closes all streams, and waits until that is done. What waits stays in the store.
    pub async fn stop(&self, within: Duration) {
        self.shared.stop.send_replace(true);
        let done = async {
            while self.shared.tasks.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(within, done).await.is_err() {
            tracing::warn!("some streams of other servers did not end");
        }
    }
}

impl Remote for Federation {
    fn is_ours(&self, core: &Core, domain: &str) -> bool {
        components::owner(&core.config(), domain).is_some()
    }

    fn has_component(&self, name: &str) -> bool {
        self.shared.components.has(name)
    }

    fn admit(&self, core: &Core, stanza: &Stanza) -> Result<Admitted, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
            return Err(StanzaError::jid_malformed());
        };
        let config = core.config();
        if let Some(component) = components::owner(&config, to.domain()) {
            return self.shared.components.admit(component, stanza);
        }
        let federation = &config.federation;
        if !federation.enabled {
            return Err(StanzaError::remote_server_not_found());
        }
        if !federation.allows(to.domain()) {
            return Err(StanzaError::policy_violation());
        }
        let size = stanza.size();
        let total = self.shared.bytes.load(Ordering::Relaxed);
        let peer = self.shared.peer(from.domain(), to.domain());
        if total.saturating_add(size) > federation.queues || !peer.has_room(size, federation.queue)
        {
            return Err(StanzaError::resource_constraint());
        }
        Ok(Admitted::Waits)
    }

    fn send(&self, core: &Arc<Core>, departing: Departing) {
        let (Some(from), Some(to)) = (departing.stanza.from.clone(), departing.stanza.to.clone())
        else {
            return;
        };
        if let Some(component) = components::owner(&core.config(), to.domain()) {
            return self
                .shared
                .components
                .send(core, &component.name, departing);
        }
        let (peer, table) = self.shared.peer_and_table(from.domain(), to.domain());
        peer.send(&self.shared, core, from.domain(), departing, table);
    }

    fn peers(&self) -> Vec<remote::Peer> {
        let mut peers = Vec::new();
        let streams = self.shared.streams.lock();
        streams.values().for_each(|live| live.add_to(&mut peers));
        peers
    }
}

/// Whether no other server has a domain with this configuration: it is not spoken with, or ours.
fn is_forbidden(config: &Config, remote: &str) -> bool {
    let services = config.muc.hosts.iter().chain(&config.pubsub.hosts);
    !config.federation.allows(remote)
        || components::owner(config, remote).is_some()
        || config.host(remote).is_some()
        || services.into_iter().any(|domain| domain == remote)
}
