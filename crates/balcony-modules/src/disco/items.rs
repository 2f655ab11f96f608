//! `disco#items` (XEP-0030 §4), page by page where that is asked for (XEP-0059).

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, Target};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::disco::{Item, Items};
use balcony_proto::xep::rsm::PageRequest;

use super::node::{self, Asked};
use crate::delegation::{self, Rest};
use crate::{access, pubsub};

/// Items of one page. XEP-0030 §6.2: nobody should walk a list of more than twenty; whoever pages
/// has said that they can handle one, and a hundred items are about 10 KB.
const PAGE: usize = 100;

/// Of a host, or the account of whoever asks.
pub(super) fn answer(ctx: &mut Ctx<'_>, request: &Request) -> Answer {
    let node = node::named(&request.payload()?);
    let items = match &node {
        Some(node) => {
            let asked = Asked {
                request,
                node: Some(node),
            };
            node::items(ctx, &asked)?
        }
        None => top(ctx, request)?,
    };
    written(request, node, items)
}

/// Of an account. §8: who may not see its presence gets what is for everybody, and nothing more, as
/// for an account that does not exist.
pub(super) fn answer_about_account<'a>(
    ctx: &'a mut Ctx<'_>,
    request: &'a Request,
) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let named = node::named(&request.payload()?);
        if let Some(node) = &named
            && let Some(items) = pubsub::items_of(ctx, request, node).await?
        {
            return written(request, named, items);
        }
        // XEP-0355 §7.2.5: the account itself, and nodes that are not known here.
        if !is_known(ctx, request, named.as_deref())
            && let Some(answer) = delegation::take_rest(ctx, request, Rest::Items)
        {
            return answer;
        }
        let sees = access::sees_presence(ctx, request).await?;
        let mut items = match &named {
            Some(_) if sees => return answer(ctx, request),
            None if sees => top(ctx, request)?,
            _ => Vec::new(),
        };
        if named.is_none() {
            // XEP-0163 §6.2
            items.extend(pubsub::nodes(ctx, request).await?);
        }
        written(request, named, items)
    })
}

/// Whether it is a node that a module has.
fn is_known(ctx: &Ctx<'_>, request: &Request, node: Option<&str>) -> bool {
    node.is_some_and(|node| {
        let asked = Asked {
            request,
            node: Some(node),
        };
        node::items(ctx, &asked).is_ok()
    })
}

/// What an entity itself has.
fn top(ctx: &Ctx<'_>, request: &Request) -> Result<Vec<Item>, StanzaError> {
    let mut items = resources(ctx, request)?;
    items.extend(node::top_items(ctx, request)?);
    Ok(items)
}

/// The services of a host, and the components that are connected: those on domains below its own,
/// and those that are below none.
fn services(ctx: &Ctx<'_>, host: &str) -> Vec<Item> {
    let hosts = ctx.core().hosts();
    let below = |domain: &str, host: &str| {
        let rest = domain.strip_suffix(host);
        rest.is_some_and(|rest| rest.ends_with('.'))
    };
    let is_its = |domain: &str| {
        below(domain, host) || !hosts.iter().any(|other| below(domain, other.name()))
    };
    let services = ctx.core().services().into_iter();
    let services = services.filter(|(domain, _)| is_its(domain));
    let services = services.map(|(domain, service)| (domain, Some(service.title)));
    // What they are called, they say themselves.
    let config = ctx.config();
    let components = config.components.iter().map(|component| &component.name);
    let there = components.filter(|name| is_its(name) && ctx.core().has_component(name));
    let all = services.chain(there.map(|name| (name.clone(), None)));
    let items = all.filter_map(|(domain, title)| {
        let item = Item::new(Jid::from_parts(None, &domain, None).ok()?);
        Some(match title {
            Some(title) => item.named(title),
            None => item,
        })
    });
    items.collect()
}

/// §4.1: the resources of an account; to others those that are available.
fn resources(ctx: &Ctx<'_>, request: &Request) -> Result<Vec<Item>, StanzaError> {
    if request.target == Target::HOST {
        return Ok(services(ctx, request.host()?));
    }
    let own = request.target == Target::OWN_ACCOUNT;
    let sessions = ctx.sessions_of(&request.account()?);
    let shown = sessions
        .iter()
        .filter(|session| own || session.is_available());
    Ok(shown
        .map(|session| Item::new(session.jid().clone()))
        .collect())
}

fn written(request: &Request, node: Option<String>, items: Vec<Item>) -> Answer {
    let page = PageRequest::within(&request.element()?)?;
    // XEP-0059 §2.2: where the whole is empty, the answer is that of XEP-0030.
    let Some(page) = page.filter(|_| !items.is_empty()) else {
        return Ok(Payload::from_element(&Items { node, items }.to_element()));
    };
    let (range, set) = page.page(&items, PAGE, id)?;
    let items = items.get(range).unwrap_or_default().to_vec();
    let query = Items { node, items }.to_element();
    Ok(Payload::from_element(&query.with_child(set.to_element())))
}

/// A space is neither in a domainpart nor at the end of a resourcepart, so that no two items have
/// the same id.
fn id(item: &Item) -> String {
    match &item.node {
        Some(node) => format!("{} {node}", item.jid),
        None => item.jid.to_string(),
    }
}
