//! The machine's state, its loop over what came, and its ends.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::Mechanism;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::{Element, Item, Scanner};

use super::completion::Completion;
use super::exchange::Exchange;
use super::question::{Answer, NewToken, Question};
use super::upgrade::Upgrade;
use super::{Input, Output};
use crate::established::Established;
use crate::outbox::Outbox;
use crate::random::Random;
use crate::settings::{HostFacts, Settings};
use crate::tls::{Security, TlsInfo};
use crate::user_agent::UserAgent;

/// Where the negotiation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The TLS layer has the connection.
    Handshake,
    /// A stream header must come.
    Header,
    /// Features are out; STARTTLS, registration or authentication may come.
    Login,
    /// Authenticated; a resource must be bound.
    Bind,
    /// Done.
    Bound,
    /// Over.
    Closed,
}

/// The open question.
#[derive(Debug)]
pub(super) enum Waiting {
    Host,
    /// Any question of the SASL exchange.
    Sasl,
    /// Classic binding, and the id of its iq.
    Bind(Arc<str>),
    /// Bind 2, and what the success will say.
    Bind2(Box<Completion>),
    /// Resumption: inline in SASL2, or `None` for an element of its own.
    Resume(Option<Box<Completion>>),
    PreAuth,
    /// What the owner makes of a token.
    Token(Box<Completion>, Option<NewToken>),
    /// For which hashes there are no keys.
    Lacks(Box<Completion>),
    /// That keys of an upgrade are kept.
    AddKeys(Box<Upgrade>),
}

/// The client after authentication.
#[derive(Clone, Debug)]
pub(super) struct Authenticated {
    pub(super) account: Jid,
    pub(super) mechanism: Mechanism,
    pub(super) client: Option<UserAgent>,
}

#[derive(Debug)]
pub(super) struct Negotiation {
    pub(super) settings: Arc<Settings>,
    pub(super) random: Random,
    pub(super) scanner: Scanner,
    /// Came while a question was open.
    pub(super) pending: Vec<u8>,
    pub(super) out: Outbox<Output>,
    pub(super) phase: Phase,
    /// The open question.
    pub(super) waiting: Option<Waiting>,
    /// Our header of the current stream is out.
    pub(super) header_sent: bool,
    pub(super) tls: Option<TlsInfo>,
    /// The `from` of the client's header, a bare JID.
    pub(super) from: Option<Jid>,
    /// The client's header named a version of at least 1.0.
    pub(super) versioned: bool,
    pub(super) lang: Option<String>,
    pub(super) host: Option<Arc<HostFacts>>,
    /// SASL under way.
    pub(super) exchange: Option<Exchange>,
    /// Tasks after the proof, under way.
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) account: Option<Authenticated>,
    /// What was announced by XEP-0509.
    pub(super) config_version: Option<String>,
    pub(super) auth_failures: u8,
    pub(super) bind_failures: u8,
    pub(super) resume_failures: u8,
    /// Bytes that may still come before login.
    pub(super) budget: usize,
    pub(super) started: Duration,
    pub(super) now: Duration,
    pub(super) handshake_until: Option<Duration>,
    pub(super) registers: bool,
}

impl Negotiation {
    pub(super) fn new(
        settings: Arc<Settings>,
        security: Security,
        random: Random,
        now: Duration,
    ) -> Negotiation {
        let handshake = security == Security::DirectTls;
        Negotiation {
            scanner: Scanner::new(ns::CLIENT, settings.before_login),
            pending: Vec::new(),
            out: Outbox::new(),
            phase: if handshake {
                Phase::Handshake
            } else {
                Phase::Header
            },
            waiting: None,
            header_sent: false,
            tls: None,
            from: None,
            versioned: true,
            lang: None,
            host: None,
            exchange: None,
            upgrade: None,
            account: None,
            config_version: None,
            auth_failures: 0,
            bind_failures: 0,
            resume_failures: 0,
            budget: settings.bytes_before_login,
            started: now,
            now,
            handshake_until: handshake.then(|| now + settings.timeouts.tls_handshake),
            registers: false,
            settings,
            random,
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.now = now;
        if self.phase == Phase::Closed {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes),
            Input::TlsReady(tls) => self.tls_ready(tls),
            Input::Answer(answer) => self.answer(answer),
            Input::Eof => self.close(),
            Input::Timeout => self.timeout(),
            Input::Shutdown => self.fail(StreamCondition::SystemShutdown),
        }
    }

    pub(super) fn reads(&self) -> bool {
        self.waiting.is_none() && matches!(self.phase, Phase::Header | Phase::Login | Phase::Bind)
    }

    pub(super) fn buffered(&self) -> usize {
        self.pending.len() + self.scanner.buffered()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Handshake {
            // Clear text that the TLS layer has not vouched for: never looked at (STARTTLS
            // injection).
            return;
        }
        if self.phase != Phase::Bound {
            let Some(left) = self.budget.checked_sub(bytes.len()) else {
                return self.fail_with(
                    StreamCondition::PolicyViolation,
                    "too many bytes before login",
                );
            };
            self.budget = left;
        }
        if self.pending.is_empty() {
            let rest = self.read(bytes);
            self.pending.extend_from_slice(rest);
        } else {
            self.pending.extend_from_slice(bytes);
            self.resume();
        }
    }

    /// Goes on with what came while a question was open.
    fn resume(&mut self) {
        if !self.pending.is_empty() && self.reads() {
            let held = std::mem::take(&mut self.pending);
            let rest = self.read(&held);
            self.pending.extend_from_slice(rest);
        }
    }

    /// Handles what is complete; returns what must wait.
    fn read<'a>(&mut self, mut input: &'a [u8]) -> &'a [u8] {
        while self.reads() {
            match self.scanner.next(&mut input) {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return &[],
                Err(error) => self.fail_error(&StreamError::from(error)),
            }
        }
        match self.phase {
            // RFC 6120 §5.4.3.1: no XML after <starttls/> until TLS stands. What came in the same
            // read was not protected, so it is dropped.
            Phase::Handshake | Phase::Closed => &[],
            _ => input,
        }
    }

    fn item(&mut self, item: Item) {
        match (self.phase, item) {
            (_, Item::Close) => self.close(),
            (Phase::Header, Item::Open(header)) => self.opened(header),
            (_, Item::Open(_)) => self.fail(StreamCondition::BadFormat),
            (_, Item::Whitespace) => self.whitespace(),
            // RFC 6120 §4.9.1.1: who receives a stream error closes the stream.
            (_, Item::Nonza(element)) if element.is(ns::STREAMS, "error") => self.close(),
            (Phase::Login, Item::Nonza(element)) => self.login_element(element),
            (Phase::Login, Item::Stanza(stanza)) => self.login_stanza(stanza),
            (Phase::Bind, Item::Nonza(element)) => self.bind_element(&element),
            (Phase::Bind, Item::Stanza(stanza)) => self.bind_stanza(stanza),
            (Phase::Bind, Item::BadStanza(bad)) => self.bind_bad_stanza(&bad),
            // RFC 6120 §4.9.3.12
            (_, Item::Stanza(_) | Item::BadStanza(_)) => self.fail(StreamCondition::NotAuthorized),
            (_, Item::Nonza(_)) => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// RFC 6120 §11.7. During SASL it is forbidden (§6.3.5), which SASL2 wants punished (XEP-0388
    /// §2.4).
    fn whitespace(&mut self) {
        if self.runs_sasl2() {
            self.fail(StreamCondition::PolicyViolation);
        }
    }

    pub(super) fn ask(&mut self, waiting: Waiting, question: Question) {
        self.waiting = Some(waiting);
        self.out.push(Output::Ask(question));
    }

    fn answer(&mut self, answer: Answer) {
        match (self.waiting.take(), answer) {
            (Some(Waiting::Host), Answer::Host(facts)) => self.host_answered(facts),
            (Some(Waiting::Sasl), answer) => self.sasl_answered(answer),
            (Some(Waiting::Bind(id)), Answer::Bind(answer)) => self.bind_answered(id, answer),
            (Some(Waiting::Bind2(completion)), Answer::Bind(answer)) => {
                self.bind2_answered(*completion, answer)
            }
            (Some(Waiting::Resume(completion)), Answer::Resume(answer)) => {
                self.resume_answered(completion, answer)
            }
            (Some(Waiting::PreAuth), Answer::PreAuth(reply)) => self.pre_auth_answered(reply),
            (Some(Waiting::Token(completion, new)), answer) => {
                self.token_answered(completion, new, &answer)
            }
            (Some(Waiting::Lacks(completion)), answer) => self.lacks_answered(completion, answer),
            (Some(Waiting::AddKeys(upgrade)), Answer::Kept | Answer::Failed) => {
                self.task_done(upgrade)
            }
            // Answer::Failed, or an answer that nobody asked for.
            _ => self.fail(StreamCondition::InternalServerError),
        }
        self.resume();
    }

    /// A new stream on the same connection (RFC 6120 §4.3.3).
    pub(super) fn restart(&mut self) {
        self.scanner.restart();
        self.header_sent = false;
        self.from = None;
        self.versioned = true;
        self.lang = None;
        self.phase = Phase::Header;
    }

    /// TLS stands or stood from the beginning.
    fn tls_ready(&mut self, tls: TlsInfo) {
        if self.phase != Phase::Handshake {
            return self.fail(StreamCondition::InternalServerError);
        }
        self.handshake_until = None;
        self.tls = Some(tls.into_usable());
        // RFC 6120 §5.4.3.3: what came before TLS is discarded.
        self.pending = Vec::new();
        self.host = None;
        self.restart();
    }

    pub(super) fn await_handshake(&mut self) {
        self.phase = Phase::Handshake;
        self.handshake_until = Some(self.now + self.settings.timeouts.tls_handshake);
    }

    /// A first-level element out to the client.
    pub(super) fn write(&mut self, element: &Element) {
        element.write(ns::CLIENT, self.out.bytes());
    }

    pub(super) fn into_established(self) -> (Established, Vec<u8>) {
        (Established::new(self.scanner), self.pending)
    }
}
