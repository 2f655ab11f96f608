//! Presence that changes, and goes to all contacts.

use clap::Args;

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::options::{Load, MOST_USERS, Target, Timing, bounded};
use crate::ring::Ring;
use crate::stamp;
use crate::traffic::{Place, Route, Traffic};

/// Change the presence of users who have each other in their rosters (see `roster`), and check that
/// every contact gets each change once and in order. A unit is one presence delivered to a contact.
#[derive(Args, Debug)]
pub(crate) struct Presence {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Load,
    /// Users, as many as `roster` was told
    #[arg(long, default_value_t = 200, value_parser = bounded(3, MOST_USERS))]
    users: u64,
    /// Contacts of each, as many as `roster` was told
    #[arg(long, default_value_t = 20, value_parser = bounded(2, 1000))]
    contacts: u64,
}

impl Presence {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let users = self.users as usize;
        let ring = Ring::new(users, self.contacts as usize);
        let ring = ring.ok_or_else(|| Error::Usage("fewer users than contacts".into()))?;
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..users, Hello::Client)?;

        let mut traffic = traffic(users, ring);
        let plan = self.load.plan(&self.timing, &target.pid);
        let mut report = self.load.report("presence", target.tls, &target.label);
        report.set("users", self.users);
        report.set("contacts", ring.contacts());
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }
}

/// The users of a ring change their presence, and their contacts hear of it.
pub(crate) fn traffic(users: usize, ring: Ring) -> Traffic {
    let route = |user| {
        let head = b"<presence><status>".to_vec();
        let tail = b"</status></presence>";
        Route::new(user, ring.contacts(), head, tail, stamp::LENGTH)
    };
    // RFC 6121 §4.4.2: the user's own resources get it too. That is not counted.
    let places = move |session, user| match ring.place(user, session) {
        Some(place) => Place::At(place),
        None if session == user => Place::Beside,
        None => Place::Nowhere,
    };
    Traffic::new("presence", (0..users).map(route).collect(), places)
}
