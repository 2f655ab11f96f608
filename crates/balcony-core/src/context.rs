//! What a module may do while it handles something.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Payload, Stanza, StanzaError};
use balcony_store::{Store, Ticket, WriteSet};

use crate::Core;
use crate::config::Config;
use crate::envelope::{Envelope, Origin};
use crate::host::Host;
use crate::module::{Answer, Event, ModuleSpec, Request};
use crate::session::Session;
use crate::sessions::{List, Sessions};

/// What is still to be done after the thing at hand.
pub(crate) enum Work {
    Envelope(Box<Envelope>),
    Event(Event),
}

/// A queue of [`Work`], done in order. What modules add is done after what they are handling.
#[derive(Default)]
pub(crate) struct Works(
    pub(crate) VecDeque<Work>,
    /// Whether the request at hand was answered by its handler, or will be by somebody else, see
    /// [`Ctx::answer`] and [`Ctx::answer_later`].
    pub(crate) bool,
);

/// The hands of a module: everything that it may do while it handles something.
pub struct Ctx<'c> {
    core: &'c Arc<Core>,
    works: &'c mut Works,
}

impl<'c> Ctx<'c> {
    pub(crate) fn new(core: &'c Arc<Core>, works: &'c mut Works) -> Self {
        Self { core, works }
    }

    /// Puts a stanza of the server on its way, after what is being handled. It must have `from`
    /// and `to`.
    pub fn send(&mut self, stanza: Stanza) {
        let envelope = self.core.envelope(stanza, Origin::Server);
        self.works.0.push_back(Work::Envelope(Box::new(envelope)));
    }

    /// Writes a stanza to one session, past all stages: answers and pushes that no rule of
    /// delivery applies to. What the session does not get is forgotten.
    pub fn push(&mut self, session: &Arc<Session>, stanza: Stanza) {
        self.core.push(session, stanza);
    }

    /// Answers a request of a session now, and not when the handler returns: for a handler that
    /// must have its answer in the session's queue before it lets others write there. The handler
    /// returns what this returns.
    pub fn answer(&mut self, request: &Request, payload: Payload) -> Answer {
        let Some(session) = &request.session else {
            return Ok(payload);
        };
        self.core.deliver(session, request.stanza.result(payload));
        self.works.1 = true;
        Ok(Payload::empty())
    }

    /// The same for a refusal.
    pub fn refuse(&mut self, request: &Request, error: StanzaError) -> Answer {
        let Some(session) = &request.session else {
            return Err(error);
        };
        if let Some(refusal) = request.stanza.error(&error) {
            self.core.deliver(session, refusal);
        }
        self.works.1 = true;
        Err(error)
    }

    /// Leaves a request open: the handler returns what this returns, and whoever it left the
    /// request to answers it later.
    pub fn answer_later(&mut self) -> Answer {
        self.works.1 = true;
        Ok(Payload::empty())
    }

    /// Tells the modules that something happened, after what is being handled.
    pub fn fire(&mut self, event: Event) {
        self.works.0.push_back(Work::Event(event));
    }

    /// The state that a module made at the start; `None` when no module made one of this type.
    #[must_use]
    pub fn state<T: Any + Send + Sync>(&self) -> Option<&'c T> {
        self.core.state()
    }

    /// What lasts.
    #[must_use]
    pub fn store(&self) -> &'c Arc<dyn Store> {
        self.core.store()
    }

    /// Commits writes of a handler that is not on a stanza's way. They are durable when the
    /// ticket answers.
    pub fn commit(&self, writes: WriteSet) -> Ticket {
        self.core.store().commit(writes)
    }

    /// The sessions of this instance.
    #[must_use]
    pub fn sessions(&self) -> &'c Sessions {
        self.core.sessions()
    }

    /// The sessions of an account.
    #[must_use]
    pub fn sessions_of(&self, account: &Jid) -> List {
        self.core.sessions().of(account.bare_str())
    }

    /// A host that is served here, by its domainpart.
    #[must_use]
    pub fn host(&self, domain: &str) -> Option<Arc<Host>> {
        self.core.host(domain)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.core.config()
    }

    /// The modules, in their order.
    #[must_use]
    pub fn modules(&self) -> &'c [&'static ModuleSpec] {
        self.core.modules()
    }

    /// Microseconds since the Unix epoch, UTC.
    #[must_use]
    pub fn utc_micros(&self) -> i64 {
        self.core.clock().utc_micros()
    }

    /// The whole server, for what reaches further than one account: accounts, sessions, uptime.
    #[must_use]
    pub fn core(&self) -> &'c Arc<Core> {
        self.core
    }
}
