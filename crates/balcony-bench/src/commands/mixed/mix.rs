//! All kinds at once, each at its own rate.

use std::time::{Duration, Instant};

use crate::commands::mam::Pages;
use crate::error::{Error, Result};
use crate::measure::{Meter, Run};
use crate::order::Faults;
use crate::stamp::Reader;
use crate::traffic::{Kind, Pace, Paced, Traffic, settle, turn_until};
use crate::visits::Visits;
use crate::wire::{Bound, Engine, Load};

/// One kind, and how many of it are due in a second at scale one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// Its values begin with this.
    pub(super) name: &'static str,
    pub(super) per_second: f64,
    /// Each has a number on its way, and can come twice or late.
    numbered: bool,
}

const fn part(name: &'static str, per_second: f64, numbered: bool) -> Part {
    Part {
        name,
        per_second,
        numbered,
    }
}

const CHAT: Part = part("chat", 1000.0, true);
const PRESENCE: Part = part("presence", 50.0, true);
const ROOM: Part = part("room", 20.0, true);
const PAGE: Part = part("mam", 50.0, false);
const LOGIN: Part = part("login", 20.0, false);

/// The mix at scale one.
pub(super) const PARTS: [Part; 5] = [CHAT, PRESENCE, ROOM, PAGE, LOGIN];

/// Of what is due, what has to be done.
const ENOUGH: f64 = 0.95;

/// The 99th percentile that is too long.
const TOO_LONG: Duration = Duration::from_secs(1);

/// Over this the generator's only thread is itself what limits.
const BUSY_CORES: f64 = 0.85;

/// The kinds under way together. Sessions are first those of the people, then of those who read
/// their archives, then of those who come and go.
pub(super) struct Mix<'m, 'b> {
    pub(super) chat: Traffic,
    pub(super) presence: Traffic,
    pub(super) rooms: Traffic,
    /// `None` without archives.
    pub(super) pages: Option<Pages>,
    pub(super) visits: Visits<'m, 'b>,
    pub(super) first_reader: usize,
    pub(super) first_visitor: usize,
    pub(super) reader: Reader,
}

/// How fast, and how long.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) scale: f64,
    pub(super) warmup: Duration,
    pub(super) seconds: Duration,
    /// The server's processes.
    pub(super) server: Vec<u32>,
}

/// What came out of a step.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) run: Run,
    pub(super) faults: Faults,
    /// Why the server cannot do as much as that.
    pub(super) behind: Vec<String>,
    pub(super) remarks: Vec<String>,
}

impl Mix<'_, '_> {
    /// The kinds that there are.
    fn kinds(&mut self) -> impl Iterator<Item = (Part, &mut dyn Kind)> {
        let pages = self.pages.as_mut();
        let pages = pages.map(|pages| (PAGE, pages as &mut dyn Kind));
        let others = [
            (CHAT, &mut self.chat as &mut dyn Kind),
            (PRESENCE, &mut self.presence),
            (ROOM, &mut self.rooms),
            (LOGIN, &mut self.visits),
        ];
        others.into_iter().chain(pages)
    }

    /// Warms up, measures, and waits for the last ones.
    ///
    /// # Errors
    /// Those of the engine and of the kinds.
    pub(super) fn run(&mut self, engine: &mut Engine, step: &Step) -> Result<Outcome> {
        for (part, kind) in self.kinds() {
            kind.begin(engine, Pace::Rate(part.per_second * step.scale));
        }
        turn_until(engine, self, Instant::now() + step.warmup)?;
        self.kinds().for_each(|(_, kind)| kind.forget());
        let meter = Meter::start(&step.server)?;
        turn_until(engine, self, Instant::now() + step.seconds)?;
        let spent = meter.spent()?;
        let done: Vec<f64> = self.kinds().map(|(_, kind)| kind.done()).collect();
        self.kinds().for_each(|(_, kind)| kind.stop(engine));
        settle(engine, self)?;

        let seconds = spent.elapsed.as_secs_f64();
        let mut outcome = Outcome::default();
        if let Some(server) = spent.server {
            let cores = server.as_secs_f64() / seconds;
            outcome.run.add("server_cores", "cores", cores);
        }
        let own = spent.own.as_secs_f64() / seconds;
        outcome.run.add("own_cores", "cores", own);
        let others = spent.others.as_secs_f64() / seconds;
        outcome.run.add("other_cores", "cores", others);
        if own > BUSY_CORES {
            let text = "the generator was busy nearly all the time: it is a part of what is slow";
            outcome.remarks.push(text.into());
        }
        for ((part, kind), done) in self.kinds().zip(done) {
            outcome.take(part, kind, done, seconds, step.scale);
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// Of one kind: what was done, and how long it took.
    fn take(&mut self, part: Part, kind: &mut dyn Kind, done: f64, seconds: f64, scale: f64) {
        let (name, run) = (part.name, &mut self.run);
        run.add(format!("{name}_per_s"), "1/s", done / seconds);
        run.add(format!("{name}_done"), "", done.floor());
        let names = ["p50_ms", "p99_ms", "max_ms"].map(|point| format!("{name}_{point}"));
        run.latency_as(kind.latency(), names);
        let faults = kind.faults();
        run.add(format!("{name}_lost"), "", faults.lost as f64);
        if part.numbered {
            let duplicated = faults.duplicated as f64;
            run.add(format!("{name}_duplicated"), "", duplicated);
            run.add(format!("{name}_reordered"), "", faults.reordered as f64);
        }
        self.faults.add(faults);
        self.remarks.extend(kind.wrong());
        let due = part.per_second * scale * seconds;
        let p99 = kind.latency().quantile(0.99);
        if !holds(done, due, p99) {
            let share = 100.0 * done / due;
            let millis = p99.as_millis();
            self.behind.push(format!(
                "{name}: {share:.0} % of what was due, p99 {millis} ms"
            ));
        }
    }

    /// Whether the server did all that it had to.
    pub(super) fn holds(&self) -> bool {
        self.behind.is_empty() && self.faults == Faults::default()
    }
}

/// Whether enough of what was due was done in time. One may be on its way, which is much where they
/// are few.
fn holds(done: f64, due: f64, p99: Duration) -> bool {
    done + 1.0 >= due * ENOUGH && p99 <= TOO_LONG
}

impl Load for Mix<'_, '_> {
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()> {
        self.visits.ready(engine, session, bound)
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if session >= self.first_visitor {
            return self.visits.stanza(engine, session, stanza);
        }
        if session >= self.first_reader {
            return match &mut self.pages {
                Some(pages) => pages.stanza(engine, session, stanza),
                None => Ok(()),
            };
        }
        let Some(stamp) = self.reader.read(stanza) else {
            return Ok(());
        };
        let kinds = [&mut self.chat, &mut self.presence, &mut self.rooms];
        match kinds.into_iter().find(|kind| kind.owns(stamp)) {
            Some(kind) => kind.take(engine, session, stamp, stanza),
            None => Ok(()),
        }
    }

    fn failed(&mut self, engine: &mut Engine, session: usize, error: Error) -> Result<()> {
        self.visits.failed(engine, session, error)
    }
}

impl Paced for Mix<'_, '_> {
    fn pump(&mut self, engine: &mut Engine, now: Instant) -> Result<()> {
        self.kinds()
            .try_for_each(|(_, kind)| kind.pump(engine, now))
    }

    fn next(&self) -> Option<Instant> {
        let messages = [&self.chat, &self.presence, &self.rooms];
        let messages = messages.into_iter().filter_map(|kind| kind.next());
        let pages = self.pages.as_ref().and_then(|pages| pages.next());
        messages.chain(pages).chain(self.visits.next()).min()
    }

    fn is_settled(&self) -> bool {
        let messages = [&self.chat, &self.presence, &self.rooms];
        messages.into_iter().all(|kind| kind.is_settled())
            && self.pages.as_ref().is_none_or(|pages| pages.is_settled())
            && self.visits.is_settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_nearly_all_and_soon() {
        let (soon, late) = (Duration::from_millis(999), Duration::from_millis(1001));
        assert!(holds(950.0, 1000.0, soon));
        assert!(!holds(948.0, 1000.0, soon));
        assert!(!holds(1000.0, 1000.0, late));
        assert!(holds(7.0, 8.0, soon), "one is on its way");
        assert!(!holds(6.0, 8.0, soon));
    }
}
