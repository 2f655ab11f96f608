//! XEP-0198 Stream Management 1.6.3 §5, resumption, in races that a seed repeats: several
//! connections want one stream at once, in one process, in virtual time.
//!
//! [`Plan`] is the schedule that a seed makes, [`run`] plays it against the real server, and
//! [`check`] judges what was seen. `docs/testing-durability.md` says what is seeded and what is
//! not.

pub mod check;
#[cfg(test)]
mod check_tests;
mod client;
pub mod facts;
mod fault;
mod line;
pub mod plan;
mod script;
mod world;

pub(crate) use line::PASSWORD;
pub(crate) use world::Shuffled;

use std::fmt;

use check::Violation;
use facts::Facts;
pub use fault::Fault;
use plan::Plan;

/// A run and what is wrong with it.
#[derive(Debug)]
pub struct Outcome {
    /// What was to happen.
    pub plan: Plan,
    /// What was seen.
    pub facts: Facts,
    /// What is wrong.
    pub violations: Vec<Violation>,
    /// All that went over the streams, in its order.
    pub journal: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for line in &self.journal {
            writeln!(f, "  {line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}

/// Plays the schedule of a seed.
///
/// # Errors
/// Why there is no server to play against.
pub fn run(seed: u64) -> Result<Outcome, String> {
    play(Plan::new(seed), None)
}

/// Plays a schedule; with a fault, the server is made to seem to have it.
///
/// # Errors
/// As [`run`].
pub fn play(plan: Plan, fault: Option<Fault>) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let (facts, journal) = runtime.block_on(script::play(&plan, fault))?;
    Ok(Outcome {
        violations: check::check(&facts),
        plan,
        facts,
        journal,
    })
}
