//! The machine's state, its loop over what came, and its ends.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::scram::ClientKeys;
use balcony_proto::sasl::{HashKind, Mechanism};
use balcony_proto::stream::{Features, StreamError, StreamHeader};
use balcony_proto::xml::{Element, Item, Scanner};

use super::auth::Login;
use super::{ClientConfig, Failure, FastToken, Input, Output, Resumption, TlsPolicy};
use crate::established::Established;
use crate::framing;
use crate::outbox::Outbox;
use crate::random::Random;
use crate::tls::TlsInfo;

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The TLS handshake.
    Handshake,
    /// The server's stream header.
    Header,
    /// Stream features.
    Features,
    /// The answer to `<starttls/>`.
    Proceed,
    /// The next step of SASL.
    Sasl,
    /// The answer to `<resume/>`.
    Resume,
    /// The resource.
    Bind,
    /// The session of RFC 3921, from servers that insist.
    Session,
    Bound,
    Closed,
}

#[derive(Debug)]
pub(super) struct Negotiation {
    pub(super) config: Arc<ClientConfig>,
    pub(super) random: Random,
    scanner: Scanner,
    /// Came after the stream was established.
    leftover: Vec<u8>,
    pub(super) out: Outbox<Output>,
    pub(super) phase: Phase,
    pub(super) tls: Option<TlsInfo>,
    pub(super) stream_id: Option<String>,
    /// The features: those before login for a second try, then those after it.
    pub(super) features: Features,
    /// SASL under way.
    pub(super) login: Option<Box<Login>>,
    /// How we authenticated.
    pub(super) mechanism: Option<Mechanism>,
    pub(super) keys: Option<ClientKeys>,
    /// The full JID.
    pub(super) jid: Option<Jid>,
    pub(super) bound: Vec<Element>,
    pub(super) success: Vec<Element>,
    pub(super) resumption: Option<Resumption>,
    /// The mechanism of a token that the server may give.
    pub(super) token_for: Option<Mechanism>,
    pub(super) token: Option<FastToken>,
    pub(super) token_refused: bool,
    /// The hash of the upgrade task under way.
    pub(super) task: Option<HashKind>,
    pub(super) config_version: Option<String>,
    until: Duration,
    header_sent: bool,
}

impl Negotiation {
    pub(super) fn new(config: Arc<ClientConfig>, random: Random, now: Duration) -> Negotiation {
        let mut machine = Negotiation {
            scanner: Scanner::new(ns::CLIENT, config.limits),
            leftover: Vec::new(),
            out: Outbox::new(),
            phase: Phase::Handshake,
            tls: None,
            stream_id: None,
            features: Features::new(),
            login: None,
            mechanism: None,
            keys: None,
            jid: None,
            bound: Vec::new(),
            success: Vec::new(),
            resumption: None,
            token_for: None,
            token: None,
            token_refused: false,
            task: None,
            config_version: None,
            until: now + config.timeout,
            header_sent: false,
            config,
            random,
        };
        if machine.config.tls != TlsPolicy::Direct {
            machine.open();
        }
        machine
    }

    pub(super) fn handle(&mut self, input: Input<'_>, now: Duration) {
        match (self.phase, input) {
            (Phase::Closed, _) => {}
            (_, Input::Bytes(bytes)) => self.bytes(bytes),
            (Phase::Handshake, Input::TlsReady(tls)) => {
                // RFC 6120 §5.4.3.3: all that was learnt before TLS is discarded.
                self.tls = Some(tls.into_usable());
                self.open();
                self.pipeline();
            }
            (_, Input::TlsReady(_)) => self.fail(Failure::Protocol("encryption out of turn")),
            (Phase::Bound, _) => {}
            (_, Input::Eof) => self.fail(Failure::Closed),
            (_, Input::Timeout) if self.until <= now => self.fail(Failure::Timeout),
            (_, Input::Timeout) => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        (!matches!(self.phase, Phase::Bound | Phase::Closed)).then_some(self.until)
    }

    /// RFC 6120 §4.2, and §4.3.3 for every further stream on the connection.
    pub(super) fn open(&mut self) {
        // RFC 6120 §4.7.1: who we are is told under encryption only.
        let known = self.tls.is_some() && self.config.jid.local().is_some();
        let header = StreamHeader {
            to: Some(self.config.jid.domain().into()),
            from: known.then(|| self.config.jid.bare_str().into()),
            version: Some((1, 0)),
            lang: self.config.lang.clone(),
            ..StreamHeader::default()
        };
        framing::write_header(&header, ns::CLIENT, self.out.bytes());
        self.scanner.restart();
        self.header_sent = true;
        self.phase = Phase::Header;
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        while !matches!(self.phase, Phase::Handshake | Phase::Bound | Phase::Closed) {
            match self.scanner.next(&mut bytes) {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return,
                Err(error) => self.fail(error.into()),
            }
        }
        // What came behind <proceed/> in clear is dropped: it could have been put there by anyone.
        if self.phase == Phase::Bound {
            self.leftover.extend_from_slice(bytes);
        }
    }

    fn item(&mut self, item: Item) {
        match (self.phase, item) {
            (_, Item::Whitespace) => {}
            (_, Item::Close) => self.fail(Failure::Closed),
            (Phase::Header, Item::Open(header)) => self.opened(header),
            (_, Item::Nonza(element)) => match StreamError::parse(&element) {
                Some(error) => self.fail(Failure::Stream(error)),
                None => self.element(element),
            },
            (Phase::Bind, Item::Stanza(stanza)) => self.bind_stanza(&stanza),
            (Phase::Session, Item::Stanza(stanza)) => self.session_stanza(&stanza),
            _ => self.fail(Failure::Protocol("a stanza or header out of turn")),
        }
    }

    fn opened(&mut self, header: StreamHeader) {
        if !framing::is_version_1(&header) {
            return self.fail(Failure::Protocol("it does not speak XMPP 1.0"));
        }
        self.stream_id = header.id;
        self.phase = Phase::Features;
    }

    fn element(&mut self, element: Element) {
        match (self.phase, Features::parse(&element)) {
            (Phase::Features, Some(features)) => self.negotiate(features),
            (Phase::Proceed, None) if element.ns() == ns::TLS => self.tls_element(&element),
            (Phase::Sasl, None) => self.sasl_element(element),
            (Phase::Resume, None) => self.resume_element(&element),
            _ => self.fail(Failure::Protocol("an element out of turn")),
        }
    }

    fn negotiate(&mut self, features: Features) {
        if self.tls.is_none() && self.config.tls == TlsPolicy::StartTls {
            return self.start_tls(&features);
        }
        if self.mechanism.is_none() {
            self.config_version = features.config_version().map(str::to_owned);
            if self.login.is_some() {
                // The login is on its way already.
                self.features = features;
                self.phase = Phase::Sasl;
                return;
            }
            return match features.starttls() {
                Some(true) => self.fail(Failure::TlsWanted),
                _ => self.authenticate(&features),
            };
        }
        let bind = features.bind();
        self.features = features;
        if self.jid.is_some() {
            self.established();
        } else if self.resume_before_binding() {
            // The answer decides what comes next.
        } else if bind {
            self.bind();
        } else {
            self.fail(Failure::Protocol("it offers no resource binding"));
        }
    }

    /// RFC 6120 §5.4.2. Without the offer nothing more is said: it may have been taken out on the
    /// way.
    fn start_tls(&mut self, features: &Features) {
        if features.starttls().is_none() {
            return self.fail(Failure::NoTls);
        }
        self.write(&Element::new(ns::TLS, "starttls"));
        self.phase = Phase::Proceed;
    }

    fn tls_element(&mut self, element: &Element) {
        if element.name() != "proceed" {
            return self.fail(Failure::TlsRefused);
        }
        self.out.push(Output::StartTls);
        self.header_sent = false;
        self.phase = Phase::Handshake;
    }

    pub(super) fn write(&mut self, element: &Element) {
        element.write(ns::CLIENT, self.out.bytes());
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if self.header_sent {
            framing::write_close(self.out.bytes());
        }
        self.out.push(Output::Failed(failure));
        self.out.push(Output::Close);
        self.phase = Phase::Closed;
        self.login = None;
    }

    pub(super) fn into_established(self) -> (Established, Vec<u8>) {
        (Established::new(self.scanner), self.leftover)
    }
}
