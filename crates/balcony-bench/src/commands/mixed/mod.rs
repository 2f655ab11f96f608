//! All that users do at once: they chat, change their presence, talk in rooms, read their archives,
//! come and go.

mod mix;
mod search;

use std::time::Duration;

use clap::Args;

use super::chat::Shape;
use super::mam::{self, Pages};
use super::muc::{self, Entering};
use super::presence;
use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::measure::{Report, Run};
use crate::options::{MOST_USERS, Target, Timing, bounded};
use crate::order::Faults;
use crate::ring::Ring;
use crate::stamp::{self, Reader};
use crate::traffic::{Place, Traffic};
use crate::visits::Visits;
use crate::wire::Engine;
use mix::{Mix, Outcome, PARTS, Step};
use search::Search;

/// Messages that the archives of those who read them hold before, as in `mam`.
const ARCHIVED: u64 = 200;

/// Bytes of a body.
const SIZE: usize = 100;

/// A step of the search.
const STEP: Duration = Duration::from_secs(4);
const STEP_WARMUP: Duration = Duration::from_secs(1);

/// What users do, all at once, each kind at a steady rate: in each second 1000 chat messages in
/// pairs, 50 changes of presence that go to all contacts, 20 messages to rooms, 50 pages of an
/// archive, and 20 logins that load the roster and log out, times --scale. Everything counts from
/// when it was due. Wants accounts PREFIX0 and so on, for --users and --readers together, the first
/// --users of them with rosters by `roster --count USERS`; and accounts of the visitors
#[derive(Args, Debug)]
pub(crate) struct Mixed {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    /// Users that chat in pairs, change their presence, and are in rooms; as many as `roster` was
    /// told
    #[arg(long, default_value_t = 400, value_parser = bounded(4, 100_000))]
    users: u64,
    /// Contacts of each, as many as `roster` was told
    #[arg(long, default_value_t = 20, value_parser = bounded(2, 1000))]
    contacts: u64,
    /// Rooms
    #[arg(long, default_value_t = 4, value_parser = bounded(1, 10_000))]
    rooms: u64,
    /// Users in each room, all of whom speak
    #[arg(long, default_value_t = 50, value_parser = bounded(2, 100_000))]
    occupants: u64,
    /// The domain of the rooms
    #[arg(long, default_value = "conference.localhost")]
    service: String,
    /// Further users who read their archives, in which nothing is written meanwhile
    #[arg(long, default_value_t = 20, value_parser = bounded(1, 10_000))]
    readers: u64,
    /// Messages of a page
    #[arg(long, default_value_t = 20, value_parser = bounded(1, ARCHIVED))]
    page: u64,
    /// Nobody reads: the server has no archives
    #[arg(long)]
    no_mam: bool,
    /// Users that log in and out, in turns. They have names of their own, and may have rosters
    #[arg(long, default_value_t = 200, value_parser = bounded(1, MOST_USERS))]
    visitors: u64,
    /// The visitors are PREFIX0, PREFIX1 and so on
    #[arg(long, default_value = "visitor")]
    visitor_prefix: String,
    /// Times as much of everything
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Begin at scale 1 and go up by 1.4 until less than 95 % of some kind is done or a 99th
    /// percentile is over a second; where 1 is too much, go down. Then measure at half of the last
    /// scale that held
    #[arg(long, conflicts_with = "scale")]
    find_saturation: bool,
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=10_000.0).contains(&value) {
        Ok(value)
    } else {
        Err("0.001 to 10000".to_owned())
    }
}

impl Mixed {
    pub(crate) fn run(&self) -> Result<()> {
        let case = format!("mixed-{}", self.target.tls.as_str());
        let mut report = Report::new(case, &self.target.label);
        let mut faults = Faults::default();
        let mut scale = self.scale;
        if self.find_saturation {
            let found = self.saturation(&mut report, &mut faults)?;
            let mut around = Run::default();
            around.add("saturation_scale", "", found);
            report.around(&around);
            scale = found / 2.0;
        }
        self.tell(&mut report, scale);
        let visitors = self.visitor_target();
        let mut fleet = Fleet::new(&self.target)?;
        let (engine, mut mix) = self.set_up(&mut fleet, &visitors)?;
        let step = Step {
            scale,
            warmup: self.timing.warm(),
            seconds: self.timing.measured(),
            server: self.target.pid.clone(),
        };
        for _ in 0..self.timing.runs {
            let outcome = mix.run(engine, &step)?;
            faults.add(outcome.faults);
            let remarks = outcome.remarks.into_iter().chain(outcome.behind);
            remarks.for_each(|remark| report.remark(remark));
            report.push(outcome.run);
        }
        report.publish(self.target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }

    fn tell(&self, report: &mut Report, scale: f64) {
        report.set("scale", scale);
        report.set("users", self.users);
        report.set("contacts", self.contacts);
        report.set("rooms", self.rooms);
        report.set("occupants", self.occupants);
        report.set("readers", self.readers);
        report.set("page", self.page);
        report.set("mam", !self.no_mam);
        report.set("visitors", self.visitors);
        for part in PARTS {
            report.set(&format!("{}_rate", part.name), part.per_second * scale);
        }
    }

    /// The greatest scale that holds. What went wrong on the way is told.
    fn saturation(&self, report: &mut Report, faults: &mut Faults) -> Result<f64> {
        let mut search = Search::new();
        while search.next().is_some() {
            // Set up anew after a step that did not hold: nobody knows what is still under way.
            self.climb(&mut search, report, faults)?;
        }
        let nothing = || Error::Refused("it does not even do a hundredth of the mix".into());
        search.best().ok_or_else(nothing)
    }

    /// Steps until one does not hold.
    fn climb(&self, search: &mut Search, report: &mut Report, faults: &mut Faults) -> Result<()> {
        let visitors = self.visitor_target();
        let mut fleet = Fleet::new(&self.target)?;
        let (engine, mut mix) = self.set_up(&mut fleet, &visitors)?;
        while let Some(scale) = search.next() {
            let step = Step {
                scale,
                warmup: STEP_WARMUP,
                seconds: STEP,
                server: self.target.pid.clone(),
            };
            // A stream that is lost under too much load is an end of it, too.
            let outcome = match mix.run(engine, &step) {
                Ok(outcome) => outcome,
                Err(Error::Usage(text)) => return Err(Error::Usage(text)),
                Err(error) => Outcome {
                    behind: vec![error.to_string()],
                    ..Outcome::default()
                },
            };
            faults.add(outcome.faults);
            search.tell(outcome.holds());
            if !outcome.holds() {
                let behind = outcome.behind.into_iter().chain(outcome.remarks);
                let behind: Vec<String> = behind.collect();
                report.remark(format!("at scale {scale:.2}: {}", behind.join("; ")));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Who comes and goes: the same server, other names.
    fn visitor_target(&self) -> Target {
        Target {
            prefix: self.visitor_prefix.clone(),
            ..self.target.clone()
        }
    }

    /// Everybody is there: people in their rooms, archives filled, and every visitor has been there
    /// once, so that its keys are known.
    fn set_up<'m, 'b>(
        &self,
        fleet: &'m mut Fleet<'b>,
        visitors: &'b Target,
    ) -> Result<(&'m mut Engine, Mix<'m, 'b>)> {
        let (target, users) = (&self.target, self.users as usize);
        let readers = match self.no_mam {
            true => 0,
            false => self.readers as usize,
        };
        let limit = target.limit();
        let ring = Ring::new(users, self.contacts as usize);
        let ring = ring.ok_or_else(|| Error::Usage("fewer users than contacts".into()))?;
        if self.occupants > self.users {
            return Err(Error::Usage("fewer users than occupants of a room".into()));
        }
        let people = users + readers;
        fleet.log_in(0..people, Hello::Client)?;
        fleet.turn_to(visitors)?;
        let Fleet { engine, clients } = fleet;
        let mut visits = Visits::new(clients, people, 0..self.visitors as usize);
        visits.many(engine, self.visitors, target.parallel, limit)?;
        let rooms = self.enter(engine)?;
        let mut pages = None;
        if readers > 0 {
            let senders = (0..users).cycle();
            mam::fill(engine, target, users..people, senders, ARCHIVED, SIZE)?;
            let mut filled = Pages::new(users..people, self.page as usize);
            filled.round(engine, limit)?;
            pages = Some(filled);
        }
        let shape = Shape {
            pairs: self.users / 2,
            size: SIZE as u64,
        };
        let mix = Mix {
            chat: shape.traffic(target)?,
            presence: presence::traffic(users, ring),
            rooms,
            pages,
            visits,
            first_reader: users,
            first_visitor: people,
            reader: Reader::new(),
        };
        Ok((engine, mix))
    }

    /// The rooms with their occupants. One after the other is spoken in, by one of its occupants
    /// after the other.
    fn enter(&self, engine: &mut Engine) -> Result<Traffic> {
        let (rooms, occupants) = (self.rooms as usize, self.occupants as usize);
        let seats = Seats {
            users: self.users as usize,
            occupants,
        };
        let (run, limit) = (stamp::fresh_run(), self.target.limit());
        let name = |room: usize| format!("mixed{run:x}-{room}@{}", self.service);
        for room in 0..rooms {
            let sessions = (0..occupants).map(|seat| seats.user(room, seat)).collect();
            Entering::open(engine, &name(room), sessions, false, limit)?.all(engine, limit)?;
        }
        let route = |route: usize| {
            let (room, seat) = (route % rooms, route / rooms);
            muc::route(seats.user(room, seat), occupants, &name(room), SIZE)
        };
        let routes = (0..rooms * occupants).map(route).collect();
        let places = move |session, route: usize| match seats.seat(route % rooms, session) {
            Some(seat) => Place::At(seat),
            None => Place::Nowhere,
        };
        Ok(Traffic::new("message", routes, places))
    }
}

/// Who is in which room: the users one after the other, and again from the first where they are
/// too few.
#[derive(Clone, Copy, Debug)]
struct Seats {
    users: usize,
    occupants: usize,
}

impl Seats {
    fn user(self, room: usize, seat: usize) -> usize {
        (room * self.occupants + seat) % self.users
    }

    /// Where a user sits in a room.
    fn seat(self, room: usize, user: usize) -> Option<usize> {
        let first = self.user(room, 0);
        let seat = (user + self.users).checked_sub(first)? % self.users;
        (user < self.users && seat < self.occupants).then_some(seat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seat_has_its_user_and_every_user_at_most_one_seat() {
        let seats = Seats {
            users: 7,
            occupants: 5,
        };
        for room in 0..4 {
            for seat in 0..5 {
                assert_eq!(seats.seat(room, seats.user(room, seat)), Some(seat));
            }
            let inside = (0..7).filter(|user| seats.seat(room, *user).is_some());
            assert_eq!(inside.count(), 5);
        }
        assert_eq!(seats.seat(0, 7), None, "nobody of these users");
    }
}
