//! What all connections of this server process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use balcony_core::config::{Config, Rate};
use balcony_core::throttle::Throttle;
use balcony_core::{Core, config};
use balcony_stream::settings::DecoySecret;
use balcony_stream::{Random, Settings, Timeouts};
use tokio::sync::watch;

/// One server process, as its connections see it.
pub struct Instance {
    /// Router, sessions and modules.
    pub core: Arc<Core>,
    /// Unpredictable bytes.
    pub random: Random,
    /// Failed logins per address.
    pub failures: Throttle,
    settings: ArcSwap<Settings>,
    rate: ArcSwap<Rate>,
    stop: watch::Sender<bool>,
    strangers: AtomicUsize,
    panics: AtomicU64,
}

/// A connection that is not logged in, counted as long as this lives.
pub(crate) struct Stranger<'a>(&'a AtomicUsize);

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Instance {
    /// An instance around a core.
    #[must_use]
    pub fn new(core: Arc<Core>, random: Random) -> Arc<Self> {
        let config = core.config();
        let settings = settings(&config, *core.decoy_secret());
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            rate: ArcSwap::from_pointee(config.limits.rate),
            random,
            failures: Throttle::default(),
            stop: watch::Sender::new(false),
            strangers: AtomicUsize::new(0),
            panics: AtomicU64::new(0),
            core,
        })
    }

    /// Puts another configuration in force for this and everything above it.
    pub fn reload(&self, config: Config) {
        self.settings
            .store(Arc::new(settings(&config, *self.core.decoy_secret())));
        self.rate.store(Arc::new(config.limits.rate));
        self.core.reload(config);
    }

    /// What new streams go by.
    #[must_use]
    pub fn stream_settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// How fast sessions are read.
    #[must_use]
    pub fn rate(&self) -> Rate {
        **self.rate.load()
    }

    /// Counts a connection that is not logged in; `None` when there are as many as there may be.
    pub(crate) fn admit_stranger(&self) -> Option<Stranger<'_>> {
        let others = self.strangers.fetch_add(1, Ordering::Relaxed);
        let stranger = Stranger(&self.strangers);
        (others < self.core.config().limits.unauthenticated).then_some(stranger)
    }

    /// Connections that are not logged in.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.strangers.load(Ordering::Relaxed)
    }

    /// Counts a bug that ended a task.
    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!("a bug ended a task; the report on standard error says where");
    }

    /// Bugs that ended a task since the start.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Tells all connections to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether [`Instance::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until [`Instance::stop`] is called.
    pub async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`, so this ends only by the wish to stop.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

fn settings(config: &Config, secret: [u8; 32]) -> Settings {
    let limits: &config::Limits = &config.limits;
    let only = match config.hosts.as_slice() {
        [host] => Some(host.name.clone()),
        _ => None,
    };
    let seconds = limits
        .keepalive_idle
        .as_secs()
        .saturating_add(limits.keepalive_answer.as_secs());
    Settings {
        tls_required: config.tls.required,
        starttls: true,
        default_host: only,
        before_login: limits.before_login,
        after_login: limits.after_login,
        bytes_before_login: limits.bytes_before_login,
        auth_attempts: limits.login_attempts,
        bind_attempts: limits.bind_attempts,
        timeouts: Timeouts {
            tls_handshake: limits.timeouts.tls_handshake,
            negotiation: limits.timeouts.negotiation,
            registration: limits.timeouts.registration,
        },
        idle_seconds: Some(seconds),
        decoy_secret: DecoySecret(secret),
    }
}

/// The operating system's random numbers.
///
/// # Errors
/// When the system gives none, which must be found out before the first client comes.
pub fn system_random() -> Result<Random, String> {
    let mut probe = [0; 1];
    getrandom::fill(&mut probe).map_err(|error| error.to_string())?;
    Ok(Random::new(|bytes| {
        // It worked at the start; without randomness nothing may go on, least of all with zeros.
        while getrandom::fill(bytes).is_err() {
            std::thread::yield_now();
        }
    }))
}
