//! Requests for the nodes of an account, sorted by what they ask for.

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, Target};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;

use super::owner::Done;
use crate::avatar;

use super::{State, errors, event, items, notify, owner, people, publish, subscribe};

/// Who asks for what.
struct Asked {
    /// Whose nodes.
    owner: Jid,
    who: Jid,
    /// The `<pubsub/>`.
    pubsub: Element,
}

impl Asked {
    /// # Errors
    /// `service-unavailable` for whom the account blocks (XEP-0191 §3.3).
    async fn new(ctx: &mut Ctx<'_>, request: &Request) -> Result<Self, StanzaError> {
        let (owner, who) = (request.account()?, request.from()?.clone());
        let is_own = request.target == Target::OWN_ACCOUNT;
        if !is_own && notify::is_blocked(ctx, &owner, &who).await? {
            return Err(StanzaError::service_unavailable());
        }
        Ok(Self {
            owner,
            who,
            pubsub: request.element()?,
        })
    }

    /// What is asked for: the first element of the namespace.
    fn what(&self) -> Result<&Element, StanzaError> {
        let mut children = self.pubsub.children();
        let found = children.find(|child| child.ns() == self.pubsub.ns());
        found.ok_or_else(StanzaError::bad_request)
    }
}

/// XEP-0060 §5.6, §5.7, §6.5.
pub(super) fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = Asked::new(ctx, request).await?;
        let (owner, who, what) = (&asked.owner, &asked.who, asked.what()?);
        match what.name() {
            "items" => items::answer(ctx, owner, who, &asked.pubsub, what).await,
            "subscriptions" => people::own_subscriptions(ctx, owner, who, what).await,
            "affiliations" => people::own_affiliations(ctx, owner, who, what).await,
            name => Err(unknown(name)),
        }
    })
}

/// XEP-0060 §6.1, §6.2, §7, §8.1.
pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = Asked::new(ctx, request).await?;
        let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
        let _turn = state.turns.take(asked.owner.as_str()).await;
        let (owner, who, what) = (&asked.owner, &asked.who, asked.what()?);
        match what.name() {
            "publish" => publication(ctx, request, &asked, what).await,
            "retract" => {
                let retracted = owner::retract(ctx, owner, who, what).await;
                done(ctx, request, retracted).await
            }
            "create" => {
                let created = owner::create(ctx, owner, who, &asked.pubsub, what).await;
                done(ctx, request, created).await
            }
            "subscribe" => {
                let (payload, node, jid) = subscribe::subscribe(ctx, owner, who, what).await?;
                let answer = ctx.answer(request, payload);
                notify::welcome(ctx, &node, jid).await;
                answer
            }
            "unsubscribe" => subscribe::unsubscribe(ctx, owner, who, what).await,
            name => Err(unknown(name)),
        }
    })
}

/// XEP-0060 §8.2, §8.3, §8.9.
pub(super) fn get_owner<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = Asked::new(ctx, request).await?;
        let (owner, who, what) = (&asked.owner, &asked.who, asked.what()?);
        match what.name() {
            "configure" => owner::configuration(ctx, owner, who, what).await,
            "default" => Ok(owner::defaults()),
            "affiliations" => people::affiliations(ctx, owner, who, what).await,
            name => Err(unknown(name)),
        }
    })
}

/// XEP-0060 §8.2, §8.4, §8.5, §8.9.
pub(super) fn set_owner<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = Asked::new(ctx, request).await?;
        let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
        let _turn = state.turns.take(asked.owner.as_str()).await;
        let (owner, who, what) = (&asked.owner, &asked.who, asked.what()?);
        let change = match what.name() {
            "configure" => owner::configure(ctx, owner, who, what).await,
            "delete" => owner::delete(ctx, owner, who, what).await,
            "purge" => owner::purge(ctx, owner, who, what).await,
            "affiliations" => return people::affiliate(ctx, owner, who, what).await,
            name => Err(unknown(name)),
        };
        done(ctx, request, change).await
    })
}

/// What is not done here, by the name of its feature (XEP-0060 §10).
fn unknown(name: &str) -> StanzaError {
    match name {
        "options" => errors::unsupported("subscription-options"),
        "default" => errors::unsupported("retrieve-default-sub"),
        "subscriptions" => errors::unsupported("manage-subscriptions"),
        _ => StanzaError::bad_request(),
    }
}

async fn publication(
    ctx: &mut Ctx<'_>,
    request: &Request,
    asked: &Asked,
    publish: &Element,
) -> Answer {
    let publication = publish::Publication::parse(&asked.pubsub, publish)?;
    let payload = publication.payload.clone();
    let published = publish::put(ctx, &asked.owner, &asked.who, publication).await?;
    // Before anybody hears of an avatar, who may look into the vCard then.
    if let Some(payload) = &payload {
        avatar::published(ctx, &asked.owner, &published.node.name, payload).await;
    }
    // Whoever publishes hears first that it worked, and then what the others hear.
    let answer = ctx.answer(request, publish::answer(&published));
    tell_published(ctx, &published).await;
    answer
}

/// Tells whoever is to be told of an item.
pub(super) async fn tell_published(ctx: &mut Ctx<'_>, published: &publish::Published) {
    let node = &published.node;
    let payloads = node.config.payloads;
    let news = event::published(&node.name, published.item.as_ref(), payloads);
    notify::tell(ctx, node, &news).await;
}

/// Answers, and tells whoever is to be told.
async fn done(ctx: &mut Ctx<'_>, request: &Request, done: Done) -> Answer {
    let (payload, news) = done?;
    let answer = ctx.answer(request, payload);
    if let Some((node, event)) = news {
        notify::tell(ctx, &node, &event).await;
    }
    answer
}
