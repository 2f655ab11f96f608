//! Numbered messages on routes, as fast as they arrive or at a steady rate, each checked.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::measure::{Histogram, Meter, Run};
use crate::order::{Faults, Order};
use crate::stamp::{LENGTH, Reader, Stamp};
use crate::wire::{Bound, Engine, Load, markup};

/// How long the last messages may take to arrive. Then they are lost.
const DRAIN: Duration = Duration::from_secs(20);

/// The shortest period of the timer; at higher rates several messages go at each tick.
const LEAST_PERIOD: Duration = Duration::from_micros(50);

/// How messages follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many are under way on each route; the next one goes when one has arrived everywhere.
    Window(u32),
    /// So many a second over all routes, whether they arrive or not.
    Rate(f64),
}

/// One sender and those who get what it sends.
#[derive(Debug)]
pub(crate) struct Route {
    sender: usize,
    /// The stanza before and behind the stamp.
    head: Vec<u8>,
    tail: Vec<u8>,
    sent: u32,
    orders: Vec<Order>,
    /// Copies that arrived.
    copies: u64,
}

impl Route {
    /// `size`: bytes between head and tail, the stamp among them.
    pub(crate) fn new(sender: usize, receivers: usize, head: Vec<u8>, tail: &[u8], size: usize) -> Self {
        let mut filled = vec![b'x'; size.saturating_sub(LENGTH)];
        filled.extend_from_slice(tail);
        Route {
            sender,
            head,
            tail: filled,
            sent: 0,
            orders: vec![Order::default(); receivers],
            copies: 0,
        }
    }
}

/// How long and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
    pub(crate) pid: Option<u32>,
}

/// Messages under way. Ready sessions only.
#[derive(Debug)]
pub(crate) struct Traffic {
    routes: Vec<Route>,
    /// For each session, its route and place in that route's receivers.
    receivers: Vec<Option<(usize, usize)>>,
    reader: Reader,
    origin: Instant,
    run: u32,
    window: Option<u32>,
    sending: bool,
    latency: Histogram,
    faults: Faults,
    stale: u64,
    received: u64,
}

impl Traffic {
    /// `receivers`: for each session its route and place there, if it receives.
    pub(crate) fn new(routes: Vec<Route>, receivers: Vec<Option<(usize, usize)>>) -> Traffic {
        Traffic {
            routes,
            receivers,
            reader: Reader::new(),
            origin: Instant::now(),
            run: std::process::id() << 8,
            window: None,
            sending: false,
            latency: Histogram::new(),
            faults: Faults::default(),
            stale: 0,
            received: 0,
        }
    }

    /// One run: warm up, measure, and wait for the last ones.
    ///
    /// # Errors
    /// Those of the engine; an error stanza is [`Error::Unexpected`].
    pub(crate) fn run(&mut self, engine: &mut Engine, plan: &Plan) -> Result<(Run, Faults)> {
        self.reset(plan.pace);
        let begin = Instant::now();
        let mut due = Due::new(plan.pace, begin);
        if let Some(period) = due.as_ref().map(Due::timer) {
            engine.tick_every(period)?;
        }
        self.kick(engine);
        self.turn_until(engine, begin + plan.warmup, &mut due)?;
        self.latency = Histogram::new();
        let (before, meter) = (self.received, Meter::start(plan.pid)?);
        self.turn_until(engine, Instant::now() + plan.seconds, &mut due)?;
        let (received, spent) = (self.received - before, meter.spent()?);
        self.sending = false;
        engine.tick_every(Duration::ZERO)?;
        self.drain(engine)?;

        let mut run = Run::default();
        run.add("per_s", "1/s", received as f64 / spent.elapsed.as_secs_f64());
        run.cpu(&spent, received, ["server_us", "own_us"]);
        run.latency(&self.latency);
        let faults = self.finish();
        run.add("lost", "", faults.lost as f64);
        run.add("duplicated", "", faults.duplicated as f64);
        run.add("reordered", "", faults.reordered as f64);
        run.add("stale", "", self.stale as f64);
        Ok((run, faults))
    }

    fn reset(&mut self, pace: Pace) {
        self.run = self.run.wrapping_add(1);
        self.window = match pace {
            Pace::Window(window) => Some(window),
            Pace::Rate(_) => None,
        };
        for route in &mut self.routes {
            route.sent = 0;
            route.copies = 0;
            route.orders.fill(Order::default());
        }
        self.faults = Faults::default();
        (self.stale, self.received) = (0, 0);
        self.sending = true;
    }

    /// Fills the windows.
    fn kick(&mut self, engine: &mut Engine) {
        for _ in 0..self.window.unwrap_or(0) {
            for route in 0..self.routes.len() {
                self.send(engine, route, self.now());
            }
        }
    }

    fn turn_until(
        &mut self,
        engine: &mut Engine,
        end: Instant,
        due: &mut Option<Due>,
    ) -> Result<()> {
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if let Some(due) = due {
                while let Some(at) = due.pop(now) {
                    let route = due.count as usize % self.routes.len().max(1);
                    // It counts from when it was due, so that waiting in here counts too.
                    self.send(engine, route, at.duration_since(self.origin));
                }
            }
            engine.turn(self, end - now)?;
        }
    }

    fn drain(&mut self, engine: &mut Engine) -> Result<()> {
        let all = |traffic: &Traffic| {
            let whole = |r: &Route| r.copies >= u64::from(r.sent) * r.orders.len() as u64;
            traffic.routes.iter().all(whole)
        };
        match engine.turn_until(self, DRAIN, "the last messages", all) {
            // They are counted as lost.
            Err(Error::Timeout(_)) => Ok(()),
            other => other,
        }
    }

    fn finish(&mut self) -> Faults {
        let mut faults = self.faults;
        for route in &self.routes {
            for order in &route.orders {
                order.finish(route.sent, &mut faults);
            }
        }
        faults
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn send(&mut self, engine: &mut Engine, number: usize, at: Duration) {
        let Some(route) = self.routes.get_mut(number) else { return };
        let stamp = Stamp {
            run: self.run,
            route: number as u32,
            number: route.sent,
            nanos: at.as_nanos() as u64,
        };
        route.sent += 1;
        engine.write(route.sender, |out| {
            out.extend_from_slice(&route.head);
            stamp.write(out);
            out.extend_from_slice(&route.tail);
        });
    }

    fn arrived(&mut self, engine: &mut Engine, stamp: Stamp, place: usize) {
        let now = self.now();
        let number = stamp.route as usize;
        let Some(route) = self.routes.get_mut(number) else { return };
        if let Some(order) = route.orders.get_mut(place) {
            order.take(stamp.number, &mut self.faults);
        }
        route.copies += 1;
        self.received += 1;
        self.latency.record_nanos((now.as_nanos() as u64).saturating_sub(stamp.nanos));
        let everywhere = route.copies.is_multiple_of(route.orders.len().max(1) as u64);
        if everywhere && self.sending && self.window.is_some() {
            self.send(engine, number, now);
        }
    }
}

impl Load for Traffic {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if !markup::is(stanza, "message") {
            return Ok(());
        }
        let wrong = |engine: &Engine, what| Err(Error::unexpected(engine.who(session), what, stanza));
        let Some(stamp) = self.reader.read(stanza) else { return Ok(()) };
        if stamp.run != self.run {
            self.stale += 1;
            return Ok(());
        }
        if markup::attribute(stanza, "type") == Some(b"error") {
            return wrong(engine, "an error");
        }
        match self.receivers.get(session).copied().flatten() {
            Some((route, place)) if route == stamp.route as usize => {
                self.arrived(engine, stamp, place);
                Ok(())
            }
            _ => wrong(engine, "somebody else's message"),
        }
    }
}

/// When the next message is due.
#[derive(Debug)]
struct Due {
    begin: Instant,
    per_second: f64,
    count: u64,
}

impl Due {
    fn new(pace: Pace, begin: Instant) -> Option<Due> {
        let Pace::Rate(per_second) = pace else { return None };
        Some(Due {
            begin,
            per_second,
            count: 0,
        })
    }

    fn timer(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second).max(LEAST_PERIOD)
    }

    /// When the next message should have gone, if that is over.
    fn pop(&mut self, now: Instant) -> Option<Instant> {
        let next = Duration::from_secs_f64((self.count + 1) as f64 / self.per_second);
        let at = self.begin + next;
        (at <= now).then(|| {
            self.count += 1;
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly() {
        let begin = Instant::now();
        let mut due = Due::new(Pace::Rate(1000.0), begin).unwrap();
        assert_eq!(due.pop(begin), None);
        let later = begin + Duration::from_millis(3);
        let popped: Vec<_> = std::iter::from_fn(|| due.pop(later)).collect();
        assert_eq!(popped.len(), 3);
        assert_eq!(popped.first().map(|at| *at - begin), Some(Duration::from_millis(1)));
        assert_eq!(due.timer(), Duration::from_millis(1));
    }

    #[test]
    fn a_message_has_the_size_that_was_asked_for() {
        let route = Route::new(0, 1, Vec::new(), b"</body>", 100);
        assert_eq!(route.tail.len() + LENGTH, 100 + b"</body>".len());
    }
}
