//! What becomes of subscriptions: what owners see and decide (XEP-0060 §8.6, §8.8), and what an
//! affiliation decides (§8.7).

use std::collections::HashSet;

use balcony_core::module::{Answer, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, NodeAffiliation, NodeSubscription, SubscriptionState, Write, WriteSet};

use super::node::{self, Node};
use super::subscribe::MOST;
use super::subscription;

/// A subscription that is to be something else.
pub(super) struct Changed {
    before: NodeSubscription,
    /// Whether it stands from now on, or is gone.
    pub(super) stands: bool,
}

impl Changed {
    /// Whom it is for.
    pub(super) fn jid(&self) -> &str {
        &self.before.jid
    }

    /// What it is now; `None`: there is none any more.
    pub(super) fn state(&self) -> Option<SubscriptionState> {
        self.stands.then_some(SubscriptionState::Subscribed)
    }

    /// What makes it so.
    pub(super) fn write(&self, node: &Node) -> Write {
        let (owner, name) = (node.owner.to_string(), node.name.clone());
        match self.stands {
            true => Write::SubscriptionSet {
                owner,
                node: name,
                subscription: NodeSubscription {
                    state: SubscriptionState::Subscribed,
                    ..self.before.clone()
                },
                max: MOST,
            },
            false => Write::SubscriptionRemove {
                owner,
                node: name,
                jid: self.before.jid.clone(),
                subid: None,
            },
        }
    }
}

/// §8.7, the note: what a new affiliation decides of somebody's subscriptions. Who may publish or
/// owns need not wait; who is cast out has none.
pub(super) fn decided(
    node: &Node,
    jid: &Jid,
    affiliation: Option<NodeAffiliation>,
) -> Vec<Changed> {
    let stands = match affiliation {
        Some(NodeAffiliation::Owner | NodeAffiliation::Publisher | NodeAffiliation::Member) => true,
        Some(NodeAffiliation::Outcast) => false,
        Some(NodeAffiliation::PublishOnly) | None => return Vec::new(),
    };
    let theirs = node.subscriptions_of(jid).cloned();
    theirs
        .filter(|before| !stands || before.state == SubscriptionState::Pending)
        .map(|before| Changed { before, stands })
        .collect()
}

/// §8.8.1: who has subscribed.
pub(super) async fn list(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Answer {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let now = ctx.utc_micros();
    let all = node.data.subscriptions.iter();
    let standing = all.filter(|found| subscription::stands(found, now));
    let standing = standing.map(|found| subscription::written(ns::PUBSUB_OWNER, None, found));
    let list = Element::new(ns::PUBSUB_OWNER, "subscriptions")
        .with_attr("node", node.name.as_str())
        .with_children(standing);
    let pubsub = Element::new(ns::PUBSUB_OWNER, "pubsub").with_child(list);
    Ok(Payload::from_element(&pubsub))
}

/// §8.8.2: subscriptions are approved or ended, all or none.
///
/// DEVIATION: an owner subscribes nobody who has not asked for it: on a service where everybody may
/// make nodes that would be a way to send everything to everybody.
pub(super) async fn change(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<(Node, Vec<Changed>), StanzaError> {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let changed = wishes(&node, asked, ctx.utc_micros())?;
    decide(ctx, &node, &changed).await?;
    Ok((node, changed))
}

/// Commits what was decided.
///
/// # Errors
/// `item-not-found` for a node that was deleted meanwhile, and those of the store.
pub(super) async fn decide(
    ctx: &mut Ctx<'_>,
    node: &Node,
    changed: &[Changed],
) -> Result<(), StanzaError> {
    if changed.is_empty() {
        return Ok(());
    }
    let writes: WriteSet = changed.iter().map(|changed| changed.write(node)).collect();
    match ctx.commit(writes).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

fn wishes(node: &Node, asked: &Element, now: i64) -> Result<Vec<Changed>, StanzaError> {
    let mut changed = Vec::new();
    let mut seen = HashSet::new();
    let listed = asked.children();
    for entry in listed.filter(|child| child.is(ns::PUBSUB_OWNER, "subscription")) {
        let jid = entry.attr("jid").ok_or_else(StanzaError::bad_request)?;
        let jid = Jid::parse(jid).map_err(|_| StanzaError::jid_malformed())?;
        // §8.8.2.4
        if !seen.insert(jid.clone()) {
            return Err(StanzaError::bad_request());
        }
        let stands = match entry.attr("subscription") {
            // §8.8.2.1: as it is.
            None => continue,
            Some("none") => false,
            Some("subscribed") => true,
            Some(_) => return Err(StanzaError::not_acceptable()),
        };
        let mut all = node.data.subscriptions.iter();
        let is_it = |before: &&NodeSubscription| {
            before.jid == jid.as_str() && !subscription::is_over(before, now)
        };
        match all.find(is_it) {
            Some(before) if stands && before.state == SubscriptionState::Subscribed => {}
            Some(before) => changed.push(Changed {
                before: before.clone(),
                stands,
            }),
            None if stands => {
                let error = StanzaError::not_acceptable();
                return Err(error.with_text("only who has asked for it can be subscribed"));
            }
            None => {}
        }
    }
    Ok(changed)
}

/// What an owner has decided of a request that waits (§8.6). `None`: it does not wait any more.
pub(super) fn answered(node: &Node, jid: &Jid, allow: bool, now: i64) -> Option<Changed> {
    let mut all = node.data.subscriptions.iter();
    let before = all.find(|before| {
        before.jid == jid.as_str()
            && before.state == SubscriptionState::Pending
            && !subscription::is_over(before, now)
    })?;
    Some(Changed {
        before: before.clone(),
        stands: allow,
    })
}
