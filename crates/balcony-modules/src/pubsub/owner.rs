//! What owners do with a node (XEP-0060 §8.1–8.5), and the deletion of an item (§7.2).
//!
//! Each answers with what the request is answered, and with the news for the subscribers.

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, FormType};
use balcony_proto::xml::Element;
use balcony_store::{Error, Write};

use super::access;
use super::choices::Place;
use super::config::NodeConfig;
use super::create;
use super::errors;
use super::event;
use super::items;
use super::node::{self, Node};
use super::request::{Done, News};

/// §8.1: a node is made.
pub(super) async fn create(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    pubsub: &Element,
    create: &Element,
) -> Done {
    if !create::may_create(ctx, owner, who).await? {
        return Err(StanzaError::forbidden());
    }
    let instant = create.attr("node").is_none_or(str::is_empty);
    let name = match instant {
        // An instant node.
        true => node::new_id()?,
        false => node::named(create)?.to_owned(),
    };
    let configure = pubsub.child(ns::PUBSUB, "configure");
    // §8.1.3
    if configure.is_some_and(|configure| configure.attr("node").is_some()) {
        return Err(StanzaError::bad_request());
    }
    let place = Place::of(owner);
    let config = NodeConfig::fresh(place, &name);
    let config = match configure.and_then(DataForm::within) {
        Some(form) => config.with_submitted(&form, place)?,
        None => config,
    };
    // Said here, as the commit does not tell one conflict from another.
    if node::seen_by(ctx, owner, &name, who).await?.is_some() {
        return Err(StanzaError::conflict());
    }
    let (node, writes) = create::fresh(ctx, (owner, who), name, config).await?;
    create::commit(ctx, writes.into_iter().collect()).await?;
    let created = Element::new(ns::PUBSUB, "create").with_attr("node", node.name);
    let created = Element::new(ns::PUBSUB, "pubsub").with_child(created);
    Ok((Payload::from_element(&created), News::Nothing))
}

/// §8.2.1: the form.
pub(super) async fn configuration(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<Payload, StanzaError> {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let form = node.config.form(FormType::Form, node.place()).to_element();
    let configure = Element::new(ns::PUBSUB_OWNER, "configure").with_attr("node", node.name);
    Ok(owners(configure.with_child(form)))
}

/// §8.3: the form of a new node.
pub(super) fn defaults(owner: &Jid) -> Payload {
    let place = Place::of(owner);
    let form = NodeConfig::fresh(place, "")
        .form(FormType::Form, place)
        .to_element();
    owners(Element::new(ns::PUBSUB_OWNER, "default").with_child(form))
}

fn owners(child: Element) -> Payload {
    Payload::from_element(&Element::new(ns::PUBSUB_OWNER, "pubsub").with_child(child))
}

/// §8.2.4: the form comes back.
pub(super) async fn configure(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Done {
    let mut node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let form = DataForm::within(asked).ok_or_else(StanzaError::bad_request)?;
    if form.form_type == FormType::Cancel {
        return Ok((Payload::empty(), News::Nothing));
    }
    let config = node.config.with_submitted(&form, node.place())?;
    if config == node.config {
        return Ok((Payload::empty(), News::Nothing));
    }
    let write = Write::NodeConfigSet {
        owner: owner.to_string(),
        node: node.name.clone(),
        config: config.kept(),
    };
    commit(ctx, write).await?;
    node.config = config;
    let news = event::configured(&node);
    let told = node.config.notify_config;
    Ok((Payload::empty(), told_if(told, node, news)))
}

/// §8.4
pub(super) async fn delete(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Done {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    let write = Write::NodeDelete {
        owner: owner.to_string(),
        node: node.name.clone(),
    };
    commit(ctx, write).await?;
    let news = event::deleted(&node);
    let told = node.config.notify_delete;
    Ok((Payload::empty(), told_if(told, node, news)))
}

/// §8.5
pub(super) async fn purge(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Done {
    let node = node::owned(ctx, owner, node::named(asked)?, who).await?;
    if !node.config.persist {
        // §8.5.3.3
        return Err(errors::unsupported("persistent-items"));
    }
    let write = Write::NodePurge {
        owner: owner.to_string(),
        node: node.name.clone(),
    };
    commit(ctx, write).await?;
    let news = event::purged(&node);
    let told = node.config.notify_retract;
    Ok((Payload::empty(), told_if(told, node, news)))
}

/// §7.2
pub(super) async fn retract(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Done {
    let name = node::named(asked)?;
    let item = asked.child(ns::PUBSUB, "item");
    let id = item.map(node::id_of).transpose()?.flatten();
    let id = id.ok_or_else(errors::item_required)?;
    let node = node::get(ctx, owner, name).await?;
    let standing = node.standing(ctx, who).await?;
    let publish = node.config.publish;
    if !access::may_retract(publish, standing, true) {
        return Err(StanzaError::forbidden());
    }
    if !node.config.persist {
        // §7.2.3.5
        return Err(errors::unsupported("persistent-items"));
    }
    let found = items::one(ctx, &node, &id).await?;
    let found = found.ok_or_else(StanzaError::item_not_found)?;
    if !access::may_retract(publish, standing, found.publisher == who.bare_str()) {
        return Err(StanzaError::forbidden());
    }
    commit(ctx, retraction(&node, &id)).await?;
    let notify = matches!(asked.attr("notify"), Some("1" | "true"));
    let told = notify || node.config.notify_retract;
    let news = event::retracted(&node, &id);
    Ok((Payload::empty(), told_if(told, node, news)))
}

fn told_if(told: bool, node: Node, event: Element) -> News {
    match told {
        true => News::Event(node, event),
        false => News::Nothing,
    }
}

/// What deletes an item.
pub(super) fn retraction(node: &Node, id: &str) -> Write {
    Write::ItemRetract {
        owner: node.owner.to_string(),
        node: node.name.clone(),
        id: id.to_owned(),
    }
}

/// Commits a change of a node that was there.
async fn commit(ctx: &mut Ctx<'_>, write: Write) -> Result<(), StanzaError> {
    match ctx.commit(write.into()).await {
        Ok(_) => Ok(()),
        // It was deleted meanwhile.
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}
