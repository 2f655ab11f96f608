//! The last items for a client that comes online (XEP-0163 §4.3.4).
//!
//! However many contacts its user has, a few reads tell which of their nodes have something, who of
//! them lets the user see it, and what it is: none of them is for one contact.

use balcony_proto::map::Set;
use std::collections::HashMap;
use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::{Newest, PubsubItem, RosterItem};

use super::choices::SendLast;
use super::config::{Configs, NodeConfig};
use super::hearing::{self, Look};
use super::relation::Relation;
use super::{State, interest, notify};
use crate::{blocking, roster};

/// Owners whose nodes are looked at in one read: it takes a few milliseconds, for which others may
/// have to wait.
const OWNERS: usize = 200;

/// Bytes of payloads that are read at once, so that no more are in memory for one client. One item
/// may be larger.
const READ_BYTES: u64 = 256 << 10;

/// Sends a client last items, in a task, so that nothing else waits for it: one for each client,
/// which takes what is wanted meanwhile too.
pub(super) fn begin(core: &Arc<Core>, session: &Arc<Session>, look: Look) {
    if !hearing::begin(session, look) {
        return;
    }
    let (core, session) = (Arc::clone(core), Arc::clone(session));
    tokio::spawn(async move {
        while let Some(look) = hearing::next(&session) {
            let to = Arc::clone(&session);
            let sent = core.lend(move |ctx| Box::pin(async move { run(ctx, &to, look).await }));
            if let Err(error) = sent.await {
                let condition = error.condition.as_str();
                tracing::warn!(session = %session.jid(), condition, "last items are not sent");
            }
        }
    });
}

/// The same for a client on another server, of one account's nodes.
pub(super) fn begin_elsewhere(core: &Arc<Core>, full: &Jid, account: &Jid, nodes: Vec<String>) {
    if nodes.is_empty() {
        return;
    }
    let (core, full, account) = (Arc::clone(core), full.clone(), account.clone());
    tokio::spawn(async move {
        let sent = core.lend(move |ctx| {
            Box::pin(async move { run_elsewhere(ctx, &full, &account, &nodes).await })
        });
        if let Err(error) = sent.await {
            let condition = error.condition.as_str();
            tracing::warn!(condition, "last items are not sent to another server");
        }
    });
}

async fn run_elsewhere(
    ctx: &mut Ctx<'_>,
    full: &Jid,
    account: &Jid,
    nodes: &[String],
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    // Nothing newer is said in between.
    let _turn = state.turns.take(account.as_str()).await;
    let owners = [account.to_string()];
    let due = due(ctx, full, &owners, nodes).await?;
    for part in parts(&due) {
        for (due, owner, item) in last_items(ctx, part).await? {
            let theirs = state.theirs.wanting(full, account, &due.node);
            if theirs.contains(full) {
                let stanza = notify::past_item(ctx, &owner, &due.node, &item, due.payloads);
                ctx.core().depart(stanza.with_to(full.clone()));
            }
        }
    }
    Ok(())
}

/// A node of which a client gets the last item.
struct Due {
    owner: String,
    node: String,
    /// Whether the item goes with what is in it.
    payloads: bool,
    bytes: u64,
    /// What was published before is gone. `None`: nothing is.
    expired_before: Option<i64>,
}

async fn run(ctx: &mut Ctx<'_>, session: &Arc<Session>, look: Look) -> Result<(), StanzaError> {
    let owners = match look.of {
        Some(account) => vec![account.to_string()],
        None => owners(ctx, session).await?,
    };
    for some in owners.chunks(OWNERS) {
        let due = due(ctx, session.jid(), some, &look.nodes).await?;
        for part in parts(&due) {
            if session.has_ended() {
                return Ok(());
            }
            send(ctx, session, part).await?;
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

/// What of these owners' nodes a client is to get.
async fn due(
    ctx: &mut Ctx<'_>,
    full: &Jid,
    owners: &[String],
    nodes: &[String],
) -> Result<Vec<Due>, StanzaError> {
    let who = &full.bare();
    let newest = ctx.store().pubsub().newest(owners, nodes, who.as_str());
    let newest = newest.await.map_err(|cause| stanza_error(&cause))?;
    let mut having: Vec<String> = newest.iter().map(|new| new.owner.clone()).collect();
    having.dedup();
    let known = Known::read(ctx, full, &having).await?;
    let mut configs = Configs::default();
    let mut due = Vec::new();
    for new in newest {
        let config = configs.get(&new.config);
        let sent = config.send_last == SendLast::OnSubAndPresence && config.notifications;
        if sent && known.may_read(who, &new, config) {
            due.push(Due {
                payloads: config.payloads,
                expired_before: config.expired_before(ctx.utc_micros()),
                owner: new.owner,
                node: new.node,
                bytes: new.bytes,
            });
        }
    }
    Ok(due)
}

/// What the owners make of somebody.
struct Known {
    /// What the user is in their rosters.
    contacts: HashMap<String, RosterItem>,
    /// Who blocks the user, or is blocked by them.
    blocked: Set<String>,
}

impl Known {
    async fn read(ctx: &mut Ctx<'_>, full: &Jid, owners: &[String]) -> Result<Known, StanzaError> {
        let who = full.bare();
        let contacts = ctx.store().roster().of_contact(owners, who.as_str()).await;
        let contacts = contacts.map_err(|cause| stanza_error(&cause))?;
        let blocked = blocking::between(ctx, full, owners).await;
        Ok(Known {
            contacts: contacts.into_iter().collect(),
            blocked: blocked.map_err(|cause| stanza_error(&cause))?,
        })
    }

    /// XEP-0060 §4.5.
    fn may_read(&self, who: &Jid, new: &Newest, config: &NodeConfig) -> bool {
        let relation = Relation {
            is_own: who.as_str() == new.owner,
            contact: self.contacts.get(&new.owner),
        };
        !self.blocked.contains(&new.owner) && relation.may_read(new.affiliation, config)
    }
}

/// What is read in one go.
fn parts(due: &[Due]) -> impl Iterator<Item = &[Due]> {
    let mut bytes = 0;
    due.chunk_by(move |one, next| {
        bytes += one.bytes;
        let fits = bytes + next.bytes <= READ_BYTES;
        if !fits {
            bytes = 0;
        }
        fits
    })
}

async fn send(ctx: &mut Ctx<'_>, session: &Arc<Session>, part: &[Due]) -> Result<(), StanzaError> {
    for (due, owner, item) in last_items(ctx, part).await? {
        if interest::wants(session, &due.node) && !hearing::has_heard(session, &owner, &due.node) {
            notify::catch_up(ctx, session, &owner, &due.node, &item, due.payloads);
        }
    }
    Ok(())
}

/// What there is of these nodes.
async fn last_items<'d>(
    ctx: &mut Ctx<'_>,
    part: &'d [Due],
) -> Result<Vec<(&'d Due, Jid, PubsubItem)>, StanzaError> {
    let nodes: Vec<(String, String)> = part
        .iter()
        .map(|due| (due.owner.clone(), due.node.clone()))
        .collect();
    let last = ctx.store().pubsub().last_items(&nodes).await;
    let last = last.map_err(|cause| stanza_error(&cause))?;
    let mut part = part.iter();
    let mut found = Vec::new();
    for last in last {
        // In the same order; what is gone meanwhile is left out.
        let due = part.find(|due| (&due.owner, &due.node) == (&last.owner, &last.node));
        let (Some(due), Ok(owner)) = (due, Jid::parse(&last.owner)) else {
            continue;
        };
        let published_at = last.item.published_at;
        if due
            .expired_before
            .is_some_and(|before| published_at < before)
        {
            continue;
        }
        found.push((due, owner, last.item));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_at_once_is_bounded() {
        let due = |bytes| Due {
            owner: String::new(),
            node: String::new(),
            payloads: true,
            bytes,
            expired_before: None,
        };
        let all = [1, READ_BYTES - 1, 1, 2 * READ_BYTES, 1, 1].map(due);
        let lens: Vec<usize> = parts(&all).map(<[Due]>::len).collect();
        assert_eq!(lens, [2, 1, 1, 2]);
    }
}
