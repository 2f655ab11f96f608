//! XEP-0030 §3.2, §4.2: nodes, which modules add to hosts and accounts.

use balcony_core::module::{Ctx, Request};
use balcony_proto::stanza::{Child, Payload, StanzaError};
use balcony_proto::xep::disco::{Info, Item};

use crate::{adhoc, caps};

/// A question about a host or an account that whoever asks may have answered.
pub(crate) struct Asked<'a> {
    /// The request.
    pub(crate) request: &'a Request,
    /// The node; `None` for the items of the entity itself.
    pub(crate) node: Option<&'a str>,
}

/// `None` for what is not of the module that is asked.
type Found<T> = Option<Result<T, StanzaError>>;

/// The nodes of a module.
pub(crate) struct Nodes {
    /// What a node is.
    pub(crate) info: fn(&Ctx<'_>, &Asked<'_>) -> Found<Info>,
    /// What a node has, or what the module adds to the items of an entity itself.
    pub(crate) items: fn(&Ctx<'_>, &Asked<'_>) -> Found<Vec<Item>>,
}

/// The modules with nodes; each name belongs to one of them.
static PROVIDERS: &[&Nodes] = &[&caps::NODES, &adhoc::NODES];

/// The node that a query names. An empty one, which must not be (§4.2), counts as none.
pub(super) fn named(query: &Child<'_>) -> Option<String> {
    let node = query.attr("node")?;
    (!node.is_empty()).then(|| node.into_owned())
}

/// What a node is.
pub(super) fn info(ctx: &Ctx<'_>, asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    let found = PROVIDERS.iter().find_map(|nodes| (nodes.info)(ctx, asked));
    let info = found.unwrap_or_else(|| Err(StanzaError::item_not_found()))?;
    // §3.2: the answer repeats the node.
    let info = info.about(asked.node.unwrap_or_default());
    Ok(Payload::from_element(&info.to_element()))
}

/// What a node has; `item-not-found` for one that is not there.
pub(super) fn items(ctx: &Ctx<'_>, asked: &Asked<'_>) -> Result<Vec<Item>, StanzaError> {
    let found = PROVIDERS.iter().find_map(|nodes| (nodes.items)(ctx, asked));
    found.unwrap_or_else(|| Err(StanzaError::item_not_found()))
}

/// What the modules add to the items of an entity itself.
pub(super) fn top_items(ctx: &Ctx<'_>, request: &Request) -> Result<Vec<Item>, StanzaError> {
    let asked = Asked {
        request,
        node: None,
    };
    let mut all = Vec::new();
    for nodes in PROVIDERS {
        all.extend((nodes.items)(ctx, &asked).transpose()?.unwrap_or_default());
    }
    Ok(all)
}
