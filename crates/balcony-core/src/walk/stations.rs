//! The stations of a walk, and what happens at each.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{IqType, Kind, MessageType, Stanza, StanzaError};
use balcony_store::WriteSet;

use super::targets::{answer_to, handler, reply, rule_for, targets};
use crate::Core;
use crate::context::{Ctx, Works};
use crate::envelope::{Envelope, Origin, Side};
use crate::module::{
    Flow, Handle, Hook, PatientHook, Request, Soon, Target, WaitingHandler, WaitingHook,
};
use crate::pipeline::Group;
use crate::remote::{Admitted, Departing};
use crate::router::{self, Domain, Place, Rule};
use crate::service::Service;
use crate::session::{Copies, Fate, Item};

/// The stations of a walk, in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Station {
    SendingBefore,
    Route,
    /// A service takes it, in place of the stages of an account.
    Service,
    ArrivingBefore,
    Decide,
    SendingRecord,
    ArrivingRecord,
    Undelivered,
    Commit,
    SendingAfter,
    ServiceAfter,
    /// It leaves for a domain that others serve.
    Depart,
    ArrivingAfter,
    UndeliveredAfter,
    Deliver,
    Done,
}

/// Why a walk stopped.
pub(super) enum Pause {
    Done,
    /// Until all that came before it on its stream is through.
    Behind,
    Hook(PatientHook),
    Service(WaitingHook),
    Answer(WaitingHandler, Box<Request>),
    Commit(WriteSet),
}

pub(super) struct Walk {
    pub(super) envelope: Envelope,
    pub(super) station: Station,
    /// The next hook of the station.
    hook: usize,
    /// Nobody takes it now.
    undelivered: bool,
    /// What came before it on its stream is through.
    foremost: bool,
    /// It is for this service.
    service: Option<&'static Service>,
    /// It is for a domain that others serve.
    remote: Option<Admitted>,
    /// The row by which it is kept until it arrived there.
    kept: Option<i64>,
    /// It stops at the commit even if it has nothing to commit, for the sake of the order.
    pub(super) in_line: bool,
    /// It was on its way before: it is neither archived nor copied again.
    again: bool,
}

impl Walk {
    pub(super) fn new(envelope: Envelope) -> Self {
        let station = match envelope.origin() {
            Origin::Session(_) => Station::SendingBefore,
            Origin::Server | Origin::Foreign | Origin::Behalf(_) => Station::Route,
        };
        Self {
            envelope,
            station,
            hook: 0,
            undelivered: false,
            foremost: false,
            service: None,
            remote: None,
            kept: None,
            in_line: false,
            again: false,
        }
    }

    /// A walk of something that was on its way before: who gets it is decided anew.
    pub(super) fn from_decision(envelope: Envelope) -> Self {
        Self {
            station: Station::Decide,
            again: true,
            ..Self::new(envelope)
        }
    }

    /// Goes on until the end, or until something has to be waited for.
    pub(super) fn go_on(&mut self, core: &Arc<Core>, works: &mut Works) -> Pause {
        loop {
            let pause = match self.station {
                Station::SendingBefore => self.hooks(core, works, Group::SendingBefore),
                Station::Route => self.route(core, works),
                Station::Service => self.serve(core, works),
                Station::ArrivingBefore => self.hooks(core, works, Group::ArrivingBefore),
                Station::Decide => self.decide(core, works),
                Station::SendingRecord => self.sender_hooks(core, works, Group::SendingRecord),
                Station::ArrivingRecord => self.first_time(core, works, Group::ArrivingRecord),
                Station::Undelivered => self.nobody_took_it(core, works, Group::Undelivered),
                Station::Commit => self.commit(core),
                Station::SendingAfter => self.sender_hooks(core, works, Group::SendingAfter),
                Station::ServiceAfter => self.served(core, works),
                Station::Depart => self.depart(core),
                Station::ArrivingAfter => self.first_time(core, works, Group::ArrivingAfter),
                Station::UndeliveredAfter => {
                    self.nobody_took_it(core, works, Group::UndeliveredAfter)
                }
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
            Station::Decide | Station::Service => Station::SendingRecord,
            Station::SendingRecord if self.goes_elsewhere() => Station::Commit,
            Station::SendingRecord => Station::ArrivingRecord,
            Station::ArrivingRecord => Station::Undelivered,
            Station::Undelivered => Station::Commit,
            Station::Commit => Station::SendingAfter,
            Station::SendingAfter if self.remote.is_some() => Station::Depart,
            Station::SendingAfter if self.service.is_some() => Station::ServiceAfter,
            Station::SendingAfter => Station::ArrivingAfter,
            Station::ArrivingAfter => Station::UndeliveredAfter,
            Station::UndeliveredAfter => Station::Deliver,
            Station::Deliver | Station::ServiceAfter | Station::Depart | Station::Done => {
                Station::Done
            }
        };
    }

    /// It passes no stage of a recipient's account.
    fn goes_elsewhere(&self) -> bool {
        self.service.is_some() || self.remote.is_some()
    }

    fn end(&mut self) {
        self.station = Station::Done;
    }

    fn hooks(&mut self, core: &Arc<Core>, works: &mut Works, group: Group) -> Option<Pause> {
        let hooks = core.pipeline.hooks(group, self.envelope.stanza.kind);
        while let Some(hook) = hooks.get(self.hook) {
            self.hook += 1;
            let flow = match hook {
                Hook::Now(run) => run(&mut Ctx::new(core, works), &mut self.envelope),
                Hook::Waits(run) => match run(&mut Ctx::new(core, works), &mut self.envelope) {
                    Soon::Now(flow) => flow,
                    Soon::Later(_) => return Some(Pause::Hook(*run)),
                },
            };
            if matches!(flow, Flow::Continue) {
                continue;
            }
            self.apply(core, works, flow);
            if self.station == Station::Done {
                return None;
            }
        }
        self.step();
        None
    }

    /// Whether a hook took, or refused, what is for the server itself.
    fn is_taken(&mut self, core: &Arc<Core>, works: &mut Works) -> bool {
        let hooks = core
            .pipeline
            .hooks(Group::Serving, self.envelope.stanza.kind);
        for hook in hooks {
            // None waits here: the pipeline takes no such.
            let Hook::Now(run) = hook else { continue };
            match run(&mut Ctx::new(core, works), &mut self.envelope) {
                Flow::Continue => {}
                flow => {
                    self.apply(core, works, flow);
                    return true;
                }
            }
        }
        false
    }

    /// Hooks of the sender's account, which stanzas of the server do not pass.
    fn sender_hooks(&mut self, core: &Arc<Core>, works: &mut Works, group: Group) -> Option<Pause> {
        if self.envelope.session().is_none() {
            self.step();
            return None;
        }
        self.hooks(core, works, group)
    }

    /// Hooks of the recipient's account that have seen what comes by a second time.
    fn first_time(&mut self, core: &Arc<Core>, works: &mut Works, group: Group) -> Option<Pause> {
        if self.again {
            self.step();
            return None;
        }
        self.hooks(core, works, group)
    }

    /// Does what a hook decided.
    pub(super) fn apply(&mut self, core: &Arc<Core>, works: &mut Works, flow: Flow) {
        match flow {
            Flow::Continue => {}
            Flow::Handled => self.end(),
            Flow::Drop(reason) => {
                tracing::debug!(reason, from = ?self.envelope.from(), "stanza dropped");
                self.give_up(core);
            }
            Flow::Reject(error) => self.refuse(core, works, &error),
        }
    }

    /// Answers the sender with an error, and ends.
    pub(super) fn refuse(&mut self, core: &Arc<Core>, works: &mut Works, error: &StanzaError) {
        if let Some(answer) = self.envelope.stanza.error(error) {
            answer_to(core, works, self.envelope.session(), answer);
        }
        self.give_up(core);
    }

    /// Ends without a delivery. What was on its way to a session before is expected no longer.
    fn give_up(&mut self, core: &Arc<Core>) {
        let archived = self.envelope.archive_id(Side::Recipient);
        if let (true, Some(id), Some(to)) = (self.again, archived, self.envelope.to()) {
            core.delivered.taken(&to.bare(), id);
        }
        self.end();
    }

    /// RFC 6120 §10.3-10.5: whose address it is.
    fn route(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        let kind = self.envelope.stanza.kind;
        let Some(to) = self.envelope.stanza.to.clone() else {
            return self.route_without_to(core, works, kind);
        };
        self.service = core.service(to.domain());
        let domain = match self.service {
            Some(_) => Domain::Service,
            None if core.serves(to.domain()) => Domain::Host,
            None => Domain::Foreign,
        };
        match router::place(&to, domain) {
            Place::Service => {
                self.station = Station::Service;
                None
            }
            Place::Remote => {
                match core.remote.admit(core, &self.envelope.stanza) {
                    Ok(admitted) => {
                        self.remote = Some(admitted);
                        self.station = Station::SendingRecord;
                    }
                    Err(error) => self.refuse(core, works, &error),
                }
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
                    // RFC 6121 §8.5.2.1.3: the account has no use for an answer, unless the server
                    // has asked for it.
                    Kind::Iq(_) if to.is_bare() => {
                        core.requests.answer(&self.envelope.stanza);
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

    fn serve(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        let Some(service) = self.service else {
            self.end();
            return None;
        };
        // Once: what a hook that waited answers is applied when it comes back.
        if std::mem::replace(&mut self.hook, 1) > 0 {
            self.step();
            return None;
        }
        match (service.take)(&mut Ctx::new(core, works), &mut self.envelope) {
            None => Some(Pause::Service(service.wait)),
            Some(flow) => {
                self.apply(core, works, flow);
                None
            }
        }
    }

    fn served(&mut self, core: &Arc<Core>, works: &mut Works) -> Option<Pause> {
        self.step();
        if let Some(service) = self.service {
            (service.committed)(&mut Ctx::new(core, works), &mut self.envelope);
        }
        None
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
            Kind::Message(_) if self.is_taken(core, works) => {}
            Kind::Iq(IqType::Get | IqType::Set) | Kind::Message(_) => {
                // Nobody reads what is sent to a host; a client should learn that.
                self.refuse(core, works, &StanzaError::service_unavailable());
            }
            _ => {
                if matches!(kind, Kind::Iq(_)) {
                    core.requests.answer(&self.envelope.stanza);
                }
                self.end();
            }
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
        if self.is_taken(core, works) {
            return None;
        }
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
            behalf: match self.envelope.origin() {
                Origin::Behalf(component) => Some(component.clone()),
                _ => None,
            },
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
            Rule::Ignore => self.give_up(core),
            Rule::Bounce => self.refuse(core, works, &StanzaError::service_unavailable()),
            Rule::Undelivered => {
                self.undelivered = true;
                self.step();
            }
            _ if self.envelope.waits() => {
                self.undelivered = true;
                self.step();
            }
            _ => {
                self.envelope.recipients = targets(rule, to, sessions);
                self.step();
            }
        }
        None
    }

    fn nobody_took_it(
        &mut self,
        core: &Arc<Core>,
        works: &mut Works,
        group: Group,
    ) -> Option<Pause> {
        if !self.undelivered {
            self.step();
            return None;
        }
        // One before it may still come back from a session that ends meanwhile, and must wait in
        // front of it. Nor is one behind it decided before this one is known to wait: a session
        // that comes meanwhile would get the later one first.
        if !std::mem::replace(&mut self.foremost, true) {
            return Some(Pause::Behind);
        }
        self.hooks(core, works, group)
    }

    fn commit(&mut self, core: &Core) -> Option<Pause> {
        self.step();
        if self.remote == Some(Admitted::Waits) {
            self.kept = core.keep_departing(&mut self.envelope);
        }
        if self.envelope.writes.is_empty() && !self.in_line {
            return None;
        }
        Some(Pause::Commit(std::mem::take(&mut self.envelope.writes)))
    }

    fn depart(&mut self, core: &Arc<Core>) -> Option<Pause> {
        self.step();
        let spent = Stanza::message(MessageType::Normal);
        let departing = Departing {
            stanza: std::mem::replace(&mut self.envelope.stanza, spent),
            received_at: self.envelope.received_at(),
            kept: self.kept,
            quiet: false,
        };
        core.remote.send(core, departing);
        None
    }

    fn deliver(&mut self, core: &Arc<Core>) -> Option<Pause> {
        let recipients = std::mem::take(&mut self.envelope.recipients);
        let archived = self.envelope.archive_id(Side::Recipient);
        let account = self
            .envelope
            .to()
            .map(Jid::bare)
            .filter(|_| archived.is_some());
        if let (Some(account), Some(id)) = (&account, archived) {
            core.delivered.expect(account, id, self.again);
            if recipients.is_empty() {
                // It waits in the offline queue, or is not worth it.
                core.delivered.taken(account, id);
            }
        }
        let spent = Stanza::message(MessageType::Normal);
        let stanza = std::mem::replace(&mut self.envelope.stanza, spent);
        let item = match stanza.kind {
            // Of no use to anybody who comes later.
            Kind::Presence(_) => Item::from(stanza),
            _ => Item {
                archived,
                ..Item::new(stanza, self.envelope.received_at())
            },
        };
        match recipients.as_slice() {
            [] => {}
            [session] => core.deliver_item(session, item),
            several if matches!(item.stanza.kind, Kind::Message(_)) => {
                let copies = Copies::new(several.len());
                for session in several {
                    let fate = Fate::Shared(Arc::clone(&copies));
                    core.deliver_item(session, item.clone().with_fate(fate));
                }
            }
            several => several
                .iter()
                .for_each(|session| core.deliver_item(session, item.clone())),
        }
        self.end();
        None
    }
}
