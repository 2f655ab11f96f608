//! Users that log in, stay no longer than that takes, and end their streams in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fleet::{self, Clients};
use crate::measure::Histogram;
use crate::order::Faults;
use crate::traffic::{Due, Kind, Pace, Paced};
use crate::wire::{Bound, Engine, Former, Load};

/// Visits of users in rotation. Sessions are used again, so that a million of them take the memory
/// of those that are under way at a time.
pub(crate) struct Visits<'a, 'b> {
    clients: &'a mut Clients<'b>,
    /// Sessions below this one are of others.
    first: usize,
    /// By session, from the first one on.
    visits: Vec<Visit>,
    /// Sessions in which nobody is.
    free: Vec<usize>,
    /// Users that are not here, first who has not been for longest.
    away: VecDeque<usize>,
    /// When visits were due that wait until somebody is away.
    waiting: VecDeque<Instant>,
    /// With stream management (XEP-0198).
    managed: bool,
    /// When the next ones are due, where they are at a steady rate.
    due: Option<Due>,
    begun: u64,
    done: u64,
    /// Of those that are done, the ones that do not count.
    uncounted: u64,
    /// From when a visit was due until all of its hello was answered.
    latency: Histogram,
}

/// What a session is used for now.
#[derive(Debug)]
struct Visit {
    user: usize,
    since: Instant,
    leaving: bool,
}

impl<'a, 'b> Visits<'a, 'b> {
    /// Of these users, in the sessions from `first` on, of which there are none yet.
    pub(crate) fn new(clients: &'a mut Clients<'b>, first: usize, users: Range<usize>) -> Self {
        Visits {
            clients,
            first,
            visits: Vec::new(),
            free: Vec::new(),
            away: users.collect(),
            waiting: VecDeque::new(),
            managed: false,
            due: None,
            begun: 0,
            done: 0,
            uncounted: 0,
            latency: Histogram::new(),
        }
    }

    /// Every visitor enables stream management before it leaves.
    pub(crate) fn managed(self, managed: bool) -> Self {
        Visits { managed, ..self }
    }

    /// So many visits, `parallel` at a time.
    ///
    /// # Errors
    /// Those of the engine; [`Error::Timeout`] when none ends for as long as `limit`.
    pub(crate) fn many(
        &mut self,
        engine: &mut Engine,
        count: u64,
        parallel: u64,
        limit: Duration,
    ) -> Result<()> {
        let (until, begin) = (self.done + count, self.begun);
        let (mut done, mut last) = (self.done, Instant::now());
        while self.done < until {
            while self.begun - begin < count && self.begun - self.done < parallel {
                self.invite(engine, Instant::now())?;
            }
            engine.turn(self, Duration::from_secs(1))?;
            if self.done > done {
                (done, last) = (self.done, Instant::now());
            } else if last.elapsed() > limit {
                return Err(Error::Timeout("the visits".into()));
            }
        }
        self.clients.save_keys()
    }

    /// The next user comes, or the next that leaves comes back. The visit counts from `since` on.
    ///
    /// # Errors
    /// Those of [`Engine::connect`].
    fn invite(&mut self, engine: &mut Engine, since: Instant) -> Result<()> {
        self.begun += 1;
        self.waiting.push_back(since);
        self.next(engine)
    }

    fn next(&mut self, engine: &mut Engine) -> Result<()> {
        let Some(user) = self.away.pop_front() else {
            return Ok(());
        };
        let Some(since) = self.waiting.pop_front() else {
            self.away.push_front(user);
            return Ok(());
        };
        let visit = Visit {
            user,
            since,
            leaving: false,
        };
        let stream = self.clients.stream(user, Former::default())?;
        let (address, who, tls_first) = self.clients.door(user)?;
        let Some(session) = self.free.pop() else {
            self.visits.push(visit);
            engine.connect(address, who, Some(stream), tls_first)?;
            return Ok(());
        };
        if let Some(found) = self.visits.get_mut(session - self.first) {
            *found = visit;
        }
        engine.replace(session, address, who, Some(stream), tls_first)
    }

    /// Everything that was to be done is; the stream ends.
    fn leave(&mut self, engine: &mut Engine, session: usize) {
        if let Some(visit) = self.visit(session) {
            visit.leaving = true;
            engine.leave(session);
        }
    }

    fn visit(&mut self, session: usize) -> Option<&mut Visit> {
        self.visits.get_mut(session.checked_sub(self.first)?)
    }
}

impl Load for Visits<'_, '_> {
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()> {
        let hello = self.clients.hello(&bound, fleet::Hello::Client);
        self.clients.learn(engine.who(session), bound);
        fleet::say(engine, session, &hello);
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if !fleet::answers_hello(stanza) {
            return Ok(());
        }
        let Some(visit) = self.visit(session) else {
            return Ok(());
        };
        let took = visit.since.elapsed();
        self.latency.record_nanos(took.as_nanos() as u64);
        match self.managed {
            true => engine.manage(session, None),
            false => self.leave(engine, session),
        }
        Ok(())
    }

    fn managed(&mut self, engine: &mut Engine, session: usize) -> Result<()> {
        self.leave(engine, session);
        Ok(())
    }

    fn failed(&mut self, engine: &mut Engine, session: usize, error: Error) -> Result<()> {
        let left = self.visit(session).filter(|visit| visit.leaving);
        let (Some(visit), true) = (left, error.is_plain_end()) else {
            return Err(error);
        };
        let user = visit.user;
        engine.cut(session, false)?;
        self.away.push_back(user);
        self.free.push(session);
        self.done += 1;
        self.next(engine)
    }
}

impl Paced for Visits<'_, '_> {
    fn pump(&mut self, engine: &mut Engine, now: Instant) -> Result<()> {
        while let Some(due) = &mut self.due
            && let Some(at) = due.pop(now)
        {
            self.invite(engine, at)?;
        }
        Ok(())
    }

    fn next(&self) -> Option<Instant> {
        self.due.as_ref().map(Due::next)
    }

    fn is_settled(&self) -> bool {
        self.begun == self.done
    }
}

impl Kind for Visits<'_, '_> {
    /// At a rate only: `Pace::Window` is nothing that visits have, and then none come.
    fn begin(&mut self, _: &mut Engine, pace: Pace) {
        self.due = Due::new(pace, Instant::now());
    }

    fn forget(&mut self) {
        self.uncounted = self.done;
        self.latency = Histogram::new();
    }

    fn done(&self) -> f64 {
        (self.done - self.uncounted) as f64
    }

    fn stop(&mut self, _: &mut Engine) {
        self.due = None;
    }

    fn latency(&self) -> &Histogram {
        &self.latency
    }

    fn faults(&self) -> Faults {
        Faults {
            lost: self.begun - self.done,
            ..Faults::default()
        }
    }
}
