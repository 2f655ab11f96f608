//! What a login costs: from the connection to the bound resource.

use std::time::Duration;

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run};
use crate::options::{MOST_USERS, Target, bounded};

/// Between runs, so that what the ends of the streams cost does not count for the next logins.
const PAUSE: Duration = Duration::from_secs(1);

/// Log in many users, and end their streams.
#[derive(Args, Debug)]
pub(crate) struct Login {
    #[command(flatten)]
    target: Target,
    /// Users that log in
    #[arg(long, default_value_t = 2000, value_parser = bounded(1, MOST_USERS))]
    users: u64,
    /// Runs after one that derives the keys; the result is their median
    #[arg(long, default_value_t = 3, value_parser = bounded(1, 100))]
    runs: u64,
    /// Count loading the roster and becoming available as part of the login
    #[arg(long)]
    hello: bool,
}

impl Login {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let hello = if self.hello {
            Hello::Client
        } else {
            Hello::Silent
        };
        let mut report = Report::new(format!("login-{}", target.tls.as_str()), &target.label);
        report.set("users", self.users);
        report.set("parallel", target.parallel);
        report.set("mechanism", target.mechanism.as_str());
        report.set("sasl2", target.sasl2);
        report.set("hello", self.hello);
        let mut fleet = Fleet::new(target)?;
        let users = 0..self.users as usize;
        // The first time, the client pays for PBKDF2.
        fleet.log_in(users.clone(), hello)?;
        fleet.engine.close()?;
        for _ in 0..self.runs {
            std::thread::sleep(PAUSE);
            let meter = Meter::start(&target.pid)?;
            let latency = fleet.log_in(users.clone(), hello)?;
            let spent = meter.spent()?;
            let mut run = Run::default();
            run.add(
                "per_s",
                "1/s",
                self.users as f64 / spent.elapsed.as_secs_f64(),
            );
            run.cpu(&spent, self.users, ["server_us", "own_us"]);
            run.latency(&latency);
            report.push(run);
            fleet.engine.close()?;
        }
        report.publish(target.json.as_deref())
    }
}
