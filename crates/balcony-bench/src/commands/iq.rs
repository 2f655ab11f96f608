//! Requests to the server itself.

use clap::{Args, ValueEnum};

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::options::{Load, MOST_USERS, Target, Timing, bounded};
use crate::stamp;
use crate::traffic::{Place, Route, Traffic};

/// Send requests to the server, each checked to be answered once, with a result and in order.
#[derive(Args, Debug)]
pub(crate) struct Iq {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Load,
    /// Users that ask
    #[arg(long, default_value_t = 50, value_parser = bounded(1, MOST_USERS))]
    users: u64,
    /// What they ask
    #[arg(long, value_enum, default_value_t = What::Ping)]
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// XEP-0199
    Ping,
    /// XEP-0030, disco#info
    Disco,
}

impl What {
    fn name_and_payload(self) -> (&'static str, &'static str) {
        match self {
            What::Ping => ("ping", "<ping xmlns='urn:xmpp:ping'/>"),
            What::Disco => (
                "disco",
                "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            ),
        }
    }
}

impl Iq {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let users = self.users as usize;
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..users, Hello::Client)?;

        let (name, payload) = self.what.name_and_payload();
        let head = format!("<iq type='get' to='{}' id='", target.domain).into_bytes();
        let tail = format!("'>{payload}</iq>").into_bytes();
        let route = |user| Route::new(user, 1, head.clone(), &tail, stamp::LENGTH);
        let places = |session, user| match session == user {
            true => Place::At(0),
            false => Place::Nowhere,
        };
        let mut traffic = Traffic::new("iq", (0..users).map(route).collect(), places);
        let plan = self.load.plan(&self.timing, &target.pid);
        let mut report = self
            .load
            .report(&format!("iq-{name}"), target.tls, &target.label);
        report.set("users", self.users);
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }
}
