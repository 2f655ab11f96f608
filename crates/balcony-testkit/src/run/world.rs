//! The server that a conversation is held with.

use std::time::Duration;

use balcony_core::config::Config;
use balcony_core::module::Event;
use balcony_modules::MODULES;
use balcony_proto::stanza::Stanza;
use balcony_stream::Security;
use tokio::time::timeout;

use super::balcony::Balcony;
use super::other::Other;
use super::towns::Towns;
use super::wire::Wire;
use super::{Patience, REAL, VIRTUAL};
use crate::roads::Opener;
use crate::script::{Admin, Client, Login, Script, Tls};

/// A server.
pub enum World {
    /// In this process, in virtual time.
    Memory(Box<Towns>),
    /// Our binary, over TCP.
    Balcony(Box<Balcony>),
    /// Somebody else's, over TCP.
    Other(Other),
}

impl World {
    pub(super) fn is_real(&self) -> bool {
        !matches!(self, World::Memory(_))
    }

    /// Somebody else's, with its own ways where the RFCs leave a choice.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, World::Other(_))
    }

    pub(super) fn patience(&self) -> Patience {
        match self.is_real() {
            true => REAL,
            false => VIRTUAL,
        }
    }

    /// Makes the accounts of a script.
    pub(super) async fn prepare(&self, script: &Script) -> Result<(), String> {
        for (account, password) in &script.accounts {
            match self {
                World::Memory(towns) => {
                    let server = towns.of(account.domain());
                    server.add_account(account, password).await?;
                }
                World::Balcony(server) => server.add_account(account.as_str(), password)?,
                World::Other(server) => server.add_account(account, password).await?,
            }
        }
        for (account, hash) in &script.keys {
            let World::Memory(towns) = self else {
                return Err("no command makes an account that lacks keys".into());
            };
            let server = towns.of(account.domain());
            server.keep_keys(account, *hash).await?;
        }
        Ok(())
    }

    /// Leaves no trace of a script on a server that others use after it.
    pub(super) async fn clean(&self, script: &Script) {
        if let World::Other(server) = self {
            for (account, password) in &script.accounts {
                // It may be gone already, with another password, or never have been.
                let _ = server.remove_account(account, password).await;
            }
        }
    }

    pub(super) async fn connect(&self, client: &Client) -> Result<Wire, String> {
        match self {
            World::Memory(towns) => {
                if let Login::Server { proves, .. } = &client.login {
                    let end = towns.connect_server(client.tls)?;
                    return Ok(Wire::Server(end, proves.clone(), Opener::Here));
                }
                if let Login::Component = client.login {
                    let end = towns.connect_component()?;
                    return Ok(Wire::Server(end, String::new(), Opener::Here));
                }
                let server = towns.of(client.host());
                let security = match client.tls {
                    Tls::Direct => Security::DirectTls,
                    _ => Security::Plain,
                };
                Ok(Wire::Memory(server.connect(client.address, security)))
            }
            World::Balcony(server) => server.connect(client).await,
            World::Other(server) => server.connect(client).await,
        }
    }

    /// The connection that the server opens to a scripted one.
    pub(super) async fn reached(&self, client: &Client, within: Duration) -> Result<Wire, String> {
        let (World::Memory(towns), Login::Server { domain, proves }) = (self, &client.login) else {
            return Err("only a server in memory connects to a scripted one".into());
        };
        let end = timeout(within, towns.taken(domain)).await;
        let end = end.map_err(|_| "the server does not connect")?;
        Ok(Wire::Server(end?, proves.clone(), Opener::There))
    }

    /// Has the server of a host itself say something.
    pub(super) async fn says(&self, host: &str, stanza: &[u8]) -> Result<(), String> {
        let World::Memory(towns) = self else {
            return Err("there is one server alone".into());
        };
        let stanza = Stanza::parse(stanza).ok_or("this is no stanza")?;
        if let Some(pending) = towns.of(host).instance.core.submit(stanza) {
            pending.await;
        }
        Ok(())
    }

    /// Cuts a server off from the others, or brings it back.
    pub(super) fn cut_off(&self, host: &str, off: bool) -> Result<(), String> {
        match self {
            World::Memory(towns) => {
                towns.cut_off(host, off);
                Ok(())
            }
            _ => Err("there is one server alone".into()),
        }
    }

    pub(super) async fn admin(&self, script: &Script, act: &Admin) -> Result<(), String> {
        match self {
            World::Memory(towns) => {
                in_memory(towns, script, act).await?;
                towns.enforce();
                Ok(())
            }
            World::Balcony(server) => server.admin(script, act),
            World::Other(server) => server.admin(act).await,
        }
    }
}

async fn in_memory(towns: &Towns, script: &Script, act: &Admin) -> Result<(), String> {
    let server = match act {
        Admin::Create(account, _)
        | Admin::Delete(account)
        | Admin::Enable(account, _)
        | Admin::SetPassword(account, _) => towns.of(account.domain()),
        Admin::Reload(_) | Admin::Stop => &towns.home,
    };
    let core = &server.instance.core;
    let done = match act {
        Admin::Create(account, password) => return server.add_account(account, password).await,
        Admin::Delete(account) => core.delete_account(account).await,
        Admin::Enable(account, on) => core.set_enabled(account, *on).await,
        Admin::SetPassword(account, password) => core.set_password(account, password, None).await,
        Admin::Stop => {
            if let Some(told) = core.fire(Event::Stopping) {
                told.await;
            }
            Ok(())
        }
        Admin::Reload(more) => {
            let text = format!("{}\n{more}", script.config);
            let sections = MODULES
                .iter()
                .flat_map(|module| module.config.iter().copied());
            let config = Config::parse(&text, None, &sections.collect::<Vec<_>>());
            let config = config.map_err(|problems| format!("{problems:?}"))?;
            server.instance.reload(config);
            Ok(())
        }
    };
    done.map_err(|error| error.to_string())
}
