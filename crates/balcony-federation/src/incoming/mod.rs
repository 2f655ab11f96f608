//! Streams that other servers open.

mod claims;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balcony_core::Core;
use balcony_core::config::Require;
use balcony_proto::stanza::Stanza;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::Security;
use balcony_stream::s2s::{
    Answer, HostTerms, How, Incoming, Input, Output, Pair, Question, Trust, Verdict,
};
use tokio::sync::{Notify, mpsc};

use crate::arrivals::Arrivals;
use crate::cargo::Cargo;
use crate::facts::Direction;
use crate::peer::Key;
use crate::queue::Carrier;
use crate::reach::{Secured, Shown, Socket};
use crate::rest::Rest;
use crate::wire::{Happened, Wire};
use crate::{CLOSE, Listed, PATIENCE, SOON, Shared, settings};

/// Decisions that may wait for the task of the stream: as many claims as a stream may have.
const DECISIONS: usize = 64;

/// How long a server that lets us answer over its stream has to enable acknowledgements: it does so
/// at once if it does at all.
const ENABLING: Duration = Duration::from_secs(1);

/// Serves a stream until it is over.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    core: Arc<Core>,
    socket: Box<dyn Socket>,
    address: SocketAddr,
    security: Security,
) {
    let mut hearer = Hearer::new(shared, core, socket, address, security);
    if security == Security::DirectTls {
        hearer.start_tls().await;
    }
    hearer.run().await;
}

/// One stream that another server opened.
struct Hearer {
    shared: Arc<Shared>,
    core: Arc<Core>,
    machine: Incoming,
    wire: Wire,
    arrivals: Arrivals,
    listed: Listed,
    shown: Option<Arc<dyn Shown>>,
    /// Pairs that may be carried over it (XEP-0288), and are not yet.
    offered: Vec<Pair>,
    /// When they are, whether the other side acknowledges or not.
    carries_at: Option<Duration>,
    /// What we send over it, by the peer that it waits at.
    cargo: BTreeMap<Key, Cargo>,
    /// In which order what is counted was written: so many stanzas of one peer, so many of the
    /// next.
    written: VecDeque<(Key, usize)>,
    bell: Arc<Notify>,
    decide: mpsc::Sender<Decision>,
    decided: mpsc::Receiver<Decision>,
    /// Nothing is read until then: it sent too fast.
    rest: Rest,
    /// Since when something is written and not acknowledged, or not taken.
    waits_since: Option<Duration>,
    /// What we send is acknowledged.
    counted: bool,
    /// The server stops.
    stops: bool,
    /// The machine was told to end it.
    ends: bool,
    over: bool,
}

/// What is decided about a claim.
struct Decision {
    pair: Pair,
    /// The id of the stream on which it was made.
    stream_id: String,
    verdict: Verdict,
}

/// What woke the task.
enum Woken {
    Wire(std::io::Result<Happened>),
    Handled,
    Decided(Decision),
    Called,
    Rested,
    Kicked(StreamError),
    Time,
    Stop,
}

impl Hearer {
    fn new(
        shared: Arc<Shared>,
        core: Arc<Core>,
        socket: Box<dyn Socket>,
        address: SocketAddr,
        security: Security,
    ) -> Hearer {
        let now = core.clock().uptime();
        let listed = shared.list(Direction::Incoming, now);
        listed.live.know(|known| known.address = Some(address));
        let settings = settings(&shared, &core.config());
        let (decide, decided) = mpsc::channel(DECISIONS);
        Hearer {
            machine: Incoming::new(settings, security, shared.random.clone(), now),
            wire: Wire::new(socket),
            arrivals: Arrivals::new(&core),
            shared,
            core,
            listed,
            shown: None,
            offered: Vec::new(),
            carries_at: None,
            cargo: BTreeMap::new(),
            bell: Arc::default(),
            decide,
            decided,
            rest: Rest::default(),
            written: VecDeque::new(),
            waits_since: None,
            counted: false,
            stops: false,
            ends: false,
            over: false,
        }
    }

    async fn run(mut self) {
        loop {
            self.obey().await;
            if self.over {
                break;
            }
            // As for a stream that this server opened: not before the machine has said all.
            if self.arrivals.is_open() {
                self.load();
                self.obey().await;
            }
            match self.wait().await {
                Woken::Wire(happened) => self.happened(happened),
                Woken::Handled => self.tell_handled(),
                Woken::Decided(decision) => self.decide(decision),
                Woken::Called => {}
                Woken::Rested => self.rest.over(),
                Woken::Kicked(error) => self.end(Some(error)),
                Woken::Time => self.check_time(),
                Woken::Stop => {
                    self.stops = true;
                    self.end(Some(StreamError::new(StreamCondition::SystemShutdown)));
                }
            }
        }
        // What was not acknowledged goes out another way.
        self.cargo.clear();
        tokio::join!(self.wire.finish(CLOSE), self.arrivals.finish());
    }

    fn end(&mut self, error: Option<StreamError>) {
        self.ends = true;
        self.machine.end(error.as_ref());
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
                Output::Ask(question) => {
                    let answer = self.answer(&question);
                    self.tell(Input::Answer(answer));
                }
                Output::Claim {
                    pair,
                    key,
                    stream_id,
                } => self.claimed(pair, key, stream_id),
                Output::Proved { pair, how } => self.proved(&pair, how),
                Output::Bidi(pair) => self.may_carry(pair),
                Output::Stanza(stanza) => self.take(*stanza),
                Output::BadStanza(bad) => self.arrivals.refuse(&bad),
                Output::Counts => self.counts(),
                Output::Acknowledged(stanzas) => self.acknowledged(stanzas as usize),
                Output::Asked => self.asked(),
                Output::Close => self.over = true,
                _ => {}
            }
        }
    }

    async fn start_tls(&mut self) {
        let to = self.machine.local().map(str::to_owned);
        let secured = match self.wire.take_socket().await {
            Ok(socket) => self.shared.reach.secure_in(socket, to.as_deref()).await,
            Err(error) => Err(error.to_string()),
        };
        match secured {
            Ok(Secured {
                socket,
                info,
                shown,
            }) => {
                self.wire.put_socket(socket);
                self.shown = Some(shown);
                self.listed.live.know(|known| known.encrypted = true);
                self.tell(Input::TlsReady(info));
            }
            Err(cause) => {
                tracing::info!(cause, "no TLS with a server that connected");
                self.over = true;
            }
        }
    }

    fn answer(&mut self, question: &Question) -> Answer {
        match question {
            Question::Header { to, from } => Answer::Host(self.terms(to, from.as_deref())),
            Question::Certificate { domain } => Answer::Certificate(self.judge(domain)),
        }
    }

    /// Whether a stream is accepted, and on which terms.
    fn terms(&self, to: &str, from: Option<&str>) -> Result<HostTerms, StreamError> {
        if !self.core.is_ours(to) {
            return Err(StreamError::new(StreamCondition::HostUnknown));
        }
        // Nobody else is one of ours.
        if from.is_some_and(|from| self.core.is_ours(from)) {
            return Err(StreamError::new(StreamCondition::InvalidFrom));
        }
        self.listed.live.know(|known| known.add_local(to));
        let config = self.core.config();
        let federation = &config.federation;
        if !from.is_none_or(|from| federation.allows(from)) {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return Err(error.with_text("this domain is not spoken with"));
        }
        let require = from.map_or(federation.require, |from| federation.requires(from));
        Ok(HostTerms {
            tls_required: require != Require::Dialback,
            // Also where a certificate is required: further domains are claimed by it (XEP-0344).
            dialback: true,
            bidi: true,
        })
    }

    fn judge(&self, domain: &str) -> Trust {
        let now = self.core.clock().utc();
        let proved = self.shown.as_ref().map(|shown| shown.proves(domain, now));
        match proved {
            Some(Ok(())) => Trust::Proved,
            Some(Err(cause)) => {
                tracing::debug!(domain, cause, "a certificate that proves nothing");
                Trust::Unproved
            }
            None => Trust::Unproved,
        }
    }

    fn proved(&mut self, pair: &Pair, how: How) {
        if !self.core.config().federation.allows(&pair.remote) {
            // A reload has forbidden it meanwhile.
            return self.end(Some(StreamError::new(StreamCondition::PolicyViolation)));
        }
        self.listed.live.know(|known| {
            known.add_local(&pair.local);
            known.add_remote(&pair.remote);
            known.proof.get_or_insert(crate::proof(how));
        });
        // Its server is there, whatever failed before.
        self.shared.peer(&pair.local, &pair.remote).hurry();
        tracing::info!(
            from = pair.remote,
            to = pair.local,
            "a stream from another server"
        );
    }

    /// Something may go over this stream: when it is acknowledged there, or it is clear that it
    /// will not be. What is written before the other side enables that is lost with the connection.
    fn may_carry(&mut self, pair: Pair) {
        if self.counted
            || self
                .carries_at
                .is_some_and(|at| at <= self.core.clock().uptime())
        {
            return self.carry(&pair);
        }
        self.carries_at = Some(self.core.clock().uptime() + ENABLING);
        self.offered.push(pair);
    }

    fn carry_offered(&mut self) {
        for pair in std::mem::take(&mut self.offered) {
            self.carry(&pair);
        }
    }

    /// What our domain sends to the other one goes over this stream, unless another has it.
    fn carry(&mut self, pair: &Pair) {
        let peer = self.shared.peer(&pair.local, &pair.remote);
        let carrier = Carrier {
            id: self.listed.number,
            bell: Arc::clone(&self.bell),
        };
        let fresh = || Cargo::new(&self.shared, &self.core, &peer, carrier);
        let cargo = self.cargo.entry(peer.key.clone()).or_insert_with(fresh);
        if self.counted {
            cargo.count();
        }
        cargo.carry(&pair.local);
        self.listed.live.know(|known| known.bidirectional = true);
    }

    fn take(&mut self, stanza: Stanza) {
        self.listed.live.received(self.core.clock().uptime());
        self.shared.count_received();
        if let Err(error) = self.arrivals.take(stanza) {
            self.end(Some(error));
        }
    }

    fn counts(&mut self) {
        self.counted = true;
        self.cargo.values_mut().for_each(Cargo::count);
        self.carry_offered();
        self.listed.live.know(|known| known.acknowledged = true);
    }

    /// What is acknowledged is what was written first, whichever domain it went to.
    fn acknowledged(&mut self, mut stanzas: usize) {
        self.waits_since = None;
        while stanzas > 0
            && let Some((key, count)) = self.written.front_mut()
        {
            let some = stanzas.min(*count);
            if let Some(cargo) = self.cargo.get_mut(key) {
                cargo.acknowledged(some);
            }
            stanzas -= some;
            *count -= some;
            if *count == 0 {
                self.written.pop_front();
            }
        }
    }

    fn load(&mut self) {
        let mut loaded = 0;
        for (key, cargo) in &mut self.cargo {
            let some = cargo.load(&mut self.wire, &self.listed.live);
            if some > 0 && cargo.counts() {
                self.written.push_back((key.clone(), some));
            }
            loaded += some;
        }
        self.machine.sent(u32::try_from(loaded).unwrap_or(u32::MAX));
        if self.cargo.values().any(Cargo::waits) {
            self.machine.request();
        }
        if self.is_loaded() {
            self.waits_since.get_or_insert(self.core.clock().uptime());
        }
    }

    fn is_loaded(&self) -> bool {
        self.cargo.values().any(Cargo::is_loaded)
    }

    async fn wait(&mut self) -> Woken {
        let reads = self.machine.wants_bytes() && self.arrivals.is_open() && !self.rest.is_needed();
        let pause = self.wake_at().saturating_sub(self.core.clock().uptime());
        let (wire, arrivals) = (&mut self.wire, &mut self.arrivals);
        let (live, rest) = (&self.listed.live, &mut self.rest);
        tokio::select! {
            biased;
            () = self.shared.stopping(), if !self.stops => Woken::Stop,
            error = live.kicked() => Woken::Kicked(error),
            () = poll_fn(|context| arrivals.poll_on(context)) => Woken::Handled,
            Some(decision) = self.decided.recv() => Woken::Decided(decision),
            () = rest.taken() => Woken::Rested,
            happened = wire.happen(reads) => Woken::Wire(happened),
            () = self.bell.notified() => Woken::Called,
            () = tokio::time::sleep(pause), if !self.ends => Woken::Time,
        }
    }

    fn happened(&mut self, happened: std::io::Result<Happened>) {
        let now = self.core.clock().uptime();
        match happened {
            Ok(Happened::Read(count)) => {
                self.machine
                    .handle(Input::Bytes(self.wire.read(count)), now);
                let rate = self.core.config().federation.rate;
                self.rest.take(self.arrivals.too_fast(count, rate));
            }
            Ok(Happened::Written) => {
                self.cargo.values_mut().for_each(Cargo::written);
                if !self.is_loaded() {
                    self.waits_since = None;
                }
            }
            Ok(Happened::Eof) => self.tell(Input::Eof),
            Err(_) => self.over = true,
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

    /// When to look at the time again, as uptime. A stream that others opened is closed by them
    /// when it is idle; one that nobody closes for twice as long as we would is closed by us.
    fn wake_at(&self) -> Duration {
        let now = self.core.clock().uptime();
        let quiet = now + self.idle().saturating_sub(self.listed.live.idle(now));
        // Answers are to be asked for again.
        let asks = self.cargo.values().any(Cargo::waits);
        let quiet = if asks { now + SOON } else { quiet };
        let patience = self.waits_since.map(|since| since + PATIENCE);
        let deadline = self.machine.deadline();
        let offered = self.carries_at.filter(|_| !self.offered.is_empty());
        [deadline, patience, offered]
            .into_iter()
            .flatten()
            .fold(quiet, Duration::min)
    }

    fn idle(&self) -> Duration {
        self.core.config().federation.idle.saturating_mul(2)
    }

    fn check_time(&mut self) {
        self.tell(Input::Timeout);
        let now = self.core.clock().uptime();
        if self.carries_at.is_some_and(|at| at <= now) {
            self.carry_offered();
        }
        if self
            .waits_since
            .is_some_and(|since| since + PATIENCE <= now)
        {
            self.end(Some(StreamError::new(StreamCondition::ConnectionTimeout)));
        } else if self.listed.live.idle(now) >= self.idle() {
            self.end(None);
        }
    }

    fn unproved(&self) {
        let counter = &self.shared.counters.unproved;
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
