//! Many users of one server, logged in.

use std::ops::Range;
use std::sync::Arc;

use balcony_stream::Random;
use balcony_stream::initiating::{ClientConfig, Initiating, Secret};

use crate::error::Result;
use crate::keys::Keys;
use crate::measure::Histogram;
use crate::options::{Target, Tls};
use crate::wire::{Bound, Engine, Load, markup};

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
    target: &'a Target,
    keys: Keys,
    random: Random,
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
            target,
            keys: Keys::load(target.keys.as_deref())?,
            // An empty nonce would be refused by the server: a failure shows.
            random: Random::new(|bytes| getrandom::fill(bytes).unwrap_or_default()),
        })
    }

    /// Logs in each of `users`, and returns the times from connection to bound resource.
    ///
    /// # Errors
    /// [`Error::Login`] of the first that fails, [`Error::Timeout`].
    pub(crate) fn log_in(&mut self, users: Range<usize>, hello: Hello) -> Result<Histogram> {
        let count = users.len();
        let limit = self.target.limit();
        let mut arrival = Arrival {
            target: self.target,
            keys: &mut self.keys,
            random: &self.random,
            users,
            hello,
            arrived: 0,
            latency: Histogram::new(),
        };
        for _ in 0..self.target.parallel {
            arrival.next(&mut self.engine)?;
        }
        let all = |arrival: &Arrival<'_>| arrival.arrived == count;
        self.engine
            .turn_until(&mut arrival, limit, "the logins", all)?;
        let latency = arrival.latency;
        self.keys.save(self.target.keys.as_deref())?;
        Ok(latency)
    }
}

struct Arrival<'a> {
    target: &'a Target,
    keys: &'a mut Keys,
    random: &'a Random,
    users: Range<usize>,
    hello: Hello,
    arrived: usize,
    latency: Histogram,
}

impl Arrival<'_> {
    /// Connects the next user, if there is one.
    fn next(&mut self, engine: &mut Engine) -> Result<()> {
        let Some(number) = self.users.next() else {
            return Ok(());
        };
        let user = self.target.user(number);
        let config = ClientConfig {
            secret: Secret::Password {
                password: self.target.password.clone(),
                keys: self.keys.get(&user),
            },
            mechanisms: self.target.mechanisms()?,
            tls: self.target.tls.policy(),
            sasl2: self.target.sasl2,
            resource: Some("bench".to_owned()),
            timeout: self.target.limit(),
            ..ClientConfig::new(self.target.jid(number)?, "")
        };
        let stream = Initiating::new(Arc::new(config), self.random.clone(), Default::default());
        let tls_first = self.target.tls == Tls::Direct;
        engine.connect(self.target.address()?, user, Some(stream), tls_first)?;
        Ok(())
    }

    fn arrived(&mut self, engine: &mut Engine) -> Result<()> {
        self.arrived += 1;
        self.next(engine)
    }
}

impl Load for Arrival<'_> {
    fn ready(&mut self, engine: &mut Engine, session: usize, bound: Bound) -> Result<()> {
        self.latency.record_nanos(bound.took.as_nanos() as u64);
        if let Some(keys) = bound.keys {
            self.keys.put(engine.who(session), keys);
        }
        if self.hello == Hello::Silent {
            return self.arrived(engine);
        }
        engine.send(
            session,
            hello(
                &self.target.domain,
                bound.csi && self.hello == Hello::InactiveClient,
            )
            .as_bytes(),
        );
        Ok(())
    }

    fn stanza(&mut self, engine: &mut Engine, _: usize, stanza: &[u8]) -> Result<()> {
        if markup::is(stanza, "iq") && markup::attribute(stanza, "id") == Some(HELLO_ID) {
            return self.arrived(engine);
        }
        Ok(())
    }
}

/// RFC 6121 §2.2 wants the roster before the presence. Servers without carbons or pings answer with
/// an error, which does as well.
fn hello(domain: &str, inactive: bool) -> String {
    let inactive = if inactive {
        "<inactive xmlns='urn:xmpp:csi:0'/>"
    } else {
        ""
    };
    format!(
        "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>\
         <iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>\
         <presence/>\
         <iq type='get' id='hello' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>{inactive}"
    )
}
