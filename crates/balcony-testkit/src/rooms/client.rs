//! Somebody in a run: a connection, what came over it, and what follows from that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;
use balcony_server::system_random;
use balcony_stream::initiating::{ClientConfig, Initiating, Input, Output, Secret, TlsPolicy};
use parking_lot::Mutex;

use super::plan::{Act, PEOPLE};
use super::{Journal, address};
use crate::keys;
use crate::memory::End;
use crate::reader::{Piece, Reader};
use crate::sim::PASSWORD;

/// A change of a description: when it was asked for, and when it was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) room: usize,
    pub(super) number: u64,
    pub(super) sent: usize,
    /// `None`: it was refused, or nothing came.
    pub(super) done: Option<usize>,
}

/// What somebody knows.
#[derive(Default)]
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) end: Option<Arc<End>>,
    pub(super) next: u64,
    /// Requests without an answer.
    pub(super) waiting: BTreeMap<String, Option<Described>>,
    /// The answers, by id.
    pub(super) answers: BTreeMap<String, Element>,
    pub(super) described: Vec<Described>,
    /// Rooms that it is in, with whom it sees there.
    pub(super) inside: BTreeMap<String, BTreeSet<String>>,
    /// Occupants of rooms of which it does not know yet that it is in.
    pub(super) seen: BTreeMap<String, BTreeSet<String>>,
    /// It ended its connection, or its account is gone.
    pub(super) quit: bool,
    pub(super) faults: Vec<String>,
}

impl Client {
    /// Sends a request; answers its id.
    pub(super) fn request(&mut self, kind: &str, to: &str, payload: &str) -> String {
        self.next += 1;
        let id = format!("{}{}", self.name, self.next);
        self.send(&format!(
            "<iq type='{kind}' id='{id}' to='{to}'>{payload}</iq>"
        ));
        self.waiting.insert(id.clone(), None);
        id
    }

    fn send(&mut self, text: &str) {
        if let Some(end) = &self.end {
            end.send(text.as_bytes());
        }
    }

    /// Does something in a room.
    pub(super) fn act(&mut self, room: usize, act: Act, journal: &Journal) {
        let to = address(room);
        let name = self.name;
        let at = journal.note(format!("{name} -> {to}: {act:?}"));
        match act {
            Act::Enter => self.send(&format!(
                "<presence to='{to}/{name}'><x xmlns='{}'/></presence>",
                ns::MUC
            )),
            Act::Leave => {
                self.send(&format!("<presence type='unavailable' to='{to}/{name}'/>"));
            }
            Act::Describe(number, lasts) => {
                let id = self.request("set", &to, &description(number, lasts));
                let described = Described {
                    room,
                    number,
                    sent: at,
                    done: None,
                };
                self.waiting.insert(id, Some(described));
            }
            Act::Affiliate(who, what) => {
                let who = PEOPLE.get(who).copied().unwrap_or_default();
                let item = format!("<item jid='{who}@localhost' affiliation='{what}'/>");
                let query = format!("<query xmlns='{}'>{item}</query>", ns::MUC_ADMIN);
                self.request("set", &to, &query);
            }
            Act::Register(yes) => {
                let inside = if yes {
                    nickname(name)
                } else {
                    "<remove/>".to_owned()
                };
                let query = format!("<query xmlns='{}'>{inside}</query>", ns::REGISTER);
                self.request("set", &to, &query);
            }
            Act::Ask => {
                self.request("get", &to, &format!("<query xmlns='{}'/>", ns::DISCO_INFO));
            }
            Act::Say => self.send(&format!(
                "<message type='groupchat' to='{to}'><body>Ay me</body></message>"
            )),
            Act::Destroy => {
                let query = format!("<query xmlns='{}'><destroy/></query>", ns::MUC_OWNER);
                self.request("set", &to, &query);
            }
            Act::Quit => {
                self.quit = true;
                self.send("</stream:stream>");
                if let Some(end) = self.end.take() {
                    end.close();
                }
            }
        }
    }

    fn came(&mut self, element: &Element, journal: &Journal) {
        let text = String::from_utf8_lossy(&element.to_bytes(ns::CLIENT)).into_owned();
        let at = journal.note(format!("{} <- {text}", self.name));
        match element.name() {
            "iq" => self.answered(element, at),
            "presence" => self.saw(element),
            _ => {}
        }
    }

    fn answered(&mut self, iq: &Element, at: usize) {
        let id = iq.attr("id").unwrap_or_default();
        let is_answer = matches!(iq.attr("type"), Some("result" | "error"));
        if !is_answer {
            return;
        }
        match self.waiting.remove(id) {
            None => self.faults.push(format!("{id} is answered twice")),
            Some(described) => {
                let done = (iq.attr("type") == Some("result")).then_some(at);
                let described = described.map(|one| Described { done, ..one });
                self.described.extend(described);
            }
        }
        self.answers.insert(id.to_owned(), iq.clone());
    }

    fn saw(&mut self, presence: &Element) {
        let from = presence.attr("from").and_then(|from| Jid::parse(from).ok());
        let Some(from) = from.filter(|from| from.domain() == "conference.localhost") else {
            return;
        };
        let (room, nick) = (from.bare().to_string(), from.resource().unwrap_or_default());
        let x = presence.child(ns::MUC_USER, "x");
        let own = x.is_some_and(|x| x.children().any(|child| child.attr("code") == Some("110")));
        match (presence.attr("type"), own) {
            (None, true) => {
                let mut others = self.seen.remove(&room).unwrap_or_default();
                others.extend(self.inside.remove(&room).unwrap_or_default());
                others.insert(nick.to_owned());
                self.inside.insert(room, others);
            }
            (None, false) => {
                let seen = match self.inside.get_mut(&room) {
                    Some(inside) => inside,
                    None => self.seen.entry(room).or_default(),
                };
                seen.insert(nick.to_owned());
            }
            (Some("unavailable"), true) => {
                self.inside.remove(&room);
                self.seen.remove(&room);
            }
            (Some("unavailable"), false) => {
                if let Some(inside) = self.inside.get_mut(&room) {
                    inside.remove(nick);
                }
            }
            _ => {}
        }
    }
}

fn description(number: u64, lasts: bool) -> String {
    let field = |var: &str, value: &str| {
        format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")
    };
    format!(
        "<query xmlns='{}'><x xmlns='{}' type='submit'>{}{}</x></query>",
        ns::MUC_OWNER,
        ns::DATA_FORMS,
        field("roomdesc", &number.to_string()),
        field("persistentroom", if lasts { "1" } else { "0" }),
    )
}

fn nickname(name: &str) -> String {
    format!(
        "<x xmlns='{}' type='submit'><field var='muc#register_roomnick'>\
         <value>{name}</value></field></x>",
        ns::DATA_FORMS
    )
}

/// Logs in.
pub(super) async fn log_in(end: &End, account: Jid, resource: &str) -> Result<Reader, String> {
    let mut config = ClientConfig::new(account, resource);
    config.secret = Secret::Password {
        password: PASSWORD.to_owned(),
        keys: keys::of_client(PASSWORD),
    };
    config.tls = TlsPolicy::Clear;
    config.sasl2 = false;
    let mut machine = Initiating::new(Arc::new(config), system_random()?, Duration::ZERO);
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Write(bytes) => {
                    end.send(&bytes);
                }
                Output::Bound(bound) => {
                    if let Some(made) = &bound.keys {
                        keys::keep_client(PASSWORD, made.clone());
                    }
                    let (_, rest) = machine.into_established();
                    let mut reader = Reader::inside()?;
                    reader.feed(&rest)?;
                    end.send(b"<presence/>");
                    return Ok(reader);
                }
                Output::Failed(failure) => return Err(failure.to_string()),
                _ => {}
            }
        }
        match end.receive().await {
            Some(bytes) => machine.handle(Input::Bytes(&bytes), Duration::ZERO),
            None => return Err("the server closed the connection".to_owned()),
        }
    }
}

/// Reads until the connection ends.
pub(super) async fn read(
    client: Arc<Mutex<Client>>,
    end: Arc<End>,
    mut reader: Reader,
    journal: Arc<Journal>,
) {
    loop {
        while let Some(piece) = reader.next_piece() {
            match piece {
                Piece::Element(element) => client.lock().came(&element, &journal),
                Piece::Close => {
                    end.send(b"</stream:stream>");
                    end.close();
                }
                Piece::Open(_) => {}
            }
        }
        let Some(bytes) = end.receive().await else {
            client.lock().quit = true;
            return;
        };
        if let Err(what) = reader.feed(&bytes) {
            return client.lock().faults.push(what);
        }
    }
}
