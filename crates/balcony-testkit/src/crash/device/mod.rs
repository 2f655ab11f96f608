//! A client that keeps at it: it writes messages, loses its connection, comes back, sends again
//! exactly what the server has not taken, and catches up with the archive.

mod archive;
mod connection;
mod deeds;
mod inbox;
mod live;
mod managed;
mod stages;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::scram::ClientKeys;
use balcony_proto::stanza::{MessageType, Stanza};
use balcony_proto::{ns, xml::Element};
use balcony_stream::initiating::{Bound, Resume, Resumption};

use self::archive::Walk;
use self::connection::{Link, Login, enable};
use self::deeds::Deed;
use self::inbox::Inbox;
use self::managed::{Managed, Outgoing};
use self::stages::Stage;
use super::journal::Journal;
use super::observed::{AccountFacts, CatchUp, DeviceFacts, Fate, MessageId, Sent};
use super::seeded::Seeded;
use super::world::{Phase, World};

/// One client.
pub(super) struct Device {
    number: usize,
    account: usize,
    jid: String,
    world: Arc<World>,
    random: Seeded,
    keys: Option<ClientKeys>,
    /// What goes on when the connection is lost.
    stream: Option<Managed>,
    /// The full JID of that stream.
    bound: Option<Jid>,
    /// To be sent on the next stream, before anything new.
    again: VecDeque<Outgoing>,
    /// The walk through the archive that is under way.
    walk: Option<Walk>,
    stage: Stage,
    /// Iqs sent so far, for their ids.
    requests: u32,
    sent: Vec<Sent>,
    inbox: Inbox,
    catch_ups: Vec<CatchUp>,
    faults: Vec<String>,
    read: AccountFacts,
    journal: Journal,
}

/// What is left of a device.
pub(super) struct Remains {
    pub(super) facts: DeviceFacts,
    /// The archive of its account, where it was the one to read it.
    pub(super) read: AccountFacts,
    pub(super) journal: Journal,
}

/// How a stream came to its end.
enum End {
    /// The connection broke, with the reason; the device comes back.
    Lost(String),
    /// The stream was closed in order: it cannot be resumed.
    Closed,
    /// The round is over.
    Over,
}

impl Device {
    pub(super) fn new(number: usize, account: usize, world: Arc<World>) -> Self {
        Self {
            number,
            account,
            jid: world.account(account),
            random: world.seed.part(number as u64 + 1),
            keys: None,
            stream: None,
            bound: None,
            again: VecDeque::new(),
            walk: None,
            stage: Stage::default(),
            requests: 0,
            sent: Vec::new(),
            inbox: Inbox::default(),
            catch_ups: Vec::new(),
            faults: Vec::new(),
            read: AccountFacts::default(),
            journal: Journal::new(world.begun),
            world,
        }
    }

    /// Lives until the round is over, or the devices are told to give up.
    pub(super) async fn run(mut self) -> Remains {
        let mut give_up = self.world.phase.clone();
        loop {
            tokio::select! {
                over = self.once() => if over { break },
                // The driver is gone, or has waited for too long.
                _ = give_up.wait_for(|phase| *phase == Phase::GiveUp) => break,
            }
        }
        Remains {
            facts: DeviceFacts {
                account: self.account,
                sent: self.sent,
                received: self.inbox.received,
                catch_ups: self.catch_ups,
                faults: self.faults,
            },
            read: self.read,
            journal: self.journal,
        }
    }

    /// One connection. True: the last.
    async fn once(&mut self) -> bool {
        match self.connect().await {
            Ok(End::Over) => return true,
            Ok(End::Closed) => self.journal.event("closed"),
            Ok(End::Lost(why)) | Err(why) => self.journal.event(format!("lost: {why}")),
        }
        let pause = match *self.world.phase.borrow() {
            // At once, or after as long as a phone is in a tunnel.
            Phase::Load => self.random.below(300),
            _ => 50,
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        false
    }

    async fn connect(&mut self) -> Result<End, String> {
        let jid = Jid::parse(&self.jid).map_err(|error| error.to_string())?;
        let login = Login {
            account: jid,
            number: self.number,
            tls: self.world.load.tls && self.number % 2 == 1,
            keys: self.keys.clone(),
            resume: self.resume(),
        };
        let place = *self.world.place.borrow();
        let (mut link, bound, rest) = Link::open(login, place).await?;
        self.keys = bound.keys.clone();
        if let Some(jids) = self.world.bound.lock().get_mut(self.number) {
            *jids = Some(bound.jid.clone());
        }
        self.begin(&mut link, &bound)?;
        Ok(self.live(link, rest).await)
    }

    fn resume(&self) -> Option<Resume> {
        let stream = self.stream.as_ref()?;
        Some(Resume {
            jid: self.bound.clone()?,
            previd: stream.previd.clone()?,
            h: stream.handled,
        })
    }

    /// XEP-0198 §5: goes on where the former stream was, or begins a new one.
    fn begin(&mut self, link: &mut Link, bound: &Bound) -> Result<(), String> {
        let event = format!("{} {:?}", bound.jid, bound.resumption);
        self.journal.event(event);
        self.bound = Some(bound.jid.clone());
        if let Some(Resumption::Resumed(h)) = bound.resumption {
            if let Err(fault) = self.acknowledged(h) {
                self.faults.push(fault.clone());
                self.give_up_stream(None);
                return Err(fault);
            }
            let stream = self.stream.iter().flat_map(Managed::unacknowledged);
            for stanza in stream {
                self.journal.sent(&stanza.bytes);
                link.out.extend_from_slice(&stanza.bytes);
            }
            return Ok(());
        }
        self.give_up_stream(bound.resumption);
        let enabled = bound.bound.iter().find(|child| child.ns() == ns::SM);
        match enabled {
            Some(element) => {
                self.enabled(element)?;
                self.greet(link);
            }
            None => enable().write(ns::CLIENT, &mut link.out),
        }
        Ok(())
    }

    /// The former stream is gone: what the server has not taken of it is sent on the next one.
    fn give_up_stream(&mut self, resumption: Option<Resumption>) {
        match resumption {
            Some(Resumption::Failed(Some(h))) => {
                let stream = self.stream.as_mut();
                match stream.map_or(Ok(Vec::new()), |stream| stream.failed(h)) {
                    Ok(taken) => self.taken(taken),
                    Err(fault) => self.faults.push(fault),
                }
            }
            _ if self
                .stream
                .as_ref()
                .is_some_and(|stream| stream.waiting() > 0) =>
            {
                let fault = "the server does not know any more what it had handled";
                self.faults.push(fault.to_owned());
            }
            _ => {}
        }
        let messages = self
            .stream
            .take()
            .into_iter()
            .flat_map(Managed::into_messages);
        for stanza in messages.collect::<Vec<_>>().into_iter().rev() {
            self.again.push_front(stanza);
        }
        self.walk = None;
        self.stage.restart();
        self.inbox.new_stream();
    }

    /// `<enabled/>` came (XEP-0198 §3): from here on both sides count.
    fn enabled(&mut self, element: &Element) -> Result<(), String> {
        if element.name() != "enabled" {
            return Err("stream management was refused".to_owned());
        }
        let resumable = matches!(element.attr("resume"), Some("true" | "1"));
        let previd = element.attr("id").filter(|_| resumable);
        self.stream = Some(Managed::new(previd.map(str::to_owned)));
        Ok(())
    }

    /// The server has handled `h` stanzas of ours.
    fn acknowledged(&mut self, h: u32) -> Result<(), String> {
        let Some(stream) = &mut self.stream else {
            return Err("an acknowledgement without stream management".to_owned());
        };
        let taken = stream.acknowledge(h)?;
        self.taken(taken);
        Ok(())
    }

    fn taken(&mut self, stanzas: Vec<Outgoing>) {
        for id in stanzas.into_iter().filter_map(|stanza| stanza.message) {
            self.decide(id, Fate::Acknowledged);
        }
    }

    /// Notes what the server said of a message: an error says more than a count.
    fn decide(&mut self, id: MessageId, fate: Fate) {
        let place = usize::try_from(id.n).ok().and_then(|n| n.checked_sub(1));
        let sent = place.and_then(|place| self.sent.get_mut(place));
        if let Some(sent) = sent.filter(|sent| !matches!(sent.fate, Fate::Refused(_))) {
            sent.fate = fate;
        }
    }

    /// The next message to an account, by its bare JID or to one of its resources.
    fn compose(&mut self, to: usize, bare: bool) -> Outgoing {
        let n = u32::try_from(self.sent.len() + 1).unwrap_or(u32::MAX);
        let id = MessageId {
            sender: self.number,
            n,
        };
        self.sent.push(Sent {
            id,
            to,
            fate: Fate::Open,
        });
        let full = self.world.full_jid(to).filter(|_| !bare);
        let address = full.unwrap_or_else(|| self.world.account(to));
        let body = Element::new(ns::CLIENT, "body").with_text(&id.body());
        let stanza = Stanza::message(MessageType::Chat)
            .with_to(Jid::parse(&address).ok())
            .with_id(id.to_string())
            .with_element(body);
        Outgoing {
            bytes: stanza.to_bytes(),
            message: Some(id),
        }
    }

    /// Writes a stanza on the stream that stands.
    fn send(&mut self, link: &mut Link, stanza: Outgoing) {
        self.journal.sent(&stanza.bytes);
        link.out.extend_from_slice(&stanza.bytes);
        if let Some(stream) = &mut self.stream {
            stream.push(stanza);
        }
    }

    fn send_other(&mut self, link: &mut Link, stanza: &Stanza) {
        let bytes = stanza.to_bytes();
        let message = None;
        self.send(link, Outgoing { bytes, message });
    }

    /// An id for the next iq.
    fn request_id(&mut self, what: &str) -> String {
        self.requests += 1;
        format!("{what}{}", self.requests)
    }
}
