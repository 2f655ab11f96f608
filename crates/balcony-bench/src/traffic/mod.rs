//! Numbered messages on routes, as fast as they arrive or at a steady rate, each checked.

mod kind;
mod pace;
mod route;

use std::time::{Duration, Instant};

use crate::error::{Error, Result, shown};
use crate::measure::{Histogram, Meter, OWN_LIMIT_US, Report, Run};
use crate::order::{Faults, Order};
use crate::stamp::{self, Reader, Stamp};
use crate::wire::{Bound, Engine, Load, markup};
pub(crate) use kind::{Kind, Paced, settle, turn_until};
pub(crate) use pace::{Due, Pace};
pub(crate) use route::{Place, Route};

/// How long and how fast.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
    /// The server's processes.
    pub(crate) server: Vec<u32>,
}

/// Says where a session stands: session, then route.
type Places = Box<dyn Fn(usize, usize) -> Place>;

/// Messages under way. Ready sessions only.
pub(crate) struct Traffic {
    /// Name of the elements that carry the stamps.
    element: &'static str,
    routes: Vec<Route>,
    places: Places,
    reader: Reader,
    origin: Instant,
    run: u32,
    window: Option<u32>,
    due: Option<Due>,
    sending: bool,
    receipts: Option<Receipts>,
    latency: Histogram,
    faults: Faults,
    /// The first stanza that came twice or late, for the person who looks for the reason.
    wrong: Option<String>,
    stale: u64,
    sent: u64,
    received: u64,
    /// Of those that were received, the ones that do not count.
    uncounted: u64,
}

/// What servers say of the messages that they were sent (XEP-0198).
struct Receipts {
    acknowledged: u64,
    /// From sending to the acknowledgement.
    latency: Histogram,
}

impl Traffic {
    /// Of elements with this name.
    pub(crate) fn new(
        element: &'static str,
        routes: Vec<Route>,
        places: impl Fn(usize, usize) -> Place + 'static,
    ) -> Traffic {
        Traffic {
            element,
            routes,
            places: Box::new(places),
            reader: Reader::new(),
            origin: Instant::now(),
            run: 0,
            window: None,
            due: None,
            sending: false,
            receipts: None,
            latency: Histogram::new(),
            faults: Faults::default(),
            wrong: None,
            stale: 0,
            sent: 0,
            received: 0,
            uncounted: 0,
        }
    }

    /// Every message has to be acknowledged too. The sessions have stream management.
    pub(crate) fn acknowledged_too(self) -> Traffic {
        Traffic {
            receipts: Some(Receipts {
                acknowledged: 0,
                latency: Histogram::new(),
            }),
            ..self
        }
    }

    /// Sends so many messages on each route, and waits until all have come.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Faults`], and those of the engine.
    pub(crate) fn fill(
        &mut self,
        engine: &mut Engine,
        counts: &[u32],
        window: u32,
        limit: Duration,
    ) -> Result<()> {
        self.reset(Pace::Window(window));
        for (route, count) in self.routes.iter_mut().zip(counts) {
            route.limit = *count;
        }
        self.kick(engine);
        let all = |traffic: &Traffic| traffic.routes.iter().all(Route::is_over);
        engine.turn_until(self, limit, "the messages", all)?;
        self.sending = false;
        self.faults().verdict()
    }

    /// Runs the same plan several times.
    ///
    /// # Errors
    /// Those of [`Traffic::run`].
    pub(crate) fn repeat(
        &mut self,
        engine: &mut Engine,
        plan: &Plan,
        runs: u64,
        report: &mut Report,
    ) -> Result<Faults> {
        let mut all = Faults::default();
        for _ in 0..runs {
            let (run, faults) = self.run(engine, plan)?;
            all.add(faults);
            if let Some(wrong) = self.wrong() {
                report.remark(wrong);
            }
            if matches!(plan.pace, Pace::Window(_)) && run.measures_itself() {
                report.remark(format!(
                    "the generator itself took over {OWN_LIMIT_US} µs of CPU for a message, and \
                     over half of what the server took: it measures itself"
                ));
            }
            report.push(run);
        }
        Ok(all)
    }

    /// One run: warm up, measure, and wait for the last ones.
    ///
    /// # Errors
    /// Those of the engine; an error stanza is [`Error::Unexpected`].
    fn run(&mut self, engine: &mut Engine, plan: &Plan) -> Result<(Run, Faults)> {
        self.begin(engine, plan.pace);
        turn_until(engine, self, Instant::now() + plan.warmup)?;
        self.forget();
        let acknowledged = self.receipted();
        let meter = Meter::start(&plan.server)?;
        turn_until(engine, self, Instant::now() + plan.seconds)?;
        let (received, spent) = (self.counted(), meter.spent()?);
        let acknowledged = self.receipted() - acknowledged;
        self.stop(engine);
        settle(engine, self)?;

        let seconds = spent.elapsed.as_secs_f64();
        let mut run = Run::default();
        run.add("per_s", "1/s", received as f64 / seconds);
        run.cpu(&spent, received, ["server_us", "own_us"]);
        run.latency(&self.latency);
        let faults = self.faults();
        if let Some(receipts) = &self.receipts {
            run.add("acked_per_s", "1/s", acknowledged as f64 / seconds);
            let names = ["acked_p50_ms", "acked_p99_ms", "acked_max_ms"];
            run.latency_as(&receipts.latency, names);
            run.add("unacked", "", faults.unacknowledged as f64);
        }
        run.add("lost", "", faults.lost as f64);
        run.add("duplicated", "", faults.duplicated as f64);
        run.add("reordered", "", faults.reordered as f64);
        run.add("stale", "", self.stale as f64);
        Ok((run, faults))
    }

    /// Copies that came and count.
    fn counted(&self) -> u64 {
        self.received - self.uncounted
    }

    /// Messages that were acknowledged.
    fn receipted(&self) -> u64 {
        let receipts = self.receipts.as_ref();
        receipts.map_or(0, |receipts| receipts.acknowledged)
    }

    fn reset(&mut self, pace: Pace) {
        self.run = stamp::fresh_run();
        self.window = match pace {
            Pace::Window(window) => Some(window),
            Pace::Rate(_) => None,
        };
        self.due = None;
        for route in &mut self.routes {
            route.sent = 0;
            route.limit = u32::MAX;
            route.copies = 0;
            route.orders.fill(Order::default());
        }
        self.faults = Faults::default();
        (self.stale, self.sent) = (0, 0);
        (self.received, self.uncounted) = (0, 0);
        if let Some(receipts) = &mut self.receipts {
            receipts.acknowledged = 0;
        }
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

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn send(&mut self, engine: &mut Engine, number: usize, at: Duration) {
        let Some(route) = self.routes.get_mut(number) else {
            return;
        };
        if route.sent >= route.limit {
            return;
        }
        let stamp = Stamp {
            run: self.run,
            route: number as u32,
            number: route.sent,
            nanos: at.as_nanos() as u64,
        };
        route.sent += 1;
        self.sent += 1;
        engine.stanza(route.sender, stamp.nanos, |out| {
            out.extend_from_slice(&route.head);
            stamp.write(out);
            out.extend_from_slice(&route.tail);
        });
    }

    /// Whether it is of this run.
    pub(crate) fn owns(&self, stamp: Stamp) -> bool {
        stamp.run == self.run
    }

    /// Takes a stanza of this run.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for an error, and for what is for another session.
    pub(crate) fn take(
        &mut self,
        engine: &mut Engine,
        session: usize,
        stamp: Stamp,
        stanza: &[u8],
    ) -> Result<()> {
        let wrong =
            |engine: &Engine, what| Err(Error::unexpected(engine.who(session), what, stanza));
        if markup::attribute(stanza, "type") == Some(b"error") {
            return wrong(engine, "an error");
        }
        match (self.places)(session, stamp.route as usize) {
            Place::At(place) => self.arrived(engine, stamp, place, stanza),
            Place::Beside => {}
            Place::Nowhere => return wrong(engine, "what is for somebody else"),
        }
        Ok(())
    }

    fn arrived(&mut self, engine: &mut Engine, stamp: Stamp, place: usize, stanza: &[u8]) {
        let now = self.now();
        let number = stamp.route as usize;
        let Some(route) = self.routes.get_mut(number) else {
            return;
        };
        if let Some(order) = route.orders.get_mut(place)
            && let Some(wrong) = order.take(stamp.number, &mut self.faults)
        {
            let shown = || format!("the first that came {wrong}: {}", shown(stanza));
            self.wrong.get_or_insert_with(shown);
        }
        route.copies += 1;
        self.received += 1;
        self.latency
            .record_nanos((now.as_nanos() as u64).saturating_sub(stamp.nanos));
        let everywhere = route
            .copies
            .is_multiple_of(route.orders.len().max(1) as u64);
        if everywhere && self.sending && self.window.is_some() {
            self.send(engine, number, now);
        }
    }
}

impl Paced for Traffic {
    fn pump(&mut self, engine: &mut Engine, now: Instant) -> Result<()> {
        while let Some(due) = &mut self.due
            && let Some(at) = due.pop(now)
        {
            let route = due.count as usize % self.routes.len().max(1);
            self.send(engine, route, at.duration_since(self.origin));
        }
        Ok(())
    }

    fn next(&self) -> Option<Instant> {
        self.due.as_ref().map(Due::next)
    }

    fn is_settled(&self) -> bool {
        let acknowledged = self.receipts.is_none() || self.receipted() >= self.sent;
        acknowledged && self.routes.iter().all(Route::is_whole)
    }
}

impl Kind for Traffic {
    fn begin(&mut self, engine: &mut Engine, pace: Pace) {
        self.reset(pace);
        self.due = Due::new(pace, Instant::now());
        self.kick(engine);
    }

    fn forget(&mut self) {
        self.uncounted = self.received;
        self.latency = Histogram::new();
        if let Some(receipts) = &mut self.receipts {
            receipts.latency = Histogram::new();
        }
    }

    /// Messages, of which a part may have come.
    fn done(&self) -> f64 {
        let receivers = self.routes.first().map_or(1, |route| route.orders.len());
        self.counted() as f64 / receivers.max(1) as f64
    }

    fn stop(&mut self, engine: &mut Engine) {
        self.sending = false;
        self.due = None;
        for route in &self.routes {
            engine.ask(route.sender);
        }
    }

    fn latency(&self) -> &Histogram {
        &self.latency
    }

    fn faults(&self) -> Faults {
        let mut faults = self.faults;
        for route in &self.routes {
            for order in &route.orders {
                order.finish(route.sent, &mut faults);
            }
        }
        if self.receipts.is_some() {
            faults.unacknowledged = self.sent.saturating_sub(self.receipted());
        }
        faults
    }

    fn wrong(&mut self) -> Option<String> {
        self.wrong.take()
    }
}

impl Load for Traffic {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if !markup::is(stanza, self.element) {
            return Ok(());
        }
        let Some(stamp) = self.reader.read(stanza) else {
            return Ok(());
        };
        if !self.owns(stamp) {
            self.stale += 1;
            return Ok(());
        }
        self.take(engine, session, stamp, stanza)
    }

    fn acknowledged(&mut self, _: &mut Engine, _: usize, nanos: u64) {
        let now = self.now().as_nanos() as u64;
        if let Some(receipts) = &mut self.receipts {
            receipts.acknowledged += 1;
            receipts.latency.record_nanos(now.saturating_sub(nanos));
        }
    }
}
