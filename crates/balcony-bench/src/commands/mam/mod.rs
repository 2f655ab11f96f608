//! Pages of message archives.

mod pages;

use std::ops::Range;
use std::time::Instant;

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run};
use crate::options::{MOST_USERS, Target, Timing, bounded};
use crate::stamp;
use crate::traffic::{Kind as _, Pace, Paced as _, Place, Route, Traffic, turn_until};
use crate::wire::Engine;
pub(crate) use pages::Pages;

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
            let (messages, size) = (self.messages, self.size as usize);
            let senders = users..2 * users;
            fill(&mut fleet.engine, target, 0..users, senders, messages, size)?;
        } else {
            fleet.log_in(0..users, Hello::Client)?;
        }
        let mut pages = Pages::new(0..users, self.page as usize);
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

    fn measure(&self, engine: &mut Engine, pages: &mut Pages) -> Result<Run> {
        pages.begin(engine, Pace::Window(1));
        turn_until(engine, pages, Instant::now() + self.timing.warm())?;
        pages.forget();
        let meter = Meter::start(&self.target.pid)?;
        turn_until(engine, pages, Instant::now() + self.timing.measured())?;
        let (count, spent) = (pages.done(), meter.spent()?);
        pages.stop(engine);
        let limit = self.target.limit();
        engine.turn_until(pages, limit, "the last pages", |pages| pages.is_settled())?;

        let mut run = Run::default();
        let seconds = spent.elapsed.as_secs_f64();
        run.add("per_s", "1/s", count / seconds);
        run.cpu(&spent, count as u64, ["server_us", "own_us"]);
        run.latency(pages.latency());
        Ok(run)
    }
}

/// Sends what the archives of the readers lack of the messages that they have to hold, each from
/// one of the senders. Where a server does not tell how many it has, that is all of them. Sessions
/// are user numbers.
///
/// # Errors
/// As [`Pages::round`] and [`Traffic::fill`].
pub(crate) fn fill(
    engine: &mut Engine,
    target: &Target,
    readers: Range<usize>,
    senders: impl Iterator<Item = usize>,
    messages: u64,
    size: usize,
) -> Result<()> {
    let mut pages = Pages::of_any_size(readers.clone());
    pages.round(engine, target.limit())?;
    let lacking = |held: Option<u64>| messages.saturating_sub(held.unwrap_or(0)) as u32;
    let counts: Vec<u32> = pages.archived().map(lacking).collect();
    let mut routes = Vec::with_capacity(readers.len());
    for (reader, sender) in readers.clone().zip(senders) {
        let to = target.jid(reader)?;
        let head = format!("<message to='{to}' type='chat' id='bench'><body>").into_bytes();
        routes.push(Route::new(sender, 1, head, b"</body></message>", size));
    }
    let places = move |session, route| match session == readers.start + route {
        true => Place::At(0),
        false => Place::Nowhere,
    };
    let mut traffic = Traffic::new("message", routes, places);
    traffic.fill(engine, &counts, FILL_WINDOW, target.limit())
}
