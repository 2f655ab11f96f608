//! TLS handshakes and nothing else: no login over TLS can cost less.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{LIMIT, Server};
use crate::error::{Error, Result};
use crate::measure::{Histogram, Meter, Report, Run};
use crate::wire::tls::Connector;
use crate::wire::{Bound, Engine, Load};

/// Of the handshakes of a run, this share goes before them and does not count.
const WARM_UP: u64 = 10;

/// Measures so many runs of `count` handshakes each.
///
/// # Errors
/// Those of the engine, [`Error::Timeout`].
pub(super) fn measure(
    server: &Server,
    count: u64,
    parallel: u64,
    runs: u64,
    report: &mut Report,
) -> Result<()> {
    let connector = Connector::new("localhost", None)?;
    let warm_up = count.div_ceil(WARM_UP);
    Handshakes::new(server.address, warm_up).run(&connector, parallel)?;
    for _ in 0..runs {
        let meter = Meter::start(&[server.process.id()])?;
        let mut handshakes = Handshakes::new(server.address, count);
        handshakes.run(&connector, parallel)?;
        let spent = meter.spent()?;
        let mut run = Run::default();
        run.add("all_ms", "ms", spent.elapsed.as_secs_f64() * 1e3);
        let rate = handshakes.done as f64 / spent.elapsed.as_secs_f64();
        run.add("per_s", "1/s", rate);
        run.cpu(&spent, handshakes.done, ["server_us", "own_us"]);
        run.latency(&handshakes.latency);
        report.push(run);
    }
    Ok(())
}

/// Connections that follow one another in a few sessions.
struct Handshakes {
    address: SocketAddr,
    count: u64,
    begun: u64,
    done: u64,
    /// When the connection of each session began.
    since: Vec<Instant>,
    /// Sessions that were welcome in this turn.
    over: Vec<usize>,
    /// From the connection to the welcome, when both sides are done.
    latency: Histogram,
}

impl Handshakes {
    fn new(address: SocketAddr, count: u64) -> Handshakes {
        Handshakes {
            address,
            count,
            begun: 0,
            done: 0,
            since: Vec::new(),
            over: Vec::new(),
            latency: Histogram::new(),
        }
    }

    fn run(&mut self, connector: &Connector, parallel: u64) -> Result<()> {
        let mut engine = Engine::new(Some(connector.clone()))?;
        for session in 0..parallel.min(self.count) {
            self.since.push(Instant::now());
            self.begun += 1;
            engine.connect(self.address, format!("connection {session}"), None, true)?;
        }
        let mut last = Instant::now();
        while self.done < self.count {
            engine.turn(self, Duration::from_secs(1))?;
            if !self.over.is_empty() {
                last = Instant::now();
            } else if last.elapsed() > LIMIT {
                return Err(Error::Timeout("the handshakes".into()));
            }
            for session in std::mem::take(&mut self.over) {
                self.next(&mut engine, session)?;
            }
        }
        Ok(())
    }

    /// Ends a connection, and begins the next one in its place if there is one.
    fn next(&mut self, engine: &mut Engine, session: usize) -> Result<()> {
        engine.cut(session, false)?;
        if self.begun == self.count {
            return Ok(());
        }
        self.begun += 1;
        if let Some(since) = self.since.get_mut(session) {
            *since = Instant::now();
        }
        let who = engine.who(session).to_owned();
        engine.replace(session, self.address, who, None, true)
    }
}

impl Load for Handshakes {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, session: usize, _: &[u8]) -> Result<()> {
        if let Some(since) = self.since.get(session) {
            let took = since.elapsed();
            self.latency.record_nanos(took.as_nanos() as u64);
        }
        self.done += 1;
        self.over.push(session);
        Ok(())
    }
}
