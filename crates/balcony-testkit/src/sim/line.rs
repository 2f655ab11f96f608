//! A connection of a client: how it gets in, and what it reads.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;
use balcony_server::system_random;
use balcony_stream::UserAgent;
use balcony_stream::initiating::{
    Bound, ClientConfig, Initiating, Input, Output, Resume, Secret, TlsPolicy,
};
use parking_lot::Mutex;

use super::client::Client;
use super::fault::{Bent, Fault};
use super::plan::Way;
use crate::keys;
use crate::memory::End;
use crate::reader::{Piece, Reader};

/// The password of all accounts.
pub(crate) const PASSWORD: &str = "rosaline";

/// How a connection gets in.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) account: Jid,
    pub(super) way: Way,
    /// The client's own id, if it has one.
    pub(super) client: Option<String>,
    /// Within `<authenticate/>`: what it asks for.
    pub(super) resume: Option<Resume>,
    /// What is wrong with what it hears.
    pub(super) fault: Option<Fault>,
}

impl Login {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(self.account.clone(), "");
        config.secret = Secret::Password {
            password: PASSWORD.to_owned(),
            keys: keys::of_client(PASSWORD),
        };
        if self.way == Way::Plain {
            config.tls = TlsPolicy::Clear;
            config.sasl2 = false;
            return config;
        }
        config.tls = TlsPolicy::Direct;
        config.bind_inline = vec![enable()];
        config.resume = self.resume.clone();
        config.user_agent = self.client.as_ref().map(|id| UserAgent {
            id: Some(id.clone()),
            ..UserAgent::default()
        });
        config
    }
}

/// `<enable/>` of a stream that is to be resumed.
pub(super) fn enable() -> Element {
    Element::new(ns::SM, "enable").with_attr("resume", "true")
}

/// Reads for a connection until it ends.
pub(super) async fn run(client: Arc<Mutex<Client>>, line: usize, end: Arc<End>, login: Login) {
    if let Some(reader) = enter(&client, line, &end, &login).await {
        read(&client, line, &end, reader, login.fault).await;
    }
    client.lock().ended(line);
}

async fn read(
    client: &Mutex<Client>,
    line: usize,
    end: &End,
    mut reader: Reader,
    fault: Option<Fault>,
) {
    let mut bent = Bent::new(fault);
    loop {
        while let Some(piece) = reader.next_piece() {
            match piece {
                Piece::Element(element) => {
                    for element in bent.hear(element) {
                        client.lock().came(line, &element);
                    }
                }
                Piece::Close => {
                    // RFC 6120 §4.4
                    end.send(b"</stream:stream>");
                    return end.close();
                }
                Piece::Open(_) => {}
            }
        }
        let Some(bytes) = end.receive().await else {
            return;
        };
        if let Err(what) = reader.feed(&bytes) {
            return client.lock().fault(what);
        }
    }
}

/// Logs in; `None` when the connection ended before.
async fn enter(client: &Mutex<Client>, line: usize, end: &End, login: &Login) -> Option<Reader> {
    let random = system_random().ok()?;
    let mut machine = Initiating::new(Arc::new(login.config()), random, Duration::ZERO);
    if login.way == Way::Inline {
        let tls = end.start_tls().await?;
        machine.handle(Input::TlsReady(tls), Duration::ZERO);
    }
    loop {
        while let Some(output) = machine.poll() {
            match output {
                // What this machine would say next is the client's to say.
                Output::Write(bytes) if login.way == Way::Plain && binds(&bytes) => {
                    client.lock().authenticated(line);
                    return Reader::inside().ok();
                }
                Output::Write(bytes) => {
                    end.send(&bytes);
                }
                Output::Bound(bound) => {
                    let (_, rest) = machine.into_established();
                    return bound_inline(client, line, &bound, &rest);
                }
                Output::Failed(failure) => {
                    client.lock().refused(line, failure.to_string());
                    return None;
                }
                _ => {}
            }
        }
        match end.receive().await {
            Some(bytes) => machine.handle(Input::Bytes(&bytes), Duration::ZERO),
            None => machine.handle(Input::Eof, Duration::ZERO),
        }
    }
}

fn binds(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains(ns::BIND)
}

fn bound_inline(client: &Mutex<Client>, line: usize, bound: &Bound, rest: &[u8]) -> Option<Reader> {
    if let Some(keys) = &bound.keys {
        keys::keep_client(PASSWORD, keys.clone());
    }
    client.lock().bound_inline(line, bound);
    let mut reader = Reader::inside().ok()?;
    match reader.feed(rest) {
        Ok(()) => Some(reader),
        Err(what) => {
            client.lock().fault(what);
            None
        }
    }
}
