//! What the tests share: randomness that repeats itself, TLS without TLS, and an owner that
//! answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::{ChannelBindings, HashKind, Mechanism, ScramKeys};
use balcony_proto::stanza::{IqType, Stanza, StanzaError};
use balcony_proto::xml::Element;

use crate::receiving::{Answer, BindAnswer, BindRequest, Bound, Credentials};
use crate::receiving::{Input, Output, Question, Receiving, ResumeRequest, Resumption, Verdict};
use crate::receiving::{KnownToken, TokenAnswer, TokenRequest, TokenSecret, Tokens};
use crate::{HostFacts, Random, Security, Settings, TlsInfo};

pub(crate) const PASSWORD: &str = "wherefore art thou";
/// The least that a client goes along with.
pub(crate) const ITERATIONS: u32 = 4096;
/// A client's id.
pub(crate) const CLIENT: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
/// 2020-03-12T14:36:15Z, as in XEP-0484 §3.3.
pub(crate) const EXPIRES: i64 = 1_584_023_775_000_000;
pub(crate) const SALT: &[u8] = b"verona's orchard";

pub(crate) fn random() -> Random {
    let count = AtomicU8::new(0);
    Random::new(move |bytes| bytes.fill(count.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

/// A handshake whose bindings are the same on both sides.
pub(crate) fn tls13() -> TlsInfo {
    TlsInfo {
        version13: true,
        bindings: ChannelBindings {
            exporter: Some([7; 32]),
            server_end_point: Some(vec![9; 32]),
        },
        ..TlsInfo::default()
    }
}

pub(crate) fn keys(hash: HashKind) -> ScramKeys {
    ScramKeys::derive(hash, PASSWORD, SALT, ITERATIONS).unwrap()
}

/// The owner's state: romeo, juliet whose account is disabled, and nobody else, on localhost.
pub(crate) struct Server {
    pub(crate) machine: Receiving,
    pub(crate) facts: HostFacts,
    /// Leaves questions open.
    pub(crate) silent: bool,
    pub(crate) refuse_bind: Option<StanzaError>,
    pub(crate) bind_extra: BindAnswer,
    pub(crate) binds: Vec<BindRequest>,
    /// The session that can be resumed. `None`: there is none.
    pub(crate) resumable: Option<&'static str>,
    pub(crate) resumes: Vec<ResumeRequest>,
    /// What the client [`CLIENT`] of everyone can log in by.
    pub(crate) tokens: Vec<KnownToken>,
    /// Tokens are revoked while they are used.
    pub(crate) revoked: bool,
    pub(crate) token_requests: Vec<TokenRequest>,
    /// Hashes without keys.
    pub(crate) lacks: Vec<HashKind>,
    /// Keys that clients made.
    pub(crate) added: Vec<ScramKeys>,
    pub(crate) asked: Vec<&'static str>,
    pub(crate) starttls: bool,
    pub(crate) bound: Option<Bound>,
    pub(crate) resumed: bool,
    pub(crate) closed: bool,
    pub(crate) now: Duration,
}

impl Server {
    pub(crate) fn new(settings: Settings, security: Security) -> Server {
        let mut facts = HostFacts::new("localhost");
        facts.iterations = ITERATIONS;
        Server {
            machine: Receiving::new(Arc::new(settings), security, random(), Duration::ZERO),
            facts,
            silent: false,
            refuse_bind: None,
            bind_extra: BindAnswer::new(jid("romeo@localhost/x")),
            binds: Vec::new(),
            resumable: None,
            resumes: Vec::new(),
            tokens: Vec::new(),
            revoked: false,
            token_requests: Vec::new(),
            lacks: Vec::new(),
            added: Vec::new(),
            asked: Vec::new(),
            starttls: false,
            bound: None,
            resumed: false,
            closed: false,
            now: Duration::ZERO,
        }
    }

    /// Over TLS from the beginning.
    pub(crate) fn encrypted() -> Server {
        let mut server = Server::new(Settings::default(), Security::DirectTls);
        server.input(Input::TlsReady(tls13()));
        server
    }

    /// In clear, where that is allowed.
    pub(crate) fn clear() -> Server {
        Server::new(
            Settings {
                tls_required: false,
                ..Settings::default()
            },
            Security::Plain,
        )
    }

    pub(crate) fn feed(&mut self, text: &str) -> String {
        String::from_utf8(self.input(Input::Bytes(text.as_bytes()))).unwrap()
    }

    /// All that is written until the next input is needed.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<u8> {
        let mut written = Vec::new();
        self.machine.handle(input, self.now);
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Write(bytes) => written.extend(bytes),
                Output::StartTls => self.starttls = true,
                Output::Bound(bound) => self.bound = Some(*bound),
                Output::Resumed(bound) => {
                    self.bound = Some(*bound);
                    self.resumed = true;
                }
                Output::Close => self.closed = true,
                Output::Ask(question) => {
                    if let Some(answer) = self.answer(question) {
                        self.machine.handle(Input::Answer(answer), self.now);
                    }
                }
                Output::PreAuth(iq) => {
                    self.asked.push("pre-auth");
                    let reply = Stanza::iq(IqType::Result, iq.id.clone().unwrap());
                    let answer = Answer::PreAuth(Some(Box::new(reply)));
                    self.machine.handle(Input::Answer(answer), self.now);
                }
            }
        }
        written
    }

    fn answer(&mut self, question: Question) -> Option<Answer> {
        let (name, answer) = match question {
            Question::Host(domain) => {
                let facts = (domain == self.facts.name).then(|| Arc::new(self.facts.clone()));
                ("host", Answer::Host(facts))
            }
            Question::Credentials { account, mechanism } => (
                "credentials",
                Answer::Credentials(credentials(&account, mechanism)),
            ),
            Question::Plain { account, password } => {
                let right = password.0 == PASSWORD;
                let verdict = match account.local() {
                    Some("romeo") if right => Verdict::Right,
                    Some("juliet") if right => Verdict::Disabled,
                    _ => Verdict::Wrong,
                };
                ("plain", Answer::Verdict(verdict))
            }
            Question::Anonymous(host) => (
                "anonymous",
                Answer::Anonymous(Some(jid(&format!("mercutio@{host}")))),
            ),
            Question::Tokens { account, client } => {
                let known = Tokens {
                    disabled: account.local() == Some("juliet"),
                    tokens: self.tokens_of(&account, &client),
                };
                ("tokens", Answer::Tokens(known))
            }
            Question::Token(request) => {
                let expires = request.issue.as_ref().map(|_| EXPIRES);
                let answer = match self.revoked {
                    true => TokenAnswer::Revoked,
                    false => TokenAnswer::Done { expires },
                };
                self.token_requests.push(*request);
                ("token", Answer::Token(answer))
            }
            Question::Lacks { hashes, .. } => {
                let lacks = hashes.into_iter().filter(|hash| self.lacks.contains(hash));
                ("lacks", Answer::Lacks(lacks.collect()))
            }
            Question::AddKeys { keys, .. } => {
                self.added.push(keys);
                ("add keys", Answer::Kept)
            }
            Question::Resume(request) => {
                let answer = self.resumption(&request);
                self.resumes.push(*request);
                ("resume", Answer::Resume(answer))
            }
            Question::Bind(request) => {
                let jid = request.account.with_resource(&request.resource).unwrap();
                let answer = BindAnswer {
                    jid,
                    ..self.bind_extra.clone()
                };
                self.binds.push(*request);
                (
                    "bind",
                    Answer::Bind(self.refuse_bind.clone().map_or(Ok(answer), Err)),
                )
            }
        };
        self.asked.push(name);
        (!self.silent).then_some(answer)
    }
}

impl Server {
    fn tokens_of(&self, account: &Jid, client: &str) -> Vec<KnownToken> {
        let theirs = client == CLIENT && account.local() != Some("paris");
        self.tokens.iter().filter(|_| theirs).cloned().collect()
    }

    fn resumption(&self, request: &ResumeRequest) -> Resumption {
        match self.resumable {
            Some(id) if id == request.previd => Resumption::Resumed {
                jid: request.account.with_resource("orchard").unwrap(),
                resumed: Element::new(ns::SM, "resumed")
                    .with_attr("h", "7")
                    .with_attr("previd", id),
            },
            _ => Resumption::Failed(
                Element::new(ns::SM, "failed")
                    .with_child(Element::new(ns::STANZA_ERROR, "item-not-found")),
            ),
        }
    }
}

fn credentials(account: &Jid, mechanism: Mechanism) -> Credentials {
    let keys = keys(mechanism.hash().unwrap());
    match account.as_str() {
        "romeo@localhost" => Credentials::Keys {
            keys,
            disabled: false,
        },
        "juliet@localhost" => Credentials::Keys {
            keys,
            disabled: true,
        },
        _ => Credentials::Unknown,
    }
}

pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A token that is good.
pub(crate) fn token(mechanism: Mechanism, secret: &str) -> KnownToken {
    KnownToken {
        mechanism,
        secret: TokenSecret(secret.into()),
        count: None,
        expired: false,
        due: false,
    }
}
