//! Roster get (RFC 6121 §2.1.3), whole or as what changed since a version (§2.6).

use std::sync::Arc;

use balcony_core::module::{Answer, Ctx, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::roster::Roster;
use balcony_proto::xml::Element;
use balcony_store::{Error, RosterChange};

use super::cache::{contacts_in_turn, rosters};
use super::contacts::Contacts;
use super::push::{self, Interested};

/// Answers a client that asks for its roster, which makes it an interested resource (§2.2).
pub(super) async fn answer(
    ctx: &mut Ctx<'_>,
    session: &Session,
    account: &Jid,
    query: &Element,
) -> Answer {
    // §2.1.3: a get contains no item.
    if query.child(ns::ROSTER, "item").is_some() {
        return Err(StanzaError::bad_request());
    }
    let answer = read(ctx, session, account, query.attr("ver")).await;
    answer.map_err(|error| stanza_error(&error))
}

async fn read(
    ctx: &mut Ctx<'_>,
    session: &Session,
    account: &Jid,
    ver: Option<&str>,
) -> Result<Payload, Error> {
    let rosters = rosters(ctx)?;
    // With the turn, no change can fall between what is read here and the first push.
    let _turn = rosters.turn(account).await;
    if let Some(changes) = changes(ctx, account, ver).await? {
        session.notes(|notes| notes.set(Interested));
        // §2.6.3: the empty result, then a push for each item.
        for change in changes {
            send(ctx, session, account, change);
        }
        return Ok(Payload::empty());
    }
    let data = ctx.store().roster().load(account.as_str()).await?;
    rosters.keep(ctx, account, &Arc::new(Contacts::new(&data)));
    session.notes(|notes| notes.set(Interested));
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

/// An interim push: behind the answer, hence not written to the session at once.
fn send(ctx: &mut Ctx<'_>, session: &Session, account: &Jid, change: RosterChange) {
    let version = change.version();
    let item = match change {
        RosterChange::Set(item) => push::shown(item),
        RosterChange::Removed { jid, .. } => Jid::parse(&jid).ok().map(push::removed),
    };
    if let Some(item) = item {
        ctx.send(push::stanza(
            account,
            session.jid(),
            push::payload(version, item),
        ));
    }
}
