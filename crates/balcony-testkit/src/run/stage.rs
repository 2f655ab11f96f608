//! Where a conversation is played, step by step.

use balcony_proto::ns;

use super::receiving::show;
use super::speaker::Speaker;
use super::world::World;
use crate::placeholders::Names;
use crate::reader::Piece;
use crate::script::{Act, Client, Login, Script, Tls};

/// A conversation under way.
pub(super) struct Stage<'a> {
    pub(super) script: &'a Script,
    pub(super) world: &'a World,
    speakers: Vec<Speaker>,
    pub(super) names: Names,
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

    pub(super) fn client(&self, who: usize) -> Result<&'a Client, String> {
        let client = self.script.clients.get(who);
        client.ok_or_else(|| "there is nobody".to_owned())
    }

    pub(super) fn speaker(&mut self, who: usize) -> Result<&mut Speaker, String> {
        let speaker = self.speakers.get_mut(who);
        speaker.ok_or_else(|| "there is nobody".to_owned())
    }

    pub(super) async fn act(&mut self, act: &Act) -> Result<(), String> {
        let patience = self.world.patience();
        match act {
            Act::Connect(who) => self.connect(*who).await,
            Act::ConnectBy(who, token) => self.connect_by(*who, *token).await,
            Act::ComeOnline(who, priority) => self.come_online(*who, *priority).await,
            Act::CannotConnect(who, why) => self.cannot_connect(*who, why).await,
            Act::Reached(who) => {
                let client = self.client(*who)?;
                let wire = self.world.reached(client, patience.expected).await?;
                self.speaker(*who)?.connect(wire, false).await
            }
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
            Act::CutServerOff(host, off) => {
                self.world.cut_off(host, *off)?;
                tokio::time::sleep(patience.settle).await;
                Ok(())
            }
            Act::ServerSends(host, text) => {
                let stanzas = self.names.fill(text)?;
                self.world.says(host, &stanzas).await?;
                tokio::time::sleep(patience.settle).await;
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
        if matches!(client.login, Login::Raw | Login::Server { .. }) {
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

    async fn connect_by(&mut self, who: usize, token: bool) -> Result<(), String> {
        self.connect(who).await?;
        match (token, self.speaker(who)?.by_token) {
            (true, false) => Err("got in by the password".into()),
            (false, true) => Err("got in by its token".into()),
            _ => Ok(()),
        }
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
        let streams = ns::STREAMS;
        let content = match &self.client(who)?.login {
            Login::Server { domain, .. } => format!(
                "from='{domain}' xmlns='{}' xmlns:db='{}'",
                ns::SERVER,
                ns::DIALBACK
            ),
            _ => format!("xmlns='{}'", ns::CLIENT),
        };
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' {content} \
             xmlns:stream='{streams}'>"
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
