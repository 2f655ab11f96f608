//! The server of a conversation in memory, and the others that it reaches.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use balcony_federation::Federation;
use balcony_server::system_random;
use balcony_stream::Security;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::TestServer;
use crate::neighbours::Network;
use crate::roads::{self, Roads};
use crate::script::{Login, Script, Tls};

/// One server for each domain that a script names.
pub struct Towns {
    /// The one that a script is about.
    pub(super) home: TestServer,
    others: Vec<(String, TestServer)>,
    network: Arc<Network>,
    /// What comes for each scripted server.
    dialed: Mutex<HashMap<String, mpsc::UnboundedReceiver<DuplexStream>>>,
    federation: Option<Federation>,
}

impl Towns {
    /// Starts what a script wants.
    ///
    /// # Errors
    /// Why a server cannot be.
    pub(super) async fn start(script: &Script) -> Result<Self, String> {
        let network = Network::new();
        let scripted = script
            .clients
            .iter()
            .filter_map(|client| match &client.login {
                Login::Server { domain, .. } => Some(domain.clone()),
                _ => None,
            });
        let roads = Arc::new(Roads::default());
        let dialed: HashMap<_, _> = scripted
            .map(|domain| (domain.clone(), roads.listen(&domain)))
            .collect();
        let mut clients = script.clients.iter();
        let has_components = clients.any(|client| matches!(client.login, Login::Component));
        let federation = (!dialed.is_empty() || has_components)
            .then(|| system_random().map(|random| Federation::new(roads, random, [7; 32])))
            .transpose()?;
        let home = match &federation {
            Some(federation) => TestServer::federated(&script.config, federation).await?,
            None => TestServer::among(&script.config, &network).await?,
        };
        let mut others = Vec::new();
        for (host, more) in &script.servers {
            let config = format!("{more}\n[[host]]\nname = {host:?}\n");
            let server = TestServer::among(&config, &network).await?;
            others.push((host.clone(), server));
        }
        Ok(Self {
            home,
            others,
            network,
            dialed: Mutex::new(dialed),
            federation,
        })
    }

    /// The server of a domain: the first one unless another has it.
    pub(super) fn of(&self, domain: &str) -> &TestServer {
        let mut others = self.others.iter();
        let found = others.find(|(host, _)| host == domain);
        found.map_or(&self.home, |(_, server)| server)
    }

    /// A connection that a scripted server opens.
    pub(super) fn connect_server(&self, tls: Tls) -> Result<DuplexStream, String> {
        let federation = self.federation.clone().ok_or("nobody federates")?;
        let (ours, theirs) = roads::connection();
        let core = Arc::clone(&self.home.instance.core);
        let security = match tls {
            Tls::Direct => Security::DirectTls,
            _ => Security::Plain,
        };
        tokio::spawn(async move {
            let serving = federation.serve(core, Box::new(ours), roads::ADDRESS, security);
            serving.await;
        });
        Ok(theirs)
    }

    /// A connection that a component opens.
    pub(super) fn connect_component(&self) -> Result<DuplexStream, String> {
        let federation = self.federation.clone().ok_or("nobody federates")?;
        let (ours, theirs) = roads::connection();
        let core = Arc::clone(&self.home.instance.core);
        tokio::spawn(async move {
            let serving = federation.serve_component(core, Box::new(ours), roads::ADDRESS);
            serving.await;
        });
        Ok(theirs)
    }

    /// A configuration is in force: as the process does when it has reloaded one.
    pub(super) fn enforce(&self) {
        if let Some(federation) = &self.federation {
            federation.enforce(&self.home.instance.core.config());
        }
    }

    /// The next connection that the server opens to a scripted one.
    pub(super) async fn taken(&self, domain: &str) -> Result<DuplexStream, String> {
        let next = poll_fn(|context| match self.dialed.lock().get_mut(domain) {
            Some(dialed) => dialed.poll_recv(context),
            None => Poll::Ready(None),
        });
        next.await
            .ok_or_else(|| format!("{domain} is no scripted server"))
    }

    /// Cuts the server of a host off from the others, or brings it back.
    pub(super) fn cut_off(&self, host: &str, off: bool) {
        self.network.cut_off(host, off);
    }
}
