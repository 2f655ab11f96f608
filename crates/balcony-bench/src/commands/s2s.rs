//! Chat messages between users of two servers.

use std::path::PathBuf;

use clap::Args;

use super::chat::Shape;
use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::options::{Load, Target, Timing};
use crate::traffic::{Place, Traffic};

/// Send messages between pairs of users, one on each of two servers, both ways; each checked to
/// arrive once and in order. The CPU is that of both servers: name both by --pid
#[derive(Args, Debug)]
pub(crate) struct S2s {
    #[command(flatten)]
    target: Target,
    /// Port of the second server
    #[arg(long)]
    other_port: u16,
    /// Domain of the second server, which has the same accounts
    #[arg(long)]
    other_domain: String,
    /// The authority of the second server's certificate (PEM); that of --ca, unless named
    #[arg(long)]
    other_ca: Option<PathBuf>,
    /// As --keys, for the second server: its accounts have the same names, and other keys
    #[arg(long)]
    other_keys: Option<PathBuf>,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    shape: Shape,
}

impl S2s {
    pub(crate) fn run(&self) -> Result<()> {
        let other = self.other();
        let pairs = self.shape.pairs as usize;
        let mut fleet = Fleet::new(&self.target)?;
        fleet.log_in(0..pairs, Hello::Client)?;
        fleet.turn_to(&other)?;
        fleet.log_in(0..pairs, Hello::Client)?;

        // Every second pair the other way, so that both servers send as much as they receive.
        let mut routes = Vec::with_capacity(pairs);
        for pair in 0..pairs {
            let (sender, to) = match pair % 2 {
                0 => (pair, other.jid(pair)?),
                _ => (pairs + pair, self.target.jid(pair)?),
            };
            routes.push(self.shape.route(sender, 1, to.as_str()));
        }
        let places = move |session: usize, pair: usize| {
            let receiver = if pair.is_multiple_of(2) {
                pairs + pair
            } else {
                pair
            };
            match session == receiver {
                true => Place::At(0),
                false => Place::Nowhere,
            }
        };
        let mut traffic = Traffic::new("message", routes, places);
        let plan = self.load.plan(&self.timing, &self.target.pid);
        let mut report = self.load.report("s2s", self.target.tls, &self.target.label);
        self.shape.tell(&mut report);
        let faults = traffic.repeat(&mut fleet.engine, &plan, self.timing.runs, &mut report)?;
        report.publish(self.target.json.as_deref())?;
        fleet.engine.close()?;
        faults.verdict()
    }

    /// The second server. What is not named for it is as on the first one, but never the keys:
    /// they come from salts that each server drew for itself.
    fn other(&self) -> Target {
        let first = self.target.clone();
        Target {
            port: self.other_port,
            domain: self.other_domain.clone(),
            ca: self.other_ca.clone().or(first.ca),
            keys: self.other_keys.clone(),
            ..first
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        s2s: S2s,
    }

    fn other(line: &[&str]) -> Target {
        let start = [
            "bench",
            "--other-port",
            "1",
            "--other-domain",
            "two.example",
        ];
        Line::parse_from([&start[..], line].concat()).s2s.other()
    }

    #[test]
    fn authority_is_shared_and_keys_are_not() {
        let target = other(&["--ca", "one.pem", "--keys", "one.json"]);
        assert_eq!(target.ca.as_deref(), Some(Path::new("one.pem")));
        assert_eq!(target.keys, None);
        assert_eq!((target.port, target.domain.as_str()), (1, "two.example"));
    }

    #[test]
    fn each_server_has_its_own_where_named() {
        let own = ["--other-ca", "two.pem", "--other-keys", "two.json"];
        let target = other(&[&["--ca", "one.pem", "--keys", "one.json"], &own[..]].concat());
        assert_eq!(target.ca.as_deref(), Some(Path::new("two.pem")));
        assert_eq!(target.keys.as_deref(), Some(Path::new("two.json")));
    }
}
