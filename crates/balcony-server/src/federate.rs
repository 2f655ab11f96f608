//! The wiring of federation: its network, its listeners, its secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::Core;
use balcony_core::config::Config;
use balcony_federation::{Federation, Network, Socket};
use balcony_net::{Certificates, Gate, GateLimits, Listener, Listening, Permit, Worker, Workers};
use balcony_store::{Store, secret_or_create};
use balcony_stream::{Random, Security};
use tokio::net::TcpStream;

/// Federation with the network below it.
pub(crate) struct Federate {
    pub(crate) federation: Federation,
    network: Arc<Network>,
    gate: Arc<Gate>,
}

impl Federate {
    /// Puts it together from a configuration.
    pub(crate) async fn new(
        config: &Config,
        store: &dyn Store,
        certificates: &Arc<Certificates>,
        random: &Random,
    ) -> Result<Federate, String> {
        let federation = &config.federation;
        let network = Network::new(
            &federation.resolvers,
            federation.dane,
            federation.trust_roots.as_deref(),
            Arc::clone(certificates),
        )
        .map_err(|error| format!("federation: {error}"))?;
        let network = Arc::new(network);
        let gate = Gate::new(GateLimits {
            total: usize::try_from(federation.connections).ok(),
            per_address: Some(config.limits.connections_per_address),
            accepts_per_second: Some(config.limits.connects_per_address),
            accept_burst: config.limits.connect_burst_per_address,
            ..GateLimits::default()
        });
        let secret = dialback_secret(store).await?;
        Ok(Federate {
            federation: Federation::new(Arc::clone(&network) as Arc<_>, random.clone(), secret),
            network,
            gate,
        })
    }

    /// Takes streams of other servers.
    pub(crate) fn listen(
        &self,
        core: &Arc<Core>,
        listeners: Vec<Listener>,
        security: Security,
        workers: &Arc<Workers>,
    ) -> Result<Vec<Listening>, String> {
        let start = |listener: Listener| {
            let (federation, core) = (self.federation.clone(), Arc::clone(core));
            let take = move |stream, peer, worker: &Arc<Worker>, permit| {
                let (federation, core) = (federation.clone(), Arc::clone(&core));
                let serve = async move |socket| {
                    federation.serve(core, socket, peer, security).await;
                };
                hand_over(stream, peer, worker, permit, serve);
            };
            listener
                .accept(Arc::clone(&self.gate), Arc::clone(workers), take)
                .map_err(|error| format!("cannot accept connections: {error}"))
        };
        listeners.into_iter().map(start).collect()
    }

    /// Takes external components.
    pub(crate) fn listen_for_components(
        &self,
        core: &Arc<Core>,
        listeners: Vec<Listener>,
        workers: &Arc<Workers>,
    ) -> Result<Vec<Listening>, String> {
        let start = |listener: Listener| {
            let (federation, core) = (self.federation.clone(), Arc::clone(core));
            let take = move |stream, peer, worker: &Arc<Worker>, permit| {
                let (federation, core) = (federation.clone(), Arc::clone(&core));
                let serve = async move |socket| {
                    federation.serve_component(core, socket, peer).await;
                };
                hand_over(stream, peer, worker, permit, serve);
            };
            listener
                .accept(Arc::clone(&self.gate), Arc::clone(workers), take)
                .map_err(|error| format!("cannot accept connections: {error}"))
        };
        listeners.into_iter().map(start).collect()
    }

    /// Takes up what a new configuration changes.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), String> {
        let reloaded = self
            .network
            .reload(config.federation.trust_roots.as_deref());
        reloaded.map_err(|error| format!("federation: {error}"))
    }
}

/// Runs what `serve` makes of a socket on its worker.
fn hand_over<F>(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    worker: &Worker,
    permit: Permit,
    serve: impl FnOnce(Box<dyn Socket>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let socket = {
        let _runtime = worker.runtime().enter();
        TcpStream::from_std(stream)
    };
    match socket {
        Ok(socket) => worker.spawn(async move {
            let _permit = permit;
            serve(Box::new(socket)).await;
        }),
        Err(error) => tracing::warn!(%peer, %error, "cannot register a connection"),
    }
}

/// From which the keys of dialback are made (XEP-0185 §3): of the server, kept in the store.
async fn dialback_secret(store: &dyn Store) -> Result<[u8; 32], String> {
    let mut fresh = [0_u8; 32];
    getrandom::fill(&mut fresh).map_err(|error| error.to_string())?;
    let kept = secret_or_create(store, "dialback", fresh.to_vec()).await;
    let kept = kept.map_err(|error| error.to_string())?;
    <[u8; 32]>::try_from(kept).map_err(|_| "the secret of dialback is damaged".to_owned())
}

/// Calls [`Federation::tick`] for as long as the server runs.
pub(crate) async fn tick(federation: Federation, core: Arc<Core>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        federation.tick(&core);
    }
}
