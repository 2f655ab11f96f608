//! XEP-0402 PEP Native Bookmarks 1.2.0: one set of bookmarks for those who keep them as items and
//! those who keep them in private storage (XEP-0048, XEP-0049), as §5.3 has it.

use std::collections::HashSet;

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;
use balcony_store::{PubsubItem, Write, WriteSet};

use super::access::AccessModel;
use super::choices::Place;
use super::config::NodeConfig;
use super::create;
use super::node::{self, Node};
use super::settings::Limits;
use super::{State, event, items, notify, own, owner};
use crate::turns::Turn;

/// What a bookmark says, but for its extensions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bookmark {
    name: Option<String>,
    autojoin: bool,
    nick: Option<String>,
    password: Option<String>,
}

impl Bookmark {
    /// Reads a `<conference/>` of either namespace.
    fn read(conference: &Element) -> Self {
        let ns = conference.ns();
        Self {
            name: conference.attr("name").map(str::to_owned),
            autojoin: matches!(conference.attr("autojoin"), Some("1" | "true")),
            nick: conference.child_text(ns, "nick"),
            password: conference.child_text(ns, "password"),
        }
    }

    /// The `<conference/>` in this namespace.
    fn written(&self, ns: &'static str) -> Element {
        let text = |name: &'static str, text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| Element::new(ns, name).with_text(text))
        };
        Element::new(ns, "conference")
            .with_opt_attr("name", self.name.as_deref())
            .with_opt_attr("autojoin", self.autojoin.then_some("true"))
            .with_children(text("nick", &self.nick))
            .with_children(text("password", &self.password))
    }
}

/// Whether an element of private storage is the bookmarks.
pub(crate) fn are_in(element: &Element) -> bool {
    element.is(ns::BOOKMARKS_STORAGE, "storage")
}

/// What private storage keeps of the bookmarks itself: those of pages, which are no items.
pub(crate) fn rest(mut storage: Element) -> Element {
    storage.retain(|child| !child.is(ns::BOOKMARKS_STORAGE, "conference"));
    storage
}

/// The turn in which nobody changes the bookmarks of an account, which are kept in two places.
///
/// # Errors
/// `internal-server-error` without the module.
pub(crate) async fn turn(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Turn, StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    Ok(state.turns.take(account.as_str()).await)
}

/// §5.3.1: the items as private storage has them, behind what it keeps itself. `None`: there is no
/// node.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn collate(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    kept: Element,
) -> Result<Option<Element>, StanzaError> {
    let Some(node) = node::seen_by(ctx, account, ns::BOOKMARKS, account).await? else {
        return Ok(None);
    };
    let items = items::all(ctx, &node).await?;
    Ok(Some(
        rest(kept).with_children(items.iter().filter_map(cast)),
    ))
}

fn cast(item: &PubsubItem) -> Option<Element> {
    let conference = node::payload(&item.payload)?;
    let mut old = Bookmark::read(&conference).written(ns::BOOKMARKS_STORAGE);
    old.set_attr("jid", item.id.as_str());
    Some(old)
}

/// What of the items changes with a new list.
struct Difference {
    published: Vec<PubsubItem>,
    retracted: Vec<String>,
}

impl Difference {
    /// §5.3.2: what did not change is left alone. Extensions stay, which the old form cannot tell.
    fn of(before: &[PubsubItem], storage: &Element, account: &Jid, now: i64) -> Self {
        let listed = storage.children();
        let listed = listed.filter(|child| child.is(ns::BOOKMARKS_STORAGE, "conference"));
        let mut wanted: Vec<(String, Bookmark)> = Vec::new();
        for conference in listed {
            let jid = conference.attr("jid").and_then(|jid| Jid::parse(jid).ok());
            let Some(jid) = jid.filter(|jid| wanted.iter().all(|(id, _)| id != jid.as_str()))
            else {
                continue;
            };
            wanted.push((jid.to_string(), Bookmark::read(conference)));
        }
        let gone = before
            .iter()
            .filter(|item| wanted.iter().all(|(id, _)| *id != item.id));
        let retracted = gone.map(|item| item.id.clone()).collect();
        let changed = wanted.into_iter().filter_map(|(id, bookmark)| {
            let old = before.iter().find(|item| item.id == id);
            let old = old.and_then(|item| node::payload(&item.payload));
            if old
                .as_ref()
                .is_some_and(|old| Bookmark::read(old) == bookmark)
            {
                return None;
            }
            let extensions = old.and_then(|old| old.child(ns::BOOKMARKS, "extensions").cloned());
            let new = bookmark.written(ns::BOOKMARKS).with_children(extensions);
            Some(PubsubItem {
                id,
                publisher: account.to_string(),
                published_at: now,
                payload: node::kept(Some(&new)),
            })
        });
        Self {
            published: changed.collect(),
            retracted,
        }
    }
}

/// §5.3.2: a client wrote the whole list into private storage. What else is to be kept goes into
/// the same commit.
///
/// # Errors
/// `policy-violation` when there are more than the node may have, and those of the store.
pub(crate) async fn replace(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    storage: &Element,
    mut writes: WriteSet,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(account.as_str()).await;
    let limits = Limits::of(ctx);
    let (node, before) = match node::find(ctx, account, ns::BOOKMARKS).await? {
        Some(mut node) => {
            let before = items::all(ctx, &node).await?;
            // What is in private storage, passwords of rooms perhaps, is private here too.
            if node.config.access != AccessModel::Whitelist {
                node.config = node.config.with_options(&own::private(), Place::Account)?;
                writes.push(Write::NodeConfigSet {
                    owner: account.to_string(),
                    node: node.name.clone(),
                    config: node.config.kept(),
                });
            }
            (node, before)
        }
        None => {
            let config = NodeConfig::default().with_options(&own::private(), Place::Account)?;
            let name = ns::BOOKMARKS.to_owned();
            let (node, made) = create::fresh(ctx, (account, account), name, config).await?;
            writes.extend(made);
            (node, Vec::new())
        }
    };
    let difference = Difference::of(&before, storage, account, ctx.utc_micros());
    let max_items = node.config.kept_items(limits.items);
    let there: HashSet<&str> = before.iter().map(|item| item.id.as_str()).collect();
    let new = difference.published.iter();
    let new = new.filter(|item| !there.contains(item.id.as_str())).count();
    let count = before.len() + new - difference.retracted.len();
    if count > usize::try_from(max_items).unwrap_or(usize::MAX) {
        return Err(StanzaError::policy_violation().with_text("too many bookmarks"));
    }
    let retracted = difference
        .retracted
        .iter()
        .map(|id| owner::retraction(&node, id));
    writes.extend(retracted);
    writes.extend(difference.published.iter().map(|item| Write::ItemPublish {
        owner: account.to_string(),
        node: node.name.clone(),
        item: item.clone(),
        max_items,
    }));
    ctx.commit(writes).await.map_err(|cause| refused(&cause))?;
    tell(ctx, &node, &difference).await;
    Ok(())
}

fn refused(cause: &balcony_store::Error) -> StanzaError {
    match cause {
        balcony_store::Error::Limit(_) => StanzaError::policy_violation(),
        // An anonymous account, or one that was deleted meanwhile.
        balcony_store::Error::NotFound => StanzaError::not_allowed(),
        cause => stanza_error(cause),
    }
}

async fn tell(ctx: &mut Ctx<'_>, node: &Node, difference: &Difference) {
    for id in &difference.retracted {
        notify::tell(ctx, node, &event::retracted(node, id)).await;
    }
    for item in &difference.published {
        let news = event::published(&node.name, Some(item), node.config.payloads);
        notify::tell(ctx, node, &news).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str) -> Element {
        Element::parse(text.as_bytes(), "").unwrap()
    }

    fn item(id: &str, inside: &str) -> PubsubItem {
        let conference = format!("<conference xmlns='urn:xmpp:bookmarks:1' {inside}");
        PubsubItem {
            id: id.to_owned(),
            publisher: "juliet@localhost".to_owned(),
            published_at: 0,
            payload: node::kept(Some(&element(&conference))),
        }
    }

    #[test]
    fn only_what_changed_is_published_and_extensions_stay() {
        let before = [
            item("same@chat.localhost", "autojoin='1' name='Same'/>"),
            item(
                "changed@chat.localhost",
                "name='Old'><extensions><x xmlns='urn:x'/></extensions></conference>",
            ),
            item("gone@chat.localhost", "/>"),
        ];
        let storage = element(
            "<storage xmlns='storage:bookmarks'>\
             <conference jid='same@chat.localhost' name='Same' autojoin='true'/>\
             <conference jid='changed@chat.localhost' name='New'><nick>JC</nick></conference>\
             <conference jid='new@chat.localhost'/><conference jid='new@chat.localhost'/>\
             <conference jid='@'/><url url='https://localhost'/></storage>",
        );
        let account = Jid::parse("juliet@localhost").unwrap();
        let found = Difference::of(&before, &storage, &account, 1);
        assert_eq!(found.retracted, ["gone@chat.localhost"]);
        let ids: Vec<&str> = found.published.iter().map(|item| &*item.id).collect();
        assert_eq!(ids, ["changed@chat.localhost", "new@chat.localhost"]);
        let changed = node::payload(&found.published[0].payload).unwrap();
        assert!(changed.child(ns::BOOKMARKS, "extensions").is_some());
        assert_eq!(changed.attr("name"), Some("New"));
        assert_eq!(rest(storage).children().count(), 1);
    }
}
