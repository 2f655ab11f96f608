//! Everybody on the way back at once.

use std::net::SocketAddr;

use balcony_proto::sasl::Mechanism;
use balcony_stream::initiating::Resumption;

use super::absence::Absence;
use crate::error::{Error, Result};
use crate::measure::Histogram;
use crate::options::{Target, Tls};
use crate::order::Faults;
use crate::stamp::Reader;
use crate::wire::{Bound, Engine, Load, markup};

/// The sessions that come back, by their numbers.
pub(super) struct Storm {
    address: SocketAddr,
    tls_first: bool,
    absences: Vec<Absence>,
    /// Who sets out next.
    next: usize,
    /// Came back or failed.
    over: usize,
    /// Messages that wait for each.
    missed: u32,
    /// Everybody has to come back by a token.
    pub(super) tokens: bool,
    /// In the stamps of these messages.
    run: u32,
    reader: Reader,
    latency: Histogram,
    failure: Option<Error>,
}

impl Storm {
    /// Before anybody sets out.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(super) fn new(
        target: &Target,
        absences: Vec<Absence>,
        missed: u32,
        run: u32,
    ) -> Result<Storm> {
        Ok(Storm {
            address: target.address()?,
            tls_first: target.tls == Tls::Direct,
            absences,
            next: 0,
            over: 0,
            missed,
            tokens: false,
            run,
            reader: Reader::new(),
            latency: Histogram::new(),
            failure: None,
        })
    }

    /// The first so many set out; each one that comes back lets another go.
    ///
    /// # Errors
    /// Those of [`Engine::reconnect`].
    pub(super) fn begin(&mut self, engine: &mut Engine, at_once: u64) -> Result<()> {
        (0..at_once).try_for_each(|_| self.next(engine))
    }

    fn next(&mut self, engine: &mut Engine) -> Result<()> {
        let session = self.next;
        let absence = self.absences.get_mut(session);
        let Some(stream) = absence.and_then(Absence::set_out) else {
            return Ok(());
        };
        self.next += 1;
        engine.reconnect(session, self.address, stream, self.tls_first)
    }

    /// Everybody is back, or never will be.
    pub(super) fn is_over(&self) -> bool {
        self.over == self.absences.len()
    }

    /// From setting out to being back.
    pub(super) fn latency(&self) -> &Histogram {
        &self.latency
    }

    pub(super) fn failures(&self) -> usize {
        let failed = self.absences.iter().filter(|absence| absence.has_failed());
        failed.count()
    }

    /// The reason of the first failure.
    pub(super) fn into_failure(self) -> Option<Error> {
        self.failure
    }

    /// Of the messages that were sent to the absent, `missed` to each.
    pub(super) fn faults(&self, missed: u32) -> Faults {
        let mut all = Faults::default();
        for absence in &self.absences {
            all.add(absence.faults(missed));
        }
        all
    }

    /// What the server did not do as a session came back.
    fn wrong(&self, bound: Bound, unacknowledged: usize) -> Option<&'static str> {
        let stream = bound.stream?;
        if !matches!(stream.resumption, Some(Resumption::Resumed(_))) {
            return Some("did not resume the stream of");
        }
        if self.tokens && !Mechanism::FAST.contains(&stream.mechanism) {
            return Some("did not take the token of");
        }
        // Everything was acknowledged before.
        (unacknowledged > 0).then_some("forgot stanzas of")
    }

    fn failure(&mut self, engine: &mut Engine, session: usize, error: Error) -> Result<()> {
        let Some(absence) = self.absences.get_mut(session) else {
            return Err(error);
        };
        if absence.has_failed() {
            return Ok(());
        }
        if !absence.fail() {
            // It was back and is gone again.
            return Err(error);
        }
        self.over += 1;
        self.failure.get_or_insert(error);
        engine.cut(session, false)?;
        self.next(engine)
    }
}

impl Load for Storm {
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()> {
        let wrong = self.wrong(bound, engine.unacknowledged(session));
        if let Some(wrong) = wrong {
            let error = Error::Refused(format!("it {wrong} {}", engine.who(session)));
            return self.failure(engine, session, error);
        }
        let Some(absence) = self.absences.get_mut(session) else {
            return Ok(());
        };
        if let Some(took) = absence.resumed(self.missed) {
            self.latency.record_nanos(took.as_nanos() as u64);
            self.over += 1;
            return self.next(engine);
        }
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        let stamp = match markup::is(stanza, "message") {
            true => self
                .reader
                .read(stanza)
                .filter(|stamp| stamp.run == self.run),
            false => None,
        };
        let Some(stamp) = stamp else { return Ok(()) };
        if stamp.route as usize != session {
            let what = "what is for somebody else";
            return Err(Error::unexpected(engine.who(session), what, stanza));
        }
        let absence = self.absences.get_mut(session);
        if let Some(took) = absence.and_then(|absence| absence.message(stamp.number, self.missed)) {
            self.latency.record_nanos(took.as_nanos() as u64);
            self.over += 1;
            return self.next(engine);
        }
        Ok(())
    }

    fn failed(&mut self, engine: &mut Engine, session: usize, error: Error) -> Result<()> {
        match error {
            Error::Login { .. } | Error::Closed { .. } | Error::Io { .. } | Error::Tls(_) => {
                self.failure(engine, session, error)
            }
            other => Err(other),
        }
    }
}
