//! Pages of message archives.

mod pages;

use std::time::{Duration, Instant};

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run};
use crate::options::{MOST_USERS, Target, Timing, bounded};
use crate::stamp;
use crate::traffic::{Place, Route, Traffic};
use crate::wire::Engine;
use pages::Pages;

/// Messages under way to each archive that is filled: enough to keep a server busy, and far below
/// what any holds back for a session.
const FILL_WINDOW: u32 = 32;

/// A body has room for its stamp.
const LEAST_SIZE: u64 = stamp::LENGTH as u64;

/// Ask for the last page of archives (XEP-0313), each user for that of its own and again as soon as
/// it has it. Each page is checked to be whole, and the same as the one before.
#[derive(Args, Debug)]
pub(crate) struct Mam {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    /// Users that ask
    #[arg(long, default_value_t = 10, value_parser = bounded(1, MOST_USERS))]
    users: u64,
    /// Messages that each of their archives has to hold. What is missing is sent first, by as many
    /// other users; where the server does not tell how many it holds, all of them. 0: what is there
    #[arg(long, default_value_t = 200, value_parser = bounded(0, 10_000_000))]
    messages: u64,
    /// Messages of a page
    #[arg(long, default_value_t = 50, value_parser = bounded(1, 1000))]
    page: u64,
    /// Bytes of the bodies that are sent
    #[arg(long, default_value_t = 100, value_parser = bounded(LEAST_SIZE, 200_000))]
    size: u64,
}

impl Mam {
    pub(crate) fn run(&self) -> Result<()> {
        let (target, users) = (&self.target, self.users as usize);
        let mut fleet = Fleet::new(target)?;
        if self.messages > 0 {
            fleet.log_in(0..2 * users, Hello::Client)?;
            self.fill(&mut fleet.engine)?;
        } else {
            fleet.log_in(0..users, Hello::Client)?;
        }
        let mut pages = Pages::new(users, self.page as usize);
        pages.round(&mut fleet.engine, target.limit())?;

        let mut report = Report::new(format!("mam-{}", target.tls.as_str()), &target.label);
        report.set("users", self.users);
        report.set("messages", self.messages);
        report.set("page", self.page);
        report.set("archived", pages.fewest());
        for _ in 0..self.timing.runs {
            report.push(self.measure(&mut fleet.engine, &mut pages)?);
        }
        report.publish(target.json.as_deref())?;
        fleet.engine.close()
    }

    /// Sends what the archives lack of the messages that they have to hold. Where a server does not
    /// tell how many it has, that is all of them.
    fn fill(&self, engine: &mut Engine) -> Result<()> {
        let (target, users) = (&self.target, self.users as usize);
        let mut pages = Pages::of_any_size(users);
        pages.round(engine, target.limit())?;
        let lacking = |held: Option<u64>| self.messages.saturating_sub(held.unwrap_or(0)) as u32;
        let counts: Vec<u32> = pages.archived().map(lacking).collect();
        let mut routes = Vec::with_capacity(users);
        for user in 0..users {
            let to = target.jid(user)?;
            let head = format!("<message to='{to}' type='chat' id='bench'><body>").into_bytes();
            let tail = b"</body></message>";
            routes.push(Route::new(users + user, 1, head, tail, self.size as usize));
        }
        let places = |session, user| match session == user {
            true => Place::At(0),
            false => Place::Nowhere,
        };
        let mut traffic = Traffic::new("message", routes, places);
        traffic.fill(engine, &counts, FILL_WINDOW, target.limit())
    }

    fn measure(&self, engine: &mut Engine, pages: &mut Pages) -> Result<Run> {
        pages.begin(engine);
        turn_until(engine, pages, Instant::now() + self.timing.warm())?;
        pages.forget();
        let meter = Meter::start(&self.target.pid)?;
        turn_until(engine, pages, Instant::now() + self.timing.measured())?;
        let (count, spent) = (pages.count(), meter.spent()?);
        let latency = pages.end(engine, self.target.limit())?;

        let mut run = Run::default();
        let seconds = spent.elapsed.as_secs_f64();
        run.add("per_s", "1/s", count as f64 / seconds);
        run.cpu(&spent, count, ["server_us", "own_us"]);
        run.latency(&latency);
        Ok(run)
    }
}

fn turn_until(engine: &mut Engine, pages: &mut Pages, end: Instant) -> Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Ok(());
        }
        engine.turn(pages, left)?;
    }
}
