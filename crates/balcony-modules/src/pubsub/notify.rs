//! Who is told of what happens on a node (XEP-0163 §4, XEP-0060 §9), and how.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use balcony_core::module::{Ctx, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::delay::Delay;
use balcony_proto::xml::Element;
use balcony_store::{PubsubItem, SubscriptionState};

use super::access::{self, AccessModel};
use super::choices::{Notification, Place, SendLast};
use super::event;
use super::hearing;
use super::interest;
use super::items;
use super::node::{self, Node};
use super::subscription::{self, Options};
use crate::{blocking, roster};

/// Ids of notifications (XEP-0060 §12.4).
#[derive(Default)]
pub(super) struct Ids(AtomicU64);

impl Ids {
    /// One that no other notification of this run of the server has.
    fn next(&self) -> String {
        format!("event{}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a node says to somebody.
pub(super) fn message(ctx: &Ctx<'_>, owner: &Jid, payload: &Payload, kind: MessageType) -> Stanza {
    let id = ctx.state::<super::State>().map(|state| state.ids.next());
    // XEP-0163 §4.3.1: from the bare JID.
    Stanza::message(kind)
        .with_from(owner.clone())
        .with_id(id.unwrap_or_default())
        .with_payload(payload.clone())
}

/// How a node's news are sent. §12.7: headlines are not kept for who is offline.
fn kind(node: &Node) -> MessageType {
    match node.config.notification {
        Notification::Headline => MessageType::Headline,
        Notification::Normal => MessageType::Normal,
    }
}

/// Whom a node's news go to.
#[derive(Default)]
struct Audience {
    sessions: Vec<Arc<Session>>,
    /// Clients on other servers, and explicit subscribers none of whose clients has said what it
    /// wants.
    others: Vec<Jid>,
    seen: HashSet<u64>,
    named: HashSet<Jid>,
}

impl Audience {
    fn add(&mut self, session: Arc<Session>) {
        if self.seen.insert(session.id()) {
            self.sessions.push(session);
        }
    }

    fn add_other(&mut self, jid: Jid) {
        if self.named.insert(jid.clone()) {
            self.others.push(jid);
        }
    }

    /// The clients of an account that want to hear of an account's node. Answers how many there
    /// are.
    fn add_interested(&mut self, ctx: &Ctx<'_>, account: &Jid, node: &Node) -> usize {
        let sessions = ctx.sessions_of(account).into_iter();
        let interested = sessions.filter(|session| interest::wants(session, &node.name));
        let ours = interested.map(|session| self.add(session)).count();
        let theirs = wanting_elsewhere(ctx, account, node);
        ours + theirs.into_iter().map(|jid| self.add_other(jid)).count()
    }
}

/// The clients on another server of somebody who sees an account, that want to hear of its node.
fn wanting_elsewhere(ctx: &Ctx<'_>, contact: &Jid, node: &Node) -> Vec<Jid> {
    let state = ctx.state::<super::State>();
    let found = state.map(|state| state.theirs.wanting(contact, &node.owner, &node.name));
    found.unwrap_or_default()
}

/// Tells everybody who is to hear of something.
pub(super) async fn tell(ctx: &mut Ctx<'_>, node: &Node, event: &Element) {
    if !node.config.notifications {
        return;
    }
    let audience = match audience(ctx, node).await {
        Ok(audience) => audience,
        Err(error) => {
            let condition = error.condition.as_str();
            tracing::warn!(owner = %node.owner, node = node.name, condition, "nobody is told");
            return;
        }
    };
    let payload = Payload::from_element(event);
    let replaces_last = event::replaces_last(event);
    for session in audience.sessions {
        if replaces_last {
            hearing::heard(&session, &node.owner, &node.name);
        }
        let stanza = message(ctx, &node.owner, &payload, kind(node));
        ctx.push(&session, stanza.with_to(session.jid().clone()));
    }
    for jid in audience.others {
        let stanza = message(ctx, &node.owner, &payload, kind(node));
        if ctx.core().is_elsewhere(&jid) {
            // At once, so that everybody hears of changes in their order.
            ctx.core().depart(stanza.with_to(jid));
        } else {
            ctx.send(stanza.with_to(jid));
        }
    }
}

/// Tells a subscriber what its subscription is now (§12.14); `None`: there is none any more.
pub(super) fn state(ctx: &mut Ctx<'_>, node: &Node, jid: &Jid, state: Option<SubscriptionState>) {
    let event = event::subscription(&node.name, jid.as_str(), state);
    let payload = Payload::from_element(&event);
    // Kept for who is absent: it is not said again.
    let stanza = message(ctx, &node.owner, &payload, MessageType::Normal);
    ctx.send(stanza.with_to(jid.clone()));
}

async fn audience(ctx: &mut Ctx<'_>, node: &Node) -> Result<Audience, StanzaError> {
    let mut audience = Audience::default();
    if node.place() == Place::Account {
        // XEP-0163 §4: all the owner's clients that want it.
        audience.add_interested(ctx, &node.owner, node);
        add_contacts(ctx, node, &mut audience).await?;
    }
    add_subscribers(ctx, node, &mut audience).await?;
    Ok(audience)
}

/// XEP-0060 §9.1.2: contacts are subscribed by being subscribed to the owner's presence.
async fn add_contacts(
    ctx: &mut Ctx<'_>,
    node: &Node,
    audience: &mut Audience,
) -> Result<(), StanzaError> {
    if node.config.access == AccessModel::Whitelist && node.data.affiliations.is_empty() {
        return Ok(());
    }
    let contacts = roster::contacts(ctx, &node.owner).await;
    let contacts = contacts.map_err(|cause| stanza_error(&cause))?;
    for contact in contacts
        .items()
        .iter()
        .filter(|c| c.standing.shows_presence())
    {
        let sessions = ctx.sessions_of(&contact.jid).into_iter();
        let wanting = sessions.filter(|session| interest::wants(session, &node.name));
        let wanting: Vec<Arc<Session>> = wanting.collect();
        let elsewhere = wanting_elsewhere(ctx, &contact.jid, node);
        let nobody = wanting.is_empty() && elsewhere.is_empty();
        if nobody || !may_read(ctx, node, &contact.jid).await? {
            continue;
        }
        for jid in elsewhere {
            if !is_blocked(ctx, &node.owner, &jid).await? {
                audience.add_other(jid);
            }
        }
        for session in wanting {
            if !is_blocked(ctx, &node.owner, session.jid()).await? {
                audience.add(session);
            }
        }
    }
    Ok(())
}

/// XEP-0060 §6.1; XEP-0163 §4.3.2.
async fn add_subscribers(
    ctx: &mut Ctx<'_>,
    node: &Node,
    audience: &mut Audience,
) -> Result<(), StanzaError> {
    let mut ended = Vec::new();
    for subscription in &node.data.subscriptions {
        let Ok(jid) = Jid::parse(&subscription.jid) else {
            continue;
        };
        let is_over = subscription::is_over(subscription, ctx.utc_micros());
        if !is_over && subscription.state != SubscriptionState::Subscribed {
            continue;
        }
        if is_over || !may_read(ctx, node, &jid).await? {
            ended.push(jid);
            continue;
        }
        if !Options::of(subscription).deliver || is_blocked(ctx, &node.owner, &jid).await? {
            continue;
        }
        // §12.3: a service sends it to the address that was given.
        let resource_elsewhere = jid.is_full() && ctx.core().is_elsewhere(&jid);
        if node.place() == Place::Service || resource_elsewhere {
            audience.add_other(jid);
        } else if jid.is_full() {
            let session = ctx.sessions().find(&jid);
            session
                .into_iter()
                .for_each(|session| audience.add(session));
        } else if audience.add_interested(ctx, &jid, node) == 0 {
            audience.add_other(jid);
        }
    }
    cancel(ctx, node, &ended).await;
    Ok(())
}

/// XEP-0163 §7.1: who may not see the node any more is not subscribed any more, nor is who had a
/// lease that is over. Found out when there is something to tell, which comes to the same for
/// whoever is told.
async fn cancel(ctx: &mut Ctx<'_>, node: &Node, ended: &[Jid]) {
    if ended.is_empty() {
        return;
    }
    let writes = ended.iter().map(|jid| subscription::removal(node, jid));
    // The node may be gone just now, and its subscriptions with it.
    match ctx.commit(writes.collect()).await.map(drop) {
        Ok(()) => ended.iter().for_each(|jid| state(ctx, node, jid, None)),
        Err(cause) => tracing::debug!(%cause, "subscriptions were not canceled"),
    }
}

async fn may_read(ctx: &mut Ctx<'_>, node: &Node, who: &Jid) -> Result<bool, StanzaError> {
    let standing = node.standing(ctx, who).await?;
    Ok(access::may_read(node.config.access, standing).is_ok())
}

/// Whether the owner blocks somebody, or is blocked by them (XEP-0163 §4.3.3).
pub(super) async fn is_blocked(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
) -> Result<bool, StanzaError> {
    if owner.as_str() == who.bare_str() {
        return Ok(false);
    }
    if blocking::blocks_online(ctx.core(), &who.bare(), owner) {
        return Ok(true);
    }
    // A service has no list.
    if Place::of(owner) == Place::Service {
        return Ok(false);
    }
    let blocks = blocking::blocks(ctx, owner, who).await;
    blocks.map_err(|cause| stanza_error(&cause))
}

/// The last item for somebody who has just subscribed (XEP-0060 §6.1.7).
pub(super) async fn welcome(ctx: &mut Ctx<'_>, node: &Node, jid: Jid) {
    if node.config.send_last == SendLast::Never || !node.config.notifications {
        return;
    }
    match last_for(ctx, node, &jid).await {
        Ok(Some(item)) => {
            let payload = past(&node.name, &item, node.config.payloads);
            let stanza = message(ctx, &node.owner, &payload, kind(node));
            ctx.send(stanza.with_to(jid));
        }
        Ok(None) => {}
        Err(error) => {
            let condition = error.condition.as_str();
            tracing::warn!(owner = %node.owner, node = node.name, condition, "no last item");
        }
    }
}

/// The last item of a node, if a subscriber is to get it as things stand now.
async fn last_for(
    ctx: &mut Ctx<'_>,
    node: &Node,
    jid: &Jid,
) -> Result<Option<PubsubItem>, StanzaError> {
    let Some(node) = node::seen_by(ctx, &node.owner, &node.name, jid).await? else {
        return Ok(None);
    };
    let now = ctx.utc_micros();
    let mut theirs = node.subscriptions_of(jid);
    let theirs = theirs.find(|theirs| theirs.jid == jid.as_str());
    let wants = theirs
        .is_some_and(|theirs| subscription::stands(theirs, now) && Options::of(theirs).deliver);
    if !wants || !may_read(ctx, &node, jid).await? || is_blocked(ctx, &node.owner, jid).await? {
        return Ok(None);
    }
    items::last(ctx, &node).await
}

/// An item that was published some time ago, with that time (§6.1.7).
fn past(node: &str, item: &PubsubItem, payloads: bool) -> Payload {
    let delay = Delay {
        from: None,
        stamp: item.published_at,
        reason: None,
    };
    let event = event::published(node, Some(item), payloads);
    Payload::from_elements(&[event, delay.to_element()])
}

/// The last item of a node for a client that has just come online.
pub(super) fn catch_up(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    owner: &Jid,
    node: &str,
    item: &PubsubItem,
    payloads: bool,
) {
    let stanza = past_item(ctx, owner, node, item, payloads);
    ctx.push(session, stanza.with_to(session.jid().clone()));
}

/// The same, still without whom it is for.
pub(super) fn past_item(
    ctx: &Ctx<'_>,
    owner: &Jid,
    node: &str,
    item: &PubsubItem,
    payloads: bool,
) -> Stanza {
    // Whoever comes online is there.
    message(
        ctx,
        owner,
        &past(node, item, payloads),
        MessageType::Headline,
    )
}
