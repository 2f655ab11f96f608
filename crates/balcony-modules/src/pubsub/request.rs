//! Requests for nodes, sorted by what they ask for: of an account, and of a service.

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, Target};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;

use super::access::Admission;
use super::node::Node;
use super::subscribers::{self, Changed};
use super::{State, approvals, event, items, notify, owner, people, publish, subscribe};
use crate::avatar;
use crate::turns::Turn;

/// Who asks for what.
pub(super) struct Asked {
    /// Whose nodes.
    owner: Jid,
    who: Jid,
    /// The `<pubsub/>`.
    pubsub: Element,
}

/// What is told once the answer is given.
pub(super) enum News {
    Nothing,
    /// Something happened on a node.
    Event(Node, Element),
    /// Somebody has subscribed, and gets what there is.
    Welcome(Node, Jid),
    /// Somebody wants to subscribe, and the owners are asked.
    Request(Node, Jid),
    /// Subscriptions are something else than before.
    Changed(Node, Vec<Changed>),
}

/// What a request comes to.
pub(super) type Done = Result<(Payload, News), StanzaError>;

impl Asked {
    /// # Errors
    /// `service-unavailable` for whom the account blocks (XEP-0191 §3.3).
    async fn of_account(ctx: &mut Ctx<'_>, request: &Request) -> Result<Self, StanzaError> {
        let asked = Self::new(
            request.account()?,
            request.from()?.clone(),
            request.element()?,
        );
        let is_own = request.target == Target::OWN_ACCOUNT;
        if !is_own && notify::is_blocked(ctx, &asked.owner, &asked.who).await? {
            return Err(StanzaError::service_unavailable());
        }
        Ok(asked)
    }

    /// Somebody asks for the nodes of an owner.
    pub(super) fn new(owner: Jid, who: Jid, pubsub: Element) -> Self {
        Self { owner, who, pubsub }
    }

    /// What is asked for: the first element of the namespace.
    fn what(&self) -> Result<&Element, StanzaError> {
        let mut children = self.pubsub.children();
        let found = children.find(|child| child.ns() == self.pubsub.ns());
        found.ok_or_else(StanzaError::bad_request)
    }

    /// Answers a question.
    ///
    /// # Errors
    /// Those of XEP-0060.
    pub(super) async fn get(&self, ctx: &mut Ctx<'_>) -> Answer {
        match self.pubsub.ns() == ns::PUBSUB_OWNER {
            true => self.get_as_owner(ctx).await,
            false => self.get_as_anybody(ctx).await,
        }
    }

    /// XEP-0060 §5.6, §5.7, §6.3, §6.4, §6.5.
    async fn get_as_anybody(&self, ctx: &mut Ctx<'_>) -> Answer {
        let (owner, who, what) = (&self.owner, &self.who, self.what()?);
        match what.name() {
            "items" => items::answer(ctx, owner, who, &self.pubsub, what).await,
            "subscriptions" => people::own_subscriptions(ctx, owner, who, what).await,
            "affiliations" => people::own_affiliations(ctx, owner, who, what).await,
            "options" => subscribe::options(ctx, owner, who, what).await,
            "default" => Ok(subscribe::defaults(what)),
            _ => Err(StanzaError::bad_request()),
        }
    }

    /// XEP-0060 §8.2, §8.3, §8.8, §8.9.
    async fn get_as_owner(&self, ctx: &mut Ctx<'_>) -> Answer {
        let (owner, who, what) = (&self.owner, &self.who, self.what()?);
        match what.name() {
            "configure" => owner::configuration(ctx, owner, who, what).await,
            "default" => Ok(owner::defaults(owner)),
            "affiliations" => people::affiliations(ctx, owner, who, what).await,
            "subscriptions" => subscribers::list(ctx, owner, who, what).await,
            _ => Err(StanzaError::bad_request()),
        }
    }

    /// The turn to change the nodes of the owner. It is kept until all are told, so that everybody
    /// hears of changes in their order.
    pub(super) async fn turn(&self, ctx: &mut Ctx<'_>) -> Result<Turn, StanzaError> {
        let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
        Ok(state.turns.take(self.owner.as_str()).await)
    }

    /// Changes something. The caller has the turn, answers, and tells the news.
    ///
    /// # Errors
    /// Those of XEP-0060.
    pub(super) async fn set(&self, ctx: &mut Ctx<'_>) -> Done {
        match self.pubsub.ns() == ns::PUBSUB_OWNER {
            true => self.set_as_owner(ctx).await,
            false => self.set_as_anybody(ctx).await,
        }
    }

    /// XEP-0060 §6.1, §6.2, §6.3, §7, §8.1.
    async fn set_as_anybody(&self, ctx: &mut Ctx<'_>) -> Done {
        let (owner, who, what) = (&self.owner, &self.who, self.what()?);
        match what.name() {
            "publish" => self.publication(ctx, what).await,
            "retract" => owner::retract(ctx, owner, who, what).await,
            "create" => owner::create(ctx, owner, who, &self.pubsub, what).await,
            "subscribe" => {
                let new = subscribe::subscribe(ctx, owner, who, (&self.pubsub, what)).await?;
                let news = match new.admission {
                    Admission::Now => News::Welcome(new.node, new.jid),
                    Admission::WhenApproved => News::Request(new.node, new.jid),
                };
                Ok((new.answer, news))
            }
            "unsubscribe" => quiet(subscribe::unsubscribe(ctx, owner, who, what).await),
            "options" => quiet(subscribe::configure(ctx, owner, who, what).await),
            _ => Err(StanzaError::bad_request()),
        }
    }

    /// XEP-0060 §8.2, §8.4, §8.5, §8.8, §8.9.
    async fn set_as_owner(&self, ctx: &mut Ctx<'_>) -> Done {
        let (owner, who, what) = (&self.owner, &self.who, self.what()?);
        match what.name() {
            "configure" => owner::configure(ctx, owner, who, what).await,
            "delete" => owner::delete(ctx, owner, who, what).await,
            "purge" => owner::purge(ctx, owner, who, what).await,
            "affiliations" => changed(people::affiliate(ctx, owner, who, what).await),
            "subscriptions" => changed(subscribers::change(ctx, owner, who, what).await),
            _ => Err(StanzaError::bad_request()),
        }
    }

    async fn publication(&self, ctx: &mut Ctx<'_>, publish: &Element) -> Done {
        let publication = publish::Publication::parse(&self.pubsub, publish)?;
        let payload = publication.payload.clone();
        let published = publish::put(ctx, &self.owner, &self.who, publication).await?;
        // Before anybody hears of an avatar, who may look into the vCard then.
        // Whoever else may publish there does not change the vCard.
        if let Some(payload) = payload.filter(|_| self.who.bare_str() == self.owner.as_str()) {
            avatar::published(ctx, &self.owner, &published.node.name, &payload).await;
        }
        let answer = publish::answer(&published);
        let event = published_event(&published);
        Ok((answer, News::Event(published.node, event)))
    }
}

fn quiet(answer: Answer) -> Done {
    Ok((answer?, News::Nothing))
}

fn changed(done: Result<(Node, Vec<Changed>), StanzaError>) -> Done {
    let (node, changed) = done?;
    Ok((Payload::empty(), News::Changed(node, changed)))
}

/// Tells whoever is to be told.
pub(super) async fn tell(ctx: &mut Ctx<'_>, news: News) {
    match news {
        News::Nothing => {}
        News::Event(node, event) => notify::tell(ctx, &node, &event).await,
        News::Welcome(node, jid) => notify::welcome(ctx, &node, jid).await,
        News::Request(node, jid) => approvals::ask(ctx, &node, &jid),
        News::Changed(node, changed) => approvals::tell(ctx, &node, &changed).await,
    }
}

fn published_event(published: &publish::Published) -> Element {
    let node = &published.node;
    event::published(&node.name, published.item.as_ref(), node.config.payloads)
}

/// Tells whoever is to be told of an item.
pub(super) async fn tell_published(ctx: &mut Ctx<'_>, published: &publish::Published) {
    let event = published_event(published);
    notify::tell(ctx, &published.node, &event).await;
}

/// A question to an account.
pub(super) fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move { Asked::of_account(ctx, request).await?.get(ctx).await })
}

/// A change of what an account has.
pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = Asked::of_account(ctx, request).await?;
        let _turn = asked.turn(ctx).await?;
        let (payload, news) = asked.set(ctx).await?;
        // Whoever asks hears first that it worked, and then what the others hear.
        let answer = ctx.answer(request, payload);
        tell(ctx, news).await;
        answer
    })
}
