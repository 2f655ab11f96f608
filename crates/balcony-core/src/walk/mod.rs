//! A stanza's way through the stages.
//!
//! The walk itself is a plain function: where nothing has to be waited for, a stanza is through
//! when it returns, and costs no allocation. Where a hook waits, or what it recorded must be
//! committed, the rest of the walk goes on in a future, which the sender's stream awaits before it
//! takes its next stanza: one lane per stream (RFC 6120 §10.1).

mod committing;
mod inline;
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
use crate::host::Host;
use crate::lines::Turn;
use crate::module::{BoxFuture, Event, Handle, Listen, Request, Soon, Target};
use crate::session::{Item, Refused, Session};
pub use committing::Committing;
use stations::{Pause, Walk};
use targets::reply;

/// What is left of the work on a stanza; it must be awaited before the stream's next stanza.
pub type Pending = BoxFuture<'static, ()>;

/// What became of a client's stanza.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be an allocation for each message that is kept"
)]
pub enum Accepted {
    /// All is done.
    Done,
    /// Its effects wait for a commit. The stream's next messages may be accepted meanwhile.
    Commits(Committing),
    /// This must be awaited before the stream's next stanza, and behind what it still commits.
    Waits(Pending),
}

/// What is left when the work could not be finished at once.
struct Rest {
    walk: Option<(Walk, Pause)>,
    works: Works,
}

impl Core {
    /// Takes a stanza that a client wrote, with its true `from`. `behind` tells whether others of
    /// the same stream are still being committed; then it must be a message.
    pub fn accept(
        self: &Arc<Self>,
        session: &Arc<Session>,
        stanza: Stanza,
        behind: bool,
    ) -> Accepted {
        self.accept_from(Origin::Session(Arc::clone(session)), stanza, behind)
    }

    pub(crate) fn accept_from(
        self: &Arc<Self>,
        origin: Origin,
        stanza: Stanza,
        behind: bool,
    ) -> Accepted {
        let mut walk = Walk::new(self.envelope(stanza, origin));
        walk.in_line = behind;
        let mut works = Works::default();
        match walk.go_on(self, &mut works) {
            Pause::Done if works.0.is_empty() => Accepted::Done,
            Pause::Commit(writes) => {
                Accepted::Commits(Committing::submit(self, Box::new(walk), writes, works))
            }
            pause => Accepted::Waits(self.pending(walk, pause, works)),
        }
    }

    /// [`Core::accept`] for whoever has one stanza at a time: answers `None` when all is done, else
    /// what must be awaited before the session's next stanza.
    pub fn accept_one(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) -> Option<Pending> {
        match self.accept(session, stanza, false) {
            Accepted::Done => None,
            Accepted::Waits(pending) => Some(pending),
            Accepted::Commits(committing) => {
                let core = Arc::clone(self);
                Some(Box::pin(async move {
                    let works = committing.wait(&core).await;
                    finish(&core, Rest { walk: None, works }).await;
                }))
            }
        }
    }

    /// Takes a stanza of the server's own, with `from` and `to`.
    pub fn submit(self: &Arc<Self>, stanza: Stanza) -> Option<Pending> {
        self.submit_as(Origin::Server, stanza)
    }

    pub(crate) fn submit_as(self: &Arc<Self>, origin: Origin, stanza: Stanza) -> Option<Pending> {
        self.start(Walk::new(self.envelope(stanza, origin)))
    }

    pub(crate) fn envelope(&self, stanza: Stanza, origin: Origin) -> Envelope {
        Envelope::new(stanza, origin, self.clock.utc_micros())
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
            behalf: None,
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

    /// Gives a task of a module the hands that a handler has. What it puts on its way is done when
    /// it returns.
    pub async fn lend<R, F>(self: &Arc<Self>, work: F) -> R
    where
        F: for<'a, 'c> FnOnce(&'a mut Ctx<'c>) -> BoxFuture<'a, R>,
    {
        let mut works = Works::default();
        let done = work(&mut Ctx::new(self, &mut works)).await;
        finish(self, Rest { walk: None, works }).await;
        done
    }

    /// Looks after a stanza that no client got, because the session that had it ended or was full.
    pub(crate) fn left_over(self: &Arc<Self>, item: Item) -> Option<Pending> {
        let Item {
            stanza,
            received_at,
            archived,
            ..
        } = item;
        match stanza.kind {
            // Decided anew: another resource, the offline queue or an error (RFC 6121 §8.5.3.2.1).
            Kind::Message(_) => {
                let mut envelope = Envelope::new(stanza, Origin::Server, received_at);
                envelope.was_archived(archived);
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

    fn start(self: &Arc<Self>, mut walk: Walk) -> Option<Pending> {
        let mut works = Works::default();
        match walk.go_on(self, &mut works) {
            Pause::Done if works.0.is_empty() => None,
            pause => Some(self.pending(walk, pause, works)),
        }
    }

    fn pending(self: &Arc<Self>, walk: Walk, pause: Pause, works: Works) -> Pending {
        let walk = match pause {
            Pause::Done => None,
            pause => Some((walk, pause)),
        };
        let core = Arc::clone(self);
        Box::pin(async move { finish(&core, Rest { walk, works }).await })
    }

    /// Writes a stanza to a session. What an ended session did not take is looked after by
    /// [`Core::ended`]; a session whose client does not read is ended.
    pub fn deliver(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) {
        self.deliver_item(session, Item::new(stanza, self.clock.utc_micros()));
    }

    /// The same for what is known to be of no use to anybody else.
    pub fn push(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) {
        self.deliver_item(session, Item::from(stanza));
    }

    /// Waits until all that was committed for an account, given by its bare JID, is delivered.
    /// For whoever delivers to it what the store has. Short: nothing is delivered meanwhile.
    pub async fn turn(&self, account: &Jid) -> Turn {
        self.lines.turn(account).await
    }

    pub(crate) fn deliver_item(self: &Arc<Self>, session: &Arc<Session>, item: Item) {
        let limit = self.queue_limit();
        let hold = match session.is_active() {
            true => None,
            false => self.holds(session, &item.stanza),
        };
        let queued = match hold {
            None => session.enqueue(item, limit),
            Some(hold) => session.hold(item, hold, limit).map(|replaced| {
                // The client has no use for it any more.
                self.taken(session, replaced.as_deref());
            }),
        };
        let Err(refused) = queued else {
            return;
        };
        if matches!(refused, Refused::Full(_)) {
            tracing::info!(session = %session.jid(), "the client does not read; ended");
            // RFC 6120 §4.9.3.17: too much waits for the client to read it.
            session.end(Some(StreamError::new(StreamCondition::ResourceConstraint)));
        }
        let item = refused.into_item();
        let pending = if session.counts() {
            // Behind what came before it, which its client has not got either.
            self.look_after(session, Some(item))
        } else {
            item.is_orphaned().then(|| self.left_over(item)).flatten()
        };
        if let Some(pending) = pending {
            tokio::spawn(pending);
        }
    }
}

async fn finish(core: &Arc<Core>, rest: Rest) {
    let Rest { walk, mut works } = rest;
    if let Some((walk, pause)) = walk {
        works = complete(core, walk, pause, works).await;
    }
    while let Some(work) = works.0.pop_front() {
        match work {
            Work::Envelope(envelope) => {
                let mut walk = Walk::new(*envelope);
                let pause = walk.go_on(core, &mut works);
                works = complete(core, walk, pause, works).await;
            }
            Work::Event(event) => tell(core, &event, &mut works).await,
        }
    }
}

/// Walks to the end, waiting wherever that is needed. Answers what is to be done then.
async fn complete(core: &Arc<Core>, mut walk: Walk, mut pause: Pause, mut works: Works) -> Works {
    loop {
        match pause {
            Pause::Done => return works,
            // Whoever awaits this has seen to it.
            Pause::Behind => {}
            Pause::Hook(run) => {
                let flow = match run(&mut Ctx::new(core, &mut works), &mut walk.envelope) {
                    Soon::Now(flow) => flow,
                    Soon::Later(flow) => flow.await,
                };
                walk.apply(core, &mut works, flow);
            }
            Pause::Service(run) => {
                let flow = run(&mut Ctx::new(core, &mut works), &mut walk.envelope).await;
                walk.apply(core, &mut works, flow);
            }
            Pause::Answer(run, request) => {
                let answer = run(&mut Ctx::new(core, &mut works), &request).await;
                reply(core, &mut works, &request, answer);
            }
            Pause::Commit(writes) => {
                let committing = Committing::submit(core, Box::new(walk), writes, works);
                return committing.wait(core).await;
            }
        }
        pause = walk.go_on(core, &mut works);
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
