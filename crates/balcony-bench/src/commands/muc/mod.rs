//! A room: what it costs to enter it, and to tell everybody in it something (XEP-0045).

mod entering;

use std::time::Instant;

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run};
use crate::options::{Load as Pace, MOST_USERS, Target, Timing, bounded};
use crate::traffic::{Place, Route, Traffic};
pub(crate) use entering::Entering;

/// Let many users enter one room, all at once, and some of them speak; each message is checked to
/// reach every occupant once and in order. A unit is one copy of a message, and one presence while
/// they enter.
#[derive(Args, Debug)]
pub(crate) struct Muc {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Pace,
    /// Users in the room
    #[arg(long, default_value_t = 1000, value_parser = bounded(2, MOST_USERS))]
    occupants: u64,
    /// Those of them who speak
    #[arg(long, default_value_t = 1, value_parser = bounded(1, MOST_USERS))]
    speakers: u64,
    /// The domain of the rooms
    #[arg(long, default_value = "conference.localhost")]
    service: String,
    /// Nobody is told who else is there (`muc#roomconfig_presencebroadcast`)
    #[arg(long)]
    quiet: bool,
    /// Bytes of a body
    #[arg(long, default_value_t = 100, value_parser = bounded(40, 200_000))]
    size: u64,
}

impl Muc {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let occupants = self.occupants as usize;
        let speakers = self.speakers.min(self.occupants) as usize;
        let room = format!("bench{}@{}", std::process::id(), self.service);
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..occupants, Hello::Silent)?;
        let mut report = self.load.report("muc", target.tls, &target.label);
        report.set("occupants", self.occupants);
        report.set("speakers", self.speakers);
        report.set("size", self.size);

        let limit = target.limit();
        let sessions = (0..occupants).collect();
        let mut entering = Entering::open(&mut fleet.engine, &room, sessions, self.quiet, limit)?;
        let (began, meter) = (Instant::now(), Meter::start(&target.pid)?);
        entering.all(&mut fleet.engine, limit)?;
        let spent = meter.spent()?;
        let mut run = Run::default();
        let presences = entering.presences() as f64;
        run.add("entry_s", "s", began.elapsed().as_secs_f64());
        run.add("presences", "stanzas", presences);
        let server = spent.server.unwrap_or_default();
        run.add(
            "entry_server_us",
            "us/presence",
            server.as_secs_f64() * 1e6 / presences,
        );
        run.add(
            "entry_own_us",
            "us/presence",
            spent.own.as_secs_f64() * 1e6 / presences,
        );
        let mut entered = Report::new(format!("muc-entry-{}", target.tls.as_str()), &target.label);
        entered.set("occupants", self.occupants);
        entered.set("quiet", self.quiet);
        entered.push(run);
        entered.publish(target.json.as_deref())?;

        let size = self.size as usize;
        let routes = (0..speakers).map(|speaker| route(speaker, occupants, &room, size));
        let places = |session, _| Place::At(session);
        let mut traffic = Traffic::new("message", routes.collect(), places);
        let plan = self.load.plan(&self.timing, &target.pid);
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }
}

/// From a session to everybody in the room.
pub(crate) fn route(speaker: usize, occupants: usize, room: &str, size: usize) -> Route {
    let head = format!("<message to='{room}' type='groupchat' id='bench'><body>").into_bytes();
    Route::new(speaker, occupants, head, b"</body></message>", size)
}
