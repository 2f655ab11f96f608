//! A room: what it costs to enter it, and to tell everybody in it something (XEP-0045).

use std::time::Instant;

use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Meter, Report, Run};
use crate::options::{Load as Pace, MOST_USERS, Target, Timing, bounded};
use crate::traffic::{Place, Route, Traffic};
use crate::wire::{Bound, Engine, Load, markup};

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

        let mut entering = Entering::new(&room, occupants, self.quiet);
        fleet.engine.send(0, entry(&room, 0).as_bytes());
        let limit = target.limit();
        let owned = |entering: &Entering| entering.open;
        fleet
            .engine
            .turn_until(&mut entering, limit, "the room", owned)?;
        let (began, meter) = (Instant::now(), Meter::start(&target.pid)?);
        for session in 1..occupants {
            fleet.engine.send(session, entry(&room, session).as_bytes());
        }
        let all = |entering: &Entering| entering.is_over();
        fleet
            .engine
            .turn_until(&mut entering, limit, "the occupants", all)?;
        let spent = meter.spent()?;
        let mut run = Run::default();
        let presences = entering.presences as f64;
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

        let routes = (0..speakers).map(|speaker| self.route(speaker, occupants, &room));
        let places = |session, _| Place::At(session);
        let mut traffic = Traffic::new("message", routes.collect(), places);
        let plan = self.load.plan(&self.timing, &target.pid);
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }

    fn route(&self, speaker: usize, occupants: usize, room: &str) -> Route {
        let head = format!("<message to='{room}' type='groupchat' id='bench'><body>").into_bytes();
        let tail = b"</body></message>";
        Route::new(speaker, occupants, head, tail, self.size as usize)
    }
}

/// §7.2.14: without a history.
fn entry(room: &str, session: usize) -> String {
    format!(
        "<presence to='{room}/nick{session}'><x xmlns='http://jabber.org/protocol/muc'>\
         <history maxchars='0'/></x></presence>"
    )
}

/// Occupants on their way into the room.
struct Entering {
    room: String,
    occupants: usize,
    quiet: bool,
    /// The first one is its owner, and has let the others in (§10.1.2).
    open: bool,
    presences: u64,
    subjects: usize,
}

impl Entering {
    fn new(room: &str, occupants: usize, quiet: bool) -> Entering {
        Entering {
            room: room.to_owned(),
            occupants,
            quiet,
            open: false,
            presences: 0,
            subjects: 0,
        }
    }

    /// Everybody has seen everybody (§7.1): each newcomer those who were there and itself, and
    /// those who were there the newcomer.
    fn is_over(&self) -> bool {
        let others = self.occupants as u64 - 1;
        let all = match self.quiet {
            true => others,
            false => others * (others + 1) + others,
        };
        self.presences >= all && self.subjects >= self.occupants
    }
}

impl Load for Entering {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if markup::is(stanza, "presence") {
            if self.open {
                self.presences += 1;
                return Ok(());
            }
            let configure = configuration(&self.room, self.quiet);
            engine.send(session, configure.as_bytes());
        } else if markup::is(stanza, "message") {
            self.subjects += 1;
        } else if markup::attribute(stanza, "id") == Some(b"open") {
            self.open = true;
        }
        Ok(())
    }
}

/// §10.1.2, or §10.2 with what is to be changed.
fn configuration(room: &str, quiet: bool) -> String {
    let fields = match quiet {
        true => {
            "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value>\
             </field><field var='muc#roomconfig_presencebroadcast'/>"
        }
        false => "",
    };
    format!(
        "<iq type='set' id='open' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'>{fields}</x></query></iq>"
    )
}
