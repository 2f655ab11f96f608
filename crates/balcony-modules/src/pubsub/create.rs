//! Making a node: who may, and what it takes (XEP-0060 §8.1, §7.1.4).

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::{Error, NodeAffiliation, NodeData, Write, WriteSet};

use super::choices::Place;
use super::config::NodeConfig;
use super::errors;
use super::node::Node;
use super::people;
use super::settings::{Limits, Makers};

/// Whether somebody may make nodes where this owner's are: on their own account (XEP-0163 §2.2), or
/// on a service if the configuration lets them.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn may_create(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
) -> Result<bool, StanzaError> {
    if Place::of(owner) == Place::Account {
        return Ok(who.bare_str() == owner.as_str());
    }
    // A host itself: nobody else speaks for it.
    if who.is_domain() && ctx.host(who.domain()).is_some() {
        return Ok(true);
    }
    let may = match Makers::of(ctx) {
        Makers::Everyone => true,
        Makers::Accounts => has_account(ctx, who).await?,
        Makers::Admins => false,
    };
    Ok(may || ctx.core().is_admin_anywhere(who))
}

/// Whether somebody's account lasts: that of an anonymous login does not.
async fn has_account(ctx: &mut Ctx<'_>, who: &Jid) -> Result<bool, StanzaError> {
    let (Some(user), Some(_)) = (who.local(), ctx.host(who.domain())) else {
        return Ok(false);
    };
    let exists = ctx.store().accounts().exists(who.domain(), user).await;
    exists.map_err(|cause| stanza_error(&cause))
}

/// A node that is about to be made, with what makes it. On a service it belongs to whoever makes
/// it.
///
/// # Errors
/// `resource-constraint` for whoever has too many nodes on a service.
pub(super) async fn fresh(
    ctx: &mut Ctx<'_>,
    (owner, maker): (&Jid, &Jid),
    name: String,
    config: NodeConfig,
) -> Result<(Node, Vec<Write>), StanzaError> {
    let mut node = Node {
        owner: owner.clone(),
        name,
        data: NodeData {
            created: ctx.utc_micros(),
            config: config.kept(),
            affiliations: Vec::new(),
            subscriptions: Vec::new(),
        },
        config,
    };
    let limits = Limits::of(ctx);
    let mut writes = Vec::new();
    let max_nodes = match node.place() {
        Place::Account => limits.nodes,
        Place::Service => {
            let pubsub = ctx.store().pubsub();
            let theirs = pubsub.affiliations_of(owner.as_str(), maker.bare_str());
            let theirs = theirs.await.map_err(|cause| stanza_error(&cause))?;
            let owned = theirs
                .iter()
                .filter(|(_, is)| *is == NodeAffiliation::Owner);
            let most = usize::try_from(limits.nodes).unwrap_or(usize::MAX);
            if owned.count() >= most && !ctx.core().is_admin_anywhere(maker) {
                return Err(errors::max_nodes_exceeded());
            }
            let host = owner.to_string();
            writes.push(Write::ServiceCreate { host });
            limits.service_nodes
        }
    };
    writes.push(Write::NodeCreate {
        owner: owner.to_string(),
        node: node.name.clone(),
        created: node.data.created,
        config: node.data.config.clone(),
        max_nodes,
    });
    if node.place() == Place::Service {
        let maker = (maker.bare_str().to_owned(), NodeAffiliation::Owner);
        writes.push(people::affiliation_set(&node, &maker.0, Some(maker.1)));
        node.data.affiliations.push(maker);
    }
    Ok((node, writes))
}

/// Commits writes that may make a node.
///
/// # Errors
/// `resource-constraint` where there is no room for another node, `not-allowed` for an account that
/// keeps nothing.
pub(super) async fn commit(ctx: &mut Ctx<'_>, writes: WriteSet) -> Result<(), StanzaError> {
    if writes.is_empty() {
        return Ok(());
    }
    match ctx.commit(writes).await {
        Ok(_) => Ok(()),
        Err(Error::Limit(_)) => Err(errors::max_nodes_exceeded()),
        // An anonymous account, or one that was deleted meanwhile.
        Err(Error::NotFound) => Err(StanzaError::not_allowed()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}
