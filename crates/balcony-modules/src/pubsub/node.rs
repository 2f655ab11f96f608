//! A node as it is stored, and how somebody stands to it.

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;
use balcony_store::{NodeAffiliation, NodeData, NodeSubscription, Stored, Subscription};

use super::access::{self, AccessModel, Standing};
use super::choices::Place;
use super::config::NodeConfig;
use super::errors;
use super::subscription;
use crate::presence;

/// Bytes of a node's name and of an item's id. Names are namespaces, of which `[limits]` allows as
/// much; ids are hashes or addresses, and an address has 3,071 bytes at most (RFC 7622 §3.1).
const NAME_BYTES: usize = 1_024;
const ID_BYTES: usize = 3_071;

/// A payload in canonical form, with its own namespace.
const CANONICAL: u16 = 1;

/// A node of an account.
pub(super) struct Node {
    pub(super) owner: Jid,
    pub(super) name: String,
    pub(super) config: NodeConfig,
    pub(super) data: NodeData,
}

/// The node that an element names.
///
/// # Errors
/// XEP-0060 §7.2.3.3, §8.2.3.3: `nodeid-required`.
pub(super) fn named(element: &Element) -> Result<&str, StanzaError> {
    match element.attr("node") {
        None | Some("") => Err(errors::nodeid_required()),
        Some(name) if name.len() > NAME_BYTES => {
            Err(StanzaError::not_acceptable().with_text("the name of the node is too long"))
        }
        Some(name) => Ok(name),
    }
}

/// The id of an `<item/>`; `None`: it has none.
///
/// # Errors
/// `not-acceptable` for one that is too long.
pub(super) fn id_of(item: &Element) -> Result<Option<String>, StanzaError> {
    match item.attr("id") {
        None | Some("") => Ok(None),
        Some(id) if id.len() > ID_BYTES => {
            Err(StanzaError::not_acceptable().with_text("the id of the item is too long"))
        }
        Some(id) => Ok(Some(id.to_owned())),
    }
}

/// An id that nobody can guess.
pub(super) fn new_id() -> Result<String, StanzaError> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|_| StanzaError::internal_server_error())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A payload as the store keeps it; nothing is kept of none.
pub(super) fn kept(payload: Option<&Element>) -> Stored {
    Stored {
        format: CANONICAL,
        bytes: payload
            .map(|payload| payload.to_bytes(""))
            .unwrap_or_default(),
    }
}

/// Reads what [`kept`] wrote.
pub(super) fn payload(row: &Stored) -> Option<Element> {
    if row.bytes.is_empty() {
        return None;
    }
    let element = match row.format {
        CANONICAL => Element::parse(&row.bytes, "").ok(),
        _ => None,
    };
    if element.is_none() {
        tracing::error!(format = row.format, "an item cannot be read");
    }
    element
}

/// A node with all who have to do with it; `None` when there is no such node, or no such account.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn find(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    name: &str,
) -> Result<Option<Node>, StanzaError> {
    read(ctx, owner, name, None).await
}

/// The same with what somebody is to it alone: for whoever only looks, as a node may have thousands
/// of subscribers.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn seen_by(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    name: &str,
    who: &Jid,
) -> Result<Option<Node>, StanzaError> {
    read(ctx, owner, name, Some(who)).await
}

async fn read(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    name: &str,
    who: Option<&Jid>,
) -> Result<Option<Node>, StanzaError> {
    let pubsub = ctx.store().pubsub();
    let found = pubsub.node(owner.as_str(), name, who.map(Jid::bare_str));
    let found = found.await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    Ok(found.map(|data| Node {
        owner: owner.clone(),
        name: name.to_owned(),
        config: NodeConfig::of(&data.config),
        data,
    }))
}

/// A node that must be there.
///
/// # Errors
/// XEP-0060 §6.5.9.11, §7.2.3.2, §8.2.3.5: `item-not-found`.
pub(super) async fn get(ctx: &mut Ctx<'_>, owner: &Jid, name: &str) -> Result<Node, StanzaError> {
    let found = find(ctx, owner, name).await?;
    found.ok_or_else(StanzaError::item_not_found)
}

/// A node for whoever may decide over it.
///
/// # Errors
/// As [`get`]; XEP-0060 §8.2.3.2: `forbidden`.
pub(super) async fn owned(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    name: &str,
    who: &Jid,
) -> Result<Node, StanzaError> {
    let node = get(ctx, owner, name).await?;
    // Whoever runs the server looks after what strangers make on its service.
    let runs_it = node.place() == Place::Service && ctx.core().is_admin_anywhere(who);
    match node.affiliation(who) {
        Some(NodeAffiliation::Owner) => Ok(node),
        _ if runs_it => Ok(node),
        _ => Err(StanzaError::forbidden()),
    }
}

impl Node {
    /// Where it is.
    pub(super) fn place(&self) -> Place {
        Place::of(&self.owner)
    }

    /// Who owns it, as bare JIDs.
    pub(super) fn owners(&self) -> Vec<&str> {
        let own = (self.place() == Place::Account).then(|| self.owner.as_str());
        let listed = self.data.affiliations.iter();
        let listed = listed.filter(|(_, is)| *is == NodeAffiliation::Owner);
        own.into_iter()
            .chain(listed.map(|(jid, _)| jid.as_str()))
            .collect()
    }

    /// What somebody is to the node. Its account owns it (XEP-0163 §2.2).
    pub(super) fn affiliation(&self, who: &Jid) -> Option<NodeAffiliation> {
        if who.bare_str() == self.owner.as_str() {
            return Some(NodeAffiliation::Owner);
        }
        let mut listed = self.data.affiliations.iter();
        let found = listed.find(|(jid, _)| jid == who.bare_str());
        found.map(|(_, affiliation)| *affiliation)
    }

    /// The subscriptions of somebody, with any of their addresses.
    pub(super) fn subscriptions_of(&self, who: &Jid) -> impl Iterator<Item = &NodeSubscription> {
        let all = self.data.subscriptions.iter();
        all.filter(move |subscription| {
            let of = subscription.jid.split('/').next().unwrap_or_default();
            of == who.bare_str()
        })
    }

    /// Whether somebody has subscribed (XEP-0060 §6.1), with any of their addresses.
    fn is_subscribed(&self, who: &Jid, now: i64) -> bool {
        let mut theirs = self.subscriptions_of(who);
        theirs.any(|theirs| subscription::stands(theirs, now))
    }

    /// How somebody stands to the node. Asks the store only for what the access model needs.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn standing(
        &self,
        ctx: &mut Ctx<'_>,
        who: &Jid,
    ) -> Result<Standing, StanzaError> {
        let affiliation = self.affiliation(who);
        if affiliation == Some(NodeAffiliation::Owner) {
            return Ok(Standing::OWNER);
        }
        let mut standing = Standing {
            affiliation,
            subscribed: self.is_subscribed(who, ctx.utc_micros()),
            ..Standing::default()
        };
        let access = self.config.access;
        if access == AccessModel::Presence && affiliation.is_none() {
            let shared = presence::is_shared(ctx, &self.owner, None, who).await;
            standing.sees_presence = shared.map_err(|cause| stanza_error(&cause))?;
        }
        if access == AccessModel::Roster && affiliation.is_none() {
            let (sees, groups) = in_roster(ctx, &self.owner, who).await?;
            standing.sees_presence = sees;
            standing.in_group = groups
                .iter()
                .any(|group| self.config.groups.contains(group));
        }
        // Who may not read any more has no subscription, though it is still written down.
        standing.subscribed &= access::may_read(access, standing).is_ok();
        Ok(standing)
    }
}

/// Whether a contact receives the owner's presence, and the groups that it is in.
async fn in_roster(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
) -> Result<(bool, Vec<String>), StanzaError> {
    let item = ctx.store().roster().item(owner.as_str(), who.bare_str());
    let item = item.await.map_err(|cause| stanza_error(&cause))?;
    Ok(item.map_or((false, Vec::new()), |item| {
        let sees = matches!(item.subscription, Subscription::From | Subscription::Both);
        (sees, item.groups)
    }))
}
