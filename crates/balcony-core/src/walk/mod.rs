//! A stanza's way through the stages.
//!
//! The walk itself is a plain function: where nothing has to be waited for, a stanza is through
//! when it returns, and costs no allocation. Where a hook waits, or what it recorded must be
//! committed, the rest of the walk goes on in a future, which the sender's stream awaits before it
//! takes its next stanza: one lane per stream (RFC 6120 §10.1).

mod stations;
mod targets;

use std::net::IpAddr;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, Stanza, StanzaError};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::Element;

use crate::Core;
use crate::context::{Ctx, Work, Works};
use crate::envelope::{Envelope, Origin};
use crate::error::undelivered;
use crate::host::Host;
use crate::module::{BoxFuture, Event, Handle, Listen, Request, Target};
use crate::session::{Copies, Refused, Session};
use stations::{Pause, Walk};
use targets::reply;

/// What is left of the work on a stanza; it must be awaited before the stream's next stanza.
pub type Pending = BoxFuture<'static, ()>;

/// What is left when the work could not be finished at once.
struct Rest {
    walk: Option<(Walk, Pause)>,
    works: Works,
}

impl Core {
    /// Takes a stanza that a client wrote, with its true `from`.
    ///
    /// Answers `None` when all is done, else what must be awaited before the stream's next stanza.
    pub fn accept(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) -> Option<Pending> {
        self.run(Envelope::new(stanza, Origin::Session(Arc::clone(session))))
    }

    /// Takes a stanza of the server's own, with `from` and `to`.
    pub fn submit(self: &Arc<Self>, stanza: Stanza) -> Option<Pending> {
        self.run(Envelope::new(stanza, Origin::Server))
    }

    /// What the modules add to the stream features of a host (RFC 6120 §4.3.2).
    #[must_use]
    pub fn stream_features(self: &Arc<Self>, host: &Host, after_login: bool) -> Vec<Element> {
        let mut works = Works::default();
        let ctx = Ctx::new(self, &mut works);
        let modules = self.modules().iter();
        modules
            .flat_map(|module| module.stream_features)
            .filter(|feature| feature.after_login == after_login)
            .filter_map(|feature| (feature.make)(&ctx, host))
            .collect()
    }

    /// Answers an iq of a client that has not logged in (XEP-0077 §3.1). `None`: nobody answers
    /// such a thing before login.
    pub async fn answer_stranger(
        self: &Arc<Self>,
        mut stanza: Stanza,
        host: &Jid,
        address: IpAddr,
    ) -> Option<Stanza> {
        stanza.to = Some(host.clone());
        let payload = stanza.payload.first()?;
        let handle =
            self.before_login
                .find(stanza.kind, payload.ns(), payload.name(), Target::HOST)?;
        let request = Request {
            stanza: stanza.clone(),
            session: None,
            target: Target::HOST,
            stranger: Some(address),
        };
        let mut works = Works::default();
        let mut ctx = Ctx::new(self, &mut works);
        let answer = match handle {
            Handle::Now(run) => run(&mut ctx, &request),
            Handle::Waits(run) => run(&mut ctx, &request).await,
        };
        finish(self, Rest { walk: None, works }).await;
        match answer {
            Ok(payload) => Some(stanza.result(payload)),
            Err(error) => stanza.error(&error),
        }
    }

    /// Tells the modules of an event.
    pub fn fire(self: &Arc<Self>, event: Event) -> Option<Pending> {
        let mut works = Works::default();
        works.0.push_back(Work::Event(event));
        let core = Arc::clone(self);
        let listened = self.listens(&works);
        listened.then(|| -> Pending {
            Box::pin(async move { finish(&core, Rest { walk: None, works }).await })
        })
    }

    /// Looks after a stanza that no session wrote, because the one that had it ended or was full.
    pub(crate) fn left_over(self: &Arc<Self>, stanza: Stanza) -> Option<Pending> {
        match stanza.kind {
            // Decided anew: another resource, the offline queue or an error (RFC 6121 §8.5.3.2.1).
            Kind::Message(_) => {
                let envelope = Envelope::new(stanza, Origin::Server);
                self.start(Walk::from_decision(envelope))
            }
            // RFC 6121 §8.5.3.2.3: the resource is no more.
            Kind::Iq(_) => {
                let answer = stanza.error(&StanzaError::service_unavailable());
                answer.and_then(|answer| self.submit(answer))
            }
            Kind::Presence(_) => None,
        }
    }

    fn listens(&self, works: &Works) -> bool {
        works.0.iter().any(|work| match work {
            Work::Event(event) => !self.listeners(event.kind()).is_empty(),
            Work::Envelope(_) => true,
        })
    }

    fn run(self: &Arc<Self>, envelope: Envelope) -> Option<Pending> {
        self.start(Walk::new(envelope))
    }

    fn start(self: &Arc<Self>, mut walk: Walk) -> Option<Pending> {
        let mut works = Works::default();
        let rest = match walk.go_on(self, &mut works) {
            Pause::Done if works.0.is_empty() => return None,
            Pause::Done => Rest { walk: None, works },
            pause => Rest {
                walk: Some((walk, pause)),
                works,
            },
        };
        let core = Arc::clone(self);
        Some(Box::pin(async move { finish(&core, rest).await }))
    }

    /// Writes a stanza to a session. What an ended session did not take is looked after by
    /// [`Core::ended`]; a session whose client does not read is ended.
    pub fn deliver(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) {
        let queued = session.enqueue(stanza, self.queue_limit());
        if let Some(stanza) = self.refused(session, queued) {
            self.spawn_left_over(stanza);
        }
    }

    /// Writes a message to one of several sessions.
    fn deliver_shared(
        self: &Arc<Self>,
        session: &Arc<Session>,
        stanza: Stanza,
        copies: &Arc<Copies>,
    ) {
        let queued = session.enqueue_shared(stanza, copies, self.queue_limit());
        if let Some(stanza) = self.refused(session, queued)
            && copies.give_up()
        {
            self.spawn_left_over(stanza);
        }
    }

    /// What a session did not take. One whose queue is full is ended.
    fn refused(&self, session: &Session, queued: Result<(), Refused>) -> Option<Stanza> {
        match queued {
            Ok(()) => None,
            Err(Refused::Ended(stanza)) => Some(*stanza),
            Err(Refused::Full(stanza)) => {
                tracing::info!(session = %session.jid(), "the client does not read; ended");
                // RFC 6120 §4.9.3.17: too much waits for the client to read it.
                session.end(Some(StreamError::new(StreamCondition::ResourceConstraint)));
                Some(*stanza)
            }
        }
    }

    fn spawn_left_over(self: &Arc<Self>, stanza: Stanza) {
        if let Some(pending) = self.left_over(stanza) {
            tokio::spawn(pending);
        }
    }
}

async fn finish(core: &Arc<Core>, rest: Rest) {
    let Rest { walk, mut works } = rest;
    if let Some((walk, pause)) = walk {
        complete(core, walk, pause, &mut works).await;
    }
    while let Some(work) = works.0.pop_front() {
        match work {
            Work::Envelope(envelope) => {
                let mut walk = Walk::new(*envelope);
                let pause = walk.go_on(core, &mut works);
                complete(core, walk, pause, &mut works).await;
            }
            Work::Event(event) => tell(core, &event, &mut works).await,
        }
    }
}

/// Walks to the end, waiting wherever that is needed.
async fn complete(core: &Arc<Core>, mut walk: Walk, mut pause: Pause, works: &mut Works) {
    loop {
        match pause {
            Pause::Done => return,
            Pause::Hook(run) => {
                let flow = run(&mut Ctx::new(core, works), &mut walk.envelope).await;
                walk.apply(core, works, flow);
            }
            Pause::Answer(run, request) => {
                let answer = run(&mut Ctx::new(core, works), &request).await;
                reply(core, works, &request, answer);
            }
            Pause::Commit(writes) => match core.store.commit(writes).await {
                Ok(committed) => walk.envelope.committed(&committed),
                Err(error) => walk.refuse(core, works, &undelivered(&error)),
            },
        }
        pause = walk.go_on(core, works);
    }
}

async fn tell(core: &Arc<Core>, event: &Event, works: &mut Works) {
    for listen in core.listeners(event.kind()) {
        match listen {
            Listen::Now(run) => run(&mut Ctx::new(core, works), event),
            Listen::Waits(run) => run(&mut Ctx::new(core, works), event).await,
        }
    }
}
