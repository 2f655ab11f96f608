//! What a session costs in memory that does nothing.

use std::ops::Range;
use std::time::{Duration, Instant};

use clap::Args;

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run, memory_of};
use crate::options::{MOST_USERS, Target, bounded};
use crate::visits::Visits;
use crate::wire::{Bound, Engine, Load};

/// After others came and went: a server that gives memory back has done so.
const SETTLED: Duration = Duration::from_secs(30);

/// Log in many users and let them be silent. With --churn others then come and go meanwhile.
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
    /// Enable stream management (XEP-0198) on every session
    #[arg(long)]
    manage: bool,
    /// After the last wait: logins and orderly logouts of other users, --parallel at a time. The
    /// memory is read 30 seconds later
    #[arg(long, default_value_t = 0, value_parser = bounded(0, 100_000_000))]
    churn: u64,
    /// Who comes and goes, in turns: so many users beyond the others
    #[arg(long, default_value_t = 2000, value_parser = bounded(1, MOST_USERS))]
    churn_users: u64,
}

impl Idle {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        if target.pid.is_empty() {
            return Err(Error::Usage(
                "the memory of which process? Name it by --pid".into(),
            ));
        }
        let mut fleet = Fleet::new(target)?;
        let before = self.before as usize;
        self.arrive(&mut fleet, 0..before)?;
        rest(&mut fleet.engine, Duration::from_secs(2))?;
        let empty = memory_of(&target.pid)?;
        self.arrive(&mut fleet, before..before + self.users as usize)?;

        let mut run = Run::default();
        run.add("empty_mib", "MiB", empty as f64 / f64::from(1 << 20));
        self.wait(&mut fleet.engine, &mut run, empty)?;
        let meter = Meter::start(&target.pid)?;
        rest(&mut fleet.engine, Duration::from_secs(5))?;
        let spent = meter.spent()?;
        let cores = spent.server.unwrap_or_default().as_secs_f64() / spent.elapsed.as_secs_f64();
        run.add("idle_cores", "cores", cores);
        if self.churn > 0 {
            self.come_and_go(&mut fleet, &mut run, empty)?;
        }
        run.add("pings", "", fleet.engine.pings() as f64);
        let mut report = self.report();
        report.push(run);
        report.publish(target.json.as_deref())?;
        fleet.engine.close()
    }

    fn report(&self) -> Report {
        let target = &self.target;
        let mut report = Report::new(format!("idle-{}", target.tls.as_str()), &target.label);
        report.set("users", self.users);
        report.set("before", self.before);
        report.set("waits", self.wait.clone());
        report.set("manage", self.manage);
        report.set("churn", self.churn);
        report.set("churn_users", self.churn_users);
        report
    }

    fn arrive(&self, fleet: &mut Fleet<'_>, users: Range<usize>) -> Result<()> {
        let arrived = match self.manage {
            true => fleet.log_in_managed(users, Hello::InactiveClient),
            false => fleet.log_in(users, Hello::InactiveClient),
        };
        arrived.map(drop)
    }

    /// Reads the memory after each of the waits.
    fn wait(&self, engine: &mut Engine, run: &mut Run, empty: u64) -> Result<()> {
        let since = Instant::now();
        for wait in sorted(&self.wait) {
            let end = Duration::from_secs(wait);
            rest(engine, end.saturating_sub(since.elapsed()))?;
            run.add(format!("kib_each_{wait}s"), "KiB", self.each(empty)?);
        }
        Ok(())
    }

    /// Logins and logouts while the others stay.
    fn come_and_go(&self, fleet: &mut Fleet<'_>, run: &mut Run, empty: u64) -> Result<()> {
        let first = fleet.engine.count();
        let users = first..first + self.churn_users as usize;
        let Fleet { engine, clients } = fleet;
        let mut visits = Visits::new(clients, first, users).managed(self.manage);
        let begin = Instant::now();
        let target = &self.target;
        visits.many(engine, self.churn, target.parallel, target.limit())?;
        let rate = self.churn as f64 / begin.elapsed().as_secs_f64();
        rest(engine, SETTLED)?;
        run.add("churn_per_s", "1/s", rate);
        run.add("kib_each_after_churn", "KiB", self.each(empty)?);
        Ok(())
    }

    /// KiB of each session, by how much the server has grown.
    fn each(&self, empty: u64) -> Result<f64> {
        let grown = memory_of(&self.target.pid)? as f64 - empty as f64;
        Ok(grown / 1024.0 / self.users as f64)
    }
}

/// The shortest first, each once.
fn sorted(waits: &[u64]) -> Vec<u64> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    waits.dedup();
    waits
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_measured_once_and_in_its_order() {
        assert_eq!(sorted(&[60, 300, 30, 60]), [30, 60, 300]);
    }
}
