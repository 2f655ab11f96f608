//! Where a conversation is played, step by step.

use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::speaker::Speaker;
use super::world::World;
use crate::compare::{compare, pretty};
use crate::placeholders::Names;
use crate::reader::Piece;
use crate::script::{Act, Client, Login, Script, Tls};

/// A conversation under way.
pub(super) struct Stage<'a> {
    script: &'a Script,
    world: &'a World,
    speakers: Vec<Speaker>,
    names: Names,
}

impl<'a> Stage<'a> {
    pub(super) fn new(script: &'a Script, world: &'a World) -> Self {
        Self {
            script,
            world,
            speakers: script.clients.iter().map(|_| Speaker::default()).collect(),
            names: Names::default(),
        }
    }

    fn client(&self, who: usize) -> Result<&'a Client, String> {
        let client = self.script.clients.get(who);
        client.ok_or_else(|| "there is nobody".to_owned())
    }

    fn speaker(&mut self, who: usize) -> Result<&mut Speaker, String> {
        let speaker = self.speakers.get_mut(who);
        speaker.ok_or_else(|| "there is nobody".to_owned())
    }

    pub(super) async fn act(&mut self, act: &Act) -> Result<(), String> {
        let patience = self.world.patience();
        match act {
            Act::Connect(who) => self.connect(*who).await,
            Act::ComeOnline(who, priority) => self.come_online(*who, *priority).await,
            Act::CannotConnect(who, why) => self.cannot_connect(*who, why).await,
            Act::OpenStream(who, host) => self.open_stream(*who, host).await,
            Act::Send(who, text) => self.send(*who, text).await,
            Act::Receive {
                client,
                expected,
                any_order,
            } => self.receive(*client, expected, *any_order).await,
            Act::ReceiveNothing(who) => self.receive_nothing(*who).await,
            Act::Offered(who, expected) => self.offered(*who, expected),
            Act::StartTls(who) => self.speaker(*who)?.start_tls().await,
            Act::Disconnect(who) => self.disconnect(*who).await,
            Act::CutOff(who) => {
                self.speaker(*who)?.cut_off();
                tokio::time::sleep(patience.settle).await;
                Ok(())
            }
            Act::StreamEnds(who) => self.stream_ends(*who).await,
            Act::ConnectionEnds(who) => self.connection_ends(*who).await,
            Act::StopReading(who, stop) => self.speaker(*who)?.stop_reading(*stop),
            Act::Wait(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
            Act::Admin(act) => {
                self.world.admin(self.script, act).await?;
                tokio::time::sleep(patience.settle).await;
                Ok(())
            }
        }
    }

    async fn connect(&mut self, who: usize) -> Result<(), String> {
        let client = self.client(who)?;
        let wire = self.world.connect(client).await?;
        let speaker = self.speaker(who)?;
        if matches!(client.login, Login::Raw) {
            return speaker.connect(wire, client.tls == Tls::Direct).await;
        }
        let jid = match speaker.log_in(client, wire).await {
            Ok(jid) => jid,
            Err(refusal) => {
                return Err(format!("{} did not get in: {}", client.name, refusal.words));
            }
        };
        let name = &client.name;
        let (bare, resource) = jid.split_once('/').unwrap_or((&jid, ""));
        self.names.set(format!("full jid of {name}"), &*jid);
        self.names.set(format!("bare jid of {name}"), bare);
        self.names.set(format!("resource of {name}"), resource);
        Ok(())
    }

    async fn come_online(&mut self, who: usize, priority: Option<i8>) -> Result<(), String> {
        self.connect(who).await?;
        let presence = match priority {
            Some(priority) => format!("<presence><priority>{priority}</priority></presence>"),
            None => "<presence/>".to_owned(),
        };
        self.send(who, &presence).await?;
        if self.script.ignores_presence {
            return Ok(());
        }
        // RFC 6121 §4.2.2: an entity is subscribed to its own presence.
        let own = format!("{{full jid of {}}}", self.client(who)?.name);
        let mut others = Vec::new();
        loop {
            let Some(Piece::Element(element)) = self.next(who, true).await? else {
                return Err("its own presence did not come back".into());
            };
            let from = element.attr("from").unwrap_or_default();
            if element.is(ns::CLIENT, "presence") && self.names.fits(&own, from) {
                break;
            }
            others.push(element);
        }
        let speaker = self.speaker(who)?;
        for element in others.into_iter().rev() {
            speaker.put_back(Piece::Element(element));
        }
        Ok(())
    }

    async fn cannot_connect(&mut self, who: usize, why: &str) -> Result<(), String> {
        let client = self.client(who)?;
        let wire = self.world.connect(client).await?;
        match self.speaker(who)?.log_in(client, wire).await {
            Ok(jid) => Err(format!("got in as {jid}")),
            Err(refusal) if refusal.condition == why || refusal.words.contains(why) => Ok(()),
            Err(refusal) => {
                let (condition, words) = (refusal.condition, refusal.words);
                Err(format!(
                    "did not get in for another reason: {words} ({condition})"
                ))
            }
        }
    }

    async fn open_stream(&mut self, who: usize, host: &str) -> Result<(), String> {
        let (client, streams) = (ns::CLIENT, ns::STREAMS);
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' \
             xmlns='{client}' xmlns:stream='{streams}'>"
        );
        self.send(who, &header).await?;
        match self.next(who, false).await? {
            Some(Piece::Open(header)) => {
                let id = header.attr("id").unwrap_or_default();
                let name = &self.client(who)?.name;
                self.names.set(format!("stream id of {name}"), id);
                Ok(())
            }
            other => Err(format!("no stream header, but {}", show(other.as_ref()))),
        }
    }

    async fn send(&mut self, who: usize, text: &str) -> Result<(), String> {
        let bytes = self.names.fill(text)?;
        let (patience, real) = (self.world.patience(), self.world.is_real());
        let speaker = self.speaker(who)?;
        speaker.send(&bytes).await?;
        if real && speaker.is_logged_in() {
            speaker.catch_up(patience.expected).await
        } else {
            tokio::time::sleep(patience.settle).await;
            Ok(())
        }
    }

    /// The next piece; `None` when nothing comes, or nothing more.
    async fn next(&mut self, who: usize, presence: bool) -> Result<Option<Piece>, String> {
        let drops_presence = self.script.ignores_presence && !presence;
        let patience = self.world.patience();
        let speaker = self.speaker(who)?;
        loop {
            match speaker.next(patience.expected).await? {
                Some(Some(piece)) if drops_presence && is_presence(&piece) => {}
                Some(piece) => return Ok(piece),
                None => return Ok(None),
            }
        }
    }

    async fn receive(
        &mut self,
        who: usize,
        expected: &[Element],
        any_order: bool,
    ) -> Result<(), String> {
        let presence = expected.iter().any(|one| one.is(ns::CLIENT, "presence"));
        let mut left: Vec<&Element> = expected.iter().collect();
        while let Some(first) = left.first().copied() {
            let piece = self.next(who, presence).await?;
            let (Some(Piece::Element(got)) | Some(Piece::Open(got))) = &piece else {
                let instead = show(piece.as_ref());
                return Err(format!("{instead} came. Expected:\n{}", pretty(first)));
            };
            let got = &self.with_sender(who, first, got)?;
            let candidates = if any_order { left.len() } else { 1 };
            let mut reasons = Vec::new();
            let found = left.iter().take(candidates).position(|one| {
                let result = compare(one, got, &mut self.names);
                result.map_err(|why| reasons.push(why)).is_ok()
            });
            match found {
                Some(at) => drop(left.remove(at)),
                None => return Err(difference(&reasons, &left, candidates, got)),
            }
        }
        Ok(())
    }

    /// What comes without a sender is from the account (RFC 6120 §8.1.2.1); a server may say so or
    /// not, whatever the script does.
    fn with_sender(
        &self,
        who: usize,
        expected: &Element,
        got: &Element,
    ) -> Result<Element, String> {
        let name = &self.client(who)?.name;
        let mut got = got.clone();
        let Some(account) = self.names.get(&format!("bare jid of {name}")) else {
            return Ok(got);
        };
        match (expected.attr("from"), got.attr("from")) {
            (Some(_), None) if got.ns() == ns::CLIENT => got.set_attr("from", account),
            (None, Some(from)) if from == account => {
                got.remove_attr("from");
            }
            _ => {}
        }
        Ok(got)
    }

    async fn receive_nothing(&mut self, who: usize) -> Result<(), String> {
        let (patience, real) = (self.world.patience(), self.world.is_real());
        if real && self.speaker(who)?.is_logged_in() {
            self.speaker(who)?.catch_up(patience.expected).await?;
        }
        let drops_presence = self.script.ignores_presence;
        let speaker = self.speaker(who)?;
        loop {
            match speaker.next(patience.nothing).await? {
                Some(Some(piece)) if drops_presence && is_presence(&piece) => {}
                Some(piece) => return Err(format!("{} came", show(piece.as_ref()))),
                None => return Ok(()),
            }
        }
    }

    fn offered(&mut self, who: usize, expected: &[Element]) -> Result<(), String> {
        let features = self.speaker(who)?.features.clone();
        let features = features.ok_or("there were no features")?;
        for one in expected {
            let mut offers = features.children();
            if !offers.any(|offer| compare(one, offer, &mut self.names).is_ok()) {
                let offered = pretty(&features);
                return Err(format!("not offered:\n{}offered:\n{offered}", pretty(one)));
            }
        }
        Ok(())
    }

    async fn disconnect(&mut self, who: usize) -> Result<(), String> {
        self.speaker(who)?.send(b"</stream:stream>").await?;
        self.stream_ends(who).await?;
        tokio::time::sleep(self.world.patience().settle).await;
        Ok(())
    }

    async fn stream_ends(&mut self, who: usize) -> Result<(), String> {
        match self.next(who, false).await? {
            Some(Piece::Close) => {}
            other => {
                return Err(format!(
                    "the stream did not end, {} came",
                    show(other.as_ref())
                ));
            }
        }
        let within = self.world.patience().expected;
        let speaker = self.speaker(who)?;
        // RFC 6120 §4.4: who did not begin to close answers with the same.
        let _ = speaker.send(b"</stream:stream>").await;
        speaker.leave(within).await
    }

    async fn connection_ends(&mut self, who: usize) -> Result<(), String> {
        let within = self.world.patience().expected;
        match self.speaker(who)?.next(within).await? {
            Some(None) => {
                self.speaker(who)?.cut_off();
                Ok(())
            }
            Some(piece) => Err(format!("{} came", show(piece.as_ref()))),
            None => Err("the connection is still open".into()),
        }
    }

    /// Nobody may have got anything that the script does not know of.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        for who in 0..self.speakers.len() {
            if !self.speaker(who)?.is_connected() {
                continue;
            }
            let name = &self.client(who)?.name;
            let nothing = self.receive_nothing(who).await;
            nothing.map_err(|what| format!("at the end, for {name}: {what}"))?;
        }
        Ok(())
    }
}

fn is_presence(piece: &Piece) -> bool {
    matches!(piece, Piece::Element(element) if element.is(ns::CLIENT, "presence"))
}

fn show(piece: Option<&Piece>) -> String {
    match piece {
        None => "nothing".to_owned(),
        Some(Piece::Close) => "the end of the stream".to_owned(),
        Some(Piece::Open(element)) | Some(Piece::Element(element)) => {
            format!("this\n{}", pretty(element))
        }
    }
}

fn difference(reasons: &[String], left: &[&Element], candidates: usize, got: &Element) -> String {
    let mut text = format!("{}\n", reasons.join("; or "));
    for one in left.iter().take(candidates) {
        text.push_str(&format!("  expected:\n{}", pretty(one)));
    }
    text.push_str(&format!("  received:\n{}", pretty(got)));
    text
}
