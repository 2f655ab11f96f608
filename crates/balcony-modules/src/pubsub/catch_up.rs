//! The last items for a client that comes online (XEP-0163 §4.3.4).

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::LastItem;

use super::choices::SendLast;
use super::config::NodeConfig;
use super::relation::Relation;
use super::{interest, notify};
use crate::roster;

/// Contacts whose nodes are looked at in one read: with twenty nodes each it takes ten
/// milliseconds, for which others may have to wait.
const CONTACTS: usize = 50;

/// Sends a client the last items of these nodes: those of one account, or its own and those of all
/// its contacts. In a task, so that nothing else waits for it.
pub(super) fn begin(core: &Arc<Core>, session: &Arc<Session>, nodes: Vec<String>, of: Option<Jid>) {
    let (core, session) = (Arc::clone(core), Arc::clone(session));
    interest::begin_hearing(&session);
    tokio::spawn(async move {
        let to = Arc::clone(&session);
        let sent = core.lend(move |ctx| Box::pin(async move { run(ctx, &to, &nodes, of).await }));
        if let Err(error) = sent.await {
            let condition = error.condition.as_str();
            tracing::warn!(session = %session.jid(), condition, "last items are not sent");
        }
        interest::end_hearing(&session);
    });
}

async fn run(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    nodes: &[String],
    of: Option<Jid>,
) -> Result<(), StanzaError> {
    let owners = match of {
        Some(account) => vec![account.to_string()],
        None => owners(ctx, session).await?,
    };
    for some in owners.chunks(CONTACTS) {
        let last = ctx.store().pubsub().last_items(some, nodes).await;
        let last = last.map_err(|cause| stanza_error(&cause))?;
        for of_one in last.chunk_by(|one, other| one.owner == other.owner) {
            send(ctx, session, of_one).await?;
        }
        if session.has_ended() {
            break;
        }
    }
    Ok(())
}

/// Whose nodes a client hears of: its own account's, and its contacts'.
async fn owners(ctx: &mut Ctx<'_>, session: &Session) -> Result<Vec<String>, StanzaError> {
    let contacts = roster::contacts(ctx, session.account()).await;
    let contacts = contacts.map_err(|cause| stanza_error(&cause))?;
    let seen = contacts.items().iter();
    let seen = seen.filter(|contact| contact.standing.sees_presence());
    let ours = seen.filter(|contact| ctx.host(contact.jid.domain()).is_some());
    let own = std::iter::once(session.account().to_string());
    Ok(own
        .chain(ours.map(|contact| contact.jid.to_string()))
        .collect())
}

/// Sends the items of one owner.
async fn send(
    ctx: &mut Ctx<'_>,
    session: &Arc<Session>,
    items: &[LastItem],
) -> Result<(), StanzaError> {
    let owner = items.first().and_then(|item| Jid::parse(&item.owner).ok());
    let Some(owner) = owner else { return Ok(()) };
    let who = session.account();
    if notify::is_blocked(ctx, &owner, who).await? {
        return Ok(());
    }
    let mut relation = Relation::of(ctx, &owner, who).await?;
    for last in items {
        let config = NodeConfig::of(&last.config);
        let wanted = config.send_last == SendLast::OnSubAndPresence && config.notifications;
        if wanted
            && relation.may_read(ctx, &last.node, &config).await?
            && interest::wants(session, &last.node)
            && !interest::has_heard(session, &owner, &last.node)
        {
            notify::catch_up(
                ctx,
                session,
                &owner,
                &last.node,
                &last.item,
                config.payloads,
            );
        }
    }
    Ok(())
}
