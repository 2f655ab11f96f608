//! Logging in, by the real machine of a client.

use std::sync::Arc;
use std::time::Duration;

use balcony_core::Clock;
use balcony_proto::ns;
use balcony_proto::xml::Element;
use balcony_stream::UserAgent;
use balcony_stream::initiating::{
    Bound, ClientConfig, Failure, Initiating, Input, Output, Secret, TlsPolicy,
};

use super::wire::Wire;
use crate::keys;
use crate::reader::{Piece, Reader};
use crate::script::{Client, Login, Tls};

/// A client that is in.
pub(super) struct LoggedIn {
    pub(super) bound: Box<Bound>,
    /// The features after login, as the server wrote them.
    pub(super) features: Option<Element>,
    /// Inside the stream.
    pub(super) reader: Reader,
}

/// Why a client is not in.
pub(super) struct Refusal {
    /// The condition, where there is one.
    pub(super) condition: String,
    /// In words.
    pub(super) words: String,
}

impl Refusal {
    fn new(failure: &Failure) -> Refusal {
        let condition = match failure {
            Failure::Refused { condition, .. } => condition.as_str(),
            Failure::Bind(error) => error.condition.as_str(),
            Failure::Stream(error) => error.condition.as_str(),
            _ => "",
        };
        Refusal {
            condition: condition.to_owned(),
            words: failure.to_string(),
        }
    }
}

impl From<String> for Refusal {
    fn from(words: String) -> Refusal {
        Refusal {
            condition: String::new(),
            words,
        }
    }
}

/// What the machine is told of a client; `None` for raw streams.
fn config(client: &Client) -> Option<ClientConfig> {
    let tls = match client.tls {
        Tls::StartTls => TlsPolicy::StartTls,
        Tls::Direct => TlsPolicy::Direct,
        Tls::None => TlsPolicy::Clear,
    };
    let mut config = match &client.login {
        Login::Raw | Login::Server { .. } => return None,
        Login::Anonymous(host) => ClientConfig::anonymous(host.clone()),
        Login::Account {
            jid,
            password,
            mechanism,
            sasl2,
            upgrade,
        } => {
            let mut config = ClientConfig::new(jid.bare(), "");
            config.secret = Secret::Password {
                password: password.clone(),
                keys: keys::of_client(password),
            };
            config.resource = jid.resource().map(str::to_owned);
            config.sasl2 = *sasl2;
            config.upgrade = *upgrade;
            if let Some(mechanism) = mechanism {
                config.mechanisms = vec![*mechanism];
            }
            config
        }
    };
    config.tls = tls;
    if let Some(kept) = &client.tokens {
        config.request_token = true;
        config.token = kept.lock().clone();
        config.user_agent = Some(UserAgent {
            id: Some(client_id(&client.name)),
            software: Some("Conversation".into()),
            device: Some(format!("{}'s device", client.name)),
        });
    }
    Some(config)
}

/// A UUID (XEP-0388 §2.3), the same for the same client.
fn client_id(name: &str) -> String {
    let bytes = name.bytes().chain(std::iter::repeat(0));
    let node: String = bytes.take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("00000000-0000-4000-8000-{node}")
}

/// Logs in over an open connection.
pub(super) async fn log_in(client: &Client, wire: &mut Wire) -> Result<LoggedIn, Refusal> {
    let Some(config) = config(client) else {
        return Err("a raw stream does not log in".to_owned().into());
    };
    let random = balcony_server::system_random()?;
    let mut talk = Talk {
        machine: Initiating::new(Arc::new(config), random, Duration::ZERO),
        clock: Clock::system(),
        reader: Reader::default(),
        features: None,
    };
    if client.tls == Tls::Direct {
        talk.start_tls(wire).await?;
    }
    let bound = talk.run(wire).await?;
    if let (Login::Account { password, .. }, Some(keys)) = (&client.login, &bound.keys) {
        keys::keep_client(password, keys.clone());
    }
    if let Some(kept) = &client.tokens {
        let mut kept = kept.lock();
        if bound.token.is_some() || bound.token_refused {
            *kept = bound.token.clone();
        }
    }
    let (_, rest) = talk.machine.into_established();
    let mut reader = Reader::inside()?;
    reader.feed(&rest)?;
    Ok(LoggedIn {
        bound,
        features: talk.features,
        reader,
    })
}

/// A negotiation under way.
struct Talk {
    machine: Initiating,
    clock: Clock,
    reader: Reader,
    features: Option<Element>,
}

impl Talk {
    async fn run(&mut self, wire: &mut Wire) -> Result<Box<Bound>, Refusal> {
        loop {
            while let Some(output) = self.machine.poll() {
                match output {
                    Output::Write(bytes) => {
                        wire.send(&bytes).await;
                    }
                    Output::StartTls => self.start_tls(wire).await?,
                    Output::Bound(bound) => return Ok(bound),
                    Output::Failed(failure) => return Err(Refusal::new(&failure)),
                    _ => {}
                }
            }
            let left = self.machine.deadline().unwrap_or_default();
            let left = left.saturating_sub(self.clock.uptime());
            let input = tokio::time::timeout(left, wire.receive()).await;
            let now = self.clock.uptime();
            match &input {
                Ok(Some(bytes)) => {
                    self.read(bytes)?;
                    self.machine.handle(Input::Bytes(bytes), now);
                }
                Ok(None) => self.machine.handle(Input::Eof, now),
                Err(_) => self.machine.handle(Input::Timeout, now),
            }
        }
    }

    async fn start_tls(&mut self, wire: &mut Wire) -> Result<(), Refusal> {
        let Some(tls) = wire.start_tls().await else {
            return Err("the TLS handshake failed".to_owned().into());
        };
        let now = self.clock.uptime();
        self.machine.handle(Input::TlsReady(tls), now);
        Ok(())
    }

    /// The other parser looks too: it has to find every byte well-formed.
    fn read(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.reader.feed(bytes)?;
        while let Some(piece) = self.reader.next_piece() {
            if let Piece::Element(element) = piece {
                if ends_stream(&element) {
                    self.reader.restart();
                }
                if element.is(ns::STREAMS, "features") {
                    self.features = Some(element);
                }
            }
        }
        Ok(())
    }
}

/// Whether another stream begins behind this element (RFC 6120 §5.4.3.3, §6.4.6).
pub(super) fn ends_stream(element: &Element) -> bool {
    element.is(ns::TLS, "proceed") || element.is(ns::SASL, "success")
}
