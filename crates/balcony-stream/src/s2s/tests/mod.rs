//! Both sides of a stream between servers, each by hand and against the other.

mod abuses;
mod dialback;
mod each_other;
mod ends;
mod management;
mod properties;

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{StreamCondition, StreamError};

use super::*;
use crate::harness::{random, tls13};
use crate::{Security, TlsInfo};

const SECRET: &[u8] = b"s3cr3tf0rd14lb4ck";

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
     xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' \
     from='capulet.example' to='montague.example' version='1.0'>";

/// What a server answers that montague.example connected to.
const ANSWER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
     xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' \
     from='capulet.example' to='montague.example' id='D60000229F' version='1.0'>";

const CLAIM: &str = "<db:result from='capulet.example' to='montague.example'>b483</db:result>";

const MESSAGE: &str = "<message from='juliet@capulet.example/x' to='romeo@montague.example'><body>Ay me!</body></message>";

fn settings() -> Arc<Settings> {
    Arc::new(Settings::new(Secret::new(SECRET)))
}

fn terms() -> HostTerms {
    HostTerms {
        tls_required: true,
        dialback: true,
        bidi: true,
    }
}

fn options() -> Options {
    Options {
        tls_required: true,
        external: true,
        bidi: true,
    }
}

fn capulet() -> Pair {
    Pair::new("montague.example", "capulet.example")
}

/// The side that accepted, and an owner that answers.
struct Hearer {
    machine: Incoming,
    terms: Result<HostTerms, StreamError>,
    trust: Trust,
    /// Leaves questions open.
    silent: bool,
    /// Everything but writes, and what was written.
    seen: Vec<Output>,
    now: Duration,
    /// Claims, by pair and the id of the stream.
    claimed: Vec<(Pair, String)>,
}

impl Hearer {
    fn new(security: Security) -> Hearer {
        Hearer {
            machine: Incoming::new(settings(), security, random(), Duration::ZERO),
            terms: Ok(terms()),
            trust: Trust::Unproved,
            silent: false,
            seen: Vec::new(),
            now: Duration::ZERO,
            claimed: Vec::new(),
        }
    }

    /// Over TLS from the beginning, with a certificate of the domain if it is `certified`.
    fn encrypted(certified: bool) -> Hearer {
        let mut hearer = Hearer::new(Security::DirectTls);
        if certified {
            hearer.trust = Trust::Proved;
        }
        hearer.input(Input::TlsReady(tls13()));
        hearer
    }

    /// In clear, where that is allowed.
    fn clear() -> Hearer {
        let mut hearer = Hearer::new(Security::Plain);
        hearer.terms = Ok(HostTerms {
            tls_required: false,
            ..terms()
        });
        hearer
    }

    /// With capulet.example proved by dialback.
    fn proved() -> Hearer {
        let mut hearer = Hearer::encrypted(false);
        hearer.feed(HEADER);
        hearer.feed(CLAIM);
        hearer.decide("capulet.example", Verdict::Valid);
        hearer.seen.clear();
        hearer
    }

    fn feed(&mut self, text: &str) -> String {
        self.input(Input::Bytes(text.as_bytes()))
    }

    fn input(&mut self, input: Input<'_>) -> String {
        self.machine.handle(input, self.now);
        self.drain()
    }

    fn decide(&mut self, remote: &str, verdict: Verdict) -> String {
        let pair = Pair::new("montague.example", remote);
        let mut claimed = self.claimed.iter().rev();
        let about = claimed.find(|(claimed, _)| *claimed == pair);
        let id = about.map_or("", |(_, id)| id.as_str());
        self.machine.decide(&pair, id, verdict);
        self.drain()
    }

    fn drain(&mut self) -> String {
        let mut written = Vec::new();
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Write(bytes) => written.extend(bytes),
                Output::Claim {
                    ref pair,
                    ref stream_id,
                    ..
                } => {
                    self.claimed.push((pair.clone(), stream_id.clone()));
                    self.seen.push(output);
                }
                Output::Ask(question) if !self.silent => {
                    let answer = match question {
                        Question::Header { .. } => Answer::Host(self.terms.clone()),
                        Question::Certificate { .. } => Answer::Certificate(self.trust.clone()),
                    };
                    self.machine.handle(Input::Answer(answer), self.now);
                }
                Output::Asked => self.machine.acknowledge(),
                other => self.seen.push(other),
            }
        }
        String::from_utf8(written).unwrap()
    }

    fn is_closed(&self) -> bool {
        closed(&self.seen)
    }

    fn claims(&self) -> usize {
        let claims = |output: &&Output| matches!(output, Output::Claim { .. });
        self.seen.iter().filter(claims).count()
    }
}

/// The side that opened, and an owner that answers.
struct Speaker {
    machine: Outgoing,
    trust: Trust,
    seen: Vec<Output>,
    now: Duration,
}

impl Speaker {
    fn new(options: Options, security: Security) -> Speaker {
        let machine = Outgoing::new(
            settings(),
            options,
            capulet(),
            security,
            random(),
            Duration::ZERO,
        );
        Speaker {
            machine,
            trust: Trust::Unproved,
            seen: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// Over TLS, with the features that the other side has.
    fn offered(features: &str) -> Speaker {
        let mut speaker = Speaker::new(options(), Security::DirectTls);
        speaker.input(Input::TlsReady(tls13()));
        speaker.feed(ANSWER);
        speaker.feed(&format!("<stream:features>{features}</stream:features>"));
        speaker
    }

    fn feed(&mut self, text: &str) -> String {
        self.input(Input::Bytes(text.as_bytes()))
    }

    fn input(&mut self, input: Input<'_>) -> String {
        self.machine.handle(input, self.now);
        self.drain()
    }

    fn drain(&mut self) -> String {
        let mut written = Vec::new();
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Write(bytes) => written.extend(bytes),
                Output::Ask(_) => {
                    let answer = Answer::Certificate(self.trust.clone());
                    self.machine.handle(Input::Answer(answer), self.now);
                }
                Output::Asked => self.machine.acknowledge(),
                other => self.seen.push(other),
            }
        }
        String::from_utf8(written).unwrap()
    }

    fn failure(&self) -> Option<&Failure> {
        self.seen.iter().find_map(|output| match output {
            Output::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    fn ready(&self) -> Vec<(&str, How)> {
        let ready = self.seen.iter().filter_map(|output| match output {
            Output::Ready { pair, how } => Some((&*pair.local, *how)),
            _ => None,
        });
        ready.collect()
    }
}

fn closed(seen: &[Output]) -> bool {
    seen.iter().any(|output| matches!(output, Output::Close))
}

fn stanzas(seen: &[Output]) -> Vec<&Stanza> {
    let stanzas = seen.iter().filter_map(|output| match output {
        Output::Stanza(stanza) => Some(&**stanza),
        _ => None,
    });
    stanzas.collect()
}

fn bidi(seen: &[Output]) -> usize {
    let bidi = |output: &&Output| matches!(output, Output::Bidi(_));
    seen.iter().filter(bidi).count()
}

fn handshake() -> TlsInfo {
    tls13()
}
