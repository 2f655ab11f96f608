//! Many users of one server, logged in.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use balcony_stream::initiating::{ClientConfig, Initiating, Secret};
use balcony_stream::{Random, UserAgent};

use crate::error::Result;
use crate::keys::Keys;
use crate::measure::Histogram;
use crate::options::{Target, Tls};
use crate::wire::{Bound, Engine, Former, Load, markup};

/// What a user says once its resource is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// Nothing.
    Silent,
    /// What a client says: it loads the roster, enables carbons and becomes available.
    Client,
    /// The same, and then that nobody looks at it, where the server offers client states
    /// (XEP-0352). Presence may then be held back for it.
    InactiveClient,
}

/// The ping whose answer says that all of a [`Hello`] was handled (RFC 6120 §10.1).
const HELLO_ID: &[u8] = b"hello";

/// The streams of users of one target. Session numbers are user numbers, less the first user's.
pub(crate) struct Fleet<'a> {
    pub(crate) engine: Engine,
    pub(crate) clients: Clients<'a>,
}

/// How clients use tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    Never,
    /// By XEP-0484.
    Used,
    /// And the login goes out with the stream header, by XEP-0509.
    Pipelined,
}

/// Makes the client's side of streams.
pub(crate) struct Clients<'a> {
    target: &'a Target,
    /// They ask for tokens, and log in by those that they have.
    pub(crate) tokens: Tokens,
    keys: Keys,
    random: Random,
}

impl Clients<'_> {
    /// Where a user connects, who it is, and whether TLS comes first.
    ///
    /// # Errors
    /// [`Error::Usage`] for an address that may not be put under load.
    ///
    /// [`Error::Usage`]: crate::error::Error::Usage
    pub(crate) fn door(&self, number: usize) -> Result<(SocketAddr, String, bool)> {
        let target = self.target;
        let tls_first = target.tls == Tls::Direct;
        Ok((target.address()?, target.user(number), tls_first))
    }

    /// Keeps what a login derived from the password.
    pub(crate) fn learn(&mut self, who: &str, bound: Bound) {
        if let Some(keys) = bound.stream.and_then(|stream| stream.keys) {
            self.keys.put(who, keys);
        }
    }

    /// Writes the keys to their file, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub(crate) fn save_keys(&mut self) -> Result<()> {
        self.keys.save(self.target.keys.as_deref())
    }

    /// What a user says on a stream that stands; nothing where it is silent.
    pub(crate) fn hello(&self, bound: &Bound, hello: Hello) -> Vec<String> {
        match hello {
            Hello::Silent => Vec::new(),
            Hello::Client => words(&self.target.domain, false),
            Hello::InactiveClient => words(&self.target.domain, bound.has_csi()),
        }
    }

    /// The stream of a user on a new connection, that takes up a former one where there is one.
    ///
    /// # Errors
    /// [`Error::Usage`] for a mechanism that is not known.
    pub(crate) fn stream(&self, number: usize, former: Former) -> Result<Initiating> {
        let target = self.target;
        let tokens = self.tokens != Tokens::Never;
        // XEP-0484 §4.1: a token belongs to an installation, which is one for each user here.
        let user_agent = tokens.then(|| UserAgent {
            id: Some(format!("00000000-0000-4000-8000-{number:012x}")),
            ..UserAgent::default()
        });
        let pipelined = self.tokens == Tokens::Pipelined;
        let config = ClientConfig {
            secret: Secret::Password {
                password: target.password.clone(),
                keys: self.keys.get(&target.user(number)),
            },
            mechanisms: target.mechanisms()?,
            tls: target.tls.policy(),
            sasl2: target.sasl2,
            resource: Some("bench".to_owned()),
            timeout: target.limit(),
            user_agent,
            request_token: tokens,
            token: former.token.filter(|_| tokens),
            pipelined: former.version.filter(|_| pipelined),
            resume: former.resume,
            ..ClientConfig::new(target.jid(number)?, "")
        };
        let stream = Initiating::new(Arc::new(config), self.random.clone(), Default::default());
        Ok(stream)
    }
}

impl<'a> Fleet<'a> {
    /// Without streams yet.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that contradict each other.
    pub(crate) fn new(target: &'a Target) -> Result<Fleet<'a>> {
        target.address()?;
        Ok(Fleet {
            engine: Engine::new(target.connector()?)?,
            clients: Clients {
                target,
                tokens: Tokens::Never,
                keys: Keys::load(target.keys.as_deref())?,
                // An empty nonce would be refused by the server: a failure shows.
                random: Random::new(|bytes| getrandom::fill(bytes).unwrap_or_default()),
            },
        })
    }

    /// From now on users of another server log in, whose certificate and keys are its own; those
    /// that are there stay.
    ///
    /// # Errors
    /// As [`Fleet::new`].
    pub(crate) fn turn_to(&mut self, target: &'a Target) -> Result<()> {
        target.address()?;
        self.engine.trust(target.connector()?);
        self.clients.keys = Keys::load(target.keys.as_deref())?;
        self.clients.target = target;
        Ok(())
    }

    /// Logs in each of `users`, and returns the times from connection to bound resource.
    ///
    /// # Errors
    /// [`Error::Login`] of the first that fails, [`Error::Timeout`].
    pub(crate) fn log_in(&mut self, users: Range<usize>, hello: Hello) -> Result<Histogram> {
        self.arrive(users, hello, false)
    }

    /// The same with stream management (XEP-0198), which each user enables before all else, as
    /// clients do.
    ///
    /// # Errors
    /// As [`Fleet::log_in`], and [`Error::Unexpected`] when a server refuses.
    pub(crate) fn log_in_managed(
        &mut self,
        users: Range<usize>,
        hello: Hello,
    ) -> Result<Histogram> {
        self.arrive(users, hello, true)
    }

    fn arrive(&mut self, users: Range<usize>, hello: Hello, managed: bool) -> Result<Histogram> {
        let count = users.len();
        let target = self.clients.target;
        let mut arrival = Arrival {
            clients: &mut self.clients,
            users,
            hello,
            managed,
            arrived: 0,
            latency: Histogram::new(),
        };
        for _ in 0..target.parallel {
            arrival.next(&mut self.engine)?;
        }
        let all = |arrival: &Arrival<'_, '_>| arrival.arrived == count;
        self.engine
            .turn_until(&mut arrival, target.limit(), "the logins", all)?;
        let latency = arrival.latency;
        self.clients.save_keys()?;
        Ok(latency)
    }

    /// Enables stream management (XEP-0198) on these streams; each asks for an acknowledgement
    /// after `every` stanzas.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when a server refuses, [`Error::Timeout`].
    pub(crate) fn manage(&mut self, sessions: Range<usize>, every: Option<u32>) -> Result<()> {
        let count = sessions.len();
        for session in sessions {
            self.engine.manage(session, every);
        }
        let all = |managing: &Managing| managing.enabled == count;
        let limit = self.clients.target.limit();
        let mut managing = Managing { enabled: 0 };
        self.engine
            .turn_until(&mut managing, limit, "stream management", all)
    }
}

/// Streams on which it is being enabled.
struct Managing {
    enabled: usize,
}

impl Load for Managing {
    fn ready(&mut self, _: &mut Engine, _: usize, _: Bound) -> Result<()> {
        Ok(())
    }

    fn stanza(&mut self, _: &mut Engine, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn managed(&mut self, _: &mut Engine, _: usize) -> Result<()> {
        self.enabled += 1;
        Ok(())
    }
}

struct Arrival<'a, 'b> {
    clients: &'a mut Clients<'b>,
    users: Range<usize>,
    hello: Hello,
    managed: bool,
    arrived: usize,
    latency: Histogram,
}

impl Arrival<'_, '_> {
    /// Connects the next user, if there is one.
    fn next(&mut self, engine: &mut Engine) -> Result<()> {
        let Some(number) = self.users.next() else {
            return Ok(());
        };
        let stream = self.clients.stream(number, Former::default())?;
        let (address, who, tls_first) = self.clients.door(number)?;
        engine.connect(address, who, Some(stream), tls_first)?;
        Ok(())
    }

    fn arrived(&mut self, engine: &mut Engine) -> Result<()> {
        self.arrived += 1;
        self.next(engine)
    }
}

impl Load for Arrival<'_, '_> {
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()> {
        self.latency.record_nanos(bound.took.as_nanos() as u64);
        let hello = self.clients.hello(&bound, self.hello);
        self.clients.learn(engine.who(session), bound);
        if self.managed {
            engine.manage(session, None);
        }
        if self.hello == Hello::Silent {
            return self.arrived(engine);
        }
        say(engine, session, &hello);
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, _: usize, stanza: &[u8]) -> Result<()> {
        match answers_hello(stanza) {
            true => self.arrived(engine),
            false => Ok(()),
        }
    }
}

/// Whether it says that all of a [`Hello`] was handled.
pub(crate) fn answers_hello(stanza: &[u8]) -> bool {
    markup::is(stanza, "iq") && markup::attribute(stanza, "id") == Some(HELLO_ID)
}

/// RFC 6121 §2.2 wants the roster before the presence. Servers without carbons or pings answer with
/// an error, which does as well.
fn words(domain: &str, inactive: bool) -> Vec<String> {
    let mut words = vec![
        "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>".to_owned(),
        "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>".to_owned(),
        "<presence/>".to_owned(),
        format!("<iq type='get' id='hello' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>"),
    ];
    words.extend(inactive.then(|| "<inactive xmlns='urn:xmpp:csi:0'/>".to_owned()));
    words
}

/// Sends these, and counts the stanzas among them where there is stream management.
pub(crate) fn say(engine: &mut Engine, session: usize, words: &[String]) {
    for word in words {
        match markup::is_stanza(word.as_bytes()) {
            true => engine.untimed(session, |out| out.extend_from_slice(word.as_bytes())),
            false => engine.send(session, word.as_bytes()),
        }
    }
}
