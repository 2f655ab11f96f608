//! What personal events (XEP-0163) add to a login: the last items of all contacts.

use std::collections::HashSet;

use balcony_proto::ns;
use balcony_proto::xep::caps::Caps;
use balcony_proto::xep::disco::{Identity, Info};
use clap::Args;

use crate::error::Result;
use crate::fleet::{Fleet, Hello};
use crate::measure::{Histogram, Meter, Report, Run};
use crate::options::{MOST_USERS, Target, Tls, bounded};
use crate::wire::{Bound, Engine, Former, Load, markup};

/// What every user has published, as clients do it, with the access that it is published for.
const NODES: [(&str, &str, &str); 3] = [
    (
        "urn:xmpp:avatar:metadata",
        "<metadata xmlns='urn:xmpp:avatar:metadata'>\
         <info bytes='12345' id='357a8123a30844a3aa99861b6349264ba67a5694' type='image/png' \
         width='64' height='64'/></metadata>",
        "presence",
    ),
    (
        "http://jabber.org/protocol/nick",
        "<nick xmlns='http://jabber.org/protocol/nick'>Bench</nick>",
        "presence",
    ),
    (
        "eu.siacs.conversations.axolotl.devicelist",
        "<list xmlns='eu.siacs.conversations.axolotl'><device id='1'/><device id='2'/></list>",
        "open",
    ),
];

/// Log in users one after the other whose contacts have published an avatar, a nickname and a list
/// of devices, once as a client that does not ask for them and once as one that does. Wants the
/// rosters that `roster` makes. A unit is a login, from the connection to the last item.
#[derive(Args, Debug)]
pub(crate) struct Pep {
    #[command(flatten)]
    target: Target,
    /// Users, as many as `roster` was told
    #[arg(long, default_value_t = 210, value_parser = bounded(3, MOST_USERS))]
    users: u64,
    /// Contacts of each, as many as `roster` was told
    #[arg(long, default_value_t = 200, value_parser = bounded(2, 1000))]
    contacts: u64,
    /// Users that log in
    #[arg(long, default_value_t = 50, value_parser = bounded(1, MOST_USERS))]
    logins: u64,
    /// Runs; the result is their median
    #[arg(long, default_value_t = 3, value_parser = bounded(1, 100))]
    runs: u64,
    /// Nobody publishes: it was done in a run before
    #[arg(long)]
    published: bool,
}

impl Pep {
    pub(crate) fn run(&self) -> Result<()> {
        let target = &self.target;
        let mut fleet = Fleet::new(target)?;
        if !self.published {
            self.publish(&mut fleet)?;
        }
        let mut report = Report::new(format!("pep-{}", target.tls.as_str()), &target.label);
        report.set("contacts", self.contacts);
        report.set("logins", self.logins);
        let items = (self.contacts + 1) * NODES.len() as u64;
        report.set("items", items);
        // The first time, the client pays for PBKDF2, and the server learns what the client wants.
        self.log_in(&mut fleet, items)?;
        for _ in 0..self.runs {
            let mut run = Run::default();
            let meter = Meter::start(&target.pid)?;
            self.log_in(&mut fleet, 0)?;
            run.cpu(&meter.spent()?, self.logins, ["plain_us", "own_plain_us"]);
            let meter = Meter::start(&target.pid)?;
            let latency = self.log_in(&mut fleet, items)?;
            run.cpu(&meter.spent()?, self.logins, ["server_us", "own_us"]);
            run.latency(&latency);
            report.push(run);
        }
        report.publish(target.json.as_deref())
    }

    fn publish(&self, fleet: &mut Fleet<'_>) -> Result<()> {
        let users = self.users as usize;
        fleet.log_in(0..users, Hello::Silent)?;
        for session in 0..users {
            for (node, payload, access) in NODES {
                fleet
                    .engine
                    .send(session, publication(node, payload, access).as_bytes());
            }
        }
        let mut publishing = Publishing { answered: 0 };
        let all = |publishing: &Publishing| publishing.answered == users * NODES.len();
        let limit = self.target.limit();
        fleet
            .engine
            .turn_until(&mut publishing, limit, "the publications", all)?;
        fleet.engine.close()
    }

    /// One after the other, each alone.
    fn log_in(&self, fleet: &mut Fleet<'_>, items: u64) -> Result<Histogram> {
        let target = &self.target;
        let mut latency = Histogram::new();
        for user in 0..self.logins as usize {
            let began = std::time::Instant::now();
            let stream = fleet.clients.stream(user, Former::default())?;
            let tls_first = target.tls == Tls::Direct;
            let name = target.user(user);
            fleet
                .engine
                .connect(target.address()?, name, Some(stream), tls_first)?;
            let mut login = Login::new(items);
            fleet.engine.turn_until(
                &mut login,
                target.limit(),
                "the last items",
                Login::is_over,
            )?;
            latency.record_nanos(began.elapsed().as_nanos() as u64);
            fleet.engine.close()?;
        }
        Ok(latency)
    }
}

fn publication(node: &str, payload: &str, access: &str) -> String {
    let field =
        |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = [
        field("FORM_TYPE", ns::PUBLISH_OPTIONS),
        field("pubsub#access_model", access),
    ];
    format!(
        "<iq type='set' id='publish'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='{node}'><item id='current'>{payload}</item></publish>\
         <publish-options><x xmlns='jabber:x:data' type='submit'>{}</x></publish-options>\
         </pubsub></iq>",
        form.concat()
    )
}

/// What the client says to be when it is asked.
fn info() -> Info {
    let info = Info::of(Identity::new("client", "pc").named("balcony-bench"));
    let info = info.with_feature(ns::DISCO_INFO);
    let nodes = NODES.iter().map(|(node, _, _)| format!("{node}+notify"));
    nodes.fold(info, Info::with_feature)
}

struct Publishing {
    answered: usize,
}

impl Load for Publishing {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, stanza: &[u8]) -> Result<()> {
        if markup::attribute(stanza, "id") == Some(b"publish") {
            self.answered += 1;
        }
        Ok(())
    }
}

/// A client that comes online.
struct Login {
    /// Items that it waits for.
    items: u64,
    /// From whom, and of which node: each once.
    seen: HashSet<(Vec<u8>, usize)>,
    /// The ping behind its presence was answered.
    greeted: bool,
}

impl Login {
    fn new(items: u64) -> Login {
        Login {
            items,
            seen: HashSet::new(),
            greeted: false,
        }
    }

    fn is_over(&self) -> bool {
        self.greeted && self.seen.len() as u64 == self.items
    }

    /// XEP-0115 §6.2
    fn tell(engine: &mut Engine, session: usize, stanza: &[u8]) {
        let text = |name: &str| {
            let found = markup::attribute(stanza, name).unwrap_or_default();
            String::from_utf8_lossy(found).into_owned()
        };
        let caps = Caps::of(&info(), "urn:bench");
        let query = info().about(caps.disco_node()).to_element();
        let query = String::from_utf8_lossy(&query.to_bytes(ns::CLIENT)).into_owned();
        let (id, from) = (text("id"), text("from"));
        let answer = format!("<iq type='result' id='{id}' to='{from}'>{query}</iq>");
        engine.send(session, answer.as_bytes());
    }
}

impl Load for Login {
    fn asked(&mut self, engine: &mut Engine, session: usize, request: &[u8]) -> bool {
        // Of the account's own pushes nothing is to be said but that they were received.
        let is_question = markup::attribute(request, "type") == Some(b"get");
        if is_question {
            Login::tell(engine, session, request);
        }
        is_question
    }

    fn ready(&mut self, engine: &mut Engine, session: usize, _: Bound) -> Result<()> {
        let caps = match self.items {
            0 => String::new(),
            _ => {
                let caps = Caps::of(&info(), "urn:bench").to_element();
                String::from_utf8_lossy(&caps.to_bytes(ns::CLIENT)).into_owned()
            }
        };
        let hello = format!(
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>\
             <presence>{caps}</presence>\
             <iq type='get' id='hello'><ping xmlns='urn:xmpp:ping'/></iq>"
        );
        engine.send(session, hello.as_bytes());
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, stanza: &[u8]) -> Result<()> {
        let id = markup::attribute(stanza, "id");
        if markup::is(stanza, "iq") && id == Some(b"hello") {
            self.greeted = true;
        } else if markup::is(stanza, "message") {
            let has = |(node, _, _): &(&str, &str, &str)| {
                stanza
                    .windows(node.len())
                    .any(|part| part == node.as_bytes())
            };
            let from = markup::attribute(stanza, "from")
                .unwrap_or_default()
                .to_vec();
            self.seen
                .extend(NODES.iter().position(has).map(|node| (from, node)));
        }
        Ok(())
    }
}
