//! The side that opened the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{Features, StreamCondition, StreamError, StreamHeader};
use balcony_proto::xep::dialback::{Content, Dialback, Step, Verdict};
use balcony_proto::xml::{Element, Item};

use super::stream::{Stream, pair};
use super::{Answer, How, Input, Output, Pair, Question, Settings, Trust};
use crate::framing;
use crate::random::Random;
use crate::sasl_profile::Profile;
use crate::tls::{Security, TlsInfo};

/// How long a claim of a further domain may be unanswered: the other side asks our server, which
/// takes a few round trips.
const CLAIM: Duration = Duration::from_secs(20);

/// What the owner wants of a stream that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Nothing is said in clear but `<starttls/>`.
    pub tls_required: bool,
    /// There is a certificate to show, so that EXTERNAL may be tried (XEP-0178).
    pub external: bool,
    /// Stanzas may come over this stream (XEP-0288).
    pub bidi: bool,
}

/// Why a stream was over before it was of use, or ended by a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It does not offer STARTTLS.
    #[error("it offers no TLS")]
    NoTls,
    /// It offered STARTTLS and refused it.
    #[error("it refuses TLS")]
    TlsRefused,
    /// Its certificate is not enough.
    #[error("{0}")]
    Untrusted(String),
    /// It offers no way to prove our domain.
    #[error("it takes neither our certificate nor dialback")]
    NoWay,
    /// It did not believe our domain.
    #[error("it does not take us for {domain}: {refusal}")]
    NotBelieved {
        /// Ours.
        domain: String,
        /// Why not.
        refusal: Refusal,
    },
    /// It ended the stream with an error.
    #[error("it ended the stream with {}", words(.0))]
    Stream(StreamError),
    /// It broke the protocol.
    #[error("it broke the protocol: {0}")]
    Protocol(&'static str),
    /// It did what it may not, and was told so.
    #[error("it did what it may not ({})", words(.0))]
    Refused(StreamError),
    /// It sent something that is not XMPP.
    #[error("it sent something that is not XMPP ({})", .0.condition.as_str())]
    NotXmpp(StreamError),
    /// It closed the stream or the connection.
    #[error("it closed the connection")]
    Closed,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
}

fn words(error: &StreamError) -> String {
    let text = error.text.as_deref().unwrap_or_default();
    match text {
        "" => error.condition.as_str().to_owned(),
        text => format!("{} ({text})", error.condition.as_str()),
    }
}

/// Why a domain of ours was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The other side takes no further domain on this stream: it does not know dialback.
    NotOffered,
    /// It did not answer.
    NoAnswer,
    /// SASL EXTERNAL failed, and there was no other way.
    Sasl(String),
    /// The key was said to be invalid: its answer to the question to our server was wrong.
    Invalid,
    /// It could not tell (XEP-0220 §2.5).
    Error(StanzaError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotOffered => f.write_str("it takes no further domain on a stream"),
            Refusal::NoAnswer => f.write_str("it answers no claim on this stream"),
            Refusal::Sasl(condition) => write!(f, "SASL EXTERNAL failed ({condition})"),
            Refusal::Invalid => f.write_str("dialback failed; does DNS lead to this server?"),
            Refusal::Error(error) => {
                write!(f, "dialback failed there ({})", error.condition.as_str())
            }
        }
    }
}

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The other side's header.
    Header,
    /// Its features.
    Features,
    /// The answer to `<starttls/>`.
    Proceed,
    /// The answer to `<auth/>`.
    Sasl,
    /// Answers to claims and questions, and whatever comes on a stream in use.
    Open,
}

/// The machine; see [`super`].
#[derive(Debug)]
pub struct Outgoing {
    stream: Stream,
    options: Options,
    first: Pair,
    phase: Phase,
    id: String,
    /// The other side may know dialback: there is no harm in trying for the first domain.
    dialback: bool,
    /// It does know it, so that further domains can be claimed. A namespace that is declared is not
    /// enough for that: ejabberd declares it without dialback, and answers no claim.
    multiplexes: bool,
    features: Features,
    /// Questions about keys may be asked: TLS stands, or nobody wants it.
    settled: bool,
    /// EXTERNAL succeeded, so that the next features are those of a stream in use.
    external: bool,
    sasl_failure: Option<String>,
    /// `<bidi/>` was sent.
    bidi: bool,
    ready: BTreeSet<Pair>,
    /// Claims that are not answered, and until when they may be.
    claims: BTreeMap<Pair, Duration>,
    /// Questions about keys that wait until they may be asked: our domain and the stream's id, and
    /// the key.
    waiting: BTreeMap<(String, String), String>,
    /// Those that were asked and are not answered.
    asked: BTreeSet<(String, String)>,
    /// `<enable/>` was sent and is not answered. The other side counts from it on, we learn only by
    /// the answer that it does, so nothing is written in between.
    enabling: bool,
    /// Pairs that are ready as soon as that is answered.
    held: Vec<(Pair, How)>,
}

impl Outgoing {
    /// A connection was opened at `now`, for a first pair.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        options: Options,
        first: Pair,
        security: Security,
        random: Random,
        now: Duration,
    ) -> Outgoing {
        let mut machine = Outgoing {
            stream: Stream::new(settings, security, random, now),
            options,
            first,
            phase: Phase::Header,
            id: String::new(),
            dialback: false,
            multiplexes: false,
            features: Features::new(),
            settled: false,
            external: false,
            sasl_failure: None,
            bidi: false,
            ready: BTreeSet::new(),
            claims: BTreeMap::new(),
            waiting: BTreeMap::new(),
            asked: BTreeSet::new(),
            enabling: false,
            held: Vec::new(),
        };
        machine.stream.reports = true;
        if security == Security::Plain {
            machine.open();
        }
        machine
    }

    /// Tells the machine what happened at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.stream.at(now);
        if self.stream.is_closed() {
            return;
        }
        match input {
            Input::Bytes(bytes) => match self.stream.take_bytes(bytes) {
                Ok(all) => self.read(&all),
                Err(error) => self.fail(Failure::NotXmpp(error)),
            },
            Input::TlsReady(tls) if self.stream.is_shaking() => self.secured(tls),
            Input::Answer(Answer::Certificate(trust)) if self.stream.answered() => {
                self.judged(trust);
            }
            Input::TlsReady(_) | Input::Answer(_) => {
                self.fail(Failure::Protocol("something happened out of turn"));
            }
            Input::Eof => self.fail(Failure::Closed),
            // It offered to count and says nothing about it.
            Input::Timeout if self.stream.is_late() && self.enabling => self.settle(),
            Input::Timeout if self.stream.is_late() => self.fail(Failure::TimedOut),
            Input::Timeout => self.forget_claims(now),
        }
    }

    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.stream.out.poll()
    }

    /// When to send [`Input::Timeout`]; `None`: no time limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let claims = self.claims.values().copied().min();
        let claims = claims.filter(|_| self.is_open());
        [self.stream.deadline(), claims].into_iter().flatten().min()
    }

    /// Whether it makes sense to read from the socket now.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.stream.reads()
    }

    /// Bytes of the other side held here.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.stream.buffered()
    }

    /// Claims another domain of ours on the stream (XEP-0220 §2.6.1). Only while
    /// [`Outgoing::is_open`].
    pub fn claim(&mut self, local: &str) {
        let pair = Pair::new(local, &*self.first.remote);
        if self.ready.contains(&pair) || self.claims.contains_key(&pair) || self.stream.is_closed()
        {
            return;
        }
        if !self.multiplexes {
            let refusal = Refusal::NotOffered;
            return self.stream.out.push(Output::PairRefused { pair, refusal });
        }
        self.write_claim(pair);
    }

    /// What is not answered in time is not taken on this stream.
    fn forget_claims(&mut self, now: Duration) {
        if !self.is_open() {
            return;
        }
        let late: Vec<Pair> = self
            .claims
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(pair, _)| pair.clone())
            .collect();
        for pair in late {
            self.claims.remove(&pair);
            let refusal = Refusal::NoAnswer;
            self.stream.out.push(Output::PairRefused { pair, refusal });
        }
    }

    /// Whether the first pair is ready, so that others may be claimed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.ready.is_empty() && !self.stream.is_closed()
    }

    /// Asks the other side whether it made a key for the stream of that id, which somebody opened
    /// to a domain of ours (XEP-0220 §2.1.2). It is asked as soon as that may be.
    pub fn verify(&mut self, local: &str, stream_id: &str, key: &str) {
        let about = (local.to_owned(), stream_id.to_owned());
        if self.stream.is_closed() {
            return;
        }
        match self.settled {
            true => self.write_verify(&about, key),
            false => {
                self.waiting.insert(about, key.to_owned());
            }
        }
    }

    /// Nobody waits for the answer to that question any more.
    pub fn forget(&mut self, local: &str, stream_id: &str) {
        let about = (local.to_owned(), stream_id.to_owned());
        self.waiting.remove(&about);
        self.asked.remove(&about);
    }

    /// So many more stanzas are handled (XEP-0198 §4, XEP-0288), the first that came first. To be
    /// called for all of them, also before stanzas are counted.
    pub fn handled(&mut self, stanzas: u32) {
        self.stream.handled(stanzas);
    }

    /// Tells how many stanzas are handled without being asked.
    pub fn acknowledge(&mut self) {
        self.stream.answer();
    }

    /// The owner wrote so many stanzas.
    pub fn sent(&mut self, stanzas: u32) {
        self.stream.sent(stanzas);
    }

    /// Asks how many of our stanzas are handled, unless that was asked before and not answered.
    pub fn request(&mut self) {
        self.stream.request();
    }

    /// Ends the stream, with an error if there is one.
    pub fn end(&mut self, error: Option<&StreamError>) {
        self.stream.reports = false;
        match error {
            Some(error) => self.stream.fail_with(error),
            None => self.stream.close(),
        }
    }

    /// RFC 6120 §4.2, §4.7.1: between servers `from` is always there, so that EXTERNAL can be
    /// offered (XEP-0178 §3 point 3).
    fn open(&mut self) {
        self.stream.write_header(StreamHeader {
            from: Some(self.first.local.clone()),
            to: Some(self.first.remote.clone()),
            version: Some((1, 0)),
            ..StreamHeader::default()
        });
        self.phase = Phase::Header;
    }

    fn read(&mut self, mut input: &[u8]) {
        while self.stream.reads() {
            match self.stream.next(&mut input) {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return,
                Err(error) => self.fail(Failure::NotXmpp(error)),
            }
        }
        self.stream.keep(input);
    }

    fn item(&mut self, item: Item) {
        match (self.phase, item) {
            (_, Item::Whitespace) => {}
            (_, Item::Close) => self.fail(Failure::Closed),
            (Phase::Header, Item::Open(header)) => self.opened(header),
            (_, Item::Nonza(element)) => match StreamError::parse(&element) {
                Some(error) => self.fail(Failure::Stream(error)),
                None => self.element(&element),
            },
            (Phase::Open, Item::Stanza(stanza)) if self.takes_stanzas() => {
                let ready = &self.ready;
                self.stream.deliver(stanza, |from, to| {
                    ready
                        .iter()
                        .any(|pair| pair.remote == from && pair.local == to)
                });
            }
            (Phase::Open, Item::BadStanza(bad)) if self.takes_stanzas() => {
                let remote = &self.first.remote;
                self.stream.deliver_bad(bad, |from| from == remote);
            }
            // RFC 6120 §4.9.3.12: this stream goes the other way.
            (_, Item::Stanza(_) | Item::BadStanza(_)) => {
                self.stream.fail(StreamCondition::NotAuthorized);
            }
            (_, Item::Open(_)) => self.fail(Failure::Protocol("a stream header out of turn")),
        }
    }

    /// XEP-0288 §2.2: when both sides are authenticated, the other one by its certificate or, where
    /// that is enough, by our having found it in DNS.
    fn takes_stanzas(&self) -> bool {
        self.bidi && !self.ready.is_empty()
    }

    fn opened(&mut self, header: StreamHeader) {
        let versioned = framing::is_version_1(&header);
        self.dialback = header.dialback;
        let Some(id) = header.id else {
            return self.fail(Failure::Protocol("its stream has no id"));
        };
        self.id = id;
        self.phase = Phase::Features;
        if versioned {
            return;
        }
        // Before XMPP 1.0 there are no features (XEP-0220 §2.4.1).
        match self.options.tls_required && self.stream.tls.is_none() {
            true => self.fail(Failure::NoTls),
            false => self.prove_ourselves(&Features::new()),
        }
    }

    fn element(&mut self, element: &Element) {
        match self.phase {
            Phase::Features => match Features::parse(element) {
                Some(features) => self.negotiate(features),
                None => self.fail(Failure::Protocol("no stream features")),
            },
            Phase::Proceed if element.is(ns::TLS, "proceed") => self.stream.await_handshake(),
            Phase::Proceed => self.fail(Failure::TlsRefused),
            Phase::Sasl => self.sasl(element),
            Phase::Open => self.open_element(element),
            Phase::Header => self.fail(Failure::Protocol("an element before the stream")),
        }
    }

    fn negotiate(&mut self, features: Features) {
        if self.stream.tls.is_none() {
            match features.starttls() {
                Some(_) => {
                    self.stream.write(&Element::new(ns::TLS, "starttls"));
                    self.phase = Phase::Proceed;
                    return;
                }
                None if self.options.tls_required => return self.fail(Failure::NoTls),
                None => {}
            }
        }
        self.prove_ourselves(&features);
    }

    fn secured(&mut self, tls: TlsInfo) {
        self.stream.secured(tls);
        let domain = self.first.remote.clone();
        self.stream.ask(Question::Certificate { domain });
    }

    fn judged(&mut self, trust: Trust) {
        match trust {
            Trust::Refused(why) => self.fail(Failure::Untrusted(why)),
            Trust::Proved | Trust::Unproved => self.open(),
        }
    }

    /// TLS is settled: what is left is to prove our domain.
    fn prove_ourselves(&mut self, features: &Features) {
        self.settled = true;
        self.multiplexes |= features.has(ns::DIALBACK_FEATURE, "dialback");
        self.dialback |= self.multiplexes;
        self.features = features.clone();
        self.ask_what_waits();
        if self.external {
            self.phase = Phase::Open;
            return self.now_ready(self.first.clone(), How::External);
        }
        if self.options.bidi && features.has(ns::BIDI_FEATURE, "bidi") {
            // XEP-0288 §2.1: before the authentication.
            self.stream.write(&Element::new(ns::BIDI, "bidi"));
            self.bidi = true;
        }
        let offered = features.mechanisms().iter().any(|name| name == "EXTERNAL");
        if offered && self.options.external && self.stream.tls.is_some() {
            let name = self.first.local.as_bytes();
            let auth = Profile::Classic.message("auth", Some(name));
            self.stream.write(&auth.with_attr("mechanism", "EXTERNAL"));
            self.phase = Phase::Sasl;
            // Behind <success/> a stream header must come, and nothing else.
            self.settled = false;
            return;
        }
        self.fall_back();
    }

    fn ask_what_waits(&mut self) {
        for (about, key) in std::mem::take(&mut self.waiting) {
            self.write_verify(&about, &key);
        }
    }

    fn fall_back(&mut self) {
        self.phase = Phase::Open;
        self.settled = true;
        self.ask_what_waits();
        match (self.dialback, self.sasl_failure.take()) {
            (true, _) => self.write_claim(self.first.clone()),
            (false, None) => self.fail(Failure::NoWay),
            (false, Some(condition)) => {
                let domain = self.first.local.clone();
                let refusal = Refusal::Sasl(condition);
                self.fail(Failure::NotBelieved { domain, refusal });
            }
        }
    }

    fn sasl(&mut self, element: &Element) {
        if let Some(dialback) = Dialback::parse(element) {
            return self.answered(&dialback);
        }
        match (element.ns(), element.name()) {
            (ns::SASL, "success") => {
                self.external = true;
                self.stream.restart();
                self.open();
            }
            // An old server asks for what was said already (RFC 6120 §6.4.3).
            (ns::SASL, "challenge") => {
                let name = self.first.local.as_bytes();
                let response = Profile::Classic.message("response", Some(name));
                self.stream.write(&response);
            }
            (ns::SASL, "failure") => {
                let condition = element.children().find(|child| child.name() != "text");
                let condition = condition.map_or("not-authorized", Element::name);
                self.sasl_failure = Some(condition.to_owned());
                self.fall_back();
            }
            _ => self.fail(Failure::Protocol("an element out of turn")),
        }
    }

    fn open_element(&mut self, element: &Element) {
        if let Some(dialback) = Dialback::parse(element) {
            return self.answered(&dialback);
        }
        if element.is(ns::SM, "enabled") && std::mem::take(&mut self.enabling) {
            self.stream.count();
            return self.settle();
        }
        if element.is(ns::SM, "failed") && self.enabling {
            return self.settle();
        }
        if !self.stream.management(element) {
            self.stream.fail(StreamCondition::UnsupportedStanzaType);
        }
    }

    fn answered(&mut self, dialback: &Dialback) {
        let Some(pair) = pair(dialback) else {
            return self.fail(Failure::Protocol("dialback without addresses"));
        };
        if let (Step::Result, Content::Key(_)) = (dialback.step, &dialback.content) {
            return self.claimed(&pair);
        }
        if pair.remote != self.first.remote {
            return self.fail(Failure::Protocol("dialback about another domain"));
        }
        match (dialback.step, &dialback.content) {
            (Step::Result, Content::Verdict(verdict)) => self.believed(pair, verdict),
            (Step::Verify, Content::Verdict(verdict)) => {
                let id = dialback.id.as_deref().unwrap_or_default();
                self.verified(pair.local, id, verdict);
            }
            // XEP-0220 §2.1.2: a server may ask back on the stream on which it was asked.
            (Step::Verify, Content::Key(key)) => {
                self.stream
                    .answer_verify(&pair, dialback.id.as_deref(), key);
            }
            (Step::Result, Content::Key(_)) => {}
        }
    }

    /// XEP-0288 §2.2: the other side may claim further domains on a stream that goes both ways. It
    /// is told to open a stream of its own (XEP-0220 §2.5, `resource-constraint`).
    fn claimed(&mut self, pair: &Pair) {
        if !self.bidi {
            return self.stream.fail(StreamCondition::UnsupportedStanzaType);
        }
        let error = Verdict::Error(StanzaError::resource_constraint());
        let content = Content::Verdict(error);
        self.stream
            .write_dialback(Step::Result, pair, None, content);
    }

    /// XEP-0220 §2.1.2, §3.1: only what was asked on this stream is answered on it.
    fn verified(&mut self, local: String, id: &str, verdict: &Verdict) {
        let about = (local, id.to_owned());
        if self.asked.remove(&about) {
            let (local, stream_id) = about;
            self.stream.out.push(Output::Verified {
                local,
                stream_id,
                verdict: verdict.clone(),
            });
        }
    }

    fn believed(&mut self, pair: Pair, verdict: &Verdict) {
        if self.claims.remove(&pair).is_none() {
            return;
        }
        let refusal = match verdict {
            Verdict::Valid => {
                self.multiplexes = true;
                return self.now_ready(pair, How::Claim);
            }
            Verdict::Invalid => Refusal::Invalid,
            Verdict::Error(error) => Refusal::Error(error.clone()),
        };
        if self.ready.is_empty() && pair == self.first {
            let domain = pair.local;
            return self.fail(Failure::NotBelieved { domain, refusal });
        }
        self.stream.out.push(Output::PairRefused { pair, refusal });
    }

    fn now_ready(&mut self, pair: Pair, how: How) {
        let first = self.ready.is_empty();
        self.ready.insert(pair.clone());
        self.stream.prove();
        if self.bidi {
            self.stream.out.push(Output::Bidi(pair.clone()));
        }
        self.held.push((pair, how));
        if first && self.features.has(ns::SM, "sm") {
            self.stream.write(&Element::new(ns::SM, "enable"));
            self.enabling = true;
            self.stream.set_unsettled(true);
        }
        if !self.enabling {
            self.settle();
        }
    }

    /// Whether stanzas are counted is known: pairs that are proved may be used.
    fn settle(&mut self) {
        self.enabling = false;
        self.stream.set_unsettled(false);
        for (pair, how) in std::mem::take(&mut self.held) {
            self.stream.out.push(Output::Ready { pair, how });
        }
    }

    /// XEP-0220 §2.1.1
    fn write_claim(&mut self, pair: Pair) {
        let secret = &self.stream.settings.secret;
        let key = secret.key(&pair.remote, &pair.local, &self.id);
        let content = Content::Key(key);
        self.stream
            .write_dialback(Step::Result, &pair, None, content);
        self.claims.insert(pair, self.stream.now() + CLAIM);
    }

    fn write_verify(&mut self, (local, stream_id): &(String, String), key: &str) {
        let pair = Pair::new(&**local, &*self.first.remote);
        let content = Content::Key(key.to_owned());
        self.asked.insert((local.clone(), stream_id.clone()));
        self.stream
            .write_dialback(Step::Verify, &pair, Some(stream_id), content);
    }

    fn fail(&mut self, failure: Failure) {
        if self.stream.is_closed() {
            return;
        }
        self.stream.reports = false;
        // RFC 6120 §4.9.1.1: who ends a stream by reason of an error says so.
        let error = match &failure {
            Failure::NotXmpp(error) => Some(error.clone()),
            Failure::TimedOut => Some(StreamError::new(StreamCondition::ConnectionTimeout)),
            _ => None,
        };
        self.stream.out.push(Output::Failed(failure));
        match error {
            Some(error) => self.stream.fail_with(&error),
            None => self.stream.close(),
        }
    }
}
