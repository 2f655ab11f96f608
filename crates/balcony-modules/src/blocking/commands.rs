//! The commands of XEP-0191: the list, block, unblock, unblock all.

use std::sync::atomic::{AtomicU64, Ordering};

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, SessionNote, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, Write, WriteSet};

use super::cache;
use super::list::BlockList;
use super::{farewell, max_jids};
use crate::reporting;

/// Note of a session that asked for the list: it gets pushes (§3.3).
struct Interested;

/// Who hears of changes still does after a restart.
pub(super) const NOTE: SessionNote = SessionNote {
    name: "blocking",
    save: |session| {
        let interested = session.notes(|notes| notes.get::<Interested>().is_some());
        interested.then(String::new)
    },
    restore: |session, _| {
        session.notes(|notes| notes.set(Interested));
    },
};

/// Ids of pushes need to differ within a stream only; this differs within the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A change of a list.
enum Change {
    Block(Vec<Jid>),
    Unblock(Vec<Jid>),
    UnblockAll,
}

/// §3.2: the list of the account.
pub(super) fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = request.account()?;
        let lists = cache::lists(ctx).map_err(|cause| stanza_error(&cause))?;
        // With the turn no change falls between what is read here and the first push, and no push
        // gets in front of the answer.
        let _command = lists.commands.take(account.as_str()).await;
        let list = cache::find(ctx, &account)
            .await
            .map_err(|cause| stanza_error(&cause))?;
        if let Some(session) = &request.session {
            session.notes(|notes| notes.set(Interested));
        }
        let jids = list.as_deref().map(BlockList::jids).unwrap_or_default();
        let payload = Payload::from_element(&with_items("blocklist", jids));
        ctx.answer(request, payload)
    })
}

/// §3.3.
pub(super) fn block<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let command = request.element()?;
        let jids = items(&command)?;
        if jids.is_empty() {
            return Err(StanzaError::bad_request().with_text("there is no item to block"));
        }
        let account = request.account()?;
        let answer = change(ctx, &account, Change::Block(jids)).await?;
        reporting::forward(ctx, &account, &command).await;
        Ok(answer)
    })
}

/// §3.4, and §3.5 when no item is named.
pub(super) fn unblock<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let jids = items(&request.element()?)?;
        let what = match jids.is_empty() {
            true => Change::UnblockAll,
            false => Change::Unblock(jids),
        };
        change(ctx, &request.account()?, what).await
    })
}

/// The JIDs of the items, each once.
fn items(command: &Element) -> Result<Vec<Jid>, StanzaError> {
    let mut jids = Vec::new();
    for item in command
        .children()
        .filter(|child| child.is(ns::BLOCKING, "item"))
    {
        let text = item.attr("jid").ok_or_else(StanzaError::bad_request)?;
        jids.push(Jid::parse(text).map_err(|_| StanzaError::jid_malformed())?);
    }
    Ok(jids.into_iter().collect::<BlockList>().jids().to_vec())
}

async fn change(ctx: &mut Ctx<'_>, account: &Jid, what: Change) -> Answer {
    let lists = cache::lists(ctx).map_err(|cause| stanza_error(&cause))?;
    // One command of an account after the other, so that who is concerned is told in that order.
    let _command = lists.commands.take(account.as_str()).await;
    let (before, after) = store(ctx, account, &what)
        .await
        .map_err(|cause| refused(&cause))?;
    push(ctx, account, &what);
    farewell::tell(ctx, account, &before, &after).await;
    Ok(Payload::empty())
}

/// Makes the change last, then puts it in force; the list before and after.
async fn store(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    what: &Change,
) -> Result<(BlockList, BlockList), Error> {
    let lists = cache::lists(ctx)?;
    let _turn = lists.turn(account).await;
    let before = cache::load(ctx, account).await?;
    let write = what.write(account, max_jids(&ctx.config()));
    ctx.commit(WriteSet::from(write)).await?;
    let after = what.apply(&before);
    lists.keep(account.as_str(), after.clone());
    Ok((before, after))
}

impl Change {
    fn apply(&self, list: &BlockList) -> BlockList {
        match self {
            Change::Block(jids) => list.with(jids),
            Change::Unblock(jids) => list.without(jids),
            Change::UnblockAll => BlockList::default(),
        }
    }

    fn write(&self, account: &Jid, max: u32) -> Write {
        let account = account.to_string();
        let texts = |jids: &[Jid]| jids.iter().map(Jid::to_string).collect();
        match self {
            Change::Block(jids) => Write::BlockAdd {
                account,
                jids: texts(jids),
                max,
            },
            Change::Unblock(jids) => Write::BlockRemove {
                account,
                jids: texts(jids),
            },
            Change::UnblockAll => Write::BlockClear { account },
        }
    }

    /// What resources are told: the items of the command, none for unblocking all.
    fn to_element(&self) -> Element {
        match self {
            Change::Block(jids) => with_items("block", jids),
            Change::Unblock(jids) => with_items("unblock", jids),
            Change::UnblockAll => with_items("unblock", &[]),
        }
    }
}

fn refused(cause: &Error) -> StanzaError {
    match cause {
        Error::Limit(_) => StanzaError::not_allowed().with_text("the block list is full"),
        // A client that logged in anonymously (XEP-0175) has nothing that lasts.
        Error::NotFound => StanzaError::not_allowed().with_text("there is no account"),
        _ => stanza_error(cause),
    }
}

/// §3.3 to §3.5: to all resources that asked for the list.
fn push(ctx: &mut Ctx<'_>, account: &Jid, what: &Change) {
    let payload = Payload::from_element(&what.to_element());
    for session in ctx.sessions_of(account) {
        if session.notes(|notes| notes.get::<Interested>().is_some()) {
            let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
            let stanza = Stanza::iq(IqType::Set, format!("block{id}"))
                .with_from(account.clone())
                .with_to(session.jid().clone())
                .with_payload(payload.clone());
            ctx.push(&session, stanza);
        }
    }
}

fn with_items(name: &'static str, jids: &[Jid]) -> Element {
    let item = |jid: &Jid| Element::new(ns::BLOCKING, "item").with_attr("jid", jid.as_str());
    Element::new(ns::BLOCKING, name).with_children(jids.iter().map(item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn read(text: &str) -> Result<Vec<String>, Condition> {
        let text = format!("<block xmlns='urn:xmpp:blocking'>{text}</block>");
        let element = Element::parse(text.as_bytes(), "").unwrap();
        match items(&element) {
            Ok(jids) => Ok(jids.iter().map(Jid::to_string).collect()),
            Err(error) => Err(error.condition),
        }
    }

    #[test]
    fn items_are_normalised_and_each_is_taken_once() {
        let jids = read("<item jid='Romeo@Localhost'/><item jid='romeo@localhost'/><other/>");
        assert_eq!(jids, Ok(vec!["romeo@localhost".to_owned()]));
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn an_item_without_a_jid_or_with_a_bad_one_is_refused() {
        assert_eq!(read("<item/>"), Err(Condition::BadRequest));
        assert_eq!(read("<item jid='@'/>"), Err(Condition::JidMalformed));
    }

    #[test]
    fn a_full_list_and_a_guest_are_told_so() {
        for cause in [Error::Limit("blocked JIDs"), Error::NotFound] {
            assert_eq!(refused(&cause).condition, Condition::NotAllowed);
        }
    }
}
