//! XEP-0114 Jabber Component Protocol 1.6: the server's side of `jabber:component:accept`.
//!
//! Used as the other machines are: tell it what happens, then take what follows by `poll`. It lives
//! as long as the stream. Stanzas for the component are written by the owner.

use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::{self, StreamCondition, StreamError, StreamHeader};
use balcony_proto::xep::component;
use balcony_proto::xml::{Element, Item, Scanner};

use crate::framing;
use crate::outbox::Outbox;
use crate::random::Random;

/// All bytes that a component may send until it has proved itself: its header and its handshake
/// take some hundred.
const BYTES_BEFORE_PROOF: usize = 16 * 1024;

/// The same for every component.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the connection to the handshake. Default: 30 s; a component is near.
    pub handshake: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            handshake: Duration::from_secs(30),
        }
    }
}

/// What the owner knows of a component.
#[derive(Clone)]
pub struct Terms {
    /// What both share.
    pub secret: String,
    /// Whether it also speaks for the domains below its own.
    pub subdomains: bool,
    /// What the scanner accepts of it.
    pub limits: Limits,
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms")
            .field("subdomains", &self.subdomains)
            .finish_non_exhaustive()
    }
}

/// What the owner has to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send these bytes.
    Write(Vec<u8>),
    /// Somebody wants to be the component of this domain: [`Component::answer`].
    Ask(String),
    /// The component has proved itself.
    Proved(String),
    /// A stanza of the component, with `from` and `to`.
    Stanza(Box<Stanza>),
    /// One whose own attributes are wrong: to be answered with its condition (RFC 6120 §8.3).
    BadStanza(Box<BadStanza>),
    /// Send what was written, then close the connection.
    Close,
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Output {
        Output::Write(bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    /// The owner is asked about the domain.
    Asking,
    Handshake,
    Open,
    Closed,
}

/// The machine.
#[derive(Debug)]
pub struct Component {
    scanner: Scanner,
    random: Random,
    out: Outbox<Output>,
    phase: Phase,
    pending: Vec<u8>,
    budget: usize,
    domain: String,
    id: String,
    terms: Option<Terms>,
    header_sent: bool,
    until: Duration,
}

impl Component {
    /// A connection was accepted at `now`. Times are since any fixed moment.
    #[must_use]
    pub fn new(settings: Settings, random: Random, now: Duration) -> Component {
        Component {
            scanner: Scanner::new(ns::COMPONENT, Limits::BEFORE_LOGIN),
            random,
            out: Outbox::new(),
            phase: Phase::Header,
            pending: Vec::new(),
            budget: BYTES_BEFORE_PROOF,
            domain: String::new(),
            id: String::new(),
            terms: None,
            header_sent: false,
            until: now + settings.handshake,
        }
    }

    /// The next thing to do; `None` when there is nothing until something happens.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// When to call [`Component::timeout`]; `None`: no time limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        (!matches!(self.phase, Phase::Open | Phase::Closed)).then_some(self.until)
    }

    /// Whether it makes sense to read from the socket now.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        !matches!(self.phase, Phase::Asking | Phase::Closed)
    }

    /// Bytes came.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.phase != Phase::Open {
            match self.budget.checked_sub(bytes.len()) {
                Some(left) => self.budget = left,
                None => return self.fail(StreamCondition::PolicyViolation),
            }
        }
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        self.read(&all);
    }

    /// The owner knows the component that was asked about, or why it is not served.
    pub fn answer(&mut self, terms: Result<Terms, StreamError>) {
        if self.phase != Phase::Asking {
            return;
        }
        match terms {
            Ok(terms) => {
                self.terms = Some(terms);
                self.write_header();
                self.phase = Phase::Handshake;
                let held = std::mem::take(&mut self.pending);
                self.read(&held);
            }
            Err(error) => self.fail_with(&error),
        }
    }

    /// The component will send no more.
    pub fn eof(&mut self) {
        self.close();
    }

    /// The time of [`Component::deadline`] may have come.
    pub fn timeout(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.fail(StreamCondition::ConnectionTimeout);
        }
    }

    /// Ends the stream, with an error if there is one.
    pub fn end(&mut self, error: Option<&StreamError>) {
        match error {
            Some(error) => self.fail_with(error),
            None => self.close(),
        }
    }

    fn read(&mut self, mut input: &[u8]) {
        while self.wants_bytes() {
            match self.scanner.next(&mut input) {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return,
                Err(error) => self.fail_with(&StreamError::from(error)),
            }
        }
        if self.phase == Phase::Asking {
            self.pending = input.to_vec();
        }
    }

    fn item(&mut self, item: Item) {
        match (self.phase, item) {
            (_, Item::Whitespace) => {}
            (_, Item::Close) => self.close(),
            (Phase::Header, Item::Open(header)) => self.opened(&header),
            (_, Item::Nonza(element)) if element.is(ns::STREAMS, "error") => self.close(),
            (Phase::Handshake, Item::Nonza(element)) if element.is(ns::COMPONENT, "handshake") => {
                self.handshake(&element);
            }
            (Phase::Open, Item::Stanza(stanza)) => self.stanza(stanza),
            (Phase::Open, Item::BadStanza(bad)) => self.bad_stanza(bad),
            (Phase::Open, Item::Nonza(_)) => self.fail(StreamCondition::UnsupportedStanzaType),
            (_, Item::Open(_)) => self.fail(StreamCondition::BadFormat),
            // RFC 6120 §4.9.3.12
            _ => self.fail(StreamCondition::NotAuthorized),
        }
    }

    fn opened(&mut self, header: &StreamHeader) {
        let domain = header.to.as_deref().and_then(|to| Jid::parse(to).ok());
        let Some(domain) = domain.filter(Jid::is_domain) else {
            return self.fail(StreamCondition::ImproperAddressing);
        };
        self.domain = domain.domain().to_owned();
        self.phase = Phase::Asking;
        self.out.push(Output::Ask(self.domain.clone()));
    }

    /// §3: without a version, since this protocol knows no features.
    fn write_header(&mut self) {
        self.header_sent = true;
        self.id = self.random.token();
        let header = StreamHeader {
            from: Some(self.domain.clone()).filter(|domain| !domain.is_empty()),
            id: Some(self.id.clone()),
            ..StreamHeader::default()
        };
        stream::write_open(&header, ns::COMPONENT, self.out.bytes());
    }

    /// §3: the credentials are in the text of the element.
    fn handshake(&mut self, element: &Element) {
        let secret = self.terms.as_ref().map(|terms| terms.secret.as_str());
        let good = secret
            .is_some_and(|secret| component::is_handshake(element.text().trim(), &self.id, secret));
        if !good {
            return self.fail(StreamCondition::NotAuthorized);
        }
        self.out.bytes().extend_from_slice(b"<handshake/>");
        self.phase = Phase::Open;
        if let Some(terms) = &self.terms {
            self.scanner.set_limits(terms.limits);
        }
        self.out.push(Output::Proved(self.domain.clone()));
    }

    /// §3: both addresses, and the sender's is the component's.
    fn stanza(&mut self, stanza: Stanza) {
        let (Some(from), Some(_)) = (&stanza.from, &stanza.to) else {
            return self.fail(StreamCondition::ImproperAddressing);
        };
        match self.speaks_for(from.domain()) {
            true => self.out.push(Output::Stanza(Box::new(stanza))),
            false => self.fail(StreamCondition::InvalidFrom),
        }
    }

    /// The same for one with a fault, which is answered; its `to` may be the fault.
    fn bad_stanza(&mut self, bad: BadStanza) {
        let (Some(from), Some(_)) = (&bad.from, &bad.to) else {
            return self.fail(StreamCondition::ImproperAddressing);
        };
        match Jid::parse(from).is_ok_and(|from| self.speaks_for(from.domain())) {
            true => self.out.push(Output::BadStanza(Box::new(bad))),
            false => self.fail(StreamCondition::InvalidFrom),
        }
    }

    fn speaks_for(&self, domain: &str) -> bool {
        let below = || {
            let rest = domain.strip_suffix(self.domain.as_str())?;
            rest.strip_suffix('.').filter(|rest| !rest.is_empty())
        };
        let subdomains = self.terms.as_ref().is_some_and(|terms| terms.subdomains);
        domain == self.domain || (subdomains && below().is_some())
    }

    fn fail(&mut self, condition: StreamCondition) {
        self.fail_with(&StreamError::new(condition));
    }

    fn fail_with(&mut self, error: &StreamError) {
        if self.phase == Phase::Closed {
            return;
        }
        if !self.header_sent {
            self.write_header();
        }
        framing::write_error(error, self.out.bytes());
        self.close();
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.phase, Phase::Closed) == Phase::Closed {
            return;
        }
        if self.header_sent {
            framing::write_close(self.out.bytes());
        }
        self.out.push(Output::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
        xmlns:stream='http://etherx.jabber.org/streams' to='plays.localhost'>";

    fn machine() -> Component {
        let next = AtomicU8::new(1);
        let random = Random::new(move |bytes| bytes.fill(next.fetch_add(1, Ordering::Relaxed)));
        Component::new(Settings::default(), random, Duration::ZERO)
    }

    fn terms(subdomains: bool) -> Result<Terms, StreamError> {
        Ok(Terms {
            secret: "soft".into(),
            subdomains,
            limits: Limits::AFTER_LOGIN,
        })
    }

    /// What it writes, and what else it wants, in words.
    fn said(machine: &mut Component) -> String {
        let mut all = String::new();
        while let Some(output) = machine.poll() {
            match output {
                Output::Write(bytes) => all.push_str(std::str::from_utf8(&bytes).unwrap()),
                Output::Stanza(stanza) => all.push_str(&format!("[stanza {:?}]", stanza.id)),
                other => all.push_str(&format!("[{other:?}]")),
            }
        }
        all
    }

    fn open(subdomains: bool) -> Component {
        let mut machine = machine();
        machine.bytes(HEADER.as_bytes());
        assert_eq!(said(&mut machine), "[Ask(\"plays.localhost\")]");
        machine.answer(terms(subdomains));
        let id = machine.id.clone();
        assert!(said(&mut machine).contains("from='plays.localhost'"));
        let handshake = component::handshake(&id, "soft");
        machine.bytes(format!("<handshake>{handshake}</handshake>").as_bytes());
        let said = said(&mut machine);
        assert_eq!(said, "<handshake/>[Proved(\"plays.localhost\")]");
        assert_eq!(machine.deadline(), None);
        machine
    }

    #[test]
    fn who_knows_the_secret_speaks_for_the_domain_alone() {
        let mut machine = open(false);
        machine.bytes(b"<message from='hamlet@plays.localhost' to='romeo@localhost' id='1'/>");
        assert_eq!(said(&mut machine), "[stanza Some(\"1\")]");
        machine.bytes(b"<message from='hamlet@old.plays.localhost' to='romeo@localhost'/>");
        assert!(said(&mut machine).contains("<invalid-from"));
        let mut machine = open(false);
        machine.bytes(b"<iq type='odd' from='victim@localhost' to='romeo@localhost'/>");
        assert!(said(&mut machine).contains("<invalid-from"));
        let mut machine = open(true);
        machine.bytes(b"<presence from='old.plays.localhost' to='romeo@localhost' id='2'/>");
        assert_eq!(said(&mut machine), "[stanza Some(\"2\")]");
        machine.bytes(b"<presence from='badplays.localhost' to='romeo@localhost'/>");
        assert!(said(&mut machine).contains("<invalid-from"));
    }

    #[test]
    fn a_wrong_handshake_and_a_stanza_before_it_end_the_stream() {
        for bytes in [
            "<handshake>aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e</handshake>",
            "<handshake/>",
            "<message from='plays.localhost' to='romeo@localhost'/>",
        ] {
            let mut machine = machine();
            machine.bytes(HEADER.as_bytes());
            machine.answer(terms(false));
            said(&mut machine);
            machine.bytes(bytes.as_bytes());
            assert!(said(&mut machine).contains("<not-authorized"), "{bytes}");
        }
    }

    #[test]
    fn what_is_not_served_and_what_takes_too_long_is_told_so() {
        let mut unknown = machine();
        unknown.bytes(HEADER.as_bytes());
        unknown.answer(Err(StreamError::new(StreamCondition::HostUnknown)));
        let text = said(&mut unknown);
        assert!(text.contains("<host-unknown") && text.ends_with("</stream:stream>[Close]"));
        let mut slow = machine();
        slow.bytes(HEADER.as_bytes());
        slow.timeout(Duration::from_secs(29));
        assert!(!said(&mut slow).contains("timeout"));
        slow.timeout(Duration::from_secs(30));
        assert!(said(&mut slow).contains("<connection-timeout"));
        let mut flood = machine();
        flood.bytes(&[b' '; 20_000]);
        assert!(said(&mut flood).contains("<policy-violation"));
    }

    #[test]
    fn everything_may_come_byte_by_byte_and_at_once() {
        let mut machine = machine();
        for byte in HEADER.as_bytes() {
            machine.bytes(&[*byte]);
        }
        // What comes while the owner is asked waits.
        machine.bytes(b"<handshake>x</handshake>");
        assert!(!machine.wants_bytes());
        machine.answer(terms(false));
        assert!(said(&mut machine).contains("<not-authorized"));
    }
}
