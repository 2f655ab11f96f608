//! The loop: one thread, one poll, all streams.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use balcony_stream::initiating::Initiating;
use mio::{Events, Interest, Poll, Token};
use rustls::HandshakeKind;

use super::link::{Drained, Link, READ_BYTES};
use super::session::{Bound, Session, Stage};
use super::timer::Timer;
use super::tls::Connector;
use crate::error::{Error, Result};

/// The timer's token; sessions count from zero.
const TIMER: Token = Token(usize::MAX);

/// Wake-ups taken in one turn. More would only let what is to be sent wait longer.
const EVENTS: usize = 1024;

/// How long an orderly end may take; then the sockets are dropped.
const CLOSING: Duration = Duration::from_secs(10);

/// What the load does with what comes. Anything sent is written at the end of the turn.
pub(crate) trait Load {
    /// A stream stands.
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()>;

    /// A first-level element came. Pings and other requests were answered already.
    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()>;

    /// The server asks for something. Whether the load has answered; else it is answered as by a
    /// client that knows pings and roster pushes alone.
    fn asked(&mut self, _: &mut Engine, _session: usize, _request: &[u8]) -> bool {
        false
    }

    /// Stream management is enabled ([`Engine::manage`]).
    fn managed(&mut self, _: &mut Engine, _session: usize) -> Result<()> {
        Ok(())
    }

    /// The server has handled a stanza, that was sent with this time.
    fn acknowledged(&mut self, _: &mut Engine, _session: usize, _nanos: u64) {}

    /// A stream failed, or the load refused what came on it. An error ends the case.
    fn failed(&mut self, _: &mut Engine, _session: usize, error: Error) -> Result<()> {
        Err(error)
    }
}

/// All streams. A session is named by its number, in the order of their connection.
pub(crate) struct Engine {
    pub(super) poll: Poll,
    events: Events,
    timer: Timer,
    pub(super) sessions: Vec<Session>,
    /// Connections that sessions have left without a word.
    pub(super) former: Vec<Link>,
    pub(super) connector: Option<Connector>,
    /// Sessions with something to write.
    pub(super) dirty: Vec<usize>,
    raw: Vec<u8>,
    input: Vec<u8>,
    /// Pings of the server that were answered.
    pub(super) pings: u64,
    closing: bool,
    closed: usize,
}

impl Engine {
    /// `connector`: for streams under TLS.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn new(connector: Option<Connector>) -> Result<Engine> {
        let poll = Poll::new().map_err(Error::io("making a poll"))?;
        Ok(Engine {
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            events: Events::with_capacity(EVENTS),
            sessions: Vec::new(),
            former: Vec::new(),
            connector,
            dirty: Vec::new(),
            raw: vec![0; READ_BYTES],
            input: vec![0; READ_BYTES],
            pings: 0,
            closing: false,
            closed: 0,
        })
    }

    /// Connections begun from now on are encrypted by this one. No handshake may be under way.
    pub(crate) fn trust(&mut self, connector: Option<Connector>) {
        self.connector = connector;
    }

    /// Connects; `stream` negotiates, without one the bare connection is used. `tls_first`: TLS
    /// comes before all else.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Tls`].
    pub(crate) fn connect(
        &mut self,
        address: SocketAddr,
        who: String,
        stream: Option<Initiating>,
        tls_first: bool,
    ) -> Result<usize> {
        let number = self.sessions.len();
        let link = self.link(address, number, tls_first)?;
        let mut session = Session::new(link, who, stream);
        session.outputs(self.connector.as_ref())?;
        self.sessions.push(session);
        Ok(number)
    }

    pub(super) fn link(
        &self,
        address: SocketAddr,
        session: usize,
        tls_first: bool,
    ) -> Result<Link> {
        let mut link = Link::connect(address)?;
        if let (true, Some(connector)) = (tls_first, &self.connector) {
            link.start_tls(connector)?;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let registered = registry.register(&mut link.socket, Token(session), interest);
        registered.map_err(Error::io("watching a socket"))?;
        Ok(link)
    }

    /// How many of the connections have taken up the TLS session of one before them.
    pub(crate) fn resumed_tls(&self) -> usize {
        let tls = self
            .sessions
            .iter()
            .filter_map(|session| session.link.tls());
        tls.filter(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
            .count()
    }

    /// How many sessions there are.
    pub(crate) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// How many pings of the server were answered (XEP-0199).
    pub(crate) fn pings(&self) -> u64 {
        self.pings
    }

    /// Sends at the end of this turn.
    pub(crate) fn send(&mut self, session: usize, bytes: &[u8]) {
        self.write(session, |out| out.extend_from_slice(bytes));
    }

    /// As [`Engine::send`], written in place.
    pub(crate) fn write(&mut self, session: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(found) = self.sessions.get_mut(session) else {
            return;
        };
        if !found.link.is_behind() {
            self.dirty.push(session);
        }
        write(found.link.out());
    }

    /// Ends the wait of [`Engine::turn`] at that moment, if nothing else does before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn tick_at(&mut self, at: Instant) -> Result<()> {
        self.timer.set(at)
    }

    /// Waits until something comes or `wait` is over, and handles it.
    ///
    /// # Errors
    /// Those of the load, and [`Error::Login`] or [`Error::Closed`] when a stream fails.
    pub(crate) fn turn(&mut self, load: &mut dyn Load, wait: Duration) -> Result<()> {
        self.flush_dirty(load)?;
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(Error::io("polling"))?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut result = Ok(());
        for event in &events {
            match event.token() {
                TIMER => self.timer.taken(),
                Token(session) if result.is_ok() => {
                    let woken = self.wake(session, load);
                    result = woken.or_else(|error| load.failed(self, session, error));
                }
                _ => {}
            }
        }
        self.events = events;
        result.and_then(|()| self.flush_dirty(load))
    }

    /// Turns until `done` says so.
    ///
    /// # Errors
    /// As [`Engine::turn`], and [`Error::Timeout`] after `limit`.
    pub(crate) fn turn_until<L: Load>(
        &mut self,
        load: &mut L,
        limit: Duration,
        what: &str,
        done: impl Fn(&L) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + limit;
        while !done(load) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout(what.to_owned()));
            }
            self.turn(load, left)?;
        }
        Ok(())
    }

    /// Ends all streams in order and drops them. Nothing that still comes counts.
    ///
    /// # Errors
    /// [`Error::Io`] of the poll.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.closing = true;
        let until = Instant::now() + CLOSING;
        for session in 0..self.sessions.len() {
            let over = |found: &Session| found.bare || matches!(found.stage, Stage::Closed);
            if self.sessions.get(session).is_some_and(over) {
                self.closed += 1;
            } else {
                self.leave(session);
            }
        }
        while self.closed < self.sessions.len() && Instant::now() < until {
            self.turn(&mut Deaf, Duration::from_millis(100))?;
        }
        self.sessions.clear();
        self.former.clear();
        self.dirty.clear();
        self.closing = false;
        self.closed = 0;
        Ok(())
    }

    fn flush_dirty(&mut self, load: &mut dyn Load) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for session in dirty.drain(..) {
            if let Some(found) = self.sessions.get_mut(session)
                && !matches!(found.stage, Stage::Closed)
                && let Err(error) = found.link.flush()
            {
                let lost = self.lost(session, Error::io("writing")(error));
                lost.or_else(|error| load.failed(self, session, error))?;
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    fn wake(&mut self, session: usize, load: &mut dyn Load) -> Result<()> {
        loop {
            let Some(found) = self.sessions.get_mut(session) else {
                return Ok(());
            };
            if matches!(found.stage, Stage::Closed) {
                return Ok(());
            }
            if found.link.is_behind()
                && let Err(error) = found.link.flush()
            {
                return self.lost(session, Error::io("writing")(error));
            }
            let (count, drained) = match found.link.read(&mut self.raw, &mut self.input) {
                Ok(read) => read,
                Err(error) => {
                    let who = found.who.clone();
                    return self.lost(session, Error::io(format!("reading of {who}"))(error));
                }
            };
            let input = std::mem::take(&mut self.input);
            let result = self.take(session, input.get(..count).unwrap_or_default(), load);
            self.input = input;
            result?;
            match drained {
                Drained::More => {}
                Drained::Empty => return Ok(()),
                Drained::Eof => return self.eof(session),
            }
        }
    }

    /// Who a session is.
    pub(crate) fn who(&self, session: usize) -> &str {
        self.sessions.get(session).map_or("?", |found| &found.who)
    }

    pub(super) fn eof(&mut self, session: usize) -> Result<()> {
        let Some(found) = self.sessions.get_mut(session) else {
            return Ok(());
        };
        let error = found.eof();
        self.lost(session, error)
    }

    /// A stream is at its end: an error unless all are being closed.
    pub(super) fn lost(&mut self, session: usize, error: Error) -> Result<()> {
        if !self.closing {
            return Err(error);
        }
        if let Some(found) = self.sessions.get_mut(session)
            && !matches!(found.stage, Stage::Closed)
        {
            found.stage = Stage::Closed;
            self.closed += 1;
        }
        Ok(())
    }
}

/// For the end of the streams.
struct Deaf;

impl Load for Deaf {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
