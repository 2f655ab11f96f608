//! The server of a conversation in memory, and the others that it reaches.

use std::sync::Arc;

use crate::TestServer;
use crate::neighbours::Network;
use crate::script::Script;

/// One server for each domain that a script names.
pub struct Towns {
    /// The one that a script is about.
    pub(super) home: TestServer,
    others: Vec<(String, TestServer)>,
    network: Arc<Network>,
}

impl Towns {
    /// Starts what a script wants.
    ///
    /// # Errors
    /// Why a server cannot be.
    pub(super) async fn start(script: &Script) -> Result<Self, String> {
        let network = Network::new();
        let home = TestServer::among(&script.config, &network).await?;
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
        })
    }

    /// The server of a domain: the first one unless another has it.
    pub(super) fn of(&self, domain: &str) -> &TestServer {
        let mut others = self.others.iter();
        let found = others.find(|(host, _)| host == domain);
        found.map_or(&self.home, |(_, server)| server)
    }

    /// Cuts the server of a host off from the others, or brings it back.
    pub(super) fn cut_off(&self, host: &str, off: bool) {
        self.network.cut_off(host, off);
    }
}
