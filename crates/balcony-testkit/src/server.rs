//! A whole server in memory: the real core, modules and client streams over a store that forgets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::module::{Event, ModuleSpec};
use balcony_core::remote::{Nowhere, Remote};
use balcony_core::{Clock, Core, Parts};
use balcony_federation::Federation;
use balcony_modules::MODULES;
use balcony_proto::jid::Jid;
use balcony_proto::sasl::HashKind;
use balcony_server::{Instance, c2s, system_random};
use balcony_store::{MemoryStore, Store, Write, WriteSet};
use balcony_stream::Security;

use crate::keys;
use crate::memory::{self, End};
use crate::neighbours::Network;

/// 2023-11-14T22:13:20Z: a moment that is easy to recognise in stamps.
pub const START_MICROS: i64 = 1_700_000_000_000_000;

/// A server without sockets or files. Wants a runtime whose time is paused; its clock then begins
/// at [`START_MICROS`].
pub struct TestServer {
    /// What connections see.
    pub instance: Arc<Instance>,
    /// The store, which tests may make fail or wait.
    pub store: Arc<MemoryStore>,
}

impl TestServer {
    /// A server with this configuration, in the words of the file.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why a server cannot be.
    pub async fn start(config: &str) -> Result<Self, String> {
        Self::with_modules(config, MODULES).await
    }

    /// The same with other modules.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub async fn with_modules(
        config: &str,
        modules: &'static [&'static ModuleSpec],
    ) -> Result<Self, String> {
        Self::with(config, modules, Arc::new(Nowhere)).await
    }

    /// A server that reaches the others of a network.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub async fn among(config: &str, network: &Arc<Network>) -> Result<Self, String> {
        let server = Self::with(config, MODULES, network.next()).await?;
        network.join(&server.instance.core);
        Ok(server)
    }

    /// A server that speaks with others by streams.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub async fn federated(config: &str, federation: &Federation) -> Result<Self, String> {
        let server = Self::with(config, MODULES, Arc::new(federation.clone())).await?;
        let (federation, core) = (federation.clone(), Arc::clone(&server.instance.core));
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(1));
            loop {
                every.tick().await;
                federation.tick(&core);
            }
        });
        Ok(server)
    }

    async fn with(
        config: &str,
        modules: &'static [&'static ModuleSpec],
        remote: Arc<dyn Remote>,
    ) -> Result<Self, String> {
        let sections: Vec<_> = modules
            .iter()
            .flat_map(|module| module.config.iter().copied())
            .collect();
        let config = Config::parse(config, None, &sections).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            problems.join("\n")
        })?;
        let store = Arc::new(MemoryStore::new());
        let parts = Parts {
            config,
            store: Arc::clone(&store) as Arc<dyn Store>,
            cluster: Arc::new(Local::alone()),
            remote,
            clock: Clock::virtual_at(START_MICROS),
            modules,
        };
        let core = Core::new(parts).await.map_err(|error| error.to_string())?;
        tokio::spawn(tick(Arc::clone(&core)));
        let instance = Instance::new(core, system_random()?);
        Ok(Self { instance, store })
    }

    /// Makes an account. Its keys are derived once in this process for each password.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn add_account(&self, account: &Jid, password: &str) -> Result<(), String> {
        let write = Write::CreateAccount {
            host: account.domain().to_owned(),
            user: account.local().unwrap_or_default().to_owned(),
            created: self.instance.core.clock().utc_micros(),
            keys: keys::of_account(password)?,
        };
        let commit = self.store.commit(WriteSet::from(write));
        commit.await.map_err(|error| error.to_string())?;
        let event = Event::AccountCreated(account.bare());
        if let Some(pending) = self.instance.core.fire(event) {
            pending.await;
        }
        Ok(())
    }

    /// Takes from an account all keys but those of one hash, as an account may have them that was
    /// made elsewhere.
    ///
    /// # Errors
    /// Why it still has them.
    pub async fn keep_keys(&self, account: &Jid, hash: HashKind) -> Result<(), String> {
        let (host, user) = (account.domain(), account.local().unwrap_or_default());
        let found = self.store.accounts().get(host, user).await;
        let found = found.map_err(|error| error.to_string())?;
        let mut keys = found.ok_or("there is no such account")?.keys;
        keys.retain(|key| key.hash == keys::name(hash));
        let write = Write::SetKeys {
            host: host.to_owned(),
            user: user.to_owned(),
            keys,
        };
        let commit = self.store.commit(WriteSet::from(write));
        commit.await.map_err(|error| error.to_string())?;
        self.instance.core.count_keys().await;
        Ok(())
    }

    /// Opens a connection from `peer`.
    #[must_use]
    pub fn connect(&self, peer: IpAddr, security: Security) -> End {
        let (link, end) = memory::connection(peer);
        let instance = Arc::clone(&self.instance);
        tokio::spawn(async move {
            c2s::serve(instance, Arc::clone(&link), security).await;
            link.hang_up();
        });
        end
    }
}

/// The second hand of the server, as its process has one.
async fn tick(core: Arc<Core>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        core.clock().tick();
        if let Some(pending) = core.fire(Event::Tick) {
            pending.await;
        }
    }
}
