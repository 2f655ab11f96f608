//! The side that accepted the connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::ns;
use balcony_proto::sasl::{self, SaslError};
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{Features, StreamCondition, StreamError, StreamHeader};
use balcony_proto::xep::dialback::{self, Content, Dialback, Step, Verdict};
use balcony_proto::xml::{Element, Item};

use super::stream::{Stream, domain, pair};
use super::{Answer, HostTerms, How, Input, Output, Pair, Question, Settings, Trust};
use crate::framing;
use crate::management::{self, Management};
use crate::random::Random;
use crate::sasl_profile::Profile;
use crate::tls::{Security, TlsInfo};

/// Tries by SASL until the stream is closed (RFC 6120 §6.4.5: at least 2 and no more than 5).
const SASL_TRIES: u8 = 3;

/// Claims that fail until the stream is closed. For each, a server that the other side named may
/// have been looked up and asked; who means well has few, and XEP-0220 §2.5 has the stream survive
/// those.
const REFUSED_CLAIMS: usize = 100;

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The stream header.
    Header,
    /// STARTTLS, a proof of a domain, or, when there is one, stanzas.
    Open,
}

/// The machine; see [`super`].
#[derive(Debug)]
pub struct Incoming {
    stream: Stream,
    phase: Phase,
    /// The domain that the header is for.
    to: String,
    /// The same, once it is known to be ours.
    local: Option<String>,
    /// The domain that the header says the other side is.
    from: Option<String>,
    /// The id of the current stream, which keys are for.
    id: String,
    /// The header had a version, so that the other side knows features.
    versioned: bool,
    terms: Option<HostTerms>,
    /// The certificate proves `from`.
    certified: bool,
    /// Domains that are proved.
    proved: HashSet<String>,
    /// Claims on the current stream that are undecided.
    claims: HashSet<Pair>,
    /// Claims that were not found valid.
    refused: usize,
    /// The other side has allowed us to send over this stream (XEP-0288).
    bidi: bool,
    /// What may be sent over it once our header of the restarted stream is out.
    bidi_later: Option<Pair>,
    sasl_failures: u8,
}

impl Incoming {
    /// A connection was accepted at `now`. Times are since any fixed moment.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        security: Security,
        random: Random,
        now: Duration,
    ) -> Incoming {
        Incoming {
            id: random.token(),
            stream: Stream::new(settings, security, random, now),
            phase: Phase::Header,
            to: String::new(),
            local: None,
            from: None,
            versioned: true,
            terms: None,
            certified: false,
            proved: HashSet::new(),
            claims: HashSet::new(),
            refused: 0,
            bidi: false,
            bidi_later: None,
            sasl_failures: 0,
        }
    }

    /// Tells the machine what happened at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.stream.at(now);
        if self.stream.is_closed() {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes),
            Input::TlsReady(tls) if self.stream.is_shaking() => self.secured(tls),
            Input::TlsReady(_) => self.stream.fail(StreamCondition::InternalServerError),
            Input::Answer(answer) if self.stream.answered() => self.answer(answer),
            Input::Answer(_) => self.stream.fail(StreamCondition::InternalServerError),
            Input::Eof => self.stream.close(),
            Input::Timeout if self.stream.is_late() => {
                self.stream.fail(StreamCondition::ConnectionTimeout);
            }
            Input::Timeout => {}
        }
    }

    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.stream.out.poll()
    }

    /// When to send [`Input::Timeout`]; `None`: no time limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.stream.deadline()
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

    /// The domain of ours that the stream is for, once it is known.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.local.as_deref()
    }

    /// Decides a [claim](Output::Claim) that was made on the stream of that id (XEP-0220 §2.1.1,
    /// §2.5). About an earlier stream of the connection it says nothing any more: keys are for one
    /// stream.
    pub fn decide(&mut self, pair: &Pair, stream_id: &str, verdict: Verdict) {
        if stream_id != self.id || !self.claims.remove(pair) || self.stream.is_closed() {
            return;
        }
        let alone = self.proved.is_empty();
        let (valid, forged) = (verdict == Verdict::Valid, verdict == Verdict::Invalid);
        // §2.2.1: MAY, so that the domains that are proved go on.
        let content = match verdict {
            Verdict::Invalid if !alone => Verdict::Error(StanzaError::forbidden()),
            verdict => verdict,
        };
        self.stream
            .write_dialback(Step::Result, pair, None, Content::Verdict(content));
        if valid {
            self.prove(pair.clone(), How::Claim);
            return;
        }
        if forged && alone {
            // §2.2.1: MUST, where nothing else is proved.
            self.stream.close();
        } else {
            self.refused_one();
        }
    }

    fn refused_one(&mut self) {
        self.refused += 1;
        if self.refused >= REFUSED_CLAIMS {
            self.stream.fail(StreamCondition::PolicyViolation);
        }
    }

    /// So many more stanzas are handled (XEP-0198 §4), the first that came first. To be called for
    /// all of them, also before stanzas are counted.
    pub fn handled(&mut self, stanzas: u32) {
        self.stream.handled(stanzas);
    }

    /// Tells how many stanzas are handled without being asked.
    pub fn acknowledge(&mut self) {
        self.stream.answer();
    }

    /// The owner wrote so many stanzas (XEP-0288).
    pub fn sent(&mut self, stanzas: u32) {
        self.stream.sent(stanzas);
    }

    /// Asks how many of our stanzas are handled, unless that was asked before and not answered.
    pub fn request(&mut self) {
        self.stream.request();
    }

    /// Ends the stream, with an error if there is one.
    pub fn end(&mut self, error: Option<&StreamError>) {
        match error {
            Some(error) => self.stream.fail_with(error),
            None => self.stream.close(),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.stream.take_bytes(bytes) {
            Ok(all) => self.read(&all),
            Err(error) => self.stream.fail_with(&error),
        }
    }

    fn read(&mut self, mut input: &[u8]) {
        while self.stream.reads() {
            match self.stream.next(&mut input) {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return,
                Err(error) => self.stream.fail_with(&error),
            }
        }
        self.stream.keep(input);
    }

    fn item(&mut self, item: Item) {
        match (self.phase, item) {
            (_, Item::Whitespace) => {}
            (_, Item::Close) => self.stream.close(),
            (Phase::Header, Item::Open(header)) => self.opened(&header),
            (_, Item::Open(_)) => self.stream.fail(StreamCondition::BadFormat),
            // RFC 6120 §4.9.1.1: who receives a stream error closes the stream.
            (_, Item::Nonza(element)) if element.is(ns::STREAMS, "error") => self.stream.close(),
            (Phase::Open, Item::Nonza(element)) => self.element(&element),
            (Phase::Open, Item::Stanza(stanza)) if self.stream.is_proved() => {
                let proved = &self.proved;
                self.stream.deliver(stanza, |from, _| proved.contains(from));
            }
            (Phase::Open, Item::BadStanza(bad)) if self.stream.is_proved() => {
                let proved = &self.proved;
                self.stream.deliver_bad(bad, |from| proved.contains(from));
            }
            // RFC 6120 §4.9.3.12
            (_, Item::Stanza(_) | Item::BadStanza(_)) => {
                self.stream.fail(StreamCondition::NotAuthorized);
            }
            (_, Item::Nonza(_)) => self.stream.fail(StreamCondition::BadFormat),
        }
    }

    fn opened(&mut self, header: &StreamHeader) {
        self.versioned = framing::is_version_1(header);
        let Some(to) = domain(header.to.as_deref()) else {
            // RFC 6120 §4.7.2
            return self.stream.fail(StreamCondition::ImproperAddressing);
        };
        self.from = domain(header.from.as_deref());
        if header.from.is_some() && self.from.is_none() {
            return self.stream.fail(StreamCondition::InvalidFrom);
        }
        if !self.versioned && !header.dialback {
            // A server before XMPP 1.0 can do nothing but dialback (XEP-0220 §2.4.1).
            return self.stream.fail(StreamCondition::UnsupportedVersion);
        }
        self.to.clone_from(&to);
        let from = self.from.clone();
        self.stream.ask(Question::Header { to, from });
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Host(Ok(terms)) => self.accepted(terms),
            Answer::Host(Err(error)) => self.stream.fail_with(&error),
            Answer::Certificate(trust) => self.judged(trust),
        }
        let rest = self.stream.take_bytes(&[]).unwrap_or_default();
        if !rest.is_empty() {
            self.read(&rest);
        }
    }

    fn accepted(&mut self, terms: HostTerms) {
        if !self.versioned && terms.tls_required && self.stream.tls.is_none() {
            // It cannot be told to begin with TLS.
            return self.stream.fail(StreamCondition::UnsupportedVersion);
        }
        self.terms = Some(terms);
        self.local = Some(self.to.clone());
        match (&self.from, &self.stream.tls) {
            (Some(from), Some(_)) if !self.stream.is_proved() => {
                let domain = from.clone();
                self.stream.ask(Question::Certificate { domain });
            }
            _ => self.respond(),
        }
    }

    fn judged(&mut self, trust: Trust) {
        self.certified = trust == Trust::Proved;
        if let Trust::Refused(_) = trust {
            // RFC 6120 §13.7.1.2: without a proof there is nothing to go on with.
            let error = StreamError::new(StreamCondition::NotAuthorized);
            return self
                .stream
                .fail_with(&error.with_text("the certificate does not prove the domain"));
        }
        self.respond();
    }

    /// Our header and features (RFC 6120 §4.3).
    fn respond(&mut self) {
        self.id = self.stream.random.token();
        self.stream.write_header(StreamHeader {
            from: self.local.clone(),
            to: self.from.clone(),
            id: Some(self.id.clone()),
            // RFC 6120 §4.7.5: whichever is lower, and none for a server without.
            version: self.versioned.then_some((1, 0)),
            ..StreamHeader::default()
        });
        self.phase = Phase::Open;
        if self.versioned {
            let features = self.features();
            framing::write_features(&features, self.stream.out.bytes());
        }
        if let Some(pair) = self.bidi_later.take() {
            self.stream.out.push(Output::Bidi(pair));
        }
    }

    fn features(&self) -> Features {
        let mut features = Features::new();
        let Some(terms) = &self.terms else {
            return features;
        };
        let encrypted = self.stream.tls.is_some();
        if !encrypted {
            features = features.with_starttls(terms.tls_required);
            if terms.tls_required {
                return features;
            }
        }
        let proved = self.stream.is_proved();
        if self.certified && !proved {
            features = features.with_mechanisms(["EXTERNAL"]);
        }
        if terms.dialback {
            features = features.with(dialback::feature());
        }
        if terms.bidi && !proved {
            // XEP-0288 §2.1
            features = features.with(Element::new(ns::BIDI_FEATURE, "bidi"));
        }
        if proved || !self.certified {
            // Dialback restarts no stream, so there is no later time to say so.
            features = features.with(management::feature());
        }
        let most = self.stream.settings.after_proof.stanza_bytes;
        features.with_limits(Some(most), self.stream.settings.idle_seconds)
    }

    fn element(&mut self, element: &Element) {
        if let Some(dialback) = Dialback::parse(element) {
            return self.dialback(&dialback);
        }
        match (element.ns(), element.name()) {
            (ns::TLS, "starttls") if self.may_start_tls() => {
                self.stream.write(&Element::new(ns::TLS, "proceed"));
                self.claims.clear();
                self.stream.await_handshake();
            }
            (ns::SASL, "auth") if !self.stream.is_proved() => self.auth(element),
            (ns::SASL, "abort") if !self.stream.is_proved() => self.refuse(SaslError::Aborted),
            // XEP-0288 §2.1: before the domain is proved.
            (ns::BIDI, "bidi") if self.allows_bidi() => self.bidi = true,
            (ns::SM, "enable") if self.may_count(element) => {
                self.stream.write(&management::enabled(None));
                self.stream.count();
            }
            _ if self.stream.management(element) => {}
            // RFC 6120 §4.9.3.12
            _ if !self.stream.is_proved() => self.stream.fail(StreamCondition::NotAuthorized),
            _ => self.stream.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// What was proved in clear would not be proved any more (RFC 6120 §5.4.3.3), so it is too late
    /// then.
    fn may_start_tls(&self) -> bool {
        self.stream.tls.is_none() && !self.stream.is_proved()
    }

    fn allows_bidi(&self) -> bool {
        let terms = self.terms.as_ref().is_some_and(|terms| terms.bidi);
        terms && self.is_safe() && !self.stream.is_proved()
    }

    fn may_count(&self, element: &Element) -> bool {
        let enables = matches!(Management::parse(element), Some(Management::Enable { .. }));
        enables && self.stream.is_proved() && self.stream.counts.is_none()
    }

    /// Whether what comes may be believed to be of one and the same other side.
    fn is_safe(&self) -> bool {
        let required = self.terms.as_ref().is_none_or(|terms| terms.tls_required);
        self.stream.tls.is_some() || !required
    }

    /// XEP-0178 §3 points 6 to 13.
    fn auth(&mut self, element: &Element) {
        if element.attr("mechanism") != Some("EXTERNAL") || !self.certified {
            return self.refuse(SaslError::InvalidMechanism);
        }
        let (Some(from), Some(local)) = (self.from.clone(), self.local.clone()) else {
            return self.refuse(SaslError::NotAuthorized);
        };
        let authzid = Profile::Classic.decode(element).and_then(|message| {
            let authzid = sasl::external::parse(&message)?;
            Ok(authzid.map(str::to_owned))
        });
        match authzid {
            Ok(None) => {}
            Ok(Some(name)) if domain(Some(&name)).as_ref() == Some(&from) => {}
            Ok(Some(_)) => return self.refuse(SaslError::InvalidAuthzid),
            Err(error) => return self.refuse(error),
        }
        self.stream.write(&Element::new(ns::SASL, "success"));
        let remote = from;
        self.claims.clear();
        self.prove(Pair { local, remote }, How::External);
        self.stream.restart();
        self.phase = Phase::Header;
    }

    fn refuse(&mut self, error: SaslError) {
        self.stream.write(&Profile::Classic.failure(error));
        self.sasl_failures += 1;
        if self.sasl_failures >= SASL_TRIES {
            self.stream.fail(StreamCondition::PolicyViolation);
        }
    }

    fn dialback(&mut self, dialback: &Dialback) {
        let Some(pair) = pair(dialback) else {
            return self.stream.fail(StreamCondition::ImproperAddressing);
        };
        if !self.is_safe() {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return self.stream.fail_with(&error.with_text("TLS comes first"));
        }
        match (dialback.step, &dialback.content) {
            (Step::Result, Content::Key(key)) => self.claimed(pair, key),
            (Step::Verify, Content::Key(key)) => {
                self.stream
                    .answer_verify(&pair, dialback.id.as_deref(), key);
            }
            // An answer to what we did not ask.
            (_, Content::Verdict(_)) => self.stream.fail(StreamCondition::BadFormat),
        }
    }

    fn claimed(&mut self, pair: Pair, key: &str) {
        let dialback = self.terms.as_ref().is_some_and(|terms| terms.dialback);
        if self.claims.contains(&pair) {
            // It waits for the same decision.
            return;
        }
        let too_many = self.claims.len() >= self.stream.settings.claims
            || self.proved.len() >= self.stream.settings.domains;
        if !dialback || too_many {
            let error = match too_many {
                true => StanzaError::resource_constraint(),
                false => StanzaError::not_allowed(),
            };
            let content = Content::Verdict(Verdict::Error(error));
            self.stream
                .write_dialback(Step::Result, &pair, None, content);
            return self.refused_one();
        }
        self.claims.insert(pair.clone());
        self.stream.out.push(Output::Claim {
            pair,
            key: key.to_owned(),
            stream_id: self.id.clone(),
        });
    }

    fn prove(&mut self, pair: Pair, how: How) {
        self.proved.insert(pair.remote.clone());
        self.stream.prove();
        self.stream.out.push(Output::Proved {
            pair: pair.clone(),
            how,
        });
        match (self.bidi, how) {
            (false, _) => {}
            (true, How::Claim) => self.stream.out.push(Output::Bidi(pair)),
            // XEP-0288 §3: not between <success/> and our header.
            (true, How::External) => self.bidi_later = Some(pair),
        }
    }

    fn secured(&mut self, tls: TlsInfo) {
        self.stream.secured(tls);
        self.phase = Phase::Header;
        self.certified = false;
        self.bidi = false;
    }
}
