//! A stanza's way through the stages.
//!
//! The walk itself is a plain function: where nothing has to be waited for, a stanza is through
//! when it returns, and costs no allocation. Where a hook waits, or what it recorded must be
//! committed, the rest of the walk goes on in a future, which the sender's stream awaits before it
//! takes its next stanza: one lane per stream (RFC 6120 §10.1).

use std::net::IpAddr;
use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{IqType, Kind, MessageType, Stanza, StanzaError};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::WriteSet;

use crate::Core;
use crate::context::{Ctx, Work, Works};
use crate::envelope::{Envelope, Origin};
use crate::error::undelivered;
use crate::module::{
    Answer, BoxFuture, Event, Flow, Handle, Hook, Listen, Request, Target, WaitingHandler,
    WaitingHook,
};
use crate::pipeline::Group;
use crate::router::{self, Addressed, Place, Rule};
use crate::session::{Refused, Session};
use crate::sessions::List;

/// What is left of the work on a stanza; it must be awaited before the stream's next stanza.
pub type Pending = BoxFuture<'static, ()>;

/// The stations of a walk, in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Station {
    SendingBefore,
    Route,
    ArrivingBefore,
    Decide,
    SendingRecord,
    ArrivingRecord,
    Undelivered,
    Commit,
    SendingAfter,
    ArrivingAfter,
    Deliver,
    Done,
}

/// Why a walk stopped.
enum Pause {
    Done,
    Hook(WaitingHook),
    Answer(WaitingHandler, Box<Request>),
    Commit(WriteSet),
}

struct Walk {
    envelope: Envelope,
    station: Station,
    /// The next hook of the station.
    hook: usize,
    /// Who gets it.
    targets: List,
    /// Nobody takes it now.
    undelivered: bool,
}

impl Walk {
    fn new(envelope: Envelope) -> Self {
        let station = match envelope.origin() {
            Origin::Session(_) => Station::SendingBefore,
            Origin::Server => Station::Route,
        };
        Self {
            envelope,
            station,
            hook: 0,
            targets: List::new(),
            undelivered: false,
        }
    }

    /// Goes on until the end, or until something has to be waited for.
    fn go_on(&mut self, core: &Arc<Core>, works: &mut Works) -> Pause {
        loop {
            let pause = match self.station {
                Station::SendingBefore => self.hooks(core, works, Group::SendingBefore),
                Station::Route => self.route(core, works),
                Station::ArrivingBefore => self.hooks(core, works, Group::ArrivingBefore),
                Station::Decide => self.decide(core, works),
                Station::SendingRecord => self.sender_hooks(core, works, Group::SendingRecord),
                Station::ArrivingRecord => self.hooks(core, works, Group::ArrivingRecord),
                Station::Undelivered => self.nobody_took_it(core, works),
                Station::Commit => self.commit(),
                Station::SendingAfter => self.sender_hooks(core, works, Group::SendingAfter),
                Station::ArrivingAfter => self.hooks(core, works, Group::ArrivingAfter),
                Station::Deliver => self.deliver(core),
                Station::Done => Some(Pause::Done),
            };
            if let Some(pause) = pause {
                return pause;
            }
        }
    }

    fn step(&mut self) {
        self.hook = 0;
        self.station = match self.station {
            Station::SendingBefore => Station::Route,
            Station::Route => Station::ArrivingBefore,
            Station::ArrivingBefore => Station::Decide,
            Station::Decide => Station::SendingRecord,
            Station::SendingRecord => Station::ArrivingRecord,
            Station::ArrivingRecord => Station::Undelivered,
            Station::Undelivered => Station::Commit,
            Station::Commit => Station::SendingAfter,
            Station::SendingAfter => Station::ArrivingAfter,
            Station::ArrivingAfter => Station::Deliver,
            Station::Deliver | Station::Done => Station::Done,
        };
    }

    fn end(&mut self) {
        self.station = Station::Done;
    }

    fn hooks(&mut self, core: &Arc<Core>, works: &mut Works, group: Group) -> Option<Pause> {
        while let Some(hook) = core
            .pipeline
            .hooks(group, self.envelope.stanza.kind)
            .get(self.hook)
        {
            self.hook += 1;
            match hook {
                Hook::Now(run) => {
                    let flow = run(&mut Ctx::new(core, works), &mut self.envelope);
                    self.apply(core, works, flow);
                    if self.station == Station::Done {
                        return None;
                    }
                }
                Hook::Waits(run) => return Some(Pause::Hook(*run)),
            }
        }
        self.step();
        None
    }

    /// Hooks of the sender's account, which stanzas of the server do not pass.
    fn sender_hooks(&mut self, core: &Arc<Core>, works: &mut Works, group: Group) -> Option<Pause> {
        if self.envelope.session().is_none() {
            self.step();
            return None;
        }
        self.hooks(core, works, group)
    }

    /// Does what a hook decided.
    fn apply(&mut self, core: &Arc<Core>, works: &mut Works, flow: Flow) {
        match flow {
            Flow::Continue => {}
            Flow::Handled => self.end(),
            Flow::Drop(reason) => {
                tracing::debug!(reason, from = ?self.envelope.from(), "stanza dropped");
                self.end();
            }
            Flow::Reject(error) => self.refuse(core, works, &error),
        }
    }

    /// Answers the sender with an error, and ends.
    fn refuse(&mut self, core: &Arc<Core>, works: &mut Works, error: &StanzaError) {
        if let Some(answer) = self.envelope.stanza.error(error) {
            answer_to(core, works, self.envelope.session(), answer);
        }
        self.end();
    }

    /// RFC 6120 §10.3-10.5: whose address it is.
    fn route(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        let kind = self.envelope.stanza.kind;
        let Some(to) = self.envelope.stanza.to.clone() else {
            return self.route_without_to(core, works, kind);
        };
        match router::place(&to, core.serves(to.domain())) {
            Place::Remote => {
                // RFC 6120 §8.3.3.16: this server opens no streams to other servers.
                self.refuse(core, works, &StanzaError::remote_server_not_found());
                None
            }
            Place::Host => self.at_host(core, works, kind, to.is_full()),
            Place::Account => {
                let own = self
                    .envelope
                    .from()
                    .is_some_and(|f| f.bare_str() == to.bare_str());
                match kind {
                    Kind::Iq(IqType::Get | IqType::Set) if to.is_bare() => {
                        let target = if own {
                            Target::OWN_ACCOUNT
                        } else {
                            Target::OTHER_ACCOUNT
                        };
                        self.hooks_then_answer(core, works, target)
                    }
                    // RFC 6121 §8.5.2.1.3: the account has no use for an answer.
                    Kind::Iq(_) if to.is_bare() => {
                        self.end();
                        None
                    }
                    _ => {
                        self.step();
                        None
                    }
                }
            }
        }
    }

    /// RFC 6120 §10.3: what has no `to` is for the sender's own account.
    fn route_without_to(
        &mut self,
        core: &Arc<Core>,
        works: &mut Works,
        kind: Kind,
    ) -> Option<Pause> {
        match kind {
            // §10.3.1: as if addressed to the bare JID of the sender.
            Kind::Message(_) => {
                self.envelope.stanza.to = self.envelope.from().map(|from| from.bare());
                None
            }
            // §10.3.2: broadcast, by a hook of `Stage::Sending`; nothing is left to do.
            Kind::Presence(_) => {
                self.end();
                None
            }
            // §10.3.3
            Kind::Iq(IqType::Get | IqType::Set) => self.answer(core, works, Target::OWN_ACCOUNT),
            Kind::Iq(_) => {
                self.end();
                None
            }
        }
    }

    /// RFC 6121 §8.2, RFC 6120 §10.5.2: the host itself is addressed.
    fn at_host(
        &mut self,
        core: &Arc<Core>,
        works: &mut Works,
        kind: Kind,
        with_resource: bool,
    ) -> Option<Pause> {
        match kind {
            Kind::Iq(IqType::Get | IqType::Set) if !with_resource => {
                return self.answer(core, works, Target::HOST);
            }
            Kind::Iq(IqType::Get | IqType::Set) | Kind::Message(_) => {
                // Nobody reads what is sent to a host; a client should learn that.
                self.refuse(core, works, &StanzaError::service_unavailable());
            }
            _ => self.end(),
        }
        None
    }

    /// The guards of the addressed account see a request before the server answers for it.
    fn hooks_then_answer(
        &mut self,
        core: &Arc<Core>,
        works: &mut Works,
        target: Target,
    ) -> Option<Pause> {
        if target == Target::OWN_ACCOUNT {
            return self.answer(core, works, target);
        }
        self.step();
        None
    }

    /// RFC 6120 §8.2.3: an iq request has exactly one payload; a module answers it.
    fn answer(&mut self, core: &Arc<Core>, works: &mut Works, target: Target) -> Option<Pause> {
        let handle = match handler(core, &self.envelope.stanza, target) {
            Ok(handle) => handle,
            Err(error) => {
                self.refuse(core, works, &error);
                return None;
            }
        };
        let spent = Stanza::message(MessageType::Normal);
        let request = Request {
            stanza: std::mem::replace(&mut self.envelope.stanza, spent),
            session: self.envelope.session().cloned(),
            target,
            stranger: None,
        };
        self.end();
        match handle {
            Handle::Now(run) => {
                let answer = run(&mut Ctx::new(core, works), &request);
                reply(core, works, &request, answer);
                None
            }
            Handle::Waits(run) => Some(Pause::Answer(run, Box::new(request))),
        }
    }

    /// RFC 6121 §8.5: which sessions get it.
    fn decide(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        let stanza = &self.envelope.stanza;
        let Some(to) = stanza.to.as_ref() else {
            self.end();
            return None;
        };
        if to.is_bare() && matches!(stanza.kind, Kind::Iq(_)) {
            return self.answer(core, works, Target::OTHER_ACCOUNT);
        }
        let (rule, sessions) = rule_for(core, &self.envelope);
        match rule {
            Rule::Ignore => self.end(),
            Rule::Bounce => self.refuse(core, works, &StanzaError::service_unavailable()),
            Rule::Undelivered => {
                self.undelivered = true;
                self.step();
            }
            _ => {
                self.targets = targets(rule, to, sessions);
                self.step();
            }
        }
        None
    }

    fn nobody_took_it(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        if !self.undelivered {
            self.step();
            return None;
        }
        self.hooks(core, works, Group::Undelivered)
    }

    fn commit(&mut self) -> Option<Pause> {
        self.step();
        if self.envelope.writes.is_empty() {
            return None;
        }
        Some(Pause::Commit(std::mem::take(&mut self.envelope.writes)))
    }

    fn deliver(&mut self, core: &Arc<Core>) -> Option<Pause> {
        let mut targets = std::mem::take(&mut self.targets);
        let Some(last) = targets.pop() else {
            self.end();
            return None;
        };
        for session in &targets {
            core.deliver(session, self.envelope.stanza.clone());
        }
        let spent = Stanza::message(MessageType::Normal);
        core.deliver(&last, std::mem::replace(&mut self.envelope.stanza, spent));
        self.end();
        None
    }
}

/// The module that answers an iq request.
fn handler(core: &Core, stanza: &Stanza, target: Target) -> Result<Handle, StanzaError> {
    let mut children = stanza.payload.children();
    let (Some(payload), None) = (children.next(), children.next()) else {
        return Err(StanzaError::bad_request());
    };
    // RFC 6120 §8.4: a payload that is not understood.
    core.iq
        .find(stanza.kind, payload.ns(), payload.name(), target)
        .ok_or_else(StanzaError::service_unavailable)
}

/// The rule for an envelope that reached an account, and the account's sessions.
fn rule_for(core: &Core, envelope: &Envelope) -> (Rule, List) {
    let Some(to) = envelope.stanza.to.as_ref() else {
        return (Rule::Ignore, List::new());
    };
    let mut sessions = core.sessions.of(to.bare_str());
    // One that ended takes nothing more, and what it did not take comes by here again.
    sessions.retain(|session| !session.has_ended());
    let addressed = match to.is_full() {
        false => Addressed::Bare,
        true if sessions.iter().any(|session| session.jid() == to) => Addressed::Matched,
        true => Addressed::Unmatched,
    };
    let receptive = sessions
        .iter()
        .any(|s| s.is_available() && s.priority() >= 0);
    (
        router::rule(envelope.stanza.kind, addressed, receptive),
        sessions,
    )
}

fn targets(rule: Rule, to: &Jid, mut sessions: List) -> List {
    let receptive = |s: &Arc<Session>| s.is_available() && s.priority() >= 0;
    let best = sessions
        .iter()
        .filter(|s| receptive(s))
        .map(|s| s.priority())
        .max();
    sessions.retain(|session| match rule {
        Rule::Matching => session.jid() == to,
        Rule::MostAvailable => receptive(session) && Some(session.priority()) == best,
        Rule::NonNegative => receptive(session),
        Rule::AllAvailable => session.is_available(),
        Rule::Undelivered | Rule::Bounce | Rule::Ignore => false,
    });
    sessions
}

/// Sends the answer to a request; a session of ours gets it at once, in the order of its stream.
fn reply(core: &Arc<Core>, works: &mut Works, request: &Request, answer: Answer) {
    let stanza = match answer {
        Ok(payload) => Some(request.stanza.result(payload)),
        Err(error) => request.stanza.error(&error),
    };
    if let Some(stanza) = stanza {
        answer_to(core, works, request.session.as_ref(), stanza);
    }
}

fn answer_to(core: &Arc<Core>, works: &mut Works, session: Option<&Arc<Session>>, answer: Stanza) {
    match session {
        Some(session) => core.deliver(session, answer),
        None if answer.to.is_some() => {
            let envelope = Envelope::new(answer, Origin::Server);
            works.0.push_back(Work::Envelope(Box::new(envelope)));
        }
        None => {}
    }
}

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

    /// Looks after a stanza that a session did not take because it ended or was full.
    pub(crate) fn left_over(self: &Arc<Self>, stanza: Stanza) {
        let envelope = Envelope::new(stanza, Origin::Server);
        let (rule, _) = rule_for(self, &envelope);
        let to_all = envelope.to().is_some_and(Jid::is_bare);
        let pending = match envelope.stanza.kind {
            // The other resources, to which it was addressed too, have it.
            Kind::Message(_) if to_all && rule != Rule::Undelivered => None,
            Kind::Message(_) => {
                let walk = Walk {
                    station: Station::Decide,
                    ..Walk::new(envelope)
                };
                self.start(walk)
            }
            // RFC 6121 §8.5.3.2.3: the resource is no more.
            Kind::Iq(_) => {
                let answer = envelope.stanza.error(&StanzaError::service_unavailable());
                answer.and_then(|answer| self.submit(answer))
            }
            Kind::Presence(_) => None,
        };
        if let Some(pending) = pending {
            tokio::spawn(pending);
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
        match session.enqueue(stanza, self.queue_limit()) {
            Ok(()) => {}
            Err(Refused::Full(stanza)) => {
                tracing::info!(session = %session.jid(), "the client does not read; ended");
                // RFC 6120 §4.9.3.17: too much waits for the client to read it.
                session.end(Some(StreamError::new(StreamCondition::ResourceConstraint)));
                self.left_over(*stanza);
            }
            Err(Refused::Ended(stanza)) => self.left_over(*stanza),
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
            Pause::Commit(writes) => {
                if let Err(error) = core.store.commit(writes).await {
                    walk.refuse(core, works, &undelivered(&error));
                }
            }
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
