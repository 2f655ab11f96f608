//! The bare relay: what the machine takes to carry the bytes of a chat, with no XMPP at all.
//! Nothing that routes messages can cost less.

mod handshakes;
mod server;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use clap::Args;

use crate::commands::chat::Shape;
use crate::error::{Error, Result};
use crate::measure::Report;
use crate::options::{Load, Timing, Tls, bounded};
use crate::traffic::{Place, Traffic};
use crate::wire::tls::Connector;
use crate::wire::{self, Bound, Engine};

/// How long the connections may take.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Measure a server that only copies bytes from each sender to its receivers, one write a copy. It
/// is started as a process of its own; the messages are those of `chat`. With --handshakes it does
/// nothing but those.
#[derive(Args, Debug)]
pub(crate) struct Relay {
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    shape: Shape,
    /// Receivers of each sender, each of which gets a copy
    #[arg(long, default_value_t = 1, value_parser = bounded(1, 10_000))]
    fanout: u64,
    /// `direct`: under TLS
    #[arg(long, value_enum, default_value_t = Tls::None)]
    tls: Tls,
    /// In place of messages: connections that end when their TLS handshake is done, so many in each
    /// run. Of the other options only --parallel, --runs and --json count
    #[arg(long, value_parser = bounded(1, 10_000_000))]
    handshakes: Option<u64>,
    /// Handshakes under way at a time
    #[arg(long, default_value_t = 32, value_parser = bounded(1, 10_000))]
    parallel: u64,
    /// Append the results to this file, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// With --listen: welcome whoever connects, as --handshakes needs it
    #[arg(long, requires = "listen")]
    greet: bool,
    /// Be the server, on this loopback address, until killed; print the address
    #[arg(long)]
    listen: Option<SocketAddr>,
}

impl Relay {
    pub(crate) fn run(&self) -> Result<()> {
        if self.tls == Tls::Starttls {
            return Err(Error::Usage(
                "the relay speaks no XMPP: --tls none or direct".into(),
            ));
        }
        match self.listen {
            Some(address) if address.ip().is_loopback() => {
                server::serve(address, self.tls == Tls::Direct, self.greet)
            }
            Some(address) => Err(Error::Usage(format!("{address} is not on loopback"))),
            None => match self.handshakes {
                Some(count) => self.shake_hands(count),
                None => self.measure(),
            },
        }
    }

    fn shake_hands(&self, count: u64) -> Result<()> {
        let server = Server::start(Tls::Direct, &["--greet"])?;
        let mut report = Report::new("handshake-direct", "relay");
        report.set("handshakes", count);
        report.set("parallel", self.parallel);
        handshakes::measure(&server, count, self.parallel, self.timing.runs, &mut report)?;
        report.publish(self.json.as_deref())
    }

    fn measure(&self) -> Result<()> {
        let server = Server::start(self.tls, &[])?;
        let connector = (self.tls == Tls::Direct).then(|| Connector::new("localhost", None));
        let mut engine = Engine::new(connector.transpose()?)?;
        let (pairs, fanout) = (self.shape.pairs as usize, self.fanout as usize);
        // Receivers first: what is sent before they stand would be lost.
        let mut greeting = Greeting {
            receivers: pairs * fanout,
            pairs,
            greeted: 0,
        };
        for session in 0..pairs * fanout + pairs {
            engine.connect(server.address, format!("connection {session}"), None, true)?;
            let all = |greeting: &Greeting| greeting.greeted > session;
            engine.turn_until(&mut greeting, LIMIT, "the relay", all)?;
        }
        let to = "bench1@localhost";
        let route = |pair| self.shape.route(pairs * fanout + pair, fanout, to);
        let places = move |session: usize, pair| match session / fanout == pair {
            true => Place::At(session % fanout),
            false => Place::Nowhere,
        };
        let mut traffic = Traffic::new("message", (0..pairs).map(route).collect(), places);
        let plan = self.load.plan(&self.timing, &[server.process.id()]);
        let mut report = self.load.report("chat", self.tls, "relay");
        self.shape.tell(&mut report);
        report.set("fanout", self.fanout);
        let faults = traffic.repeat(&mut engine, &plan, self.timing.runs, &mut report)?;
        report.publish(self.json.as_deref())?;
        faults.verdict()
    }
}

/// The bytes by which a connection says what it is, and the answer.
pub(super) const HELLO_BYTES: usize = 8;
pub(super) const WELCOME: &[u8] = b"<welcome/>";

/// Tells the relay who sends to whom. Sessions count receivers first.
struct Greeting {
    receivers: usize,
    pairs: usize,
    greeted: usize,
}

impl wire::Load for Greeting {
    fn ready(&mut self, engine: &mut Engine, session: usize, _: Bound) -> Result<()> {
        let (role, pair) = match session.checked_sub(self.receivers) {
            Some(pair) => ('S', pair),
            None => ('R', session * self.pairs / self.receivers.max(1)),
        };
        engine.send(session, format!("{role}{pair:07}").as_bytes());
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, _: &[u8]) -> Result<()> {
        self.greeted += 1;
        Ok(())
    }
}

/// The relay's process, which ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(tls: Tls, more: &[&str]) -> Result<Server> {
        let failed = || Error::io("starting the relay");
        let program = std::env::current_exe().map_err(failed())?;
        let mut process = Command::new(program)
            .args(["relay", "--listen", "127.0.0.1:0", "--tls", tls.as_str()])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed())?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(failed())?;
        }
        let address = line.trim().parse();
        let address = address.map_err(|_| Error::Usage("the relay did not start".into()))?;
        Ok(Server { process, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
