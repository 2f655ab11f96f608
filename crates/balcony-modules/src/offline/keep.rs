//! Which messages wait for an absent account (XEP-0160 §3).

use std::future::ready;

use balcony_core::module::{BoxFuture, Ctx, Envelope, Flow, Side};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, MessageType, Payload, StanzaError};
use balcony_proto::xep::hints::Hints;
use balcony_store::{Bounds, Waiting, Write};

use crate::{presence, stored};

/// A message that no resource takes (RFC 6121 §8.5.2.2.1, §8.5.3.2.1).
pub(super) fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> BoxFuture<'a, Flow> {
    let Some(account) = envelope.to().map(Jid::bare) else {
        return Box::pin(ready(Flow::Drop("a message without an address")));
    };
    if is_worth_keeping(envelope.stanza.kind, &envelope.stanza.payload) {
        let config = ctx.config();
        let bounds = Bounds {
            rows: config.offline.messages,
            bytes: u64::try_from(config.offline.bytes).unwrap_or(u64::MAX),
        };
        envelope.writes.push(Write::OfflinePush {
            account: account.to_string(),
            received_at: envelope.received_at(),
            stanza: waiting(envelope),
            bounds,
        });
        return Box::pin(ready(Flow::Continue));
    }
    match envelope.from().cloned() {
        Some(from) => Box::pin(turn_away(ctx, account, from)),
        None => Box::pin(ready(Flow::Drop("a message without a sender"))),
    }
}

/// In the archive where that has the message, so that it is kept once and has one id.
fn waiting(envelope: &Envelope) -> Waiting {
    match envelope.archive_id(Side::Recipient) {
        Some(id) => Waiting::Archived(id),
        None if envelope.is_archived(Side::Recipient) => Waiting::ArchivedNow,
        None => Waiting::Stanza(stored::encode(&envelope.stanza)),
    }
}

/// RFC 6121 §8.1 and §11: an error would tell a stranger that nobody is connected, so only those
/// get it who may know.
async fn turn_away(ctx: &mut Ctx<'_>, account: Jid, from: Jid) -> Flow {
    match presence::is_shared(ctx, &account, None, &from).await {
        Ok(true) => Flow::Reject(StanzaError::service_unavailable()),
        _ => Flow::Drop("not worth keeping for an absent account"),
    }
}

/// XEP-0160 §3 by type, XEP-0334 §4 by what the sender wishes.
fn is_worth_keeping(kind: Kind, payload: &Payload) -> bool {
    let Kind::Message(MessageType::Normal | MessageType::Chat) = kind else {
        return false;
    };
    // XEP-0334 §4.1: no-permanent-store allows what delivery needs.
    let hints = Hints::of(payload);
    !hints.no_store && (hints.store || payload.children().any(|child| says_something(&child)))
}

/// Whether a child is more than the state of a conversation (XEP-0085) and what goes with it.
fn says_something(child: &Child<'_>) -> bool {
    let is_thread = child.is(ns::CLIENT, "thread");
    !is_thread && child.ns() != ns::CHATSTATES && child.ns() != ns::HINTS
}

/// XEP-0203 §5: only this server may say that this server held a message back.
pub(super) fn refuse_forged_delay(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    if envelope.stanza.payload.find(ns::DELAY, "delay").is_none() {
        return Flow::Continue;
    }
    if let Some(host) = envelope.to().map(Jid::domain_jid) {
        let forged = |child: &Child<'_>| is_delay_by(child, &host);
        envelope.stanza.payload = envelope.stanza.payload.without(forged);
    }
    Flow::Continue
}

/// Whether a child says that this host held the stanza back, however its name is written.
pub(super) fn is_delay_by(child: &Child<'_>, host: &Jid) -> bool {
    child.is(ns::DELAY, "delay")
        && child
            .attr("from")
            .and_then(|from| Jid::parse(from.trim()).ok())
            .is_some_and(|from| from == *host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xml::Element;

    const CHAT: Kind = Kind::Message(MessageType::Chat);

    fn kept(kind: Kind, children: &[(&'static str, &'static str)]) -> bool {
        let elements: Vec<_> = children
            .iter()
            .map(|(ns, name)| Element::new(*ns, *name))
            .collect();
        is_worth_keeping(kind, &Payload::from_elements(&elements))
    }

    #[test]
    fn what_is_kept_depends_on_the_type() {
        let body = [(ns::CLIENT, "body")];
        assert!(kept(CHAT, &body));
        assert!(kept(Kind::Message(MessageType::Normal), &body));
        for kind in [
            MessageType::Groupchat,
            MessageType::Headline,
            MessageType::Error,
        ] {
            assert!(!kept(Kind::Message(kind), &body), "{kind:?}");
        }
    }

    #[test]
    fn chat_states_alone_are_not_kept() {
        assert!(!kept(
            CHAT,
            &[(ns::CHATSTATES, "composing"), (ns::CLIENT, "thread")]
        ));
        assert!(kept(
            CHAT,
            &[(ns::CHATSTATES, "active"), (ns::CLIENT, "body")]
        ));
        assert!(kept(CHAT, &[(ns::RECEIPTS, "received")]));
        assert!(!kept(CHAT, &[]));
    }

    #[test]
    fn hints_are_obeyed() {
        let body = (ns::CLIENT, "body");
        assert!(!kept(CHAT, &[body, (ns::HINTS, "no-store")]));
        assert!(kept(CHAT, &[body, (ns::HINTS, "no-permanent-store")]));
        assert!(kept(
            CHAT,
            &[(ns::CHATSTATES, "gone"), (ns::HINTS, "store")]
        ));
        let error = Kind::Message(MessageType::Error);
        assert!(!kept(error, &[body, (ns::HINTS, "store")]));
    }
}
