//! What a session costs in memory that does nothing.

use std::time::{Duration, Instant};

use clap::Args;

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run, memory_of};
use crate::options::{MOST_USERS, Target, bounded};
use crate::wire::{Bound, Engine, Load};

/// Log in many users and let them be silent.
#[derive(Args, Debug)]
pub(crate) struct Idle {
    #[command(flatten)]
    target: Target,
    /// Users that log in, load their rosters and become available
    #[arg(long, default_value_t = 5000, value_parser = bounded(1, MOST_USERS))]
    users: u64,
    /// Users that log in first and do not count, so that what a server needs only once does not
    #[arg(long, default_value_t = 100, value_parser = bounded(0, MOST_USERS))]
    before: u64,
    /// Seconds after which the memory is read; several with commas
    #[arg(long, value_delimiter = ',', default_value = "30,60")]
    wait: Vec<u64>,
}

impl Idle {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        if target.pid.is_empty() {
            return Err(Error::Usage(
                "the memory of which process? Name it by --pid".into(),
            ));
        }
        let mut report = Report::new(format!("idle-{}", target.tls.as_str()), &target.label);
        report.set("users", self.users);
        report.set("before", self.before);
        report.set("waits", self.wait.clone());
        let mut fleet = Fleet::new(target)?;
        let (before, users) = (self.before as usize, self.users as usize);
        fleet.log_in(0..before, Hello::InactiveClient)?;
        rest(&mut fleet.engine, Duration::from_secs(2))?;
        let empty = memory_of(&target.pid)?;
        fleet.log_in(before..before + users, Hello::InactiveClient)?;
        let since = Instant::now();

        let mut run = Run::default();
        run.add("empty_mib", "MiB", empty as f64 / f64::from(1 << 20));
        let mut waits = self.wait.clone();
        waits.sort_unstable();
        for wait in waits {
            let end = Duration::from_secs(wait);
            rest(&mut fleet.engine, end.saturating_sub(since.elapsed()))?;
            let grown = memory_of(&target.pid)? as f64 - empty as f64;
            let name = if wait < 45 {
                "kib_each_30s"
            } else {
                "kib_each_60s"
            };
            run.add(name, "KiB", grown / 1024.0 / users as f64);
        }
        let meter = Meter::start(&target.pid)?;
        rest(&mut fleet.engine, Duration::from_secs(5))?;
        let spent = meter.spent()?;
        let cores = spent.server.unwrap_or_default().as_secs_f64() / spent.elapsed.as_secs_f64();
        run.add("idle_cores", "cores", cores);
        report.push(run);
        report.publish(target.json.as_deref())?;
        fleet.engine.close()
    }
}

/// Takes what still comes, and sends nothing but answers.
fn rest(engine: &mut Engine, span: Duration) -> Result<()> {
    let end = Instant::now() + span;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        engine.turn(&mut Silent, left)?;
    }
}

struct Silent;

impl Load for Silent {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
