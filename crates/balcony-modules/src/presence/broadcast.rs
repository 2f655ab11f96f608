//! Broadcast of presence (RFC 6121 §4.2, §4.4, §4.5).

use std::sync::Arc;

use balcony_core::module::{Ctx, Envelope, Event, Flow, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{PresenceType, Stanza};

use super::{Broadcasts, directed, priority};
use crate::turns::Turn;
use crate::{privilege, roster};

/// Initial and subsequent presence.
pub(super) async fn available(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    session: Arc<Session>,
) -> Flow {
    let priority = match priority::read(&envelope.stanza.payload) {
        Ok(priority) => priority,
        Err(error) => return Flow::Reject(error),
    };
    // Loads it, so that a failure comes before anybody is told.
    if let Err(error) = roster::contacts(ctx, session.account()).await {
        return Flow::Reject(stanza_error(&error));
    }
    let turn = turn(ctx, session.jid()).await;
    if !is_current(ctx, &session) {
        return Flow::Drop("the session ended");
    }
    let presence = envelope.stanza.clone().with_from(session.jid().clone());
    let first = !session.show(presence.clone(), priority);
    // Read after showing: who is allowed to see it from now on finds the session available.
    let contacts = roster::contacts(ctx, session.account())
        .await
        .unwrap_or_default();
    // §4.2.2, §4.4.2: to oneself as well.
    deliver(ctx, presence.clone().with_to(session.account().clone())).await;
    for contact in contacts
        .items()
        .iter()
        .filter(|c| c.standing.shows_presence())
    {
        if !is_away(ctx, &contact.jid) {
            deliver(ctx, presence.clone().with_to(Jid::clone(&contact.jid))).await;
        }
    }
    if first {
        let is_told = |jid: &Jid| {
            let standing = contacts.standing(jid.as_str());
            standing.is_some_and(roster::Standing::shows_presence)
        };
        privilege::show(ctx, &presence, is_told);
    }
    drop(turn);
    if first {
        probe(ctx, &session, session.account());
        for contact in contacts
            .items()
            .iter()
            .filter(|c| c.standing.sees_presence())
        {
            if !is_away(ctx, &contact.jid) {
                probe(ctx, &session, &contact.jid);
            }
        }
    }
    ctx.fire(Event::Available { session, first });
    // The router ends what has no address; hooks behind this one may look at it still.
    Flow::Continue
}

/// Whether a contact is one of ours that nobody would hear presence for, or tell theirs: without a
/// session. To ask its roster for each of them would be most of what a login costs. Whoever comes
/// online at the same time is not missed: both show themselves before they look for the other.
fn is_away(ctx: &Ctx<'_>, contact: &Jid) -> bool {
    ctx.host(contact.domain()).is_some() && !ctx.core().is_connected(contact)
}

/// §4.3.1. Within this server the probe carries the full JID, so that the resource that just came
/// gets the answers and the others do not get them again; over the network it must not.
fn probe(ctx: &mut Ctx<'_>, session: &Session, contact: &Jid) {
    let local = ctx.host(contact.domain()).is_some();
    let from = if local {
        session.jid()
    } else {
        session.account()
    };
    let probe = Stanza::presence(PresenceType::Probe)
        .with_from(from.clone())
        .with_to(contact.clone())
        .with_id(format!("probe{}", session.id()));
    ctx.send(probe);
}

/// §4.5.2: the client says that it goes, and its words are passed on.
pub(super) async fn unavailable(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    session: Arc<Session>,
) -> Flow {
    let presence = envelope.stanza.clone().with_from(session.jid().clone());
    let turn = turn(ctx, session.jid()).await;
    let was_available = session.hide();
    let directed = directed::take(&session);
    farewell(ctx, &session, &presence, was_available, directed).await;
    if was_available {
        // The one that goes is told as well, and is none of the available resources any more.
        ctx.push(&session, presence.with_to(session.account().clone()));
    }
    drop(turn);
    Flow::Continue
}

/// §4.5.2: the session is gone, whatever its client said.
pub(super) async fn ended(ctx: &mut Ctx<'_>, session: &Arc<Session>) {
    let _turn = turn(ctx, session.jid()).await;
    let mut directed = directed::take(session);
    let mut was_available = session.is_available();
    let successor = ctx.sessions().find(session.jid());
    if let Some(successor) = successor.filter(|successor| successor.is_available()) {
        // A new session has the resource and has said so: to all others nothing ended.
        was_available = false;
        directed.retain(|jid| !directed::includes(&successor, jid));
    }
    let presence = Stanza::presence(PresenceType::Unavailable).with_from(session.jid().clone());
    farewell(ctx, session, &presence, was_available, directed).await;
}

/// Tells all who know of the session that it is no longer available: subscribers and its own
/// account if it was available, and who got directed presence (§4.6.3 points 2 and 3).
async fn farewell(
    ctx: &mut Ctx<'_>,
    session: &Session,
    presence: &Stanza,
    was_available: bool,
    directed: Vec<Jid>,
) {
    let account = session.account();
    let mut told = Vec::new();
    if was_available {
        told.push(account.clone());
        match roster::contacts(ctx, account).await {
            Ok(contacts) => {
                let shown = contacts
                    .items()
                    .iter()
                    .filter(|c| c.standing.shows_presence());
                let there = shown.filter(|contact| !is_away(ctx, &contact.jid));
                told.extend(there.map(|contact| Jid::clone(&contact.jid)));
            }
            Err(cause) => {
                tracing::warn!(%cause, session = %session.jid(), "contacts are not told");
            }
        }
    }
    if was_available {
        privilege::show(ctx, presence, |jid| told.contains(jid));
    }
    let knows = |jid: &Jid| told.iter().any(|other| other.as_str() == jid.bare_str());
    let rest: Vec<Jid> = directed.into_iter().filter(|jid| !knows(jid)).collect();
    for to in told.into_iter().chain(rest) {
        deliver(ctx, presence.clone().with_to(to)).await;
    }
}

/// Tells a component that may know what a session shows, if it does.
pub(crate) async fn tell(ctx: &mut Ctx<'_>, session: &Session, to: &Jid) {
    let _turn = turn(ctx, session.jid()).await;
    if let Some(presence) = session.presence().filter(|_| session.is_available()) {
        ctx.core().depart_quietly(presence.with_to(to.clone()));
    }
}

/// Delivers at once, while the turn lasts: what is only queued could be overtaken.
async fn deliver(ctx: &mut Ctx<'_>, stanza: Stanza) {
    if let Some(pending) = ctx.core().submit(stanza) {
        pending.await;
    }
}

async fn turn(ctx: &mut Ctx<'_>, full: &Jid) -> Option<Turn> {
    Some(ctx.state::<Broadcasts>()?.0.take(full.as_str()).await)
}

/// Whether the session is the one that has its full JID.
fn is_current(ctx: &Ctx<'_>, session: &Session) -> bool {
    ctx.sessions()
        .find(session.jid())
        .is_some_and(|found| found.id() == session.id())
}
