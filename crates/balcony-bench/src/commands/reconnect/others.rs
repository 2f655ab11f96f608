//! Users whose connections stay. They chat, and are not to notice what happens to the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::measure::{Histogram, Run};
use crate::options::Target;
use crate::order::Faults;
use crate::stamp;
use crate::traffic::{Kind as _, Pace, Place, Route, Traffic, settle, turn_until};

/// Messages a second over all pairs: so few that they take next to nothing.
const RATE: f64 = 200.0;

/// How often it is asked whether the storm has begun, or is over.
const STEP: Duration = Duration::from_millis(10);

/// The pairs, on an engine of their own: in that of the storm they would wait for all that the
/// generator has to do for it.
pub(super) struct Others<'a> {
    fleet: Fleet<'a>,
    target: &'a Target,
    /// The number of the first user.
    first: usize,
    pairs: usize,
}

/// What the storm tells them.
#[derive(Debug, Default)]
pub(super) struct Weather {
    begun: AtomicBool,
    over: AtomicBool,
}

impl Weather {
    /// From now on their messages count.
    pub(super) fn begins(&self) {
        self.begun.store(true, Ordering::Release);
    }
}

/// How they fared.
#[derive(Debug)]
pub(super) struct Fared {
    per_second: f64,
    latency: Histogram,
    pub(super) faults: Faults,
    pub(super) wrong: Option<String>,
}

impl<'a> Others<'a> {
    /// Logs them in, the users from `first` on.
    ///
    /// # Errors
    /// Those of [`Fleet::log_in`].
    pub(super) fn log_in(target: &'a Target, first: usize, pairs: usize) -> Result<Others<'a>> {
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(first..first + 2 * pairs, Hello::Client)?;
        Ok(Others {
            fleet,
            target,
            first,
            pairs,
        })
    }

    /// They chat in a thread of their own while `storm` runs, which may have failed.
    ///
    /// # Errors
    /// Those of the engine: one of them lost its connection.
    pub(super) fn during<T>(&mut self, storm: impl FnOnce(&Weather) -> T) -> (T, Result<Fared>) {
        let weather = Weather::default();
        std::thread::scope(|scope| {
            let others = scope.spawn(|| self.chat(&weather));
            let result = storm(&weather);
            weather.over.store(true, Ordering::Release);
            let failed = |_| Err(Error::Usage("a thread failed".into()));
            (result, others.join().unwrap_or_else(failed))
        })
    }

    fn chat(&mut self, weather: &Weather) -> Result<Fared> {
        let mut traffic = self.traffic()?;
        let engine = &mut self.fleet.engine;
        traffic.begin(engine, Pace::Rate(RATE));
        while !weather.begun.load(Ordering::Acquire) && !weather.over.load(Ordering::Acquire) {
            turn_until(engine, &mut traffic, Instant::now() + STEP)?;
        }
        traffic.forget();
        let since = Instant::now();
        while !weather.over.load(Ordering::Acquire) {
            turn_until(engine, &mut traffic, Instant::now() + STEP)?;
        }
        let per_second = traffic.done() / since.elapsed().as_secs_f64().max(1e-9);
        traffic.stop(engine);
        settle(engine, &mut traffic)?;
        Ok(Fared {
            per_second,
            latency: traffic.latency().clone(),
            faults: traffic.faults(),
            wrong: traffic.wrong(),
        })
    }

    fn traffic(&self) -> Result<Traffic> {
        let pairs = self.pairs;
        let mut routes = Vec::with_capacity(pairs);
        for pair in 0..pairs {
            let to = self.target.jid(self.first + pairs + pair)?;
            let head = format!("<message to='{to}' type='chat' id='bench'><body>").into_bytes();
            let tail = b"</body></message>";
            routes.push(Route::new(pair, 1, head, tail, stamp::LENGTH));
        }
        let places = move |session, pair| match session == pairs + pair {
            true => Place::At(0),
            false => Place::Nowhere,
        };
        Ok(Traffic::new("message", routes, places))
    }

    /// Ends their streams.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn close(&mut self) -> Result<()> {
        self.fleet.engine.close()
    }
}

impl Fared {
    pub(super) fn tell(&self, run: &mut Run) {
        run.add("others_per_s", "1/s", self.per_second);
        let names = ["others_p50_ms", "others_p99_ms", "others_max_ms"];
        run.latency_as(&self.latency, names);
        run.add("others_lost", "", self.faults.lost as f64);
        run.add("others_duplicated", "", self.faults.duplicated as f64);
        run.add("others_reordered", "", self.faults.reordered as f64);
    }
}
