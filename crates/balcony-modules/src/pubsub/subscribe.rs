//! Subscribing and unsubscribing (XEP-0060 §6.1, §6.2), and the options of a subscription (§6.3,
//! §6.4).

use balcony_core::module::{Answer, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, FormType};
use balcony_proto::xml::Element;
use balcony_store::{Error, NodeSubscription, SubscriptionState, Write};

use super::access::{self, Admission};
use super::errors;
use super::node::{self, Node};
use super::subscription::{self, Options};

/// Subscriptions of one node, each of which is told of every item.
pub(super) const MOST: u32 = 5_000;

/// Subscriptions of one subscriber to one node, with different resources: more than people have
/// devices.
const MOST_OF_ONE: usize = 10;

/// Somebody who has just subscribed.
pub(super) struct Subscribed {
    pub(super) node: Node,
    pub(super) jid: Jid,
    /// Whether an owner is asked first.
    pub(super) admission: Admission,
    pub(super) answer: Payload,
}

/// The address that is to be told.
fn address(asked: &Element) -> Result<Jid, StanzaError> {
    let jid = asked.attr("jid").ok_or_else(errors::invalid_jid)?;
    Jid::parse(jid).map_err(|_| errors::invalid_jid())
}

/// §6.1
///
/// # Errors
/// §6.1.3.
pub(super) async fn subscribe(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    (pubsub, asked): (&Element, &Element),
) -> Result<Subscribed, StanzaError> {
    let jid = address(asked)?;
    // §6.1.3.1
    if jid.bare_str() != who.bare_str() {
        return Err(errors::invalid_jid());
    }
    let node = node::get(ctx, owner, node::named(asked)?).await?;
    let standing = node.standing(ctx, who).await?;
    let admission = access::may_subscribe(node.config.access, standing)?;
    let now = ctx.utc_micros();
    let theirs = node.subscriptions_of(&jid);
    let theirs: Vec<_> = theirs
        .filter(|of| !subscription::is_over(of, now))
        .collect();
    let own = theirs.iter().find(|theirs| theirs.jid == jid.as_str());
    if admission == Admission::WhenApproved
        && own.is_some_and(|own| own.state == SubscriptionState::Pending)
    {
        return Err(errors::pending_subscription());
    }
    if own.is_none() && theirs.len() >= MOST_OF_ONE {
        return Err(errors::too_many_subscriptions());
    }
    // §6.1.6: once for each address; again, it is answered as if it had just been approved.
    let options = options_beside(pubsub, now)?;
    let state = match admission {
        Admission::Now => SubscriptionState::Subscribed,
        Admission::WhenApproved => SubscriptionState::Pending,
    };
    let kept = options.or(own.map(|own| Options::of(own)));
    let subscription = kept.unwrap_or_default().subscription(&jid, state);
    let name = Some(node.name.as_str());
    let answer = Element::new(ns::PUBSUB, "pubsub")
        .with_child(subscription::written(ns::PUBSUB, name, &subscription))
        .with_children(options.map(|options| with_form(options, FormType::Result)));
    set(ctx, &node, subscription).await?;
    Ok(Subscribed {
        answer: Payload::from_element(&answer),
        node,
        jid,
        admission,
    })
}

/// §6.3.7: options that come with a subscription.
fn options_beside(pubsub: &Element, now: i64) -> Result<Option<Options>, StanzaError> {
    let Some(options) = pubsub.child(ns::PUBSUB, "options") else {
        return Ok(None);
    };
    if options.attr("node").is_some() || options.attr("jid").is_some() {
        return Err(StanzaError::bad_request());
    }
    let form = DataForm::within(options).ok_or_else(StanzaError::bad_request)?;
    Options::default().with_submitted(&form, now).map(Some)
}

fn with_form(options: Options, kind: FormType) -> Element {
    Element::new(ns::PUBSUB, "options").with_child(options.form(kind).to_element())
}

async fn set(
    ctx: &mut Ctx<'_>,
    node: &Node,
    subscription: NodeSubscription,
) -> Result<(), StanzaError> {
    let write = Write::SubscriptionSet {
        owner: node.owner.to_string(),
        node: node.name.clone(),
        subscription,
        max: MOST,
    };
    match ctx.commit(write.into()).await {
        Ok(_) => Ok(()),
        Err(Error::Limit(_)) => Err(errors::too_many_subscriptions()),
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

/// §6.2
///
/// # Errors
/// §6.2.3.
pub(super) async fn unsubscribe(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Answer {
    let jid = address(asked)?;
    // §6.2.3.3
    if jid.bare_str() != who.bare_str() {
        return Err(StanzaError::forbidden());
    }
    let node = node::seen_by(ctx, owner, node::named(asked)?, who).await?;
    // §6.2.3.4
    let node = node.ok_or_else(StanzaError::item_not_found)?;
    own(&node, &jid, ctx.utc_micros())?;
    let write = subscription::removal(&node, &jid);
    match ctx.commit(write.into()).await {
        Ok(_) => Ok(Payload::empty()),
        Err(Error::NotFound) => Err(StanzaError::item_not_found()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

/// The subscription of an address.
///
/// # Errors
/// §6.2.3.2, §6.3.4.2: `not-subscribed`.
fn own<'n>(node: &'n Node, jid: &Jid, now: i64) -> Result<&'n NodeSubscription, StanzaError> {
    let mut all = node.data.subscriptions.iter();
    let found = all.find(|found| found.jid == jid.as_str() && !subscription::is_over(found, now));
    found.ok_or_else(errors::not_subscribed)
}

/// The node and the address of which the options are asked for, or changed.
async fn of_options(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Result<(Node, Jid), StanzaError> {
    // §6.3.4.3
    let jid = asked.attr("jid").ok_or_else(errors::jid_required)?;
    let jid = Jid::parse(jid).map_err(|_| errors::invalid_jid())?;
    // §6.3.4.1
    if jid.bare_str() != who.bare_str() {
        return Err(StanzaError::forbidden());
    }
    let node = node::seen_by(ctx, owner, node::named(asked)?, who).await?;
    // §6.3.4.7
    Ok((node.ok_or_else(StanzaError::item_not_found)?, jid))
}

/// §6.3.4.2 has another type than §6.2.3.2.
fn modify(error: StanzaError) -> StanzaError {
    error.with_type(ErrorType::Modify)
}

/// §6.3.2: the form.
///
/// # Errors
/// §6.3.4.
pub(super) async fn options(ctx: &mut Ctx<'_>, owner: &Jid, who: &Jid, asked: &Element) -> Answer {
    let (node, jid) = of_options(ctx, owner, who, asked).await?;
    let subscription = own(&node, &jid, ctx.utc_micros()).map_err(modify)?;
    let options = with_form(Options::of(subscription), FormType::Form)
        .with_attr("node", node.name.as_str())
        .with_attr("jid", jid.as_str());
    let pubsub = Element::new(ns::PUBSUB, "pubsub").with_child(options);
    Ok(Payload::from_element(&pubsub))
}

/// §6.3.5: the form comes back.
///
/// # Errors
/// §6.3.4, §6.3.6.2.
pub(super) async fn configure(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    who: &Jid,
    asked: &Element,
) -> Answer {
    let (node, jid) = of_options(ctx, owner, who, asked).await?;
    let now = ctx.utc_micros();
    let subscription = own(&node, &jid, now).map_err(modify)?;
    let form = DataForm::within(asked).ok_or_else(StanzaError::bad_request)?;
    if form.form_type != FormType::Cancel {
        let options = Options::of(subscription).with_submitted(&form, now)?;
        let state = subscription.state;
        set(ctx, &node, options.subscription(&jid, state)).await?;
    }
    Ok(Payload::empty())
}

/// §6.4: what a new subscription is like.
pub(super) fn defaults(asked: &Element) -> Payload {
    let form = Options::default().form(FormType::Result).to_element();
    let default = Element::new(ns::PUBSUB, "default")
        .with_opt_attr("node", asked.attr("node"))
        .with_child(form);
    Payload::from_element(&Element::new(ns::PUBSUB, "pubsub").with_child(default))
}
