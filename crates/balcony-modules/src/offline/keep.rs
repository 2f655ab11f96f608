//! Which messages wait for an absent account (XEP-0160 §3).

use balcony_core::module::{Ctx, Envelope, Flow, Side, Soon};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, StanzaError};
use balcony_store::{Bounds, Waiting, Write};

use crate::{archive, presence, stored};

/// A message that no resource takes (RFC 6121 §8.5.2.2.1, §8.5.3.2.1).
pub(super) fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let Some(account) = envelope.to().map(Jid::bare) else {
        return Soon::Now(Flow::Drop("a message without an address"));
    };
    if archive::worth(envelope.stanza.kind, &envelope.stanza.payload).queue {
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
        return Soon::Now(Flow::Continue);
    }
    match envelope.from().cloned() {
        Some(from) => Soon::later(turn_away(ctx, account, from)),
        None => Soon::Now(Flow::Drop("a message without a sender")),
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
