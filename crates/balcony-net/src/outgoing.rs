//! XEP-0495 Happy Eyeballs 0.1.0: a TCP connection to one of a service's endpoints, with RFC 8305's
//! timing, so that a broken path costs a quarter of a second instead of minutes.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

use crate::dns::{Endpoint, LookupError, Resolver};

/// How long connecting may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectTimes {
    /// Between the beginnings of two attempts. Default 250 ms (RFC 8305 §5 "Connection Attempt
    /// Delay").
    pub stagger: Duration,
    /// One attempt. Default 10 s: the third repetition of a lost SYN comes after 7 s.
    pub attempt: Duration,
    /// Everything: names and attempts. Default 30 s, after which whoever sent a stanza should hear
    /// of it.
    pub total: Duration,
}

impl Default for ConnectTimes {
    fn default() -> Self {
        Self {
            stagger: Duration::from_millis(250),
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

/// XEP-0495 §4: how long a host's answer is held back while that of a preferred host is missing
/// (RFC 8305 §8 "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Attempts under way at one time. A host that swallows packets keeps each for its whole time; more
/// would be a burst of connections at one peer.
const MAX_PARALLEL: usize = 8;

/// Attempts in all. Sixteen endpoints of eight addresses would be more, and none of them that
/// comes this late is worth waiting for.
const MAX_ATTEMPTS: usize = 32;

/// A connection, and what it took.
#[derive(Debug)]
pub struct Connected {
    /// Without delay (Nagle), with keepalive.
    pub stream: TcpStream,
    /// Which of the endpoints it is.
    pub endpoint: Endpoint,
    /// Where that is.
    pub address: SocketAddr,
    /// What had failed before.
    pub failed: Vec<Attempt>,
}

/// One attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whom it was for.
    pub endpoint: Endpoint,
    /// Where to; `None` if the host's name led to no address.
    pub address: Option<SocketAddr>,
    /// Why it failed.
    pub reason: AttemptError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port, .. } = &self.endpoint;
        match self.address {
            Some(address) => write!(f, "{host} port {port} at {}: ", address.ip())?,
            None => write!(f, "{host} port {port}: ")?,
        }
        write!(f, "{}", self.reason)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The host has no address.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The system's word: refused, unreachable.
    #[error("{0}")]
    Io(String),
    /// No answer within the time for one attempt, or for all.
    #[error("no answer in time")]
    TimedOut,
}

/// No endpoint could be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// Every attempt, in the order in which they failed.
    pub attempts: Vec<Attempt>,
    /// The time for everything was up before all had been tried.
    pub timed_out: bool,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no server could be connected to")?;
        if self.timed_out {
            write!(f, " in time")?;
        }
        for (index, attempt) in self.attempts.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Connects to the first of `endpoints` that answers, in their order: those of one priority against
/// each other, and the next priority only when all of one have failed (XEP-0495 §4). Has to be
/// called on a runtime.
///
/// # Errors
/// What happened to every attempt.
pub async fn connect(
    resolver: &Resolver,
    endpoints: &[Endpoint],
    times: ConnectTimes,
) -> Result<Connected, ConnectError> {
    let mut journal = Journal {
        failed: Vec::new(),
        open: Vec::new(),
        left: MAX_ATTEMPTS,
    };
    let attempts = async {
        for group in endpoints.chunk_by(|a, b| a.priority == b.priority) {
            let race = Race::new(resolver, group, times, &mut journal);
            if let Some(won) = race.run().await {
                return Some(won);
            }
        }
        None
    };
    let result = timeout(times.total, attempts).await;
    match result {
        Ok(Some((stream, endpoint, address))) => Ok(Connected {
            stream,
            endpoint,
            address,
            failed: journal.failed,
        }),
        Ok(None) => Err(ConnectError {
            attempts: journal.failed,
            timed_out: false,
        }),
        Err(_) => Err(ConnectError {
            attempts: journal.close(),
            timed_out: true,
        }),
    }
}

/// What has been tried, kept outside of the race because the time may be up in the midst of it.
struct Journal {
    failed: Vec<Attempt>,
    /// Lookups (without address) and attempts under way.
    open: Vec<(Endpoint, Option<SocketAddr>)>,
    /// How many attempts may still begin.
    left: usize,
}

impl Journal {
    fn begin(&mut self, endpoint: &Endpoint, address: Option<SocketAddr>) {
        self.open.push((endpoint.clone(), address));
    }

    fn end(&mut self, endpoint: &Endpoint, address: Option<SocketAddr>) {
        let mut open = self.open.iter();
        let found = open.position(|(other, at)| (other, *at) == (endpoint, address));
        if let Some(found) = found {
            self.open.swap_remove(found);
        }
    }

    fn fail(&mut self, endpoint: &Endpoint, address: Option<SocketAddr>, reason: AttemptError) {
        self.failed.push(Attempt {
            endpoint: endpoint.clone(),
            address,
            reason,
        });
    }

    /// The time is up: what is under way has failed too.
    fn close(mut self) -> Vec<Attempt> {
        for (endpoint, address) in std::mem::take(&mut self.open) {
            self.fail(&endpoint, address, AttemptError::TimedOut);
        }
        self.failed
    }
}

type Won = (TcpStream, Endpoint, SocketAddr);

/// The endpoints of one priority.
struct Race<'a> {
    group: &'a [Endpoint],
    times: ConnectTimes,
    journal: &'a mut Journal,
    /// Names that are being looked up, by their place in the group.
    lookups: JoinSet<(usize, Result<Vec<IpAddr>, LookupError>)>,
    /// Attempts under way.
    running: JoinSet<(usize, SocketAddr, Result<TcpStream, AttemptError>)>,
    /// Addresses that are to be tried, by the place of their endpoint.
    waiting: VecDeque<(usize, SocketAddr)>,
    /// The endpoints whose lookup has ended.
    known: Vec<usize>,
    /// No attempt begins before it ends.
    pause: Option<Pin<Box<Sleep>>>,
}

/// What a race waits for.
enum Event {
    Found(usize, Result<Vec<IpAddr>, LookupError>),
    Ended(usize, SocketAddr, Result<TcpStream, AttemptError>),
    MayGoOn,
    /// Nothing is left.
    Over,
}

impl<'a> Race<'a> {
    fn new(
        resolver: &Resolver,
        group: &'a [Endpoint],
        times: ConnectTimes,
        journal: &'a mut Journal,
    ) -> Self {
        let mut lookups = JoinSet::new();
        for (place, endpoint) in group.iter().enumerate() {
            journal.begin(endpoint, None);
            let (resolver, host) = (resolver.clone(), endpoint.host.clone());
            lookups.spawn(async move { (place, resolver.addresses(&host).await) });
        }
        Self {
            group,
            times,
            journal,
            lookups,
            running: JoinSet::new(),
            waiting: VecDeque::new(),
            known: Vec::new(),
            pause: None,
        }
    }

    /// The first connection, or `None` when all have failed.
    async fn run(mut self) -> Option<Won> {
        loop {
            while self.pause.is_none() && self.begin_next() {}
            match self.next_event().await {
                Event::Found(place, found) => self.found(place, found),
                Event::Ended(place, address, Ok(stream)) => {
                    let endpoint = self.group.get(place)?.clone();
                    return Some((stream, endpoint, address));
                }
                Event::Ended(place, address, Err(reason)) => {
                    self.ended(place, Some(address), Some(reason));
                    // RFC 8305 §5: a failure lets the next attempt begin at once.
                    self.pause = None;
                }
                Event::MayGoOn => self.pause = None,
                Event::Over => return None,
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let (lookups, running) = (&mut self.lookups, &mut self.running);
        let pausing = self.pause.is_some() && !self.waiting.is_empty();
        let pause = async {
            match self.pause.as_mut() {
                Some(pause) => pause.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(Ok((place, address, result))) = running.join_next() => {
                Event::Ended(place, address, result)
            }
            Some(Ok((place, found))) = lookups.join_next() => Event::Found(place, found),
            () = pause, if pausing => Event::MayGoOn,
            else => Event::Over,
        }
    }

    fn found(&mut self, place: usize, found: Result<Vec<IpAddr>, LookupError>) {
        let first = self.known.is_empty();
        self.known.push(place);
        let Some(endpoint) = self.group.get(place) else {
            return;
        };
        let (addresses, error) = match found {
            Ok(addresses) => (addresses, None),
            Err(error) => (Vec::new(), Some(error.into())),
        };
        self.ended(place, None, error);
        let port = endpoint.port;
        // XEP-0495 §4: weights, which made the order, go before everything but the address family
        // within a host.
        let before = self.waiting.partition_point(|(other, _)| *other < place);
        for (offset, address) in addresses.into_iter().enumerate() {
            let index = before.saturating_add(offset);
            self.waiting
                .insert(index, (place, SocketAddr::new(address, port)));
        }
        if self.known.contains(&0) {
            if self.running.is_empty() {
                self.pause = None;
            }
        } else if first {
            self.pause = Some(Box::pin(sleep(RESOLUTION_DELAY)));
        }
    }

    /// Begins the next attempt, if there is one and room for it.
    fn begin_next(&mut self) -> bool {
        if self.journal.left == 0 {
            self.waiting.clear();
            self.lookups.abort_all();
        }
        if self.running.len() >= MAX_PARALLEL {
            return false;
        }
        let Some((place, address)) = self.waiting.pop_front() else {
            return false;
        };
        self.journal.left = self.journal.left.saturating_sub(1);
        if let Some(endpoint) = self.group.get(place) {
            self.journal.begin(endpoint, Some(address));
        }
        let time = self.times.attempt;
        self.running
            .spawn(async move { (place, address, attempt(address, time).await) });
        self.pause = Some(Box::pin(sleep(self.times.stagger)));
        true
    }

    /// A lookup or an attempt is over, with `error` if it failed.
    fn ended(&mut self, place: usize, address: Option<SocketAddr>, error: Option<AttemptError>) {
        let Some(endpoint) = self.group.get(place) else {
            return;
        };
        self.journal.end(endpoint, address);
        if let Some(error) = error {
            self.journal.fail(endpoint, address, error);
        }
    }
}

async fn attempt(address: SocketAddr, time: Duration) -> Result<TcpStream, AttemptError> {
    let connected = timeout(time, open(address)).await;
    connected
        .map_err(|_| AttemptError::TimedOut)?
        .map_err(|error| AttemptError::Io(error.to_string()))
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As for the connections that we accept: stanzas are gathered before they are written, and a
    // peer that vanished is found at last.
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_keepalive(true)?;
    socket.connect(address).await
}
