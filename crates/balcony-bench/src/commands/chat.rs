//! Chat messages between pairs of users.

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::Report;
use crate::options::{MOST_USERS, Target, Timing};
use crate::order::Faults;
use crate::stamp;
use crate::traffic::{Pace, Plan, Route, Traffic};

/// CPU of this program for a message in the closed loop. Beyond it, it measures itself (the
/// fastest server that we know of is a relay that takes 2 to 4).
const OWN_LIMIT_US: f64 = 4.0;

/// Send messages between pairs of users, each checked to arrive once and in order.
#[derive(Args, Debug)]
pub(crate) struct Chat {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    shape: Shape,
    /// Users that are logged in beside the pairs, and silent
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=MOST_USERS))]
    bystanders: u64,
}

/// What the messages are like. The relay takes the same.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Pairs: the even users send, each to the odd one after it
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) pairs: u64,
    /// Messages a second over all pairs. Without it: as fast as they arrive
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: Option<u64>,
    /// Messages under way on each pair where no rate is named
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) window: u64,
    /// Bytes of a body
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(stamp::LENGTH as u64..=200_000))]
    pub(crate) size: u64,
}

impl Shape {
    pub(crate) fn plan(&self, timing: &Timing, pid: Option<u32>) -> Plan {
        Plan {
            pace: match self.rate {
                Some(rate) => Pace::Rate(rate as f64),
                None => Pace::Window(self.window as u32),
            },
            warmup: timing.warm(),
            seconds: timing.measured(),
            pid,
        }
    }

    /// A report that names these settings.
    pub(crate) fn report(&self, case: &str, tls: &str, label: &str) -> Report {
        let pace = self.rate.map_or("loop".to_owned(), |rate| rate.to_string());
        let mut report = Report::new(format!("{case}-{pace}-{tls}"), label);
        report.set("pairs", self.pairs);
        report.set("size", self.size);
        match self.rate {
            Some(rate) => report.set("rate", rate),
            None => report.set("window", self.window),
        }
        report
    }

    /// A route whose stanza is the same for every server.
    pub(crate) fn route(&self, sender: usize, receivers: usize, to: &str) -> Route {
        let head = format!("<message to='{to}' type='chat' id='bench'><body>").into_bytes();
        Route::new(sender, receivers, head, b"</body></message>", self.size as usize)
    }
}

impl Chat {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let pairs = self.shape.pairs as usize;
        let users = 2 * pairs + self.bystanders as usize;
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..users, Hello::Client)?;

        let mut routes = Vec::with_capacity(pairs);
        let mut receivers = vec![None; users];
        for pair in 0..pairs {
            let (sender, receiver) = (2 * pair, 2 * pair + 1);
            let to = target.jid(receiver)?;
            routes.push(self.shape.route(sender, 1, to.as_str()));
            if let Some(place) = receivers.get_mut(receiver) {
                *place = Some((pair, 0));
            }
        }
        let mut traffic = Traffic::new(routes, receivers);
        let plan = self.shape.plan(&self.timing, target.pid);
        let mut report = self.shape.report("chat", target.tls.as_str(), &target.label);
        report.set("bystanders", self.bystanders);
        let faults = repeat(&mut traffic, &mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }
}

/// Runs the same plan several times.
///
/// # Errors
/// Those of [`Traffic::run`].
pub(crate) fn repeat(
    traffic: &mut Traffic,
    engine: &mut crate::wire::Engine,
    plan: &Plan,
    runs: u64,
    report: &mut Report,
) -> Result<Faults> {
    let mut all = Faults::default();
    for _ in 0..runs {
        let (run, faults) = traffic.run(engine, plan)?;
        all.add(faults);
        let own = run.value("own_us").unwrap_or(0.0);
        if matches!(plan.pace, Pace::Window(_)) && own > OWN_LIMIT_US {
            report.remark(format!(
                "the generator itself took over {OWN_LIMIT_US} µs of CPU for a message: where the \
                 server takes little more, it measures itself"
            ));
        }
        report.push(run);
    }
    Ok(all)
}
