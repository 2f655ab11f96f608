//! What a deleted account leaves behind on services: it is nothing to any node any more, as whoever
//! gets its name later is somebody else.

use balcony_core::module::{BoxFuture, Ctx, Event, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::{Error, NodeAffiliation, Write, WriteSet};

use super::node;
use super::people;
use super::{State, event, notify};

pub(super) fn on_account_deleted<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::AccountDeleted(account) = event else {
            return;
        };
        for domain in ctx.config().pubsub.hosts.clone() {
            let Ok(service) = Jid::parse(&domain) else {
                continue;
            };
            if let Err(error) = leave(ctx, &service, account).await {
                let condition = error.condition.as_str();
                tracing::warn!(condition, %account, domain, "on lists of nodes, and deleted");
            }
        }
    })
}

/// Takes an account off all lists of a service.
pub(super) async fn leave(
    ctx: &mut Ctx<'_>,
    service: &Jid,
    account: &Jid,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(service.as_str()).await;
    let pubsub = ctx.store().pubsub();
    let affiliations = pubsub.affiliations_of(service.as_str(), account.as_str());
    let affiliations = affiliations.await.map_err(|cause| stanza_error(&cause))?;
    let mut done = Ok(());
    for (name, affiliation) in affiliations {
        // One that fails does not keep the others.
        let retired = retire(ctx, service, account, (&name, affiliation)).await;
        done = done.and(retired);
    }
    done.and(unsubscribe(ctx, service, account).await)
}

/// Takes back the affiliation with one node. A node that nobody else owns goes with its owner.
async fn retire(
    ctx: &mut Ctx<'_>,
    service: &Jid,
    account: &Jid,
    (name, affiliation): (&str, NodeAffiliation),
) -> Result<(), StanzaError> {
    let Some(node) = node::find(ctx, service, name).await? else {
        return Ok(());
    };
    let is_orphaned = affiliation == NodeAffiliation::Owner && node.owners().len() == 1;
    let write = match is_orphaned {
        true => Write::NodeDelete {
            owner: service.to_string(),
            node: name.to_owned(),
        },
        false => people::affiliation_set(&node, account.as_str(), None),
    };
    ctx.commit(write.into())
        .await
        .map_err(|cause| stanza_error(&cause))?;
    if is_orphaned && node.config.notify_delete {
        notify::tell(ctx, &node, &event::deleted(&node)).await;
    }
    Ok(())
}

/// §12.4: what was sent to an address came back, as there is nobody any more.
pub(super) async fn bounced(
    ctx: &mut Ctx<'_>,
    service: &Jid,
    address: &Jid,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(service.as_str()).await;
    unsubscribe(ctx, service, address).await
}

/// Takes back all subscriptions of an address, and of its resources if it is bare. The caller has
/// the turn.
async fn unsubscribe(ctx: &mut Ctx<'_>, service: &Jid, account: &Jid) -> Result<(), StanzaError> {
    let pubsub = ctx.store().pubsub();
    let theirs = pubsub.subscriptions_of(service.as_str(), account.as_str());
    let theirs = theirs.await.map_err(|cause| stanza_error(&cause))?;
    let writes: WriteSet = theirs
        .into_iter()
        .map(|(node, subscription)| Write::SubscriptionRemove {
            owner: service.to_string(),
            node,
            jid: subscription.jid,
            subid: None,
        })
        .collect();
    if writes.is_empty() {
        return Ok(());
    }
    match ctx.commit(writes).await {
        Ok(_) | Err(Error::NotFound) => Ok(()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}
