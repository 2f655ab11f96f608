//! All that a module sees of the core: what it declares, and what it may do.
//!
//! A module is data, a `pub static MODULE: ModuleSpec`. disco, the table of XEPs, the reference of
//! the configuration and the listing of the pipeline are made from these declarations.

use std::any::Any;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Child, Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;

pub use crate::Core;
pub use crate::config::ArchiveDefault as ConfiguredArchive;
pub use crate::config::{
    Applies, Config, Delegation, Fallback, HostConfig, Key, Kind as KeyKind, Privilege,
    Registration, Section, Seen,
};
pub use crate::context::Ctx;
pub use crate::envelope::{Envelope, Origin, Side};
pub use crate::error::{Error, stanza_error};
pub use crate::held::{Hold, HoldKey};
pub use crate::host::Host;
pub use crate::notes::Notes;
pub use crate::remote::{Peer, Way};
pub use crate::requests::{Asked, NoAnswer};
pub use crate::service::Service;
pub use crate::session::{Fate, Item, Session, SessionClient};
pub use crate::throttle::Throttle;

/// A future that a slow hook or handler answers with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a module keeps from the start of the server to its end, one value of a type of its own.
pub type State = Box<dyn Any + Send + Sync>;

/// Tells how a stanza for a session may wait, with this configuration. `None`: it does not know.
pub type MayHold = fn(&Config, &Session, &Stanza) -> Option<Hold>;

/// Everything that a module declares about itself.
pub struct ModuleSpec {
    /// Its name: that of its file.
    pub name: &'static str,
    /// The documents that it implements.
    pub specs: &'static [Spec],
    /// What it makes hosts and accounts answer to `disco#info`.
    pub features: &'static [Feature],
    /// The iq requests that it answers.
    pub iq: &'static [IqHandler],
    /// The iq requests of clients that have not logged in that it answers; their requests have
    /// the host as `to` and no `from`. Only on hosts that allow registration.
    pub before_login: &'static [IqHandler],
    /// Where it takes part in a stanza's way.
    pub hooks: &'static [HookSpec],
    /// The events that it wants to hear of.
    pub on: &'static [Listener],
    /// What it adds to the stream features that a client sees after login, or before.
    pub stream_features: &'static [StreamFeature],
    /// What it does for a client as it binds its resource.
    pub bind_inline: &'static [BindInline],
    /// Whether a stanza that is about to be delivered to a session may wait while nobody looks at
    /// the client. It is asked for inactive sessions only, behind all stages; of several modules
    /// the first that knows decides.
    pub hold: Option<MayHold>,
    /// What it notes on a session that is to outlive a restart of the server.
    pub session_notes: &'static [SessionNote],
    /// Its sections of the configuration.
    pub config: &'static [&'static Section],
    /// The service that it provides on domains of its own.
    pub service: Option<Service>,
    /// Makes its state at the start of the server, found by type with [`Ctx::state`].
    pub state: Option<fn(&Config) -> State>,
    /// The folders under `tests/conversations` with its conversations.
    pub conversations: &'static [&'static str],
}

impl ModuleSpec {
    /// A module that declares nothing; the rest of a declaration.
    pub const NOTHING: Self = Self {
        name: "",
        specs: &[],
        features: &[],
        iq: &[],
        before_login: &[],
        hooks: &[],
        on: &[],
        stream_features: &[],
        bind_inline: &[],
        hold: None,
        session_notes: &[],
        config: &[],
        service: None,
        state: None,
        conversations: &[],
    };
}

/// A document that a module implements, wholly or in part.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// `"XEP-0199"` or `"RFC 6121"`.
    pub document: &'static str,
    /// The title of the document.
    pub title: &'static str,
    /// The version that was read.
    pub version: &'static str,
    /// What is missing, or `None` when it is complete.
    pub missing: Option<&'static str>,
    /// What else a reader of the table should know.
    pub note: &'static str,
}

impl Spec {
    /// A XEP that is implemented as a whole.
    #[must_use]
    pub const fn xep(document: &'static str, title: &'static str, version: &'static str) -> Self {
        Self {
            document,
            title,
            version,
            missing: None,
            note: "",
        }
    }

    /// Says what is missing.
    #[must_use]
    pub const fn partial(self, missing: &'static str) -> Self {
        Self {
            missing: Some(missing),
            ..self
        }
    }

    /// Adds a remark.
    #[must_use]
    pub const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// A disco feature, and who has it.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The `var` of XEP-0030 §3.1.
    pub var: &'static str,
    /// Whether hosts have it.
    pub host: bool,
    /// Whether accounts have it.
    pub account: bool,
    /// Whether they have it with this configuration. `None`: with any.
    pub when: Option<fn(&Config) -> bool>,
}

impl Feature {
    /// A feature of hosts.
    #[must_use]
    pub const fn host(var: &'static str) -> Self {
        Self {
            var,
            host: true,
            account: false,
            when: None,
        }
    }

    /// A feature of accounts.
    #[must_use]
    pub const fn account(var: &'static str) -> Self {
        Self {
            var,
            host: false,
            account: true,
            when: None,
        }
    }

    /// A feature of hosts and accounts.
    #[must_use]
    pub const fn both(var: &'static str) -> Self {
        Self {
            var,
            host: true,
            account: true,
            when: None,
        }
    }

    /// Only with a configuration that has it so.
    #[must_use]
    pub const fn when(self, when: fn(&Config) -> bool) -> Self {
        Self {
            when: Some(when),
            ..self
        }
    }
}

/// A stream feature (RFC 6120 §4.3.2).
#[derive(Clone, Copy)]
pub struct StreamFeature {
    /// Whether it is offered after login; else before.
    pub after_login: bool,
    /// Makes the element; `None` when the host does not offer it.
    pub make: fn(&Ctx<'_>, &Host) -> Option<Element>,
}

/// What is done together with the binding of a resource, so that nothing happens between the two
/// (XEP-0386 §3.2). What belongs to the stream itself is not done here.
#[derive(Clone, Copy)]
pub struct BindInline {
    /// The `var` under which it is offered (§3.1). Several may have the same.
    pub var: &'static str,
    /// Namespace and name of the element by which a client asks for it; `None`: it is done for
    /// every session that is bound this way.
    pub element: Option<(&'static str, &'static str)>,
    /// What is done. The session is bound, and nobody but the modules was told of it.
    pub run: OnBind,
}

/// Something done for a session as it is bound, which waits for the store.
pub type WaitingOnBind = for<'a, 'c> fn(
    &'a mut Ctx<'c>,
    &'a Arc<Session>,
    Option<&'a Element>,
) -> BoxFuture<'a, Vec<Element>>;

/// What is done for a session as it is bound, with the element by which the client asked. It
/// answers with what the client is told in `<bound/>`, often nothing.
#[derive(Clone, Copy)]
pub enum OnBind {
    /// At once.
    Now(fn(&mut Ctx<'_>, &Arc<Session>, Option<&Element>) -> Vec<Element>),
    /// After waiting.
    Waits(WaitingOnBind),
}

/// Something that a module knows of a session, as text for the store.
#[derive(Clone, Copy)]
pub struct SessionNote {
    /// Its name, unique among all modules.
    pub name: &'static str,
    /// What is to be kept; `None`: nothing.
    pub save: fn(&Session) -> Option<String>,
    /// Takes up what was kept. The session is bound, and nobody was told of it.
    pub restore: fn(&Session, &str),
}

// --- iq ------------------------------------------------------------------------------------

/// Which kinds of iq a handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IqKind {
    /// `get` only.
    Get,
    /// `set` only.
    Set,
    /// Both.
    Any,
}

/// Who an iq is addressed to, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(u8);

impl Target {
    /// No address, or the sender's own bare JID (RFC 6120 §10.3.3).
    pub const OWN_ACCOUNT: Self = Self(1);
    /// The bare JID of another account of this server.
    pub const OTHER_ACCOUNT: Self = Self(2);
    /// A host.
    pub const HOST: Self = Self(4);
    /// A host or the own account.
    pub const SERVER: Self = Self(5);
    /// Any account.
    pub const ACCOUNT: Self = Self(3);
    /// All of these.
    pub const ANY: Self = Self(7);

    /// Whether the sets have something in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The answer to an iq: the payload of the result, or an error.
pub type Answer = Result<Payload, StanzaError>;

/// A handler that waits for the store.
pub type WaitingHandler = for<'a, 'c> fn(&'a mut Ctx<'c>, &'a Request) -> BoxFuture<'a, Answer>;

/// How an iq is answered.
#[derive(Clone, Copy)]
pub enum Handle {
    /// At once.
    Now(fn(&mut Ctx<'_>, &Request) -> Answer),
    /// After waiting.
    Waits(WaitingHandler),
}

/// One kind of iq request that a module answers.
pub struct IqHandler {
    /// The namespace of the payload.
    pub ns: &'static str,
    /// The name of the payload.
    pub name: &'static str,
    /// `get`, `set` or both.
    pub kind: IqKind,
    /// For which addresses.
    pub target: Target,
    /// The answer.
    pub handle: Handle,
}

/// An iq `get` or `set` that a module answers.
#[derive(Debug)]
pub struct Request {
    /// The iq as it came. It has exactly one payload, the one that the handler was declared for.
    pub stanza: Stanza,
    /// The session that asks, when it is one of ours.
    pub session: Option<Arc<Session>>,
    /// Whom the iq is addressed to.
    pub target: Target,
    /// The address of a client that has not logged in, for limits per address.
    pub stranger: Option<IpAddr>,
    /// The component that asks in the name of the account that the iq is from.
    pub behalf: Option<Jid>,
}

impl Request {
    /// Whether it is of type `set`.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.stanza.kind == balcony_proto::stanza::Kind::Iq(balcony_proto::stanza::IqType::Set)
    }

    /// Who asks.
    ///
    /// # Errors
    /// `bad-request` when the iq has no `from`, which no iq that got here lacks.
    pub fn from(&self) -> Result<&Jid, StanzaError> {
        self.stanza
            .from
            .as_ref()
            .ok_or_else(StanzaError::bad_request)
    }

    /// Whom the request is for: its addressee, else who asks. A stranger names a host only.
    fn addressed(&self) -> Result<&Jid, StanzaError> {
        self.stanza.to.as_ref().map_or_else(|| self.from(), Ok)
    }

    /// The bare JID of the account that is asked about: the addressee, else the sender.
    ///
    /// # Errors
    /// `bad-request` when the iq has no `from`, which no iq that got here lacks.
    pub fn account(&self) -> Result<Jid, StanzaError> {
        Ok(self.addressed()?.bare())
    }

    /// The name of the host that is asked.
    ///
    /// # Errors
    /// `bad-request` when the iq has no `from`, which no iq that got here lacks.
    pub fn host(&self) -> Result<&str, StanzaError> {
        Ok(self.addressed()?.domain())
    }

    /// The payload, without making a tree of it.
    ///
    /// # Errors
    /// `bad-request` when there is none, which no request lacks.
    pub fn payload(&self) -> Result<Child<'_>, StanzaError> {
        self.stanza
            .payload
            .first()
            .ok_or_else(StanzaError::bad_request)
    }

    /// The payload as a tree.
    ///
    /// # Errors
    /// `bad-request` when there is none, which no request lacks.
    pub fn element(&self) -> Result<Element, StanzaError> {
        Ok(self.payload()?.element())
    }
}

// --- hooks ---------------------------------------------------------------------------------

/// A station on a stanza's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// At the sender's account.
    Sending,
    /// At the recipient's account.
    Arriving,
    /// At the server itself: a request that a module would answer, or a message to a host. In
    /// `Band::Guard` alone, and nothing waits here.
    Serving,
    /// Nobody took it.
    Undelivered,
}

/// The order within a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// May refuse.
    Guard,
    /// May change.
    Transform,
    /// Keeps: adds to the envelope's write set. What is kept is committed before the next band.
    Record,
    /// Writes on the stanza what the commit gave: ids. Hooks of this band and the later ones must
    /// not wait, so that what is committed is delivered at once and in its order.
    Stamp,
    /// Multiplies.
    Copy,
    /// Tells others.
    Notify,
}

/// Kinds of stanza, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(pub(crate) u8);

impl Kinds {
    /// `<message/>`.
    pub const MESSAGE: Self = Self(1);
    /// `<presence/>`.
    pub const PRESENCE: Self = Self(2);
    /// `<iq/>`.
    pub const IQ: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// Messages and presence.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What becomes of the stanza after a hook.
#[derive(Debug)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// The hook took it: nothing else is done, nobody is told.
    Handled,
    /// The sender gets this error.
    Reject(StanzaError),
    /// It is dropped; the reason is for the log.
    Drop(&'static str),
}

/// What a service does when it waits for the store.
pub type WaitingHook = for<'a, 'c> fn(&'a mut Ctx<'c>, &'a mut Envelope) -> BoxFuture<'a, Flow>;

/// What a hook answers that may have to wait.
pub enum Soon<'a> {
    /// It did not have to.
    Now(Flow),
    /// It has to. The hook is called again where that can be awaited, so it must not have changed
    /// anything before this is polled.
    Later(BoxFuture<'a, Flow>),
}

impl<'a> Soon<'a> {
    /// It has to wait for this.
    pub fn later(flow: impl Future<Output = Flow> + Send + 'a) -> Self {
        Self::Later(Box::pin(flow))
    }
}

/// A hook that may have to wait. What need not is not held up, and costs no allocation.
pub type PatientHook = for<'a, 'c> fn(&'a mut Ctx<'c>, &'a mut Envelope) -> Soon<'a>;

/// What a hook does. One that can be slow says so in its type.
#[derive(Clone, Copy)]
pub enum Hook {
    /// At once.
    Now(fn(&mut Ctx<'_>, &mut Envelope) -> Flow),
    /// After waiting, where it has to.
    Waits(PatientHook),
}

/// A hook with its place.
pub struct HookSpec {
    /// Where on the way.
    pub stage: Stage,
    /// Where in the stage.
    pub band: Band,
    /// For which stanzas.
    pub kinds: Kinds,
    /// Modules whose hooks in the same stage and band run before this one.
    pub after: &'static [&'static str],
    /// What it changes or decides, in a word. Two hooks of one stage, band and kind that change
    /// the same thing must say which comes `after` the other.
    pub changes: &'static [&'static str],
    /// What it does.
    pub hook: Hook,
}

// --- events --------------------------------------------------------------------------------

/// Something happened in the life of a session or an account.
#[derive(Clone, Debug)]
pub enum Event {
    /// A resource was bound. One that an orderly stop wrote down has its presence and notes again
    /// by now.
    Bound(Arc<Session>),
    /// A session sent initial presence, or presence again; `first` tells which.
    Available {
        /// The session.
        session: Arc<Session>,
        /// Whether it was not available before.
        first: bool,
    },
    /// The connection of a session is gone, and its client may come back and resume it.
    Detached(Arc<Session>),
    /// A session was closed or lost and is no longer in the table. Its last presence is still
    /// there for whoever announces that it went.
    Ended(Arc<Session>),
    /// Messages that the client of an ended session of this account had not got were put into the
    /// offline queue.
    Queued {
        /// Whose.
        account: Jid,
        /// What waits, in its order.
        items: Vec<Item>,
    },
    /// An external component is there, with this domain.
    Component(Jid),
    /// An account was made.
    AccountCreated(Jid),
    /// An account is to be deleted, and everything that belongs to it is still there. What the
    /// listeners send is held back until it is gone for good, and dropped if it stays.
    AccountLeaving(Jid),
    /// An account was deleted, with all that belonged to it. Its sessions are about to end.
    AccountDeleted(Jid),
    /// A second went by.
    Tick,
    /// The server is about to stop, and all streams are still there: what must be told to others
    /// before is told now.
    Stopping,
}

/// Which event a listener wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// [`Event::Bound`]
    Bound,
    /// [`Event::Available`]
    Available,
    /// [`Event::Detached`]
    Detached,
    /// [`Event::Ended`]
    Ended,
    /// [`Event::Queued`]
    Queued,
    /// [`Event::Component`]
    Component,
    /// [`Event::AccountCreated`]
    AccountCreated,
    /// [`Event::AccountLeaving`]
    AccountLeaving,
    /// [`Event::AccountDeleted`]
    AccountDeleted,
    /// [`Event::Tick`]
    Tick,
    /// [`Event::Stopping`]
    Stopping,
}

impl Event {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Bound(_) => EventKind::Bound,
            Self::Available { .. } => EventKind::Available,
            Self::Detached(_) => EventKind::Detached,
            Self::Ended(_) => EventKind::Ended,
            Self::Queued { .. } => EventKind::Queued,
            Self::Component(_) => EventKind::Component,
            Self::AccountCreated(_) => EventKind::AccountCreated,
            Self::AccountLeaving(_) => EventKind::AccountLeaving,
            Self::AccountDeleted(_) => EventKind::AccountDeleted,
            Self::Tick => EventKind::Tick,
            Self::Stopping => EventKind::Stopping,
        }
    }
}

/// A listener that waits for the store.
pub type WaitingListener = for<'a, 'c> fn(&'a mut Ctx<'c>, &'a Event) -> BoxFuture<'a, ()>;

/// What a module does on an event.
#[derive(Clone, Copy)]
pub enum Listen {
    /// At once.
    Now(fn(&mut Ctx<'_>, &Event)),
    /// After waiting.
    Waits(WaitingListener),
}

/// A listener with its event. Listeners of one event are called in the order of the modules.
#[derive(Clone, Copy)]
pub struct Listener {
    /// Which event.
    pub event: EventKind,
    /// What to do.
    pub listen: Listen,
}
