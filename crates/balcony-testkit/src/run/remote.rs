//! Servers over TCP: our own binary, and others.

use std::net::SocketAddr;

use balcony_proto::jid::Jid;

use super::tcp::TcpWire;
use super::wire::Wire;
use crate::script::{Admin, Client, Login, Script};

/// Our binary.
pub struct Balcony {
    plain: SocketAddr,
}

/// Somebody else's server.
pub struct Other {
    plain: SocketAddr,
}

impl Balcony {
    pub(super) async fn add_account(&self, account: &Jid, password: &str) -> Result<(), String> {
        let _ = (account, password);
        Ok(())
    }
    pub(super) async fn connect(&self, client: &Client) -> Result<Wire, String> {
        connect(self.plain, client).await
    }
    pub(super) async fn admin(&self, _: &Script, _: &Admin) -> Result<(), String> {
        Ok(())
    }
}

impl Other {
    pub(super) async fn add_account(&self, account: &Jid, password: &str) -> Result<(), String> {
        let _ = (account, password);
        Ok(())
    }
    pub(super) async fn connect(&self, client: &Client) -> Result<Wire, String> {
        connect(self.plain, client).await
    }
    pub(super) async fn admin(&self, _: &Admin) -> Result<(), String> {
        Ok(())
    }
}

async fn connect(address: SocketAddr, client: &Client) -> Result<Wire, String> {
    let host = match &client.login {
        Login::Account { jid, .. } | Login::Anonymous(jid) => jid.domain(),
        Login::Raw => "localhost",
    };
    let wire = TcpWire::connect(address, host).await?;
    Ok(Wire::Tcp(Box::new(wire)))
}
