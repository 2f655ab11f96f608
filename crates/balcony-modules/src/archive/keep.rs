//! What goes into the archives: each message once into that of each side (XEP-0313 §6.1.1).

use balcony_core::module::{Core, Ctx, Envelope, Flow, Side, Soon, stanza_error};
use balcony_proto::jid::Jid;
use balcony_store::ArchiveEntry;

use super::{prefs, retract, worth};
use crate::{stanza_id, stored};

/// The archive of the account that sends.
pub(super) fn sending(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let Some(session) = envelope.session() else {
        return Flow::Continue;
    };
    let account = session.account().clone();
    let Some(to) = envelope.to().cloned() else {
        return Flow::Continue;
    };
    // What one writes to oneself is kept as it comes.
    if to.bare_str() == account.as_str() {
        return Flow::Continue;
    }
    if is_worth_archiving(envelope) && prefs::archives_surely(ctx.core(), &account, &to) {
        archive(envelope, Side::Sender, &account, &to);
    }
    take_back(ctx.core(), envelope, Side::Sender, &account, &to);
    Flow::Continue
}

/// The archive of an account that is connected.
pub(super) fn arriving(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(from), Some(to)) = (envelope.from().cloned(), envelope.to().map(Jid::bare)) else {
        return Flow::Continue;
    };
    // What nobody gets now is looked at again, where the store may be asked.
    let later = envelope.recipients().is_empty();
    let archives = match later {
        true => prefs::archives(ctx.core(), &to, &from) == Some(true),
        false => prefs::archives_surely(ctx.core(), &to, &from),
    };
    if archives && is_worth_archiving(envelope) {
        archive(envelope, Side::Recipient, &to, &from);
    }
    if !later {
        take_back(ctx.core(), envelope, Side::Recipient, &to, &from);
    }
    Flow::Continue
}

/// The archive of an account that is absent, whose preferences must be read first.
pub(super) fn undelivered<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let (Some(from), Some(to)) = (envelope.from().cloned(), envelope.to().map(Jid::bare)) else {
        return Soon::Now(Flow::Continue);
    };
    let known = envelope.is_archived(Side::Recipient)
        || envelope.archive_id(Side::Recipient).is_some()
        || !is_worth_archiving(envelope);
    if known {
        take_back(ctx.core(), envelope, Side::Recipient, &to, &from);
        return Soon::Now(Flow::Continue);
    }
    Soon::later(async move {
        match prefs::archives_absent(ctx, &to, &from).await {
            Ok(true) => archive(envelope, Side::Recipient, &to, &from),
            Ok(false) => {}
            Err(cause) => return Flow::Reject(stanza_error(&cause)),
        }
        take_back(ctx.core(), envelope, Side::Recipient, &to, &from);
        Flow::Continue
    })
}

fn is_worth_archiving(envelope: &Envelope) -> bool {
    worth::worth(envelope.stanza.kind, &envelope.stanza.payload).archive
}

fn archive(envelope: &mut Envelope, side: Side, account: &Jid, with: &Jid) {
    let stanza = &envelope.stanza;
    let entry = ArchiveEntry {
        received_at: envelope.received_at(),
        with: with.to_string(),
        incoming: side == Side::Recipient,
        message_id: stanza.id.as_deref().map(str::to_owned),
        stanza: stored::encode(stanza),
    };
    envelope.archive(side, account.to_string(), entry);
}

/// Puts a tombstone into the archive of an account, if this message wants one.
fn take_back(core: &Core, envelope: &mut Envelope, side: Side, account: &Jid, with: &Jid) {
    let retraction = retract::of(envelope, side, account, with);
    let retraction = retraction.filter(|_| prefs::has_archive(core, account));
    envelope.writes.extend(retraction);
}

/// XEP-0313 §3.5: the recipient's archive tells its id, and to nobody else.
pub(super) fn stamp(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let id = envelope.archive_id(Side::Recipient);
    if let (Some(id), Some(to)) = (id, envelope.to()) {
        let element = stanza_id::element(to, id);
        envelope.stanza.payload.add(&element);
    }
    Flow::Continue
}
