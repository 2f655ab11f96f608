//! Roster get (RFC 6121 §2.1.3), whole or as what changed since a version (§2.6).

use std::sync::Arc;

use balcony_core::module::{Answer, Ctx, Request, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::roster::Roster;
use balcony_store::{Error, RosterChange};

use super::cache::{contacts_in_turn, rosters};
use super::push::{self, Interested};

/// Answers a client that asks for its roster, which makes it an interested resource (§2.2), or a
/// component that may read it.
pub(super) async fn answer(ctx: &mut Ctx<'_>, request: &Request, account: &Jid) -> Answer {
    let query = request.element()?;
    // §2.1.3: a get contains no item.
    if query.child(ns::ROSTER, "item").is_some() {
        return Err(StanzaError::bad_request());
    }
    let rosters = rosters(ctx).map_err(|cause| stanza_error(&cause))?;
    // With the turn no change falls between what is read here and the first push, and no push
    // gets into the queue in front of an older answer.
    let _turn = rosters.turn(account).await;
    let Some(session) = &request.session else {
        let whole = whole(ctx, account).await;
        return answer_component(ctx, request, whole.map_err(|cause| stanza_error(&cause))?);
    };
    let (payload, pushes) = read(ctx, account, query.attr("ver"))
        .await
        .map_err(|cause| stanza_error(&cause))?;
    session.notes(|notes| notes.set(Interested));
    let answer = ctx.answer(request, payload);
    for change in pushes {
        send(ctx, session, account, change);
    }
    answer
}

/// The result, and the pushes that are to follow it. The caller has the turn.
async fn read(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    ver: Option<&str>,
) -> Result<(Payload, Vec<RosterChange>), Error> {
    if let Some(changes) = changes(ctx, account, ver).await? {
        // §2.6.3: the empty result, then a push for each item.
        return Ok((Payload::empty(), changes));
    }
    Ok((whole(ctx, account).await?, Vec::new()))
}

/// XEP-0356 §4.3, in the order of the pushes to it.
fn answer_component(ctx: &mut Ctx<'_>, request: &Request, payload: Payload) -> Answer {
    if !ctx.core().is_elsewhere(request.from()?) {
        // In its name, by the server, which sees to the rest.
        return Ok(payload);
    }
    ctx.core().depart(request.stanza.result(payload));
    ctx.answer_later()
}

/// The whole roster. The caller has the turn.
async fn whole(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Payload, Error> {
    let data = ctx.store().roster().load(account.as_str()).await?;
    let rosters = rosters(ctx)?;
    rosters.keep(ctx, account, &rosters.contacts(&data));
    let roster = Roster {
        // §2.6.3: also for a client that did not ask for a version.
        ver: Some(data.version.to_string()),
        items: data.items.into_iter().filter_map(push::shown).collect(),
    };
    Ok(Payload::from_element(&roster.to_element()))
}

/// What changed since the client's version; `None` when the whole roster is to be sent, because
/// the version is not known or the roster is the shorter of the two (§2.6.3).
async fn changes(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    ver: Option<&str>,
) -> Result<Option<Vec<RosterChange>>, Error> {
    // The empty string bootstraps versioning (§2.6.2); anything else that is no number is not
    // ours.
    let Some(version) = ver.and_then(|ver| ver.parse().ok()) else {
        return Ok(None);
    };
    let contacts = contacts_in_turn(ctx, account).await?;
    if contacts.version == version {
        return Ok(Some(Vec::new()));
    }
    let changes = ctx
        .store()
        .roster()
        .changes_since(account.as_str(), version)
        .await?;
    Ok(changes.filter(|changes| changes.len() <= contacts.items().len()))
}

/// An interim push.
fn send(ctx: &mut Ctx<'_>, session: &Arc<Session>, account: &Jid, change: RosterChange) {
    let version = change.version();
    let item = match change {
        RosterChange::Set(item) => push::shown(item),
        RosterChange::Removed { jid, .. } => Jid::parse(&jid).ok().map(push::removed),
    };
    if let Some(item) = item {
        let payload = push::payload(version, item);
        ctx.push(session, push::stanza(account, session.jid(), payload));
    }
}
