//! What `disco#info` and `disco#items` tell of nodes (XEP-0060 §5.2–5.5, XEP-0163 §6).

use std::collections::HashMap;

use balcony_core::module::{Ctx, Request, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xep::date_time;
use balcony_proto::xep::disco::{Identity, Info, Item};

use super::access;
use super::choices::Place;
use super::config::{ACCESS_MODEL, DESCRIPTION, MAX_ITEMS, NodeConfig, PUBLISH_MODEL, TITLE, TYPE};
use super::items;
use super::node::{self, Node};
use super::notify;
use super::relation::Relation;

/// XEP-0163 §6.1: what an account is beside an account.
pub(crate) fn identity() -> Identity {
    Identity::new("pubsub", "pep")
}

/// A node that is asked about, for whoever may subscribe to it. `None`: no such node.
///
/// # Errors
/// Those of [`access`], and when the store does not answer.
async fn readable(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    name: &str,
) -> Result<Option<Node>, StanzaError> {
    let Some(node) = node::seen_by(ctx, owner, name, who).await? else {
        return Ok(None);
    };
    if notify::is_blocked(ctx, owner, who).await? {
        return Ok(None);
    }
    let standing = node.standing(ctx, who).await?;
    // Who may ask to be let in sees what into.
    access::may_subscribe(node.config.access, standing)?;
    Ok(Some(node))
}

/// §5.3, §5.4: what a node of an account is. `None`: it has no such node.
///
/// # Errors
/// As those of reading its items.
pub(crate) async fn info(
    ctx: &mut Ctx<'_>,
    request: &Request,
    name: &str,
) -> Result<Option<Info>, StanzaError> {
    info_of(ctx, &request.account()?, request.from()?, name).await
}

/// The same for any owner.
///
/// # Errors
/// As those of reading its items.
pub(super) async fn info_of(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    name: &str,
) -> Result<Option<Info>, StanzaError> {
    let node = readable(ctx, owner, who, name).await?;
    Ok(node.map(|node| {
        let info = Info::of(Identity::new("pubsub", "leaf")).with_feature(ns::PUBSUB);
        info.with_form(meta_data(&node)).about(node.name)
    }))
}

/// §16.4.3
fn meta_data(node: &Node) -> DataForm {
    let config = &node.config;
    let line = |var: &str, value: &str| Field::new(FieldType::TextSingle, var).with_value(value);
    let lines = [
        (TITLE, config.title.as_deref()),
        (DESCRIPTION, config.description.as_deref()),
        (TYPE, config.kind.as_deref()),
    ];
    let lines = lines
        .iter()
        .filter_map(|(var, value)| Some(line(var, (*value)?)));
    let created = date_time::format_utc(node.data.created);
    let list = |var: &str, value| Field::new(FieldType::ListSingle, var).with_value(value);
    // Whoever made a node on a service did not say that everybody may know.
    let owners = (node.place() == Place::Account).then_some(node.owner.as_str());
    let form = DataForm::about(FormType::Result, ns::NODE_META_DATA);
    lines
        .fold(form, DataForm::with_field)
        .with_field(line("pubsub#creation_date", &created))
        .with_field(Field::new(FieldType::JidMulti, "pubsub#owner").with_values(owners))
        .with_field(list(ACCESS_MODEL, config.access.as_str()))
        .with_field(list(PUBLISH_MODEL, config.publish.as_str()))
        .with_field(line(MAX_ITEMS, &config.max_items.written()))
}

/// §5.5: the items of a node of an account. `None`: it has no such node.
///
/// # Errors
/// As those of reading its items.
pub(crate) async fn items_of(
    ctx: &mut Ctx<'_>,
    request: &Request,
    name: &str,
) -> Result<Option<Vec<Item>>, StanzaError> {
    items_of_any(ctx, &request.account()?, request.from()?, name).await
}

/// The same for any owner.
///
/// # Errors
/// As those of reading its items.
pub(super) async fn items_of_any(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    name: &str,
) -> Result<Option<Vec<Item>>, StanzaError> {
    let Some(node) = readable(ctx, owner, who, name).await? else {
        return Ok(None);
    };
    let standing = node.standing(ctx, who).await?;
    access::may_read(node.config.access, standing)?;
    let ids = items::ids(ctx, &node).await?.into_iter();
    Ok(Some(
        ids.map(|id| Item::new(owner.clone()).named(id)).collect(),
    ))
}

/// §5.2; XEP-0163 §6.2: the nodes of an account that whoever asks may read.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn nodes(ctx: &mut Ctx<'_>, request: &Request) -> Result<Vec<Item>, StanzaError> {
    let (account, who) = (request.account()?, request.from()?.clone());
    let found = ctx
        .store()
        .pubsub()
        .nodes(account.as_str(), None, u32::MAX)
        .await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    if found.is_empty() || notify::is_blocked(ctx, &account, &who).await? {
        return Ok(Vec::new());
    }
    let contact = ctx.store().roster().item(account.as_str(), who.bare_str());
    let contact = contact.await.map_err(|cause| stanza_error(&cause))?;
    let pubsub = ctx.store().pubsub();
    let affiliations = pubsub.affiliations_of(account.as_str(), who.bare_str());
    let affiliations = affiliations.await.map_err(|cause| stanza_error(&cause))?;
    let affiliations: HashMap<_, _> = affiliations.into_iter().collect();
    let relation = Relation {
        is_own: account.as_str() == who.bare_str(),
        contact: contact.as_ref(),
    };
    let items = found.into_iter().filter_map(|entry| {
        let config = NodeConfig::of(&entry.config);
        let affiliation = affiliations.get(&entry.node).copied();
        relation.may_see(affiliation, &config).then(|| Item {
            jid: account.clone(),
            node: Some(entry.node),
            name: config.title,
        })
    });
    Ok(items.collect())
}
