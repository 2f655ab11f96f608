//! What somebody sees who is blocked or unblocked (XEP-0191 §3.3, §3.4).

use std::sync::Arc;

use balcony_core::module::{Ctx, Session};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{PresenceType, Stanza};
use balcony_store::Result;

use super::cache;
use super::list::BlockList;
use crate::{presence, roster};

/// Who is blocked now sees the account go offline; who no longer is sees it as it is. Only those
/// who may see presence at all.
pub(super) async fn tell(ctx: &mut Ctx<'_>, account: &Jid, before: &BlockList, after: &BlockList) {
    if let Err(cause) = try_tell(ctx, account, before, after).await {
        tracing::warn!(%cause, %account, "presence was not told after a change of the block list");
    }
}

async fn try_tell(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    before: &BlockList,
    after: &BlockList,
) -> Result<()> {
    let mut sessions = ctx.sessions_of(account);
    sessions.retain(|session| session.is_available());
    if sessions.is_empty() {
        return Ok(());
    }
    let contacts = roster::contacts(ctx, account).await?;
    let shown = contacts
        .items()
        .iter()
        .filter(|contact| contact.standing.shows_presence());
    let subscribers: Vec<Jid> = shown.map(|contact| Jid::clone(&contact.jid)).collect();
    for jid in concerned(&subscribers, before, after) {
        for session in &sessions {
            // A session with directed presence may show itself to others than subscribers.
            if presence::is_shared(ctx, account, Some(session), &jid).await? {
                hide(ctx, session, &jid).await?;
            }
        }
    }
    for jid in concerned(&subscribers, after, before) {
        if presence::is_shared(ctx, account, None, &jid).await? {
            for session in &sessions {
                show(ctx, session, &jid).await;
            }
        }
    }
    Ok(())
}

/// Whom the list `new` blocks and `old` does not: of the subscribers, and of the JIDs on the list
/// that name a user.
fn concerned(subscribers: &[Jid], old: &BlockList, new: &BlockList) -> Vec<Jid> {
    let named = new.jids().iter().filter(|jid| jid.local().is_some());
    let all = subscribers.iter().chain(named);
    let changed = all.filter(|jid| new.blocks(jid) && !old.blocks(jid));
    changed.cloned().collect::<BlockList>().jids().to_vec()
}

async fn hide(ctx: &mut Ctx<'_>, session: &Session, jid: &Jid) -> Result<()> {
    let farewells = &cache::lists(ctx)?.farewells;
    let pair = (session.jid().clone(), jid.clone());
    let stanza = Stanza::presence(PresenceType::Unavailable)
        .with_from(session.jid().clone())
        .with_to(jid.clone());
    // The block is in force already and would keep this back too.
    farewells.lock().push(pair.clone());
    deliver(ctx, stanza).await;
    farewells.lock().retain(|other| *other != pair);
    Ok(())
}

async fn show(ctx: &mut Ctx<'_>, session: &Arc<Session>, jid: &Jid) {
    if let Some(presence) = session.presence() {
        deliver(ctx, presence.with_to(jid.clone())).await;
    }
}

/// At once: what is only queued could be overtaken by the next command.
async fn deliver(ctx: &mut Ctx<'_>, stanza: Stanza) {
    if let Some(pending) = ctx.core().submit(stanza) {
        pending.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jids(texts: &[&str]) -> Vec<Jid> {
        texts.iter().map(|text| Jid::parse(text).unwrap()).collect()
    }

    fn list(texts: &[&str]) -> BlockList {
        jids(texts).into_iter().collect()
    }

    #[test]
    fn who_was_blocked_already_is_not_told_again() {
        let subscribers = jids(&["romeo@montague.lit", "nurse@capulet.lit"]);
        let old = list(&["montague.lit"]);
        let new = old.with(&jids(&["romeo@montague.lit", "nurse@capulet.lit"]));
        let told = concerned(&subscribers, &old, &new);
        assert_eq!(told, jids(&["nurse@capulet.lit"]));
    }

    #[test]
    fn a_blocked_domain_concerns_each_subscriber_there_and_a_resource_itself() {
        let subscribers = jids(&["benvolio@montague.lit", "romeo@montague.lit"]);
        let domain = concerned(
            &subscribers,
            &BlockList::default(),
            &list(&["montague.lit"]),
        );
        assert_eq!(domain, subscribers);
        let resource = list(&["romeo@montague.lit/orchard"]);
        let one = concerned(&subscribers, &BlockList::default(), &resource);
        assert_eq!(one, jids(&["romeo@montague.lit/orchard"]));
    }
}
