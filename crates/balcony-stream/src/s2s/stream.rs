//! What both sides of a stream between servers have: the scanner, the way out, the time.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::sasl::ChannelBindings;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError, StreamHeader};
use balcony_proto::xep::dialback::{Content, Dialback, Step, Verdict};
use balcony_proto::xml::{Element, Item, Scanner};

use super::counts::Counts;
use super::{Failure, Output, Pair, Question, Settings};
use crate::framing;
use crate::management::{self, Management};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::tls::{Security, TlsInfo};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: Arc<Settings>,
    pub(super) random: Random,
    pub(super) out: Outbox<Output>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) counts: Option<Counts>,
    /// Stanzas that were handed out and are not handled.
    unhandled: u32,
    /// How many of those came before stanzas were counted; they are handled first.
    uncounted: u32,
    scanner: Scanner,
    /// Came while a question was open.
    pending: Vec<u8>,
    /// A question is open.
    asking: bool,
    /// The TLS layer has the connection.
    shaking: bool,
    /// Our header of the current stream is out.
    pub(super) header_sent: bool,
    closed: bool,
    /// An error by which we end the stream is told to the owner too, as the other side's fault.
    pub(super) reports: bool,
    /// A domain is proved, so that the time and the bytes before that do not count any more.
    proved: bool,
    /// It is, but something still has to be answered in the time of the negotiation.
    unsettled: bool,
    budget: usize,
    started: Duration,
    handshake_until: Option<Duration>,
    now: Duration,
}

impl Stream {
    pub(super) fn new(
        settings: Arc<Settings>,
        security: Security,
        random: Random,
        now: Duration,
    ) -> Stream {
        let shaking = security == Security::DirectTls;
        Stream {
            scanner: Scanner::new(ns::SERVER, settings.before_proof),
            random,
            out: Outbox::new(),
            tls: None,
            counts: None,
            unhandled: 0,
            uncounted: 0,
            pending: Vec::new(),
            asking: false,
            shaking,
            header_sent: false,
            closed: false,
            reports: false,
            proved: false,
            unsettled: false,
            budget: settings.bytes_before_proof,
            started: now,
            handshake_until: shaking.then(|| now + settings.timeouts.tls_handshake),
            now,
            settings,
        }
    }

    pub(super) fn at(&mut self, now: Duration) {
        self.now = now;
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_proved(&self) -> bool {
        self.proved
    }

    pub(super) fn is_shaking(&self) -> bool {
        self.shaking
    }

    /// Whether bytes may be looked at.
    pub(super) fn reads(&self) -> bool {
        !self.asking && !self.shaking && !self.closed
    }

    pub(super) fn buffered(&self) -> usize {
        self.pending.len() + self.scanner.buffered()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match (self.closed, self.handshake_until) {
            (true, _) => None,
            (_, Some(until)) => Some(until),
            _ if self.proved && !self.unsettled => None,
            _ => Some(self.started + self.settings.timeouts.negotiation),
        }
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= self.now)
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.asking = true;
        self.out.push(Output::Ask(question));
    }

    /// The open question is answered; false when there was none.
    pub(super) fn answered(&mut self) -> bool {
        std::mem::take(&mut self.asking)
    }

    /// The bytes that are to be looked at now: what waited, with these behind it.
    pub(super) fn take_bytes(&mut self, bytes: &[u8]) -> Result<Vec<u8>, StreamError> {
        if self.shaking {
            // Clear text that the TLS layer has not vouched for: never looked at (STARTTLS
            // injection).
            return Ok(Vec::new());
        }
        if !self.proved {
            let too_many = || {
                let text = "too many bytes before a domain was proved";
                StreamError::new(StreamCondition::PolicyViolation).with_text(text)
            };
            self.budget = self.budget.checked_sub(bytes.len()).ok_or_else(too_many)?;
        } else if self.asking && self.pending.len() + bytes.len() > self.settings.bytes_before_proof
        {
            // Nothing should have been read; what was must not pile up.
            let text = "too many bytes at once";
            return Err(StreamError::new(StreamCondition::PolicyViolation).with_text(text));
        }
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        Ok(all)
    }

    /// The next item of `input`.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, StreamError> {
        Ok(self.scanner.next(input)?)
    }

    /// Keeps what must wait. RFC 6120 §5.4.3.1: no XML after `<starttls/>` or `<proceed/>` until
    /// TLS stands; what came in the same read was not protected, so it is dropped.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        if !self.shaking && !self.closed {
            self.pending = rest.to_vec();
        }
    }

    pub(super) fn await_handshake(&mut self) {
        self.shaking = true;
        self.pending = Vec::new();
        self.handshake_until = Some(self.now + self.settings.timeouts.tls_handshake);
        self.out.push(Output::StartTls);
    }

    /// RFC 6120 §5.4.3.3: all that was learnt before TLS is discarded.
    pub(super) fn secured(&mut self, tls: TlsInfo) {
        self.shaking = false;
        self.handshake_until = None;
        self.pending = Vec::new();
        // No mechanism between servers binds to the channel.
        let bindings = ChannelBindings::default();
        self.tls = Some(TlsInfo { bindings, ..tls });
        self.restart();
    }

    /// A new stream on the same connection (RFC 6120 §4.3.3).
    pub(super) fn restart(&mut self) {
        self.scanner.restart();
        self.header_sent = false;
    }

    /// The other side has proved a domain: it may send stanzas of their full size.
    pub(super) fn prove(&mut self) {
        if !std::mem::replace(&mut self.proved, true) {
            self.set_limits(self.settings.after_proof);
        }
    }

    /// Whether something still has to be answered in the time of the negotiation.
    pub(super) fn set_unsettled(&mut self, unsettled: bool) {
        self.unsettled = unsettled;
    }

    fn set_limits(&mut self, limits: Limits) {
        self.scanner.set_limits(limits);
    }

    pub(super) fn write_header(&mut self, header: StreamHeader) {
        self.header_sent = true;
        let header = StreamHeader {
            dialback: true,
            ..header
        };
        framing::write_header(&header, ns::SERVER, self.out.bytes());
    }

    pub(super) fn write(&mut self, element: &Element) {
        element.write(ns::SERVER, self.out.bytes());
    }

    /// An element of dialback from us to the other side.
    pub(super) fn write_dialback(
        &mut self,
        step: Step,
        pair: &Pair,
        id: Option<&str>,
        content: Content,
    ) {
        let element = Dialback {
            step,
            from: Some(pair.local.clone()),
            to: Some(pair.remote.clone()),
            id: id.map(str::to_owned),
            content,
        };
        element.write(self.out.bytes());
    }

    /// Answers a question about a key that one of our domains is said to have made (XEP-0220
    /// §2.1.2, as the authoritative server). Nobody learns from it which domains are ours: a key of
    /// any other is as invalid as a wrong one.
    pub(super) fn answer_verify(&mut self, pair: &Pair, id: Option<&str>, key: &str) {
        let Some(id) = id else {
            return self.fail(StreamCondition::BadFormat);
        };
        // DEVIATION: XEP-0220 §2.2.2 has an error, item-not-found, for a domain that is not ours.
        let secret = &self.settings.secret;
        let verdict = match secret.made(key, &pair.remote, &pair.local, id) {
            true => Verdict::Valid,
            false => Verdict::Invalid,
        };
        self.write_dialback(Step::Verify, pair, Some(id), Content::Verdict(verdict));
    }

    /// What is said of the management of the stream, besides `<enable/>`. True when it was that.
    pub(super) fn management(&mut self, element: &Element) -> bool {
        let (Some(said), Some(counts)) = (Management::parse(element), &mut self.counts) else {
            return false;
        };
        match said {
            // Answered when the owner has come to it: stanzas before it may be handled by then.
            Management::Request => self.out.push(Output::Asked),
            Management::Answer(h) => match counts.acknowledge(h, self.now) {
                Ok(0) => {}
                Ok(more) => self.out.push(Output::Acknowledged(more)),
                Err(error) => self.fail_with(&error),
            },
            _ => return false,
        }
        true
    }

    /// XEP-0198 §3: both directions are counted from the next stanza on.
    pub(super) fn count(&mut self) {
        self.counts = Some(Counts::default());
        self.uncounted = self.unhandled;
        self.out.push(Output::Counts);
    }

    /// XEP-0198 §4: of what came before `<enable/>` or `<enabled/>` nothing is told, also when it
    /// was handled only after it.
    pub(super) fn handled(&mut self, stanzas: u32) {
        self.unhandled = self.unhandled.saturating_sub(stanzas);
        let before = stanzas.min(self.uncounted);
        self.uncounted -= before;
        if let Some(counts) = &mut self.counts {
            counts.handle(stanzas - before);
        }
    }

    /// Tells how many stanzas are handled without being asked.
    pub(super) fn answer(&mut self) {
        if let Some(counts) = &self.counts
            && !self.closed
        {
            counts.write_answer(self.out.bytes());
        }
    }

    pub(super) fn sent(&mut self, stanzas: u32) {
        if let Some(counts) = &mut self.counts {
            counts.send(stanzas);
        }
    }

    pub(super) fn request(&mut self) {
        let now = self.now;
        let asks = |counts: &mut Counts| counts.asks(now);
        if self.counts.as_mut().is_some_and(asks) && !self.closed {
            management::write_request(self.out.bytes());
        }
    }

    /// RFC 6120 §8.1.1.2, §8.1.2.2: between servers both addresses are there, and the sender's is
    /// of a domain that is proved.
    pub(super) fn deliver(&mut self, stanza: Stanza, takes: impl FnOnce(&str, &str) -> bool) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
            return self.fail(StreamCondition::ImproperAddressing);
        };
        if !takes(from.domain(), to.domain()) {
            // §4.9.3.9
            return self.fail(StreamCondition::InvalidFrom);
        }
        self.unhandled = self.unhandled.saturating_add(1);
        self.out.push(Output::Stanza(Box::new(stanza)));
    }

    /// The same for a stanza with a fault: it is answered, and nobody may make us write to those
    /// who did not write to us. Its `to` may be the fault.
    pub(super) fn deliver_bad(&mut self, bad: BadStanza, takes: impl FnOnce(&str) -> bool) {
        let (Some(from), Some(_)) = (&bad.from, &bad.to) else {
            return self.fail(StreamCondition::ImproperAddressing);
        };
        if !Jid::parse(from).is_ok_and(|from| takes(from.domain())) {
            return self.fail(StreamCondition::InvalidFrom);
        }
        self.unhandled = self.unhandled.saturating_add(1);
        self.out.push(Output::BadStanza(Box::new(bad)));
    }

    pub(super) fn fail(&mut self, condition: StreamCondition) {
        self.fail_with(&StreamError::new(condition));
    }

    pub(super) fn fail_with(&mut self, error: &StreamError) {
        if self.closed {
            return;
        }
        if self.reports {
            let failure = Failure::Refused(error.clone());
            self.out.push(Output::Failed(failure));
        }
        if self.shaking {
            // RFC 6120 §5.4.3.2: no XML while TLS has the connection.
            return self.close();
        }
        if !self.header_sent {
            // RFC 6120 §4.9.1.2: an error has to be in a stream.
            let id = Some(self.random.token());
            self.write_header(StreamHeader {
                id,
                version: Some((1, 0)),
                ..StreamHeader::default()
            });
        }
        framing::write_error(error, self.out.bytes());
        self.close();
    }

    /// RFC 6120 §4.4
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.header_sent && !self.shaking {
            framing::write_close(self.out.bytes());
        }
        self.pending = Vec::new();
        self.out.push(Output::Close);
    }
}

/// A domainpart as it is written in an attribute, in its prepared form.
pub(super) fn domain(text: Option<&str>) -> Option<String> {
    let jid = Jid::parse(text?).ok().filter(Jid::is_domain)?;
    Some(jid.domain().to_owned())
}

/// The pair of an element of dialback that came, from the point of view of who got it.
pub(super) fn pair(dialback: &Dialback) -> Option<Pair> {
    Some(Pair {
        local: domain(dialback.to.as_deref())?,
        remote: domain(dialback.from.as_deref())?,
    })
}
