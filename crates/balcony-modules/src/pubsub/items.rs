//! Reading items (XEP-0060 §6.5).

use balcony_core::module::{Answer, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::rsm::{Page, PageRequest, Place};
use balcony_proto::xml::Element;
use balcony_store::{Error, ItemsPage, ItemsPlace, ItemsRequest, PubsubItem, Write};

use super::access;
use super::errors;
use super::event;
use super::node::{self, Node};

/// Bytes of items in one answer, after which it is cut (§6.5.4): a few avatars, or more bookmarks
/// than people have.
const ANSWER_BYTES: usize = 1 << 20;

/// Items that are read from the store at a time, so that no more than a few megabytes too much are
/// in memory.
const READ: u32 = 20;

/// Items that `disco#items` tells of; whoever wants all asks for the items.
const IDS: usize = 200;

/// Items that may be asked for by their ids in one request: a page of the store.
const NAMED: usize = 20;

/// §6.5.2: the items of a node for whoever may read them.
///
/// # Errors
/// §6.5.9.
pub(super) async fn answer(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    pubsub: &Element,
    asked: &Element,
) -> Answer {
    let node = node::seen_by(ctx, owner, node::named(asked)?, who).await?;
    // §6.5.9.11
    let node = node.ok_or_else(StanzaError::item_not_found)?;
    let standing = node.standing(ctx, who).await?;
    access::may_read(node.config.access, standing)?;
    if node.config.is_bare_event() {
        // §6.5.9.4
        return Err(errors::unsupported("persistent-items"));
    }
    let wanted = Wanted::parse(pubsub, asked)?;
    let found = wanted.read(ctx, &node).await?;
    Ok(written(&node, &found))
}

/// What is asked for.
struct Wanted {
    place: ItemsPlace,
    limit: u32,
    /// Whether the answer says which page it is.
    paged: bool,
}

/// What is answered.
struct Found {
    items: Vec<PubsubItem>,
    /// How many the node has, where the answer says which page it is.
    count: Option<u64>,
}

impl Wanted {
    fn parse(pubsub: &Element, asked: &Element) -> Result<Self, StanzaError> {
        let ids = asked
            .children()
            .filter(|child| child.is(ns::PUBSUB, "item"));
        let ids: Vec<String> = ids
            .filter_map(|item| item.attr("id"))
            .map(str::to_owned)
            .collect();
        if ids.len() > NAMED {
            return Err(StanzaError::policy_violation().with_text("too many items at once"));
        }
        if !ids.is_empty() {
            return Ok(Self::whole(ItemsPlace::Ids(ids)));
        }
        if let Some(page) = PageRequest::within(pubsub)? {
            let place = match page.place {
                Place::First => ItemsPlace::First,
                Place::Last => ItemsPlace::Last,
                Place::After(id) => ItemsPlace::After(id),
                Place::Before(id) => ItemsPlace::Before(id),
                // XEP-0059 §2.6: not supported.
                Place::Index(_) => return Err(StanzaError::feature_not_implemented()),
            };
            return Ok(Self {
                place,
                limit: page
                    .max
                    .map_or(u32::MAX, |max| u32::try_from(max).unwrap_or(u32::MAX)),
                paged: true,
            });
        }
        // §6.5.7: the most recent.
        let max = asked.attr("max_items").map(str::parse::<u32>).transpose();
        match max.map_err(|_| StanzaError::bad_request())? {
            Some(max) => Ok(Self {
                limit: max,
                ..Self::whole(ItemsPlace::Last)
            }),
            None => Ok(Self::whole(ItemsPlace::First)),
        }
    }

    fn whole(place: ItemsPlace) -> Self {
        Self {
            place,
            limit: u32::MAX,
            paged: false,
        }
    }

    fn is_backward(&self) -> bool {
        matches!(self.place, ItemsPlace::Last | ItemsPlace::Before(_))
    }

    /// Reads until there is enough, or too much for one answer.
    async fn read(mut self, ctx: &mut Ctx<'_>, node: &Node) -> Result<Found, StanzaError> {
        let backward = self.is_backward();
        let mut found = Gathered::default();
        loop {
            let left = self.limit.saturating_sub(found.count());
            let page = part(ctx, node, self.place.clone(), left.min(READ)).await?;
            let (complete, count) = (page.complete, page.count);
            found.take(page.items, backward);
            let next = found.items.last().map(|item| item.id.clone());
            let enough = left <= READ || complete;
            let (Some(id), false) = (next, enough || found.cut) else {
                // §6.5.4: what is cut is marked as a page.
                let count = (self.paged || found.cut).then_some(count);
                if backward {
                    found.items.reverse();
                }
                let items = found.items;
                return Ok(Found { items, count });
            };
            self.place = match backward {
                false => ItemsPlace::After(id),
                true => ItemsPlace::Before(id),
            };
        }
    }
}

/// Items that were read so far, in the order of the reading.
#[derive(Default)]
struct Gathered {
    items: Vec<PubsubItem>,
    bytes: usize,
    /// The rest is too much.
    cut: bool,
}

impl Gathered {
    fn count(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, mut items: Vec<PubsubItem>, backward: bool) {
        if backward {
            items.reverse();
        }
        for item in items {
            self.bytes += size(&item);
            if self.bytes > ANSWER_BYTES && !self.items.is_empty() {
                self.cut = true;
                return;
            }
            self.items.push(item);
        }
    }
}

fn size(item: &PubsubItem) -> usize {
    item.id.len() + item.payload.bytes.len()
}

/// What takes away items that are too old. It goes with the next publication; until then they are
/// not shown.
pub(super) fn expiry(node: &Node, before: i64) -> Write {
    Write::ItemsExpire {
        owner: node.owner.to_string(),
        node: node.name.clone(),
        before,
    }
}

/// XEP-0059 §2.2: there is no such item to begin at, or the node was deleted just now.
fn gone_or(cause: &Error) -> StanzaError {
    match cause {
        Error::NotFound => StanzaError::item_not_found(),
        cause => stanza_error(cause),
    }
}

async fn part(
    ctx: &mut Ctx<'_>,
    node: &Node,
    place: ItemsPlace,
    limit: u32,
) -> Result<ItemsPage, StanzaError> {
    let (owner, name) = (node.owner.as_str(), node.name.as_str());
    let request = ItemsRequest {
        place,
        limit,
        not_before: node.config.expired_before(ctx.utc_micros()),
    };
    let page = ctx.store().pubsub().items(owner, name, request).await;
    page.map_err(|cause| gone_or(&cause))
}

/// All items of a node, for what the server makes of them.
///
/// # Errors
/// `resource-constraint` when they are too much, and when the store does not answer.
pub(super) async fn all(ctx: &mut Ctx<'_>, node: &Node) -> Result<Vec<PubsubItem>, StanzaError> {
    let found = Wanted::whole(ItemsPlace::First).read(ctx, node).await?;
    match found.count {
        None => Ok(found.items),
        Some(_) => Err(StanzaError::resource_constraint()),
    }
}

/// The ids of the first items of a node.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn ids(ctx: &mut Ctx<'_>, node: &Node) -> Result<Vec<String>, StanzaError> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let place = match ids.last() {
            Some(id) => ItemsPlace::After(id.clone()),
            None => ItemsPlace::First,
        };
        let page = part(ctx, node, place, READ).await?;
        ids.extend(page.items.into_iter().map(|item| item.id));
        if page.complete || ids.len() >= IDS {
            return Ok(ids);
        }
    }
}

/// The item of an id.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn one(
    ctx: &mut Ctx<'_>,
    node: &Node,
    id: &str,
) -> Result<Option<PubsubItem>, StanzaError> {
    let place = ItemsPlace::Ids(vec![id.to_owned()]);
    Ok(part(ctx, node, place, 1).await?.items.into_iter().next())
}

/// The newest item of a node.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn last(
    ctx: &mut Ctx<'_>,
    node: &Node,
) -> Result<Option<PubsubItem>, StanzaError> {
    Ok(part(ctx, node, ItemsPlace::Last, 1).await?.items.pop())
}

fn written(node: &Node, found: &Found) -> Payload {
    let items = found
        .items
        .iter()
        .map(|item| event::item(ns::PUBSUB, item, true));
    let items = Element::new(ns::PUBSUB, "items")
        .with_attr("node", node.name.as_str())
        .with_children(items);
    let ends = found.items.first().zip(found.items.last());
    let set = found.count.map(|count| Page {
        index: None,
        ends: ends.map(|(first, last)| (first.id.clone(), last.id.clone())),
        count: usize::try_from(count).ok(),
    });
    let pubsub = Element::new(ns::PUBSUB, "pubsub").with_child(items);
    Payload::from_element(&pubsub.with_children(set.map(|set| set.to_element())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_store::Stored;

    fn item(id: &str, bytes: usize) -> PubsubItem {
        PubsubItem {
            id: id.to_owned(),
            publisher: "juliet@localhost".to_owned(),
            published_at: 0,
            payload: Stored {
                format: 1,
                bytes: vec![b'x'; bytes],
            },
        }
    }

    #[test]
    fn an_answer_is_cut_where_it_becomes_too_large_and_has_one_item_at_least() {
        let half = ANSWER_BYTES / 2;
        for (backward, first) in [(false, "a"), (true, "c")] {
            let mut found = Gathered::default();
            let items = vec![item("a", half), item("b", half - 2), item("c", half)];
            found.take(items, backward);
            let ids: Vec<&str> = found.items.iter().map(|item| &*item.id).collect();
            assert_eq!(ids, [first, "b"]);
            assert!(found.cut);
        }
        let mut found = Gathered::default();
        found.take(vec![item("a", 2 * ANSWER_BYTES)], false);
        assert!(!found.cut && found.items.len() == 1);
    }
}
