//! One stream that this server opened, from its header to its end.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::Core;
use balcony_core::config::Require;
use balcony_net::Dane;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::Security;
use balcony_stream::s2s::{
    Answer, How, Input, Options, Outgoing, Output, Pair, Question, Refusal, Trust, Verdict,
};

use super::Connected;
use crate::arrivals::Arrivals;
use crate::cargo::Cargo;
use crate::facts::Direction;
use crate::failure::{Failure, Kind};
use crate::peer::{Peer, Verification};
use crate::queue::Carrier;
use crate::reach::Shown;
use crate::rest::Rest;
use crate::wire::{Happened, Wire};
use crate::{CLOSE, Listed, PATIENCE, SOON, Shared, settings};

/// See the text of the module.
pub(super) struct Speaker {
    shared: Arc<Shared>,
    core: Arc<Core>,
    peer: Arc<Peer>,
    first: String,
    machine: Outgoing,
    wire: Wire,
    cargo: Cargo,
    arrivals: Arrivals,
    listed: Listed,
    dane: Option<Dane>,
    shown: Option<Arc<dyn Shown>>,
    /// Our domains that it has believed.
    believed: BTreeSet<String>,
    /// Questions that the other side has not answered yet.
    asked: Vec<Verification>,
    /// It was of use to somebody.
    used: bool,
    /// Nothing is read until then: it sent too fast.
    rest: Rest,
    /// Since when something is written and not acknowledged, or not taken.
    waits_since: Option<Duration>,
    /// The server stops.
    stops: bool,
    /// The machine was told to end it.
    ends: bool,
    /// Why it is over.
    over: Option<Result<(), Failure>>,
}

/// What woke the task.
enum Woken {
    Wire(std::io::Result<Happened>),
    Handled,
    Called,
    Rested,
    Kicked(StreamError),
    Time,
    Stop,
}

impl Speaker {
    pub(super) fn new(
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        peer: &Arc<Peer>,
        local: &str,
        connected: Connected,
    ) -> Speaker {
        let Connected { opened, secured } = connected;
        let remote = &*peer.key.remote;
        let now = core.clock().uptime();
        let listed = shared.list(Direction::Outgoing, now);
        listed.live.know(|known| {
            known.add_local(local);
            known.add_remote(remote);
            known.address = Some(opened.address);
        });
        let config = core.config();
        let options = Options {
            tls_required: config.federation.requires(remote) != Require::Dialback,
            external: true,
            bidi: true,
        };
        let security = match secured {
            Some(_) => Security::DirectTls,
            None => Security::Plain,
        };
        let machine = Outgoing::new(
            settings(shared, &config),
            options,
            Pair::new(local, remote),
            security,
            shared.random.clone(),
            now,
        );
        let carrier = Carrier {
            id: listed.number,
            bell: Arc::clone(&peer.bell),
        };
        let mut speaker = Speaker {
            cargo: Cargo::new(shared, core, peer, carrier),
            arrivals: Arrivals::new(core),
            shared: Arc::clone(shared),
            core: Arc::clone(core),
            peer: Arc::clone(peer),
            first: local.to_owned(),
            machine,
            wire: Wire::new(opened.socket),
            listed,
            dane: opened.dane,
            shown: None,
            believed: BTreeSet::new(),
            asked: Vec::new(),
            used: false,
            rest: Rest::default(),
            waits_since: None,
            stops: false,
            ends: false,
            over: None,
        };
        if let Some(secured) = secured {
            speaker.secured(secured);
        }
        speaker
    }

    /// Speaks until the stream is over. Answers whether it was of use; an error: it failed.
    pub(super) async fn run(mut self) -> Result<bool, Failure> {
        let result = loop {
            self.obey().await;
            if let Some(over) = self.over.take() {
                break over;
            }
            // Not before the machine has said all: what it has yet to write, `<enabled/>` say,
            // comes before the stanzas that it counts.
            if self.arrivals.is_open() {
                self.load();
                self.obey().await;
            }
            match self.wait().await {
                Woken::Wire(happened) => self.happened(happened),
                Woken::Handled => self.tell_handled(),
                Woken::Called => {}
                Woken::Rested => self.rest.over(),
                Woken::Kicked(error) => self.end(Some(error)),
                Woken::Time => self.check_time(),
                Woken::Stop => {
                    self.stops = true;
                    self.end(Some(StreamError::new(StreamCondition::SystemShutdown)));
                }
            }
        };
        self.finish(result).await
    }

    async fn finish(self, result: Result<(), Failure>) -> Result<bool, Failure> {
        let failure = match &result {
            Err(failure) => failure.clone(),
            Ok(()) => Failure::unreachable("the stream was closed"),
        };
        for verification in self.asked {
            let _ = verification.tell.send(Err(failure.clone()));
        }
        let used = self.used || self.stops || self.cargo.has_brought();
        // What was not acknowledged goes back before anybody looks at the queue again.
        drop(self.cargo);
        tokio::join!(self.wire.finish(CLOSE), self.arrivals.finish());
        result.map(|()| used)
    }

    fn end(&mut self, error: Option<StreamError>) {
        self.ends = true;
        self.machine.end(error.as_ref());
    }

    fn now(&self) -> Duration {
        self.core.clock().uptime()
    }

    fn tell(&mut self, input: Input<'_>) {
        let now = self.core.clock().uptime();
        self.machine.handle(input, now);
    }

    /// Does what the machine wants.
    async fn obey(&mut self) {
        while self.arrivals.is_open()
            && let Some(output) = self.machine.poll()
        {
            match output {
                Output::Write(bytes) => self.write(&bytes),
                Output::StartTls => self.start_tls().await,
                Output::Ask(Question::Certificate { domain }) => {
                    let trust = self.judge(&domain);
                    self.tell(Input::Answer(Answer::Certificate(trust)));
                }
                Output::Ask(Question::Header { .. }) | Output::Claim { .. } => {}
                Output::Ready { pair, how } => self.ready(&pair, how),
                Output::PairRefused { pair, refusal } => self.refused(&pair, &refusal),
                Output::Verified {
                    local,
                    stream_id,
                    verdict,
                } => self.verified(&local, &stream_id, &verdict),
                Output::Stanza(stanza) => self.take(*stanza),
                Output::BadStanza(bad) => self.arrivals.refuse(&bad),
                Output::Bidi(_) => self.listed.live.know(|known| known.bidirectional = true),
                Output::Counts => {
                    self.cargo.count();
                    self.listed.live.know(|known| known.acknowledged = true);
                }
                Output::Acknowledged(stanzas) => {
                    self.waits_since = None;
                    self.cargo.acknowledged(stanzas as usize);
                }
                Output::Asked => self.asked(),
                Output::Failed(failure) => self.over = Some(self.verdict(&failure)),
                Output::Close => {
                    self.over.get_or_insert(Ok(()));
                }
                _ => {}
            }
        }
    }

    /// Whether the end of the stream is a failure to reach the domain: not when it was in use and
    /// the other side had closed it in order, or while nothing waits.
    fn verdict(&self, failure: &balcony_stream::s2s::Failure) -> Result<(), Failure> {
        use balcony_stream::s2s::Failure::{Closed, NotBelieved};
        match failure {
            Closed if self.was_open() && !self.cargo.is_loaded() => Ok(()),
            NotBelieved { .. } => Err(Failure::new(Kind::NotBelieved, failure)),
            _ => Err(Failure::unreachable(failure)),
        }
    }

    fn was_open(&self) -> bool {
        !self.believed.is_empty()
    }

    async fn start_tls(&mut self) {
        let remote = self.peer.key.remote.clone();
        let secured = match self.wire.take_socket().await {
            Ok(socket) => {
                let dane = self.dane.take();
                let reach = &self.shared.reach;
                reach
                    .secure_out(socket, &self.first, &remote, false, dane)
                    .await
            }
            Err(error) => Err(error.to_string()),
        };
        match secured {
            Ok(secured) => self.secured(secured),
            Err(cause) => self.over = Some(Err(Failure::unreachable(cause))),
        }
    }

    fn secured(&mut self, secured: crate::reach::Secured) {
        self.wire.put_socket(secured.socket);
        self.shown = Some(secured.shown);
        self.listed.live.know(|known| known.encrypted = true);
        self.tell(Input::TlsReady(secured.info));
    }

    /// What the certificate of the other side is worth to us.
    fn judge(&self, domain: &str) -> Trust {
        let proved = match &self.shown {
            Some(shown) => shown.proves(domain, self.core.clock().utc()),
            None => Err("it showed no certificate".to_owned()),
        };
        let require = self.core.config().federation.requires(domain);
        match proved {
            Ok(()) => Trust::Proved,
            Err(why) if require == Require::ValidCertificate => Trust::Refused(why),
            Err(_) => Trust::Unproved,
        }
    }

    fn ready(&mut self, pair: &Pair, how: How) {
        if !self.core.config().federation.allows(&pair.remote) {
            // A reload has forbidden it meanwhile.
            return self.end(Some(StreamError::new(StreamCondition::PolicyViolation)));
        }
        self.believed.insert(pair.local.clone());
        self.cargo.carry(&pair.local);
        self.peer.reached();
        self.listed.live.know(|known| {
            known.add_local(&pair.local);
            known.proof.get_or_insert(crate::proof(how));
        });
        tracing::info!(
            from = pair.local,
            to = pair.remote,
            "a stream to another server"
        );
    }

    /// Another domain of ours has to have a stream of its own.
    fn refused(&mut self, pair: &Pair, refusal: &Refusal) {
        tracing::info!(from = pair.local, to = pair.remote, cause = %refusal, "not on this stream");
        let apart = self.shared.part(&self.peer, &pair.local);
        apart.go_on(&self.shared, &self.core);
    }

    fn verified(&mut self, local: &str, stream_id: &str, verdict: &Verdict) {
        let is_it = |v: &Verification| *v.local == *local && v.stream_id == stream_id;
        let Some(at) = self.asked.iter().position(is_it) else {
            return;
        };
        let told = match verdict {
            Verdict::Valid => Ok(true),
            Verdict::Invalid => Ok(false),
            Verdict::Error(error) => Err(Failure::unreachable(format!(
                "its server could not verify the key ({})",
                error.condition.as_str()
            ))),
        };
        // Whoever asked may be gone.
        let _ = self.asked.swap_remove(at).tell.send(told);
        self.used = true;
        self.peer.reached();
    }

    fn take(&mut self, stanza: balcony_proto::stanza::Stanza) {
        self.used = true;
        self.listed.live.received(self.core.clock().uptime());
        self.shared.count_received();
        if let Err(error) = self.arrivals.take(stanza) {
            self.end(Some(error));
        }
    }

    /// Claims, asks and sends what waits.
    fn load(&mut self) {
        let verifications = self.peer.take_verifications();
        if !verifications.is_empty() {
            self.forget_questions();
        }
        for verification in verifications {
            let Verification {
                local,
                stream_id,
                key,
                ..
            } = &verification;
            self.machine.verify(local, stream_id, key);
            self.asked.push(verification);
        }
        if self.machine.is_open() {
            for local in self.peer.uncarried() {
                match self.believed.contains(&*local) {
                    true => self.cargo.carry(&local),
                    false => self.machine.claim(&local),
                }
            }
        }
        let loaded = self.cargo.load(&mut self.wire, &self.listed.live);
        self.machine.sent(u32::try_from(loaded).unwrap_or(u32::MAX));
        if self.cargo.waits() {
            self.machine.request();
        }
        if self.cargo.is_loaded() {
            self.waits_since.get_or_insert(self.core.clock().uptime());
        }
    }

    async fn wait(&mut self) -> Woken {
        let pause = self.wake_at().saturating_sub(self.core.clock().uptime());
        let reads = self.machine.wants_bytes() && self.arrivals.is_open() && !self.rest.is_needed();
        let (wire, arrivals) = (&mut self.wire, &mut self.arrivals);
        let (live, rest) = (&self.listed.live, &mut self.rest);
        tokio::select! {
            biased;
            () = self.shared.stopping(), if !self.stops => Woken::Stop,
            error = live.kicked() => Woken::Kicked(error),
            () = poll_fn(|context| arrivals.poll_on(context)) => Woken::Handled,
            () = rest.taken() => Woken::Rested,
            happened = wire.happen(reads) => Woken::Wire(happened),
            () = self.peer.bell.notified() => Woken::Called,
            () = tokio::time::sleep(pause), if !self.ends => Woken::Time,
        }
    }

    fn happened(&mut self, happened: std::io::Result<Happened>) {
        match happened {
            Ok(Happened::Read(count)) => {
                let now = self.core.clock().uptime();
                self.machine
                    .handle(Input::Bytes(self.wire.read(count)), now);
                let rate = self.core.config().federation.rate;
                self.rest.take(self.arrivals.too_fast(count, rate));
            }
            Ok(Happened::Written) => {
                self.cargo.written();
                if !self.cargo.is_loaded() {
                    self.waits_since = None;
                }
            }
            Ok(Happened::Eof) => self.tell(Input::Eof),
            Err(error) => {
                let failure = Failure::unreachable(format!("the connection broke: {error}"));
                self.over = Some(match self.cargo.is_loaded() || !self.was_open() {
                    true => Err(failure),
                    false => Ok(()),
                });
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if !self.wire.answer(bytes) {
            // RFC 6120 §4.9.3.17: it asks and does not read the answers.
            self.end(Some(StreamError::new(StreamCondition::ResourceConstraint)));
        }
    }

    /// Behind what came before it, which may be handled by now.
    fn asked(&mut self) {
        self.tell_handled();
        self.machine.acknowledge();
        self.arrivals.asked();
    }

    fn tell_handled(&mut self) {
        let (stanzas, asked) = self.arrivals.settle();
        self.machine.handled(stanzas);
        if asked {
            self.machine.acknowledge();
        }
    }

    /// When to look at the time again, as uptime.
    fn wake_at(&self) -> Duration {
        let idle = self.core.config().federation.idle;
        let now = self.now();
        let quiet = now + idle.saturating_sub(self.listed.live.idle(now));
        // Somebody waits for answers, or answers are to be asked for again.
        let busy = !self.asked.is_empty() || self.cargo.waits();
        let quiet = if busy { now + SOON } else { quiet };
        let patience = self.waits_since.map(|since| since + PATIENCE);
        let deadline = self.machine.deadline();
        [deadline, patience]
            .into_iter()
            .flatten()
            .fold(quiet, Duration::min)
    }

    /// Whoever asked and has given up waits for no answer.
    fn forget_questions(&mut self) {
        let machine = &mut self.machine;
        self.asked.retain(|asked| {
            let waits = !asked.tell.is_closed();
            if !waits {
                machine.forget(&asked.local, &asked.stream_id);
            }
            waits
        });
    }

    fn check_time(&mut self) {
        self.tell(Input::Timeout);
        self.forget_questions();
        let now = self.now();
        if self
            .waits_since
            .is_some_and(|since| since + PATIENCE <= now)
        {
            self.end(Some(StreamError::new(StreamCondition::ConnectionTimeout)));
            self.over = Some(Err(Failure::unreachable("it took nothing for a minute")));
        } else if self.listed.live.idle(now) >= self.core.config().federation.idle
            && self.asked.is_empty()
        {
            // RFC 6120 §4.4: whoever has nothing to say closes the stream.
            self.end(None);
        }
    }
}
