//! One connection of a component, from its header to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use balcony_core::Core;
use balcony_core::module::Event;
use balcony_proto::jid::Jid;
use balcony_proto::limits::Limits;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::component::{Component, Output, Settings, Terms};

use super::Attached;
use crate::arrivals::Arrivals;
use crate::facts::{COMPONENT, Direction};
use crate::reach::Socket;
use crate::wire::{Happened, Wire};
use crate::{CLOSE, Listed, Shared};

/// Serves a component until it is gone.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    core: Arc<Core>,
    socket: Box<dyn Socket>,
    address: SocketAddr,
) {
    let now = core.clock().uptime();
    let listed = shared.list(Direction::Incoming, now);
    listed.live.know(|known| known.address = Some(address));
    let machine = Component::new(Settings::default(), shared.random.clone(), now);
    let connection = Connection {
        arrivals: Arrivals::new(&core),
        wire: Wire::new(socket),
        attached: Arc::default(),
        name: None,
        stops: false,
        over: false,
        shared,
        core,
        machine,
        listed,
    };
    connection.run().await;
}

struct Connection {
    shared: Arc<Shared>,
    core: Arc<Core>,
    machine: Component,
    wire: Wire,
    arrivals: Arrivals,
    attached: Arc<Attached>,
    listed: Listed,
    /// The domain, once the component has proved itself.
    name: Option<String>,
    stops: bool,
    over: bool,
}

/// What woke the task.
enum Woken {
    Wire(std::io::Result<Happened>),
    Handled,
    Called,
    Kicked(StreamError),
    Time,
    Stop,
}

impl Connection {
    async fn run(mut self) {
        loop {
            self.obey();
            if self.over {
                break;
            }
            self.load();
            match self.wait().await {
                Woken::Wire(happened) => self.happened(happened),
                Woken::Handled => drop(self.arrivals.settle()),
                Woken::Called => {
                    if let Some(error) = self.attached.take_end() {
                        self.machine.end(Some(&error));
                    }
                }
                Woken::Kicked(error) => self.machine.end(Some(&error)),
                Woken::Time => self.machine.timeout(self.core.clock().uptime()),
                Woken::Stop => {
                    self.stops = true;
                    let error = StreamError::new(StreamCondition::SystemShutdown);
                    self.machine.end(Some(&error));
                }
            }
        }
        if let Some(name) = &self.name {
            self.shared.components.detach(&self.core, name);
            tracing::info!(component = name, "a component is gone");
        }
        tokio::join!(self.wire.finish(CLOSE), self.arrivals.finish());
    }

    /// Does what the machine wants.
    fn obey(&mut self) {
        while self.arrivals.is_open()
            && let Some(output) = self.machine.poll()
        {
            match output {
                Output::Write(bytes) => self.wire.out().extend_from_slice(&bytes),
                Output::Ask(domain) => {
                    let terms = self.terms(&domain);
                    self.machine.answer(terms);
                }
                Output::Proved(domain) => self.proved(domain),
                Output::Stanza(stanza) => {
                    self.listed.live.received(self.core.clock().uptime());
                    self.arrivals.take_any(*stanza);
                }
                Output::BadStanza(bad) => self.arrivals.refuse(&bad),
                Output::Close => self.over = true,
                _ => {}
            }
        }
    }

    fn terms(&self, domain: &str) -> Result<Terms, StreamError> {
        let config = self.core.config();
        let component = config.components.iter().find(|c| c.name == domain);
        let unknown = || StreamError::new(StreamCondition::HostUnknown);
        let component = component.ok_or_else(unknown)?;
        Ok(Terms {
            secret: component.secret.reveal().to_owned(),
            subdomains: component.subdomains,
            limits: Limits {
                stanza_bytes: component.stanza,
                ..config.limits.after_login
            },
        })
    }

    fn proved(&mut self, domain: String) {
        let config = self.core.config();
        let secret = config.components.iter().find(|c| c.name == domain);
        let secret = secret.map(|component| component.secret.clone());
        let (components, secret) = (&self.shared.components, secret.unwrap_or_default());
        if !components.attach(&domain, &self.attached, secret) {
            // XEP-0114 §3, RFC 6120 §4.9.3.3
            let error = StreamError::new(StreamCondition::Conflict);
            return self.machine.end(Some(&error));
        }
        self.listed.live.know(|known| {
            known.add_remote(&domain);
            known.proof = Some(COMPONENT);
        });
        tracing::info!(component = domain, "a component is there");
        if let Ok(name) = Jid::from_parts(None, &domain, None)
            && let Some(pending) = self.core.fire(Event::Component(name))
        {
            tokio::spawn(pending);
        }
        self.name = Some(domain);
    }

    fn load(&mut self) {
        let mut loaded = 0;
        while self.name.is_some()
            && !self.wire.is_full()
            && let Some(stanza) = self.attached.pop()
        {
            stanza.write(self.wire.out());
            loaded += 1;
        }
        if loaded > 0 {
            self.listed.live.sent(loaded, self.core.clock().uptime());
        }
    }

    async fn wait(&mut self) -> Woken {
        let reads = self.machine.wants_bytes() && self.arrivals.is_open();
        let deadline = self.machine.deadline();
        let until = deadline.map(|at| at.saturating_sub(self.core.clock().uptime()));
        let (wire, arrivals) = (&mut self.wire, &mut self.arrivals);
        let (attached, live) = (&self.attached, &self.listed.live);
        tokio::select! {
            biased;
            () = self.shared.stopping(), if !self.stops => Woken::Stop,
            error = live.kicked() => Woken::Kicked(error),
            () = poll_fn(|context| arrivals.poll_on(context)) => Woken::Handled,
            happened = wire.happen(reads) => Woken::Wire(happened),
            () = attached.bell.notified() => Woken::Called,
            () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => Woken::Time,
        }
    }

    fn happened(&mut self, happened: std::io::Result<Happened>) {
        match happened {
            Ok(Happened::Read(count)) => self.machine.bytes(self.wire.read(count)),
            Ok(Happened::Written) => {}
            Ok(Happened::Eof) => self.machine.eof(),
            Err(_) => self.over = true,
        }
    }
}
