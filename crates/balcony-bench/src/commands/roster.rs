//! Rosters in a ring, made as people make them: by asking and agreeing (RFC 6121 §3).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use balcony_proto::ns;
use balcony_proto::xml::Element;
use clap::Args;

use crate::error::{Error, Result};
use crate::fleet::{Fleet, Hello};
use crate::options::{MOST_USERS, Target, bounded};
use crate::ring::Ring;
use crate::wire::{Bound, Engine, Load, markup};

/// Users whose requests are under way at a time: a server may bound what waits for one of them.
const BATCH: usize = 50;

/// How long to wait for an answer before asking how things stand. A server that finds a request
/// settled already does not send one.
const QUIET: Duration = Duration::from_secs(2);

/// How often a batch is asked for what is still missing.
const ROUNDS: usize = 10;

/// Give users each other as contacts, with subscriptions both ways. What is there already stays.
#[derive(Args, Debug)]
pub(crate) struct Roster {
    #[command(flatten)]
    target: Target,
    /// Users, from the first on
    #[arg(long, value_parser = bounded(3, MOST_USERS))]
    count: u64,
    /// Contacts of each, half of them on either side
    #[arg(long, default_value_t = 20, value_parser = bounded(2, 1000))]
    contacts: u64,
}

impl Roster {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let users = self.count as usize;
        let ring = Ring::new(users, self.contacts as usize);
        let ring = ring.ok_or_else(|| Error::Usage("fewer users than contacts".into()))?;
        let mut fleet = Fleet::new(target)?;
        fleet.log_in(0..users, Hello::Client)?;
        let jids = (0..users).map(|user| Ok(target.jid(user)?.as_str().to_owned()));
        let mut wiring = Wiring {
            ring,
            jids: jids.collect::<Result<_>>()?,
            pending: HashSet::new(),
            asked: 0,
            missing: 0,
            last: Instant::now(),
        };
        let mut begin = 0;
        while begin < users {
            let end = (begin + BATCH).min(users);
            wiring.batch(&mut fleet.engine, begin..end)?;
            begin = end;
        }
        println!("{users} users have {} contacts each", ring.contacts());
        fleet.engine.close()
    }
}

/// Subscriptions under way.
struct Wiring {
    ring: Ring,
    /// Bare JIDs by user.
    jids: Vec<String>,
    /// Who asked whom and was not answered.
    pending: HashSet<(usize, String)>,
    /// Rosters asked for and not seen.
    asked: usize,
    /// Contacts that the rosters did not have.
    missing: usize,
    /// When something came last.
    last: Instant,
}

impl Wiring {
    fn batch(&mut self, engine: &mut Engine, users: std::ops::Range<usize>) -> Result<()> {
        for _ in 0..ROUNDS {
            self.pending.clear();
            (self.asked, self.missing) = (users.len(), 0);
            for user in users.clone() {
                engine.send(
                    user,
                    b"<iq type='get' id='ring'><query xmlns='jabber:iq:roster'/></iq>",
                );
            }
            let limit = Duration::from_secs(60);
            engine.turn_until(self, limit, "the rosters", |wiring| wiring.asked == 0)?;
            if self.missing == 0 {
                return Ok(());
            }
            self.last = Instant::now();
            while !self.pending.is_empty() && self.last.elapsed() < QUIET {
                engine.turn(self, QUIET / 10)?;
            }
        }
        Err(Error::Timeout(format!("{} subscriptions", self.missing)))
    }

    /// Asks for every contact that the roster does not have both ways.
    fn roster(&mut self, engine: &mut Engine, user: usize, stanza: &[u8]) -> Result<()> {
        let bad = || Error::unexpected("a user", "a roster that cannot be read", stanza);
        let iq = Element::parse(stanza, ns::CLIENT).map_err(|_| bad())?;
        let query = iq.child(ns::ROSTER, "query");
        let both: HashSet<&str> = query
            .iter()
            .flat_map(|query| query.children())
            .filter(|item| item.attr("subscription") == Some("both"))
            .filter_map(|item| item.attr("jid"))
            .collect();
        for contact in self.ring.of(user) {
            let Some(jid) = self.jids.get(contact) else {
                continue;
            };
            if both.contains(jid.as_str()) {
                continue;
            }
            self.missing += 1;
            self.pending.insert((user, jid.clone()));
            engine.send(
                user,
                format!("<presence type='subscribe' to='{jid}'/>").as_bytes(),
            );
            // And the other way, in case only that is left (it may have been answered before).
            if let Some(own) = self.jids.get(user) {
                let request = format!("<presence type='subscribe' to='{own}'/>");
                engine.send(contact, request.as_bytes());
            }
        }
        self.asked = self.asked.saturating_sub(1);
        Ok(())
    }

    fn presence(&mut self, engine: &mut Engine, user: usize, stanza: &[u8]) {
        let from = markup::attribute(stanza, "from").unwrap_or_default();
        let from = String::from_utf8_lossy(from);
        let bare = from.split('/').next().unwrap_or_default();
        match markup::attribute(stanza, "type") {
            Some(b"subscribe") => {
                engine.send(
                    user,
                    format!("<presence type='subscribed' to='{bare}'/>").as_bytes(),
                );
            }
            Some(b"subscribed") => {
                self.pending.remove(&(user, bare.to_owned()));
            }
            _ => return,
        }
        self.last = Instant::now();
    }
}

impl Load for Wiring {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, session: usize, stanza: &[u8]) -> Result<()> {
        if markup::is(stanza, "presence") {
            self.presence(engine, session, stanza);
        } else if markup::is(stanza, "iq") && markup::attribute(stanza, "id") == Some(b"ring") {
            return self.roster(engine, session, stanza);
        }
        Ok(())
    }
}
