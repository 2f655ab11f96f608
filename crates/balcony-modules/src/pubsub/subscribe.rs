//! Subscribing and unsubscribing (XEP-0060 §6.1, §6.2), for those who are not told anyway.

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, Write};

use super::access;
use super::errors;
use super::node::{self, Node};
use super::people;

/// Subscriptions of one node, each of which is told of every item.
const MOST: u32 = 5_000;

/// Subscriptions of one subscriber to one node, with different resources: more than people have
/// devices.
const MOST_OF_ONE: usize = 10;

/// The address that is to be told: one of whoever asks.
fn address(asked: &Element) -> Result<Jid, StanzaError> {
    let jid = asked.attr("jid").ok_or_else(errors::invalid_jid)?;
    Jid::parse(jid).map_err(|_| errors::invalid_jid())
}

/// §6.1. Answers with the node, for the last item.
///
/// # Errors
/// §6.1.3.
pub(super) async fn subscribe(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<(Payload, Node, Jid), StanzaError> {
    let jid = address(asked)?;
    // §6.1.3.1
    if jid.bare_str() != who.bare_str() {
        return Err(errors::invalid_jid());
    }
    let node = node::get(ctx, owner, node::named(asked)?).await?;
    let standing = node.standing(ctx, who).await?;
    access::may_read(node.config.access, standing)?;
    let theirs = node.subscriptions_of(&jid);
    let others = theirs.filter(|subscription| subscription.jid != jid.as_str());
    if others.count() >= MOST_OF_ONE {
        return Err(errors::too_many_subscriptions());
    }
    // §6.1.6: once for each address; again, it is answered as if it had just been approved.
    let subscription = people::subscription(&jid);
    let answer = people::written(&node.name, &subscription);
    let write = Write::SubscriptionSet {
        owner: owner.to_string(),
        node: node.name.clone(),
        subscription,
        max: MOST,
    };
    match ctx.commit(write.into()).await {
        Ok(_) => {}
        Err(Error::Limit(_)) => return Err(errors::too_many_subscriptions()),
        Err(Error::NotFound) => return Err(StanzaError::item_not_found()),
        Err(cause) => return Err(stanza_error(&cause)),
    }
    let answer = Element::new(ns::PUBSUB, "pubsub").with_child(answer);
    Ok((Payload::from_element(&answer), node, jid))
}

/// §6.2
///
/// # Errors
/// §6.2.3.
pub(super) async fn unsubscribe(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<Payload, StanzaError> {
    let jid = address(asked)?;
    // §6.2.3.3
    if jid.bare_str() != who.bare_str() {
        return Err(StanzaError::forbidden());
    }
    let node = node::seen_by(ctx, owner, node::named(asked)?, who).await?;
    // §6.2.3.4
    let node = node.ok_or_else(StanzaError::item_not_found)?;
    let mut subscriptions = node.data.subscriptions.iter();
    if !subscriptions.any(|subscription| subscription.jid == jid.as_str()) {
        return Err(errors::not_subscribed());
    }
    let write = Write::SubscriptionRemove {
        owner: owner.to_string(),
        node: node.name.clone(),
        jid: jid.to_string(),
        subid: None,
    };
    match ctx.commit(write.into()).await {
        Ok(_) => Ok(Payload::empty()),
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}
