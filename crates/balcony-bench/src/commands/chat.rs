//! Chat messages between pairs of users.

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Disk, Report};
use crate::options::{Load, MOST_USERS, Target, Timing, bounded};
use crate::stamp;
use crate::traffic::{Place, Route, Traffic};

/// Send messages between pairs of users, each checked to arrive once and in order.
#[derive(Args, Debug)]
pub(crate) struct Chat {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    shape: Shape,
    /// Users that are logged in beside the pairs, and silent
    #[arg(long, default_value_t = 0, value_parser = bounded(0, MOST_USERS))]
    bystanders: u64,
    /// Enable stream management (XEP-0198) on every session, ask for an acknowledgement after so
    /// many messages of each, and fail when one is never acknowledged. 1: the times until
    /// acknowledged are those of single messages
    #[arg(long, value_parser = bounded(1, 10_000))]
    acks: Option<u64>,
    #[command(flatten)]
    disk: Disk,
}

/// A body has room for its stamp.
const LEAST_SIZE: u64 = stamp::LENGTH as u64;

/// What the messages are like. The relay takes the same.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Pairs: the first so many users send, each to one of the next so many
    #[arg(long, default_value_t = 100, value_parser = bounded(1, 100_000))]
    pub(crate) pairs: u64,
    /// Bytes of a body
    #[arg(long, default_value_t = 100, value_parser = bounded(LEAST_SIZE, 200_000))]
    pub(crate) size: u64,
}

impl Shape {
    pub(crate) fn tell(&self, report: &mut Report) {
        report.set("pairs", self.pairs);
        report.set("size", self.size);
    }

    /// The first users send, each to one of those behind them. Not to the next one: a server that
    /// deals connections out in turn would have all senders in one thread.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) for names that make no address.
    pub(crate) fn traffic(&self, target: &Target) -> Result<Traffic> {
        let pairs = self.pairs as usize;
        let mut routes = Vec::with_capacity(pairs);
        for pair in 0..pairs {
            let to = target.jid(pairs + pair)?;
            routes.push(self.route(pair, 1, to.as_str()));
        }
        let places = move |session, pair| match session == pairs + pair {
            true => Place::At(0),
            false => Place::Nowhere,
        };
        Ok(Traffic::new("message", routes, places))
    }

    /// A route whose stanza is the same for every server.
    pub(crate) fn route(&self, sender: usize, receivers: usize, to: &str) -> Route {
        let head = format!("<message to='{to}' type='chat' id='bench'><body>").into_bytes();
        Route::new(
            sender,
            receivers,
            head,
            b"</body></message>",
            self.size as usize,
        )
    }
}

impl Chat {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let pairs = self.shape.pairs as usize;
        let users = 2 * pairs + self.bystanders as usize;
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..users, Hello::Client)?;

        let mut traffic = self.shape.traffic(target)?;
        if let Some(every) = self.acks {
            fleet.manage(0..users, Some(every as u32))?;
            traffic = traffic.acknowledged_too();
        }
        let plan = self.load.plan(&self.timing, &target.pid);
        let mut report = self.load.report(self.case(), target.tls, &target.label);
        self.shape.tell(&mut report);
        report.set("bystanders", self.bystanders);
        report.set("acks", self.acks);
        self.disk
            .measure(&mut report, ["sync_before_p50_ms", "sync_before_p99_ms"])?;
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        self.disk
            .measure(&mut report, ["sync_after_p50_ms", "sync_after_p99_ms"])?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }

    fn case(&self) -> &'static str {
        match self.acks {
            Some(_) => "chat-acks",
            None => "chat",
        }
    }
}
