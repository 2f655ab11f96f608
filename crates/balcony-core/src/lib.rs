//! Router, sessions, hosts and the module API. Names no XEP and opens no socket.
//!
//! To follow a stanza, begin at [`Core::accept`] in `walk/mod.rs`; `walk/stations.rs`
//! shows every station in order.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod bucket;
pub mod clock;
pub mod config;
mod context;
mod delivered;
mod envelope;
mod error;
pub mod held;
mod host;
mod iq;
mod keep;
pub mod lane;
mod lines;
pub mod module;
mod notes;
mod pipeline;
pub mod remote;
mod requests;
pub mod resume;
pub mod router;
mod service;
mod session;
mod sessions;
pub mod throttle;
pub mod tokens;
pub mod trace;
mod walk;

pub use clock::Clock;
pub use error::Error;
pub use host::Host;
pub use lines::Turn;
pub use pipeline::listing as pipeline_listing;
pub use session::{
    Attachment, Copies, Drained, Fate, Item, Outgoing, Picture, Refused, Session, SessionClient,
    TooHigh, Wake,
};
pub use sessions::{List as SessionList, Sessions};
pub use walk::{Accepted, Committing, Pending};

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use balcony_cluster::{AccountHash, Cluster};
use balcony_proto::jid::Jid;
use balcony_proto::map::{Keyed, Map};
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::{KeyCount, Store, StreamId};
use parking_lot::Mutex;

use config::Config;
use host::Hosts;
use iq::IqTable;
use module::{Event, EventKind, Listen, ModuleSpec};
use pipeline::Pipeline;
use remote::Remote;

/// What a server is made of.
pub struct Parts {
    /// Checked configuration.
    pub config: Config,
    /// What lasts.
    pub store: Arc<dyn Store>,
    /// The way to other instances.
    pub cluster: Arc<dyn Cluster>,
    /// The way to domains that others serve.
    pub remote: Arc<dyn Remote>,
    /// The time.
    pub clock: Clock,
    /// The modules, in the order in which they are listed.
    pub modules: &'static [&'static ModuleSpec],
}

/// One server process: hosts, sessions and modules. Owns no socket and no thread.
pub struct Core {
    store: Arc<dyn Store>,
    cluster: Arc<dyn Cluster>,
    remote: Arc<dyn Remote>,
    remote_ids: remote::RemoteIds,
    clock: Clock,
    config: ArcSwap<Config>,
    hosts: ArcSwap<Hosts>,
    services: ArcSwap<service::Services>,
    sessions: Sessions,
    modules: &'static [&'static ModuleSpec],
    pipeline: Pipeline,
    iq: IqTable,
    before_login: IqTable,
    listeners: Map<EventKind, Vec<Listen>>,
    states: Map<TypeId, module::State>,
    queue_limit: AtomicUsize,
    trace: trace::Traces,
    lines: Arc<lines::Lines>,
    requests: requests::Requests,
    delivered: delivered::Delivered,
    /// Streams that are over, until the store has it: of which account, and how much was handled;
    /// `None` where that is nobody's concern any more.
    ended_streams: Mutex<Map<StreamId, (Jid, Option<u32>)>>,
    /// True from the end of an orderly stop on: nothing that waits for a client goes on.
    at_rest: tokio::sync::watch::Sender<bool>,
    /// Makes salts for accounts that are not there, the same ones each time.
    decoy_secret: [u8; 32],
    /// Of each host.
    key_counts: ArcSwap<Map<String, Arc<Vec<KeyCount>>>>,
    account_hasher: Keyed,
}

impl Core {
    /// Puts a server together.
    ///
    /// # Errors
    /// [`Error::Modules`] when the modules contradict each other, [`Error::Store`] when the store
    /// does not answer, [`Error::Random`] when the system has no randomness.
    pub async fn new(parts: Parts) -> Result<Arc<Self>, Error> {
        let Parts {
            config,
            store,
            cluster,
            remote,
            clock,
            modules,
        } = parts;
        let mut listeners: Map<_, Vec<_>> = Map::default();
        for listener in modules.iter().flat_map(|module| module.on) {
            listeners
                .entry(listener.event)
                .or_default()
                .push(listener.listen);
        }
        let states = modules
            .iter()
            .filter_map(|module| module.state)
            .map(|make| make(&config))
            .map(|state| ((*state).type_id(), state))
            .collect();
        Ok(Arc::new(Self {
            pipeline: Pipeline::new(modules)?,
            iq: IqTable::new(modules, |module| module.iq)?,
            before_login: IqTable::new(modules, |module| module.before_login)?,
            hosts: ArcSwap::from_pointee(host::hosts(&config)),
            services: ArcSwap::from_pointee(service::services(&config, modules)),
            queue_limit: AtomicUsize::new(config.limits.session_queue),
            decoy_secret: secret(&*store, "decoy").await?,
            config: ArcSwap::from_pointee(config),
            sessions: Sessions::default(),
            trace: trace::Traces::default(),
            lines: Arc::default(),
            requests: requests::Requests::default(),
            delivered: delivered::Delivered::default(),
            ended_streams: Mutex::default(),
            at_rest: tokio::sync::watch::Sender::new(false),
            key_counts: ArcSwap::default(),
            account_hasher: Keyed::default(),
            store,
            cluster,
            remote,
            remote_ids: remote::RemoteIds::default(),
            clock,
            modules,
            listeners,
            states,
        }))
    }

    /// Puts another configuration in force. Sessions stay; hosts that are gone are served no more.
    pub fn reload(&self, config: Config) {
        self.hosts.store(Arc::new(host::hosts(&config)));
        let services = service::services(&config, self.modules);
        self.services.store(Arc::new(services));
        self.queue_limit
            .store(config.limits.session_queue, Ordering::Relaxed);
        self.config.store(Arc::new(config));
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// What lasts.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The sessions of this instance.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The modules, in their order.
    #[must_use]
    pub fn modules(&self) -> &'static [&'static ModuleSpec] {
        self.modules
    }

    /// Who watches which streams.
    #[must_use]
    pub fn trace(&self) -> &trace::Traces {
        &self.trace
    }

    /// A host that is served here, by its domainpart.
    #[must_use]
    pub fn host(&self, domain: &str) -> Option<Arc<Host>> {
        self.hosts.load().get(domain).cloned()
    }

    /// All hosts that are served here, by name.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        let mut hosts: Vec<_> = self.hosts.load().values().cloned().collect();
        hosts.sort_by(|one, two| one.name().cmp(two.name()));
        hosts
    }

    pub(crate) fn serves(&self, domain: &str) -> bool {
        self.hosts.load().contains_key(domain)
    }

    pub(crate) fn queue_limit(&self) -> usize {
        self.queue_limit.load(Ordering::Relaxed)
    }

    pub(crate) fn listeners(&self, event: EventKind) -> &[Listen] {
        self.listeners.get(&event).map_or(&[], Vec::as_slice)
    }

    /// The state that a module made at the start; `None` when none made one of this type.
    #[must_use]
    pub fn state<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.states.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Binds a resource to a new session (RFC 6120 §7). Without a wish, or with one that is no
    /// valid resourcepart, the server chooses (§7.6, §7.7.1).
    ///
    /// A session that has the full JID already is ended with `conflict` (§7.7.2.2).
    ///
    /// # Errors
    /// `resource-constraint` when the account has as many sessions as it may (§7.6.2.1).
    pub fn bind(
        &self,
        account: &Jid,
        resource: Option<&str>,
        wake: Arc<dyn Wake>,
    ) -> Result<Arc<Session>, StanzaError> {
        let wished = resource.and_then(|wish| account.with_resource(wish).ok());
        let jid = match wished {
            Some(jid) => jid,
            None => self.made_up_resource(account)?,
        };
        let max = self.config.load().limits.sessions_per_account;
        let bound = self
            .sessions
            .bind(jid, max, self.clock.coarse_seconds(), wake)
            .map_err(|_| StanzaError::resource_constraint())?;
        if let Some(replaced) = bound.replaced {
            replaced.end(Some(StreamError::new(StreamCondition::Conflict)));
        }
        if self.trace.watches(account.as_str()) {
            bound.session.set_traced(true);
        }
        self.announce(&bound.session);
        Ok(bound.session)
    }

    fn made_up_resource(&self, account: &Jid) -> Result<Jid, StanzaError> {
        let mut random = [0_u8; 9];
        getrandom::fill(&mut random).map_err(|_| StanzaError::internal_server_error())?;
        let resource: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        account
            .with_resource(&resource)
            .map_err(|_| StanzaError::internal_server_error())
    }

    /// The connection of a session is gone. What waits in its queue goes to other resources, to
    /// the offline queue or back to its sender, in its order; then its contacts learn that it went.
    /// What is answered must be awaited.
    #[must_use]
    pub fn ended(self: &Arc<Self>, session: &Arc<Session>) -> Option<Pending> {
        session.end(None);
        if self.sessions.remove(session).is_some() {
            self.announce(session);
        }
        let left = self.look_after(session, None);
        // Its connection and one that wanted to resume it may both see to its end.
        let first = session.bury();
        let farewell = first.then(|| self.fire(Event::Ended(Arc::clone(session))));
        let farewell = farewell.flatten();
        if left.is_none() {
            return farewell;
        }
        Some(Box::pin(async move {
            for pending in left.into_iter().chain(farewell) {
                pending.await;
            }
        }))
    }

    /// Whether an account of this server has a session, on this instance or another.
    #[must_use]
    pub fn is_connected(&self, account: &Jid) -> bool {
        let account = account.bare_str();
        self.sessions.has(account) || !self.cluster.others(self.account_hash(account)).is_empty()
    }

    fn account_hash(&self, account: &str) -> AccountHash {
        use std::hash::BuildHasher;
        AccountHash(self.account_hasher.hash_one(account))
    }

    fn announce(&self, session: &Session) {
        let account = session.account().as_str();
        let hash = self.account_hash(account);
        let count = self.sessions.of(account).len();
        self.cluster
            .announce(hash, u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// From which users that do not exist get salts, the same ones each time.
    #[must_use]
    pub fn decoy_secret(&self) -> &[u8; 32] {
        &self.decoy_secret
    }
}

/// A secret of the server by name, made by the first who asks and kept in the store.
async fn secret(store: &dyn Store, name: &str) -> Result<[u8; 32], Error> {
    let mut fresh = [0_u8; 32];
    getrandom::fill(&mut fresh).map_err(|error| Error::Random(error.to_string()))?;
    let kept = balcony_store::secret_or_create(store, name, fresh.to_vec()).await?;
    <[u8; 32]>::try_from(kept).map_err(|_| Error::Random(format!("the secret {name} is damaged")))
}
