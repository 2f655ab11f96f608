//! From a TCP connection to a stream with stream management enabled or resumed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::scram::ClientKeys;
use balcony_proto::xml::Element;
use balcony_server::system_random;
use balcony_stream::Established;
use balcony_stream::initiating::{
    Bound, ClientConfig, Initiating, Input, Output, Resume, Secret, TlsPolicy,
};

use super::super::world::{HOST, PASSWORD, Place};
use crate::run::tcp::TcpWire;

/// Longer than a login takes on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A negotiated stream over its connection.
pub(super) struct Link {
    wire: TcpWire,
    pub(super) established: Established,
    /// To be written.
    pub(super) out: Vec<u8>,
}

/// Who logs in, and how.
pub(super) struct Login {
    pub(super) account: Jid,
    /// The device, by its number.
    pub(super) number: usize,
    /// By TLS, SASL2 and Bind 2, or in clear with what RFC 6120 has.
    pub(super) tls: bool,
    /// Of an earlier login.
    pub(super) keys: Option<ClientKeys>,
    pub(super) resume: Option<Resume>,
}

impl Login {
    fn config(self) -> ClientConfig {
        let mut config = ClientConfig::new(self.account, PASSWORD);
        config.secret = Secret::Password {
            password: PASSWORD.to_owned(),
            keys: self.keys,
        };
        config.tls = match self.tls {
            true => TlsPolicy::Direct,
            false => TlsPolicy::Clear,
        };
        config.resource = Some(format!("device{}", self.number));
        config.bind_inline = vec![enable()];
        config.resume = self.resume;
        config.timeout = PATIENCE;
        config
    }
}

/// XEP-0198 §3.
pub(super) fn enable() -> Element {
    Element::new(ns::SM, "enable").with_attr("resume", "true")
}

impl Link {
    /// Connects and logs in. Answers what came behind the login, too.
    pub(super) async fn open(
        login: Login,
        place: Place,
    ) -> Result<(Link, Box<Bound>, Vec<u8>), String> {
        let open = Self::negotiate(login, place);
        let within = tokio::time::timeout(PATIENCE, open).await;
        within.unwrap_or_else(|_| Err("the login takes too long".to_owned()))
    }

    async fn negotiate(login: Login, place: Place) -> Result<(Link, Box<Bound>, Vec<u8>), String> {
        let address = match login.tls {
            true => place.direct,
            false => place.plain,
        };
        // Each device has an address of its own, as limits count by address.
        let last = u8::try_from(login.number % 200).unwrap_or(0) + 10;
        let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let mut wire = TcpWire::connect(address, from, HOST).await?;
        let direct = login.tls;
        let random = system_random()?;
        let mut machine = Initiating::new(Arc::new(login.config()), random, Duration::ZERO);
        if direct {
            let tls = wire.start_tls().await.ok_or("the handshake failed")?;
            machine.handle(Input::TlsReady(tls), Duration::ZERO);
        }
        loop {
            while let Some(output) = machine.poll() {
                match output {
                    Output::Write(bytes) if wire.send(&bytes).await => {}
                    Output::Bound(bound) => {
                        let (established, rest) = machine.into_established();
                        let link = Link {
                            wire,
                            established,
                            out: Vec::new(),
                        };
                        return Ok((link, bound, rest));
                    }
                    Output::Failed(failure) => return Err(failure.to_string()),
                    _ => return Err("the connection ended in the login".to_owned()),
                }
            }
            match wire.receive().await {
                Some(bytes) => machine.handle(Input::Bytes(&bytes), Duration::ZERO),
                None => return Err("the connection ended in the login".to_owned()),
            }
        }
    }

    /// Writes what is to be written.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let out = std::mem::take(&mut self.out);
        if out.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(PATIENCE, self.wire.send(&out)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("nobody reads any more".to_owned()),
            Err(_) => Err("the server has not read for long".to_owned()),
        }
    }

    /// What comes next; `None`: nothing will. Nothing is lost when this is given up.
    pub(super) async fn receive(&mut self) -> Option<Vec<u8>> {
        self.wire.receive().await
    }

    /// Ends our direction.
    pub(super) async fn shut(&mut self) {
        self.wire.close().await;
    }
}
