//! The copies, and who gets them (XEP-0280 §7, §8).

use std::sync::Arc;

use balcony_core::module::{Ctx, Envelope, Flow, Session, Side};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::Stanza;
use balcony_proto::xep::forward;
use balcony_proto::xml::Element;

use super::{is_enabled, recent, rules};
use crate::{archive, offline, stanza_id};

/// §8: what a client sends goes to the account's other devices.
pub(super) fn sent(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(sender), Some(to)) = (envelope.session().cloned(), envelope.to().cloned()) else {
        return Flow::Continue;
    };
    // §7, and for what goes to the own account: who gets the message gets no copy.
    let mut others = ctx.sessions_of(sender.account());
    others.retain(|session| {
        session.id() != sender.id() && !is_recipient(envelope, session) && is_enabled(session)
    });
    if others.is_empty() {
        return Flow::Continue;
    }
    let stanza = &envelope.stanza;
    let id = stanza.id.as_deref();
    if !rules::is_eligible(stanza, Side::Sender, || recent::remembers(&sender, id, &to)) {
        return Flow::Continue;
    }
    recent::remember(&sender, id, &to);
    let mut original = stanza.clone();
    let archived = envelope.archive_id(Side::Sender);
    if let Some(id) = archived {
        // XEP-0359 §5: the account's own archive has it.
        let own = stanza_id::element(sender.account(), id);
        original.payload.add(&own);
    }
    let account = sender.account();
    copy(ctx, "sent", &original, archived.is_some(), account, &others);
    Flow::Continue
}

/// §7: what is for an account goes to those of its devices that do not get it anyway.
pub(super) fn received(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(from), Some(to)) = (envelope.from().cloned(), envelope.to()) else {
        return Flow::Continue;
    };
    let account = to.bare();
    if envelope.session().is_some() && from.bare_str() == account.as_str() {
        // The account writes to itself: all others have got it as what was sent.
        return Flow::Continue;
    }
    // They need not be available: the document asks for no presence, and who wants copies from its
    // binding on wants them all.
    let mut others = ctx.sessions_of(&account);
    let takers = envelope.recipients();
    // What nobody takes now waits, and comes as such to who takes it.
    let waits_for = |session: &Session| takers.is_empty() && offline::goes_to(ctx.core(), session);
    others.retain(|session| {
        is_enabled(session) && !is_recipient(envelope, session) && !waits_for(session)
    });
    if others.is_empty() {
        return Flow::Continue;
    }
    let stanza = &envelope.stanza;
    let id = stanza.id.as_deref();
    let is_answer = || {
        takers
            .iter()
            .any(|taker| recent::remembers(taker, id, &from))
    };
    if !rules::is_eligible(stanza, Side::Recipient, is_answer) {
        return Flow::Continue;
    }
    takers
        .iter()
        .for_each(|taker| recent::remember(taker, id, &from));
    let archived = envelope.archive_id(Side::Recipient);
    if takers.is_empty() {
        // Who takes what waits when it comes online has this one by then. Before the copies are
        // made, as somebody may come online on another worker meanwhile.
        for session in &others {
            archive::note_received(session, archived);
        }
    }
    copy(
        ctx,
        "received",
        stanza,
        archived.is_some(),
        &account,
        &others,
    );
    Flow::Continue
}

fn is_recipient(envelope: &Envelope, session: &Session) -> bool {
    let mut recipients = envelope.recipients().iter();
    recipients.any(|recipient| recipient.id() == session.id())
}

/// The same bytes for all, each with its own address. What a session does not get is forgotten: a
/// copy that does not arrive is nobody's business but that session's (§10.3). One of an archived
/// message does not overtake those that waited for its session.
fn copy(
    ctx: &mut Ctx<'_>,
    name: &'static str,
    original: &Stanza,
    is_archived: bool,
    account: &Jid,
    others: &[Arc<Session>],
) {
    let wrapper = Element::new(ns::CARBONS, name);
    let copy = Stanza::new(original.kind)
        .with_from(account.clone())
        .with_payload(forward::wrap(&wrapper, None, original));
    for session in others {
        let copy = copy.clone().with_to(session.jid().clone());
        let at_once = match is_archived {
            false => Some(copy),
            true => offline::set_aside(ctx.core(), session, copy),
        };
        if let Some(copy) = at_once {
            ctx.push(session, copy);
        }
    }
}
