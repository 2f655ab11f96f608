//! Affiliations and subscriptions: what owners see and change (XEP-0060 §8.9), and what everybody
//! may ask about themselves (§5.6, §5.7).

use std::collections::HashSet;

use balcony_core::module::{Answer, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, NodeAffiliation, Write, WriteSet};

use super::choices::Place;
use super::node::{self, Node};
use super::subscribers::{self, Changed};
use super::subscription;

/// Affiliations of one node: more than a roster has contacts.
const MOST: u32 = 5_000;

/// Nodes that one answer about oneself names: as many as an address may own, and what a stanza
/// holds. Whoever is on more lists asks by node.
const LISTED: usize = 1_000;

/// Owners of one node beside the account that it is on: each is asked about every subscription
/// that is to be approved.
const MOST_OWNERS: usize = 10;

/// What an owner wants for somebody; `None`: no affiliation any more.
type Wish = (Jid, Option<NodeAffiliation>);

fn affiliation(ns: &'static str, of: (&'static str, &str), word: &'static str) -> Element {
    let (attr, value) = of;
    Element::new(ns, "affiliation")
        .with_attr(attr, value)
        .with_attr("affiliation", word)
}

/// §8.9.1: the affiliations of a node.
pub(super) async fn affiliations(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Answer {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let own = (node.place() == Place::Account).then_some((owner.as_str(), NodeAffiliation::Owner));
    let others = node.data.affiliations.iter();
    let others = others.map(|(jid, affiliation)| (jid.as_str(), *affiliation));
    let all = own.into_iter().chain(others);
    let all = all.map(|(jid, word)| affiliation(ns::PUBSUB_OWNER, ("jid", jid), word.as_str()));
    let list = Element::new(ns::PUBSUB_OWNER, "affiliations")
        .with_attr("node", node.name.as_str())
        .with_children(all);
    let pubsub = Element::new(ns::PUBSUB_OWNER, "pubsub").with_child(list);
    Ok(Payload::from_element(&pubsub))
}

/// §8.9.2: they are changed, all or none. Answers with the subscriptions that this decides over.
///
/// DEVIATION: XEP-0060 §8.9.2.4 has what is sound in a request done beside an error for the rest.
/// All or none is what its sender can reason about.
pub(super) async fn affiliate(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<(Node, Vec<Changed>), StanzaError> {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let wishes = wishes(&node, asked)?;
    let mut writes: WriteSet = wishes
        .iter()
        .map(|(jid, affiliation)| affiliation_set(&node, jid.as_str(), *affiliation))
        .collect();
    let decided = wishes
        .iter()
        .flat_map(|(jid, affiliation)| subscribers::decided(&node, jid, *affiliation));
    let changed: Vec<Changed> = decided.collect();
    writes.extend(changed.iter().map(|changed| changed.write(&node)));
    match ctx.commit(writes).await {
        Ok(_) => Ok((node, changed)),
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(Error::Limit(_)) => Err(StanzaError::resource_constraint()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

/// What gives somebody an affiliation; `None`: takes it away.
pub(super) fn affiliation_set(
    node: &Node,
    jid: &str,
    affiliation: Option<NodeAffiliation>,
) -> Write {
    Write::NodeAffiliationSet {
        owner: node.owner.to_string(),
        node: node.name.clone(),
        jid: jid.to_owned(),
        affiliation,
        max: MOST,
    }
}

fn wishes(node: &Node, asked: &Element) -> Result<Vec<Wish>, StanzaError> {
    let mut wishes: Vec<Wish> = Vec::new();
    let mut seen = HashSet::new();
    let listed = asked.children();
    for entry in listed.filter(|child| child.is(ns::PUBSUB_OWNER, "affiliation")) {
        let jid = entry.attr("jid").ok_or_else(StanzaError::bad_request)?;
        // §4.1: a bare JID.
        let jid = Jid::parse(jid)
            .map_err(|_| StanzaError::jid_malformed())?
            .bare();
        // §8.9.2.4
        if !seen.insert(jid.clone()) {
            return Err(StanzaError::bad_request());
        }
        let wish = match entry.attr("affiliation") {
            // §8.9.2.1: as it is.
            None => continue,
            Some("none") => None,
            Some(word) => Some(NodeAffiliation::parse(word).ok_or_else(StanzaError::bad_request)?),
        };
        if jid == node.owner && wish != Some(NodeAffiliation::Owner) {
            // §8.9.2.4; XEP-0163 §2.2: the account is the owner.
            return Err(StanzaError::not_acceptable());
        }
        if jid != node.owner {
            wishes.push((jid, wish));
        }
    }
    check_owners(node, &wishes)?;
    Ok(wishes)
}

/// A node keeps an owner and has no more than so many. On a service, where everybody makes nodes
/// and may own so many, nobody gets one who has not shown by a subscription that they know of it.
fn check_owners(node: &Node, wishes: &[Wish]) -> Result<(), StanzaError> {
    let owns = |jid: &Jid| node.affiliation(jid) == Some(NodeAffiliation::Owner);
    let new = wishes
        .iter()
        .filter(|(jid, wish)| *wish == Some(NodeAffiliation::Owner) && !owns(jid));
    let new: Vec<&Jid> = new.map(|(jid, _)| jid).collect();
    if !new.is_empty() && node.owners().len() + new.len() > MOST_OWNERS {
        return Err(StanzaError::not_acceptable().with_text("too many owners"));
    }
    if node.place() == Place::Account {
        return Ok(());
    }
    if new
        .iter()
        .any(|jid| node.subscriptions_of(jid).next().is_none())
    {
        let error = StanzaError::not_acceptable();
        return Err(error.with_text("an owner subscribes to the node first"));
    }
    keep_an_owner(node, wishes)
}

/// Nobody could look after a node without an owner.
fn keep_an_owner(node: &Node, wishes: &[Wish]) -> Result<(), StanzaError> {
    let wish = |of: &str| wishes.iter().find(|(jid, _)| jid.as_str() == of);
    let mut before = node.owners().into_iter();
    let stays = before.any(|owner| wish(owner).is_none());
    let comes = wishes
        .iter()
        .any(|(_, wish)| *wish == Some(NodeAffiliation::Owner));
    match stays || comes {
        true => Ok(()),
        false => Err(StanzaError::not_acceptable().with_text("a node keeps an owner")),
    }
}

/// §5.7: what whoever asks is to the nodes of an account.
pub(super) async fn own_affiliations(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Answer {
    let wanted = asked.attr("node");
    let found = match who.bare_str() == owner.as_str() {
        true => {
            let nodes = ctx
                .store()
                .pubsub()
                .nodes(owner.as_str(), None, u32::MAX)
                .await;
            let nodes = nodes.map_err(|cause| stanza_error(&cause))?.into_iter();
            nodes
                .map(|entry| (entry.node, NodeAffiliation::Owner))
                .collect()
        }
        false => {
            let found = ctx
                .store()
                .pubsub()
                .affiliations_of(owner.as_str(), who.bare_str());
            found.await.map_err(|cause| stanza_error(&cause))?
        }
    };
    let found = found
        .iter()
        .filter(|(node, _)| wanted.is_none_or(|wanted| wanted == node))
        .take(LISTED);
    let found = found.map(|(node, word)| affiliation(ns::PUBSUB, ("node", node), word.as_str()));
    let list = Element::new(ns::PUBSUB, "affiliations")
        .with_opt_attr("node", wanted)
        .with_children(found);
    Ok(Payload::from_element(
        &Element::new(ns::PUBSUB, "pubsub").with_child(list),
    ))
}

/// §5.6: the subscriptions of whoever asks.
pub(super) async fn own_subscriptions(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Answer {
    let wanted = asked.attr("node");
    let found = ctx
        .store()
        .pubsub()
        .subscriptions_of(owner.as_str(), who.bare_str())
        .await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    let now = ctx.utc_micros();
    let found = found.iter().filter(|(node, subscription)| {
        let wanted = wanted.is_none_or(|wanted| wanted == node);
        wanted && !subscription::is_over(subscription, now)
    });
    let found = found.take(LISTED);
    let found = found.map(|(node, of)| subscription::written(ns::PUBSUB, Some(node), of));
    let list = Element::new(ns::PUBSUB, "subscriptions")
        .with_opt_attr("node", wanted)
        .with_children(found);
    Ok(Payload::from_element(
        &Element::new(ns::PUBSUB, "pubsub").with_child(list),
    ))
}
