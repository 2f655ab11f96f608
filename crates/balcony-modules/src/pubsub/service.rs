//! Publish-subscribe on a domain of its own: whatever comes for it, and what it says it does.

use std::collections::HashMap;

use balcony_core::module::{BoxFuture, Ctx, Envelope, Flow, Service, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, IqType, Kind, MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::disco::{Identity, Info, Item, Items};
use balcony_proto::xep::rsm::{Page, PageRequest, Place as PagePlace};
use balcony_proto::xml::Element;
use balcony_store::NodeAffiliation;

use super::config::Configs;
use super::relation::Relation;
use super::request::{self, Asked};
use super::{approvals, discovery, farewell};
use crate::service_iq::{only_child, reply};

pub(super) const SERVICE: Service = Service {
    title: "Publish-Subscribe",
    domains: |config| &config.pubsub.hosts,
    take,
    wait,
    committed: |_, _| {},
};

/// Nodes in one page of the list: as many as a person looks through.
const PAGE: usize = 100;

/// Nodes that are looked at in one read, and reads for one page: before so many closed nodes a page
/// is short.
const LOOKED_AT: u32 = 1_000;
const READS: usize = 20;

/// What needs no look into the store: nothing but what is not for a service.
fn take(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Option<Flow> {
    let is_service = envelope
        .to()
        .is_some_and(|to| to.local().is_none() && to.is_bare());
    let stanza = &envelope.stanza;
    match stanza.kind {
        Kind::Iq(IqType::Get | IqType::Set) if is_service => None,
        Kind::Message(MessageType::Error) if is_service && is_gone(stanza) => None,
        Kind::Message(MessageType::Error) | Kind::Iq(IqType::Result | IqType::Error) => {
            Some(Flow::Handled)
        }
        // Whoever subscribes to its presence has none to see.
        Kind::Presence(_) => Some(Flow::Handled),
        Kind::Message(_) if is_service && approvals::decision(stanza).is_some() => None,
        Kind::Message(_) | Kind::Iq(_) => Some(Flow::Reject(StanzaError::service_unavailable())),
    }
}

/// §12.4: whether what was sent came back because there is nobody any more.
fn is_gone(stanza: &Stanza) -> bool {
    let condition = stanza.stanza_error().map(|error| error.condition);
    matches!(condition, Some(Condition::Gone | Condition::ItemNotFound))
}

fn wait<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> BoxFuture<'a, Flow> {
    Box::pin(async move {
        let stanza = envelope.stanza.clone();
        let (Some(from), Some(to)) = (stanza.from.clone(), stanza.to.clone()) else {
            return Flow::Drop("a stanza without an address");
        };
        let done = match stanza.kind {
            Kind::Iq(_) => answer(ctx, &stanza, from, to).await,
            Kind::Message(MessageType::Error) => farewell::bounced(ctx, &to, &from).await,
            _ => match approvals::decision(&stanza) {
                Some(Ok(decision)) => approvals::decide(ctx, &to, &from, decision).await,
                Some(Err(error)) => Err(error),
                None => Err(StanzaError::service_unavailable()),
            },
        };
        match done {
            Ok(()) => Flow::Handled,
            Err(error) => Flow::Reject(error),
        }
    })
}

async fn answer(ctx: &mut Ctx<'_>, stanza: &Stanza, from: Jid, to: Jid) -> Result<(), StanzaError> {
    let element = only_child(stanza)?;
    let is_set = stanza.kind == Kind::Iq(IqType::Set);
    let is = |ns: &str, name: &str| element.is(ns, name);
    let payload = match is_set {
        false if is(ns::DISCO_INFO, "query") => info(ctx, &from, &to, &element).await?,
        false if is(ns::DISCO_ITEMS, "query") => items(ctx, &from, &to, &element).await?,
        false if is(ns::PING, "ping") => Payload::empty(),
        _ if is(ns::PUBSUB, "pubsub") || is(ns::PUBSUB_OWNER, "pubsub") => {
            return pubsub(ctx, stanza, Asked::new(to, from, element)).await;
        }
        _ => return Err(StanzaError::service_unavailable()),
    };
    reply(ctx, stanza, payload);
    Ok(())
}

async fn pubsub(ctx: &mut Ctx<'_>, stanza: &Stanza, asked: Asked) -> Result<(), StanzaError> {
    if stanza.kind == Kind::Iq(IqType::Get) {
        let payload = asked.get(ctx).await?;
        reply(ctx, stanza, payload);
        return Ok(());
    }
    let _turn = asked.turn(ctx).await?;
    let (payload, news) = asked.set(ctx).await?;
    reply(ctx, stanza, payload);
    request::tell(ctx, news).await;
    Ok(())
}

/// §10: what a service does, by the last part of each feature's name.
const FEATURES: [&str; 36] = [
    "access-authorize",
    "access-open",
    "access-whitelist",
    "auto-create",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "last-published",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
];

/// §5.1, §5.3.
async fn info(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    asked: &Element,
) -> Result<Payload, StanzaError> {
    let info = match asked.attr("node") {
        Some(node) => {
            let found = discovery::info_of(ctx, to, from, node).await?;
            found.ok_or_else(StanzaError::item_not_found)?
        }
        None => {
            let identity = Identity::new("pubsub", "service").named(SERVICE.title);
            let own = [
                ns::DISCO_INFO,
                ns::DISCO_ITEMS,
                ns::PING,
                ns::PUBSUB,
                ns::RSM,
            ];
            let info = own.into_iter().fold(Info::of(identity), Info::with_feature);
            let features = FEATURES.iter().map(|name| format!("{}#{name}", ns::PUBSUB));
            features.fold(info, Info::with_feature)
        }
    };
    Ok(Payload::from_element(&info.to_element()))
}

/// §5.2, §5.5.
async fn items(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    asked: &Element,
) -> Result<Payload, StanzaError> {
    let Some(node) = asked.attr("node") else {
        return nodes(ctx, from, to, asked).await;
    };
    let found = discovery::items_of_any(ctx, to, from, node).await?;
    let items = Items {
        node: Some(node.to_owned()),
        items: found.ok_or_else(StanzaError::item_not_found)?,
    };
    Ok(Payload::from_element(&items.to_element()))
}

/// The nodes that are no secret, page by page.
async fn nodes(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    asked: &Element,
) -> Result<Payload, StanzaError> {
    let page = PageRequest::within(asked)?;
    let wanted = page.as_ref().and_then(|page| page.max).unwrap_or(PAGE);
    let wanted = wanted.clamp(1, PAGE);
    let after = match page.map(|page| page.place) {
        None | Some(PagePlace::First) => None,
        Some(PagePlace::After(node)) => Some(node),
        Some(_) => return Err(StanzaError::feature_not_implemented()),
    };
    let (shown, more) = visible(ctx, from, to, (after.clone(), wanted)).await?;
    let cut = shown.len() > wanted || more;
    let shown: Vec<Item> = shown.into_iter().take(wanted).collect();
    let ends = shown.first().zip(shown.last());
    let ends = ends.and_then(|(first, last)| Some((first.node.clone()?, last.node.clone()?)));
    let mut query = Items {
        node: None,
        items: shown,
    }
    .to_element();
    if cut || after.is_some() {
        let set = Page {
            ends,
            ..Page::default()
        };
        query.push(set.to_element());
    }
    Ok(Payload::from_element(&query))
}

/// The nodes behind this one that somebody may see, until there are enough; and whether there may
/// be more.
async fn visible(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    (mut after, wanted): (Option<String>, usize),
) -> Result<(Vec<Item>, bool), StanzaError> {
    let pubsub = ctx.store().pubsub();
    let theirs = pubsub.affiliations_of(to.as_str(), from.bare_str()).await;
    let theirs = theirs.map_err(|cause| stanza_error(&cause))?;
    let theirs: HashMap<String, NodeAffiliation> = theirs.into_iter().collect();
    let relation = Relation {
        is_own: false,
        contact: None,
    };
    let mut configs = Configs::default();
    let mut shown = Vec::new();
    for _ in 0..READS {
        let listed = pubsub.nodes(to.as_str(), after.as_deref(), LOOKED_AT).await;
        let listed = listed.map_err(|cause| stanza_error(&cause))?;
        let is_end = listed.len() < usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
        after = listed.last().map(|entry| entry.node.clone());
        for entry in listed {
            let config = configs.get(&entry.config);
            if relation.may_see(theirs.get(&entry.node).copied(), config) {
                shown.push(Item {
                    jid: to.clone(),
                    node: Some(entry.node),
                    name: config.title.clone(),
                });
            }
        }
        if is_end || shown.len() > wanted {
            return Ok((shown, !is_end));
        }
    }
    Ok((shown, true))
}
