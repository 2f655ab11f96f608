//! Who gets a stanza, who answers it, and how the answer goes back.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Stanza, StanzaError};

use crate::Core;
use crate::context::{Work, Works};
use crate::envelope::{Envelope, Origin};
use crate::module::{Answer, Handle, Request, Target};
use crate::router::{self, Addressed, Rule};
use crate::session::Session;
use crate::sessions::List;

/// The module that answers an iq request.
pub(super) fn handler(core: &Core, stanza: &Stanza, target: Target) -> Result<Handle, StanzaError> {
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
pub(super) fn rule_for(core: &Core, envelope: &Envelope) -> (Rule, List) {
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

pub(super) fn targets(rule: Rule, to: &Jid, mut sessions: List) -> List {
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
pub(super) fn reply(core: &Arc<Core>, works: &mut Works, request: &Request, answer: Answer) {
    if std::mem::take(&mut works.1) {
        return;
    }
    let stanza = match answer {
        Ok(payload) => Some(request.stanza.result(payload)),
        Err(error) => request.stanza.error(&error),
    };
    if let Some(stanza) = stanza {
        answer_to(core, works, request.session.as_ref(), stanza);
    }
}

pub(super) fn answer_to(
    core: &Arc<Core>,
    works: &mut Works,
    session: Option<&Arc<Session>>,
    answer: Stanza,
) {
    match session {
        Some(session) => core.deliver(session, answer),
        // At once as well, so that it comes before what the request has led to.
        None if answer.to.as_ref().is_some_and(|to| core.is_elsewhere(to)) => core.depart(answer),
        None if answer.to.is_some() => {
            let envelope = core.envelope(answer, Origin::Server);
            works.0.push_back(Work::Envelope(Box::new(envelope)));
        }
        None => {}
    }
}
