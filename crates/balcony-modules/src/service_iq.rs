//! What services have in common: requests to them, and their answers.

use balcony_core::module::Ctx;
use balcony_proto::stanza::{Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;

/// What a request asks for (RFC 6120 §8.2.3 point 6).
///
/// # Errors
/// `bad-request` when it is nothing, or more than one thing.
pub(crate) fn only_child(stanza: &Stanza) -> Result<Element, StanzaError> {
    let mut children = stanza.payload.children();
    match (children.next(), children.next()) {
        (Some(child), None) => Ok(child.element()),
        _ => Err(StanzaError::bad_request()),
    }
}

fn is_for_elsewhere(ctx: &Ctx<'_>, answer: &Stanza) -> bool {
    let to = answer.to.as_ref();
    to.is_some_and(|to| ctx.core().is_elsewhere(to))
}

/// Answers behind all that the service has said so far.
pub(crate) fn reply(ctx: &mut Ctx<'_>, stanza: &Stanza, payload: Payload) {
    let answer = stanza.result(payload);
    let session = stanza
        .from
        .as_ref()
        .and_then(|from| ctx.sessions().find(from));
    match session {
        Some(session) => ctx.push(&session, answer),
        None if is_for_elsewhere(ctx, &answer) => ctx.core().depart(answer),
        None => ctx.send(answer),
    }
}
