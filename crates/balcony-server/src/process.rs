//! The life of the server process: start, ticks, signals, drain and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::module::Event;
use balcony_core::{Clock, Core, Parts};
use balcony_modules::MODULES;
use balcony_net::{
    Certificates, ConnectionLimits, Gate, GateLimits, Listener, Listening, Workers,
    raise_descriptor_limit,
};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::{SqliteStore, Store, sqlite};
use balcony_stream::Security;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::c2s::{self, TcpLink};
use crate::federate::{self, Federate};
use crate::instance::{Instance, system_random};
use crate::{VERSION, admin, logging};

/// How long clients get to end their streams when the server stops. Longer than the time-out for
/// closing a stream, shorter than the 90 seconds that service managers wait by default.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs a server with this configuration, and the store that `open` opens in its data directory,
/// until a signal ends it.
pub(crate) fn run(config: Config, open: impl FnOnce(&Path) -> OpenedStore) -> ExitCode {
    logging::start(&config.log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(Process::live(config, open)),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("balcony: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What runs, and is taken down in order.
pub(crate) struct Process {
    pub(crate) instance: Arc<Instance>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) federate: Federate,
    pub(crate) gate: Arc<Gate>,
}

impl Process {
    async fn live(config: Config, open: impl FnOnce(&Path) -> OpenedStore) -> Result<(), String> {
        if let Err(error) = raise_descriptor_limit() {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
        // Bound first: a port that is taken is the most likely mistake, and nothing is open yet.
        let plain = bind(&config.listen.c2s)?;
        let direct = bind(&config.listen.c2s_tls)?;
        let (mut servers, mut direct_servers) = (Vec::new(), Vec::new());
        if config.federation.enabled {
            servers = bind(&config.listen.s2s)?;
            direct_servers = bind(&config.listen.s2s_tls)?;
        }
        let components = match config.components.is_empty() {
            true => Vec::new(),
            false => bind(&config.listen.components)?,
        };
        let store = open(&config.data_dir)?;
        let process = Self::assemble(config, Arc::clone(&store)).await?;
        let restored = process.instance.core.restore_sessions().await;
        let restored = restored.map_err(|error| format!("cannot take up sessions: {error}"))?;
        tracing::info!(restored, "sessions wait for their clients");
        let core = &process.instance.core;
        let waiting = core.restore_remote().await;
        let waiting = waiting.map_err(|error| format!("cannot take up messages: {error}"))?;
        tracing::info!(waiting, "messages wait for other servers");
        let config = process.instance.core.config();
        let workers = Workers::start(config.workers.unwrap_or(0))
            .map(Arc::new)
            .map_err(|error| format!("cannot start the workers: {error}"))?;
        let listens = [&plain, &direct, &servers, &direct_servers, &components];
        let listens = listens.map(|listeners| addresses(listeners));
        let mut listening = process.listen(plain, Security::Plain, &workers)?;
        listening.extend(process.listen(direct, Security::DirectTls, &workers)?);
        let federate = &process.federate;
        listening.extend(federate.listen(core, servers, Security::Plain, &workers)?);
        listening.extend(federate.listen(core, direct_servers, Security::DirectTls, &workers)?);
        listening.extend(federate.listen_for_components(core, components, &workers)?);
        let process = Arc::new(process);
        let admin = admin::listen(Arc::clone(&process), &config.listen.admin)?;
        welcome(&config, &listens);
        tokio::spawn(tick(Arc::clone(&process.instance)));
        tokio::spawn(renew_certificates(Arc::clone(&process)));
        let federation = process.federate.federation.clone();
        tokio::spawn(federate::tick(
            federation,
            Arc::clone(&process.instance.core),
        ));
        process.wait_for_signal().await?;
        process.drain(listening).await;
        drop(admin);
        stop_workers(workers).await;
        store.close().await;
        tracing::info!("stopped");
        Ok(())
    }

    async fn assemble(config: Config, store: Arc<dyn Store>) -> Result<Self, String> {
        let hosts: Vec<String> = config.hosts.iter().map(|host| host.name.clone()).collect();
        let certificates = Certificates::load(&config.tls.dir, &hosts)
            .map_err(|errors| format!("certificates: {errors}"))?;
        let gate = Gate::new(GateLimits {
            total: config.limits.connections,
            per_address: Some(config.limits.connections_per_address),
            accepts_per_second: Some(config.limits.connects_per_address),
            accept_burst: config.limits.connect_burst_per_address,
            ..GateLimits::default()
        });
        let certificates = Arc::new(certificates);
        let random = system_random()?;
        let federate = Federate::new(&config, &*store, &certificates, &random).await?;
        let parts = Parts {
            config,
            store,
            cluster: Arc::new(Local::alone()),
            remote: Arc::new(federate.federation.clone()),
            clock: Clock::system(),
            modules: MODULES,
        };
        let core = Core::new(parts).await.map_err(|error| error.to_string())?;
        let instance = Instance::new(core, random);
        Ok(Self {
            instance,
            certificates,
            federate,
            gate,
        })
    }

    fn listen(
        &self,
        listeners: Vec<Listener>,
        security: Security,
        workers: &Arc<Workers>,
    ) -> Result<Vec<Listening>, String> {
        let config = self.instance.core.config();
        let limits = ConnectionLimits {
            write_timeout: config.limits.timeouts.write,
            max_pending: config.limits.session_queue.saturating_mul(2),
        };
        let start = |listener: Listener| {
            let (instance, certificates) =
                (Arc::clone(&self.instance), Arc::clone(&self.certificates));
            let serve = move |connection| {
                let link = TcpLink::new(connection, certificates.config());
                c2s::serve(Arc::clone(&instance), link, security)
            };
            listener
                .serve(
                    Arc::clone(&self.gate),
                    Arc::clone(workers),
                    limits.clone(),
                    serve,
                )
                .map_err(|error| format!("cannot accept connections: {error}"))
        };
        listeners.into_iter().map(start).collect()
    }

    /// Puts the configuration file in force again, and loads the certificates anew. What is wrong
    /// is told, and then nothing changes.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Reloaded, Vec<String>> {
        let process = Arc::clone(self);
        // Reading files may take a while; the workers are not held up by it.
        let read = move || process.reload_from_files();
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(vec![error.to_string()]))
    }

    fn reload_from_files(&self) -> Result<Reloaded, Vec<String>> {
        let old = self.instance.core.config();
        let new = crate::load(old.file.as_deref())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let hosts: Vec<String> = new.hosts.iter().map(|host| host.name.clone()).collect();
        self.certificates
            .reload(&hosts)
            .map_err(|errors| vec![errors.to_string()])?;
        self.federate.reload(&new).map_err(|error| vec![error])?;
        let changed = Config::changes(&old, &new)
            .into_iter()
            .map(|change| change.key)
            .collect();
        let needs_restart = Config::changes_needing_restart(&old, &new);
        self.instance.reload(new);
        let federation = &self.federate.federation;
        federation.enforce(&self.instance.core.config());
        tracing::info!("configuration and certificates reloaded");
        Ok(Reloaded {
            changed,
            needs_restart,
        })
    }

    /// SIGTERM and SIGINT end the server, SIGHUP reloads it.
    async fn wait_for_signal(self: &Arc<Self>) -> Result<(), String> {
        let listen = |kind| signal(kind).map_err(|error| format!("no signals: {error}"));
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut hangup = listen(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {
                    if let Err(problems) = self.reload().await {
                        problems.iter().for_each(|what| tracing::error!("not reloaded: {what}"));
                    }
                }
            }
        }
    }

    /// Ends all streams properly (RFC 6120 §4.9.3.20) and waits for them.
    async fn drain(&self, listening: Vec<Listening>) {
        let core = &self.instance.core;
        tracing::info!(sessions = core.sessions().count(), "stopping");
        if let Some(told) = core.fire(Event::Stopping) {
            told.await;
        }
        listening.into_iter().for_each(Listening::close);
        self.instance.stop();
        // What waits for other servers is in the store.
        let federation = self.federate.federation.stop(DRAIN);
        let mut sessions = Vec::new();
        core.sessions()
            .each(|session| sessions.push(Arc::clone(session)));
        for session in sessions {
            session.interrupt(StreamError::new(StreamCondition::SystemShutdown));
        }
        let gone = async {
            while self.gate.open() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let (gone, ()) = tokio::join!(tokio::time::timeout(DRAIN, gone), federation);
        if gone.is_err() {
            tracing::warn!(
                connections = self.gate.open(),
                "some clients did not end their streams"
            );
        }
        core.forget_arrived();
        let kept = core.keep_sessions().await;
        tracing::info!(kept, "sessions wait for the next start");
    }
}

/// What a reload changed.
pub(crate) struct Reloaded {
    pub(crate) changed: Vec<String>,
    pub(crate) needs_restart: Vec<String>,
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<Listener>, String> {
    addresses
        .iter()
        .map(|address| Listener::bind(*address))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{error}; is another server running? See [listen]"))
}

fn addresses(listeners: &[Listener]) -> Vec<SocketAddr> {
    listeners.iter().map(Listener::address).collect()
}

/// A store, or in words why there is none.
pub type OpenedStore = Result<Arc<dyn Store>, String>;

/// The store of the server: SQLite in the data directory.
pub(crate) fn open_store(data_dir: &Path) -> OpenedStore {
    let store = SqliteStore::open(data_dir, sqlite::Settings::default())
        .map_err(|error| format!("cannot open the data in {}: {error}", data_dir.display()))?;
    Ok(Arc::new(store))
}

/// Seconds until it is looked again which keys accounts have. It changes as slowly as people change
/// their passwords.
const KEYS_COUNTED: u32 = 600;

/// Renews the coarse clock and tells the modules of each second. What they do is a task of its own,
/// so that one that fails or waits never stops the clock; there is one at a time.
async fn tick(instance: Arc<Instance>) {
    let core = Arc::clone(&instance.core);
    core.count_keys().await;
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut work: Option<JoinHandle<()>> = None;
    loop {
        every.tick().await;
        core.clock().tick();
        core.ask_all();
        // Nobody waits for it: a failure costs repetition after a crash, no message.
        drop(core.note_delivered());
        if core.clock().coarse_seconds().is_multiple_of(KEYS_COUNTED) {
            let core = Arc::clone(&core);
            tokio::spawn(async move { core.count_keys().await });
        }
        if core.clock().coarse_seconds().is_multiple_of(60) {
            core.renew_streams();
            drop(core.expire_streams());
            drop(core.expire_tokens());
        }
        if work.as_ref().is_some_and(|work| !work.is_finished()) {
            continue;
        }
        if let Some(finished) = work.take()
            && finished.await.is_err_and(|error| error.is_panic())
        {
            instance.count_panic();
        }
        work = core.fire(Event::Tick).map(tokio::spawn);
    }
}

/// Loads the certificates once a day, so that a self-signed one is renewed before it ends, and one
/// that an operator's tool renewed is used without a word.
async fn renew_certificates(process: Arc<Process>) {
    let mut every = tokio::time::interval(Duration::from_secs(24 * 60 * 60));
    every.tick().await;
    loop {
        every.tick().await;
        let config = process.instance.core.config();
        let certificates = Arc::clone(&process.certificates);
        let load = move || {
            let hosts: Vec<_> = config.hosts.iter().map(|host| host.name.clone()).collect();
            certificates.reload(&hosts)
        };
        if let Ok(Err(errors)) = tokio::task::spawn_blocking(load).await {
            tracing::error!(%errors, "the certificates stay as they are");
        }
    }
}

async fn stop_workers(workers: Arc<Workers>) {
    // Listeners held the other handles; they are closed by now.
    if let Ok(workers) = Arc::try_unwrap(workers) {
        let stop = move || workers.stop(Duration::from_secs(5));
        let _ = tokio::task::spawn_blocking(stop).await;
    }
}

/// Says what a person needs for the first chat.
fn welcome(
    config: &Config,
    [plain, direct, servers, direct_servers, components]: &[Vec<SocketAddr>; 5],
) {
    let host = config
        .hosts
        .first()
        .map_or("localhost", |host| host.name.as_str());
    println!(
        "Balcony {VERSION} serves {host}; its data is in {}.",
        config.data_dir.display()
    );
    for (what, addresses) in [
        ("clients, STARTTLS:  ", plain),
        ("clients, direct TLS:", direct),
        ("servers, STARTTLS:  ", servers),
        ("servers, direct TLS:", direct_servers),
        ("components:         ", components),
    ] {
        for address in addresses {
            println!("  {what}  {address}");
        }
    }
    println!("  certificates:         {}", config.tls.dir.display());
    println!("  add an account:       balcony user add juliet@{host}");
}
