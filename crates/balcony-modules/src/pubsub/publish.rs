//! Publishing (XEP-0060 §7.1).

use balcony_core::module::Ctx;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::data_form::DataForm;
use balcony_proto::xml::Element;
use balcony_store::{PubsubItem, Write, WriteSet};

use super::access;
use super::choices::Place;
use super::config::NodeConfig;
use super::create;
use super::errors;
use super::items;
use super::node::{self, Node};
use super::settings::Limits;

/// Something that somebody wants to publish.
pub(super) struct Publication {
    pub(super) node: String,
    /// Whether there is an `<item/>`.
    pub(super) with_item: bool,
    /// Its id; `None`: one is made.
    pub(super) id: Option<String>,
    pub(super) payload: Option<Element>,
    /// What the node must be like.
    pub(super) options: Option<DataForm>,
}

/// What was published.
pub(super) struct Published {
    pub(super) node: Node,
    pub(super) item: Option<PubsubItem>,
}

impl Publication {
    /// Reads a `<publish/>`, with the options beside it.
    ///
    /// # Errors
    /// `bad-request` for what nobody may publish, whatever the node.
    pub(super) fn parse(pubsub: &Element, publish: &Element) -> Result<Self, StanzaError> {
        let mut items = publish.children().filter(|c| c.is(ns::PUBSUB, "item"));
        // §7.1.1: one item at most.
        let (item, None) = (items.next(), items.next()) else {
            return Err(StanzaError::bad_request().with_text("one item at a time"));
        };
        let mut payloads = item.into_iter().flat_map(Element::children);
        let (payload, None) = (payloads.next(), payloads.next()) else {
            return Err(errors::invalid_payload());
        };
        let options = pubsub.child(ns::PUBSUB, "publish-options");
        let form = options.and_then(DataForm::within);
        if options.is_some() && form.is_none() {
            // §7.1.5: it must contain a form.
            return Err(errors::invalid_options("the form is missing".to_owned()));
        }
        Ok(Self {
            node: node::named(publish)?.to_owned(),
            with_item: item.is_some(),
            id: item.map(node::id_of).transpose()?.flatten(),
            payload: payload.cloned(),
            options: form,
        })
    }

    /// What is to be published by the server itself for an account.
    pub(super) fn own(node: &str, id: String, payload: Element, options: Option<DataForm>) -> Self {
        Self {
            node: node.to_owned(),
            with_item: true,
            id: Some(id),
            payload: Some(payload),
            options,
        }
    }

    /// §7.1.3.7: whether it is what the node takes.
    fn check(&self, config: &NodeConfig, limits: Limits) -> Result<(), StanzaError> {
        match (config.is_bare_event(), self.with_item) {
            (true, true) => return Err(errors::item_forbidden()),
            (true, false) => return Ok(()),
            (false, false) => return Err(errors::item_required()),
            (false, true) => {}
        }
        match &self.payload {
            None if config.payloads => Err(errors::payload_required()),
            Some(payload) if payload.to_bytes("").len() > limits.item_bytes => {
                Err(errors::payload_too_big())
            }
            _ => Ok(()),
        }
    }
}

/// Publishes, and makes the node where the owner publishes to one that is not there (§7.1.4). The
/// caller has the owner's turn, and tells whoever is to be told.
///
/// # Errors
/// §7.1.3, §7.1.5.
pub(super) async fn put(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    publisher: &Jid,
    publication: Publication,
) -> Result<Published, StanzaError> {
    let limits = Limits::of(ctx);
    let mut writes = WriteSet::new();
    let node = match node::find(ctx, owner, &publication.node).await? {
        Some(node) => {
            let standing = node.standing(ctx, publisher).await?;
            if !access::may_publish(node.config.publish, standing) {
                return Err(StanzaError::forbidden());
            }
            let options = publication.options.as_ref();
            let met = options.map(|options| node.config.meets(options, node.place(), limits.items));
            if met.transpose()? == Some(false) {
                return Err(errors::precondition_not_met());
            }
            node
        }
        None if create::may_create(ctx, owner, publisher).await? => {
            let config = NodeConfig::fresh(Place::of(owner), &publication.node);
            // §7.1.5: as the options say, and else as usual.
            let config = match &publication.options {
                Some(options) => config.with_options(options, Place::of(owner))?,
                None => config,
            };
            let name = publication.node.clone();
            let (node, made) = create::fresh(ctx, (owner, publisher), name, config).await?;
            writes.extend(made);
            node
        }
        None => return Err(StanzaError::item_not_found()),
    };
    publication.check(&node.config, limits)?;
    let item = match publication.with_item {
        true => Some(PubsubItem {
            id: publication.id.map_or_else(node::new_id, Ok)?,
            publisher: publisher.bare_str().to_owned(),
            published_at: ctx.utc_micros(),
            payload: node::kept(publication.payload.as_ref()),
        }),
        false => None,
    };
    let expired = node.config.expired_before(ctx.utc_micros());
    writes.extend(expired.map(|before| items::expiry(&node, before)));
    writes.extend(item.clone().map(|item| Write::ItemPublish {
        owner: owner.to_string(),
        node: node.name.clone(),
        item,
        max_items: node.config.kept_items(limits.items),
    }));
    create::commit(ctx, writes).await?;
    Ok(Published { node, item })
}

/// §7.1.2: the answer, with the id of the item.
pub(super) fn answer(published: &Published) -> Payload {
    let item = published.item.as_ref();
    let item = item.map(|item| Element::new(ns::PUBSUB, "item").with_attr("id", item.id.as_str()));
    let publish = Element::new(ns::PUBSUB, "publish")
        .with_attr("node", published.node.name.as_str())
        .with_children(item);
    Payload::from_element(&Element::new(ns::PUBSUB, "pubsub").with_child(publish))
}
