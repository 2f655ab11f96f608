//! A device while its stream stands.

use std::time::Duration;

use balcony_proto::ns;
use balcony_proto::stanza::{IqType, PresenceType, Stanza};
use balcony_proto::xml::Element;
use balcony_stream::Event;
use balcony_stream::established::write_close;
use balcony_stream::management::{self, Management, write_answer};
use tokio::time::Instant;

use super::archive::{Direction, Then, Walk};
use super::{CatchUp, Deed, Device, End, Fate, Link, MessageId, Phase, inbox};

/// How often a device looks whether something is to be done, or asked again.
const GLANCE: Duration = Duration::from_millis(100);

impl Device {
    /// From login to the end of the connection.
    pub(super) async fn live(&mut self, mut link: Link, rest: Vec<u8>) -> End {
        match self.bytes(&mut link, &rest) {
            Ok(None) => {}
            Ok(Some(end)) => return end,
            Err(why) => return End::Lost(why),
        }
        match self.on_and_on(&mut link).await {
            Ok(end) => end,
            Err(why) => End::Lost(why),
        }
    }

    async fn on_and_on(&mut self, link: &mut Link) -> Result<End, String> {
        let mut phase = self.world.phase.clone();
        let mut deed_at = Instant::now() + self.pause();
        loop {
            let now = *phase.borrow_and_update();
            if let Some(end) = self.pursue(link, now).await? {
                return Ok(end);
            }
            link.flush().await?;
            tokio::select! {
                came = link.receive() => {
                    let came = came.ok_or("the connection ended")?;
                    if let Some(end) = self.bytes(link, &came)? {
                        // What is said in answer need not arrive.
                        let _ = link.flush().await;
                        return Ok(end);
                    }
                }
                () = tokio::time::sleep_until(deed_at), if now == Phase::Load => {
                    deed_at = Instant::now() + self.pause();
                    if let Some(end) = self.deed(link).await? {
                        return Ok(end);
                    }
                }
                () = tokio::time::sleep(GLANCE) => self.ask(link),
                _ = phase.changed() => {}
            }
        }
    }

    async fn deed(&mut self, link: &mut Link) -> Result<Option<End>, String> {
        let Some(stream) = self.stream.as_ref() else {
            return Ok(None);
        };
        let deed = Deed::choose(&mut self.random, stream.waiting());
        self.act(link, deed).await
    }

    fn pause(&mut self) -> Duration {
        let mean = self.world.load.pause;
        Duration::from_millis(self.random.between(mean / 2, mean * 3 / 2))
    }

    /// XEP-0198 §4: asks how much is handled, when something is not.
    pub(super) fn ask(&mut self, link: &mut Link) {
        if self
            .stream
            .as_ref()
            .is_some_and(|stream| stream.waiting() > 0)
        {
            management::write_request(&mut link.out);
            self.journal.sent(b"<r xmlns='urn:xmpp:sm:3'/>");
        }
    }

    /// A new stream: what is first said on it.
    pub(super) fn greet(&mut self, link: &mut Link) {
        // Copies also tell it what is on its way to a former stream of its own, to which nobody
        // will come back (XEP-0280 §6).
        let id = self.request_id("copies");
        let enable = Element::new(ns::CARBONS, "enable");
        let copies = Stanza::iq(IqType::Set, id).with_element(enable);
        self.send_other(link, &copies);
        self.send_other(link, &Stanza::presence(PresenceType::Available));
        self.catch_up(link);
        for stanza in std::mem::take(&mut self.again) {
            self.send(link, stanza);
        }
        self.ask(link);
    }

    /// Reads the archive from behind the newest message on.
    pub(super) fn catch_up(&mut self, link: &mut Link) {
        let after = self.inbox.hold();
        self.walk_on(link, Walk::new(Direction::Forward, after, 20));
    }

    pub(super) fn walk_on(&mut self, link: &mut Link, mut walk: Walk) {
        let id = self.request_id("archive");
        let request = walk.request(id);
        self.walk = Some(walk);
        self.send_other(link, &request);
    }

    fn bytes(&mut self, link: &mut Link, mut bytes: &[u8]) -> Result<Option<End>, String> {
        loop {
            let event = link.established.receive(&mut bytes);
            match event.map_err(|error| error.to_string())? {
                None | Some(Event::Whitespace) if bytes.is_empty() => return Ok(None),
                None | Some(Event::Whitespace) => {}
                Some(Event::Stanza(stanza)) => {
                    let element = stanza.to_element();
                    self.note(&element);
                    if let Some(stream) = &mut self.stream {
                        stream.count();
                    }
                    self.stanza(link, &element);
                }
                Some(Event::Nonza(element)) => {
                    self.note(&element);
                    self.nonza(link, &element)?;
                }
                Some(Event::Error(error)) => return Ok(Some(self.ended(link, &error.to_string()))),
                Some(Event::Close) => return Ok(Some(End::Lost("the server closes".into()))),
                Some(other) => return Err(format!("{other:?}")),
            }
        }
    }

    /// The server ends the stream with an error. Some clients close it too, as they have to (RFC
    /// 6120 §4.4), others just go; neither is the end of the session.
    fn ended(&mut self, link: &mut Link, why: &str) -> End {
        if self.random.percent(50) {
            write_close(&mut link.out);
            self.journal.sent(b"</stream:stream>");
        }
        End::Lost(why.to_owned())
    }

    fn note(&mut self, element: &Element) {
        let text = element.to_bytes(ns::CLIENT);
        self.journal
            .came(String::from_utf8_lossy(&text).into_owned());
    }

    fn nonza(&mut self, link: &mut Link, element: &Element) -> Result<(), String> {
        match Management::parse(element) {
            Some(Management::Request) => {
                self.answer(link);
                Ok(())
            }
            Some(Management::Answer(h)) => self.acknowledged(h).inspect_err(|fault| {
                self.faults.push(fault.clone());
            }),
            Some(_) if self.stream.is_none() => {
                self.enabled(element)?;
                self.greet(link);
                Ok(())
            }
            _ => Err(format!("nobody knows <{}/>", element.name())),
        }
    }

    /// XEP-0198 §4: says how much came.
    pub(super) fn answer(&mut self, link: &mut Link) {
        if let Some(stream) = &self.stream {
            write_answer(stream.handled, &mut link.out);
            let said = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", stream.handled);
            self.journal.sent(said.as_bytes());
        }
    }

    fn stanza(&mut self, link: &mut Link, element: &Element) {
        match (element.name(), element.attr("type")) {
            ("message", Some("error")) => self.refused(element),
            ("message", _) => self.message(element),
            ("iq", Some("result" | "error")) => self.answered(link, element),
            ("iq", _) => {
                let id = element.attr("id").unwrap_or_default().to_owned();
                self.send_other(link, &Stanza::iq(IqType::Result, id));
            }
            _ => {}
        }
    }

    /// No message of ours is wrong, and nothing here is full: an error is a fault of the server.
    fn refused(&mut self, element: &Element) {
        let id = element.attr("id").unwrap_or_default();
        let error = element.child(ns::CLIENT, "error");
        let condition = error.and_then(|error| error.children().next().map(Element::name));
        let condition = condition.unwrap_or("nothing").to_owned();
        self.faults.push(format!("{id} was refused: {condition}"));
        if let Some(id) = MessageId::parse(&format!("message {id}.")) {
            self.decide(id, Fate::Refused(condition));
        }
    }

    fn message(&mut self, element: &Element) {
        if let Some(result) = element.child(ns::MAM, "result") {
            let Some(walk) = &mut self.walk else { return };
            if let Err(fault) = walk.result(result) {
                self.faults.push(fault);
            }
        } else if let Some((id, archive_id, late)) = inbox::read(element, &self.jid) {
            self.inbox.live(id, archive_id, late);
        }
    }

    fn answered(&mut self, link: &mut Link, element: &Element) {
        let id = element.attr("id").unwrap_or_default();
        if self.stage.ping.as_deref() == Some(id) {
            self.stage.ping = None;
            return self.catch_up(link);
        }
        let Some(mut walk) = self.walk.take_if(|walk| walk.query == id) else {
            return;
        };
        let Some(fin) = element.child(ns::MAM, "fin") else {
            return self.walk_refused(link, &walk, element);
        };
        match walk.end_of_page(fin) {
            Ok(Then::NextPage) => self.walk_on(link, walk),
            Ok(Then::Done) => self.walked(walk),
            Err(fault) => self.faults.push(fault),
        }
    }

    fn walk_refused(&mut self, link: &mut Link, walk: &Walk, answer: &Element) {
        let text = String::from_utf8_lossy(&answer.to_bytes(ns::CLIENT)).into_owned();
        if walk.direction == Direction::Field {
            // A server need not have the field.
            return self.stage.walked();
        }
        self.faults
            .push(format!("the archive after {:?}: {text}", walk.after));
        if walk.after.is_some() {
            self.inbox.forget_last();
            return self.catch_up(link);
        }
        self.inbox.release();
        self.stage.walked();
    }

    fn walked(&mut self, walk: Walk) {
        match (self.stage.reads_archive(), walk.direction) {
            (true, Direction::Forward) => self.read.forward = walk.rows,
            (true, Direction::Backward) => self.read.backward = walk.rows,
            (true, Direction::Field) => self.read.by_field = Some(walk.rows),
            (false, _) => {
                walk.rows.iter().for_each(|row| self.inbox.archived(row));
                self.inbox.release();
                let ids = walk.rows.into_iter().map(|row| row.archive_id).collect();
                let after = walk.after;
                self.catch_ups.push(CatchUp { after, ids });
            }
        }
        self.stage.walked();
    }
}
