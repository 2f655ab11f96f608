//! Both machines against each other, in memory.

mod logins;
mod resumptions;
mod server_lies;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use crate::harness::{PASSWORD, Server, jid, random, tls13};
use crate::initiating::{self, ClientConfig, Failure, Initiating, Secret, TlsPolicy};
use crate::receiving::Input;
use crate::{Security, Settings, TlsInfo};

/// A client and a server, with a wire that can be cut open.
struct Pair {
    client: Initiating,
    server: Server,
    tls: TlsInfo,
    bound: Option<initiating::Bound>,
    failed: Option<Failure>,
}

fn config() -> ClientConfig {
    ClientConfig::new(jid("romeo@localhost"), PASSWORD)
}

impl Pair {
    fn new(config: ClientConfig) -> Pair {
        let (settings, security) = match config.tls {
            TlsPolicy::StartTls => (Settings::default(), Security::Plain),
            TlsPolicy::Direct => (Settings::default(), Security::DirectTls),
            TlsPolicy::Clear => (
                Settings {
                    tls_required: false,
                    ..Settings::default()
                },
                Security::Plain,
            ),
        };
        Pair {
            client: Initiating::new(Arc::new(config), random(), Duration::ZERO),
            server: Server::new(settings, security),
            tls: tls13(),
            bound: None,
            failed: None,
        }
    }

    /// Until neither has anything to say.
    fn run(&mut self) {
        self.run_through(|bytes| bytes);
    }

    /// The same, with somebody on the wire who changes what the server says.
    fn run_through(&mut self, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        if self.server.machine.deadline() == Some(Duration::from_secs(15)) {
            self.server.input(Input::TlsReady(self.tls.clone()));
            self.client.handle(
                initiating::Input::TlsReady(self.tls.clone()),
                Duration::ZERO,
            );
        }
        while let Some(output) = self.client.poll() {
            match output {
                initiating::Output::Write(bytes) => {
                    let answer = change(self.server.input(Input::Bytes(&bytes)));
                    self.client
                        .handle(initiating::Input::Bytes(&answer), Duration::ZERO);
                }
                initiating::Output::StartTls => {
                    assert!(self.server.starttls);
                    self.server.input(Input::TlsReady(self.tls.clone()));
                    self.client.handle(
                        initiating::Input::TlsReady(self.tls.clone()),
                        Duration::ZERO,
                    );
                }
                initiating::Output::Bound(bound) => self.bound = Some(*bound),
                initiating::Output::Failed(failure) => self.failed = Some(failure),
                initiating::Output::Close => {}
            }
        }
    }

    fn bound(&self) -> &initiating::Bound {
        self.bound
            .as_ref()
            .unwrap_or_else(|| panic!("{:?}", self.failed))
    }
}

/// A login that ends in failure, in words.
fn failure_of(config: ClientConfig) -> String {
    let mut pair = Pair::new(config);
    pair.run();
    assert!(pair.bound.is_none());
    pair.failed.unwrap().to_string()
}

fn with_password(config: ClientConfig, password: &str) -> ClientConfig {
    ClientConfig {
        secret: Secret::Password {
            password: password.into(),
            keys: None,
        },
        ..config
    }
}
