//! What can be done at a steady rate, alone or beside other kinds.

use std::time::{Duration, Instant};

use super::Pace;
use crate::error::{Error, Result};
use crate::measure::Histogram;
use crate::order::Faults;
use crate::wire::{Engine, Load};

/// How long the last messages may take to arrive. Then they are lost.
const DRAIN: Duration = Duration::from_secs(20);

/// Does things when they are due.
pub(crate) trait Paced: Load {
    /// Does what is due by now. Each thing counts from when it was due, so that waiting in here
    /// counts too.
    fn pump(&mut self, engine: &mut Engine, now: Instant) -> Result<()>;

    /// When the next thing is due.
    fn next(&self) -> Option<Instant>;

    /// Everything that was begun is done.
    fn is_settled(&self) -> bool;
}

/// One kind of things, each of which counts.
pub(crate) trait Kind: Paced {
    /// Begins anew, at this pace.
    fn begin(&mut self, engine: &mut Engine, pace: Pace);

    /// What was done until now does not count.
    fn forget(&mut self);

    /// How many were done since then.
    fn done(&self) -> f64;

    /// Nothing more is begun.
    fn stop(&mut self, engine: &mut Engine);

    /// How long those took that count.
    fn latency(&self) -> &Histogram;

    /// What went wrong with those that were begun; what is still under way is lost.
    fn faults(&self) -> Faults;

    /// The first thing that went wrong, for the person who looks for the reason.
    fn wrong(&mut self) -> Option<String> {
        None
    }
}

/// Does what is due until then.
///
/// # Errors
/// Those of the engine.
pub(crate) fn turn_until(engine: &mut Engine, paced: &mut impl Paced, end: Instant) -> Result<()> {
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        paced.pump(engine, now)?;
        if let Some(next) = paced.next() {
            engine.tick_at(next)?;
        }
        engine.turn(paced, end - now)?;
    }
}

/// Waits for the last ones. What does not come counts as lost.
///
/// # Errors
/// Those of the engine.
pub(crate) fn settle<P: Paced>(engine: &mut Engine, paced: &mut P) -> Result<()> {
    match engine.turn_until(paced, DRAIN, "the last messages", P::is_settled) {
        Err(Error::Timeout(_)) => Ok(()),
        other => other,
    }
}
