//! XEP-0355 Namespace Delegation 0.5: requests that external components answer in place of the
//! server, in the mode in which the operator decides (§4).

mod forward;
mod nested;

use balcony_core::module::{
    Answer, Band, Config, Ctx, Delegation, Envelope, Event, EventKind, Feature, Flow, Hook,
    HookSpec, Kinds, Listen, Listener, ModuleSpec, Origin, Request, Spec, Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Stanza};
use balcony_proto::xml::Element;

use crate::components::{Notices, Waiting};

pub(crate) use nested::{Nest, Nested};

/// Namespace delegation.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "delegation",
    specs: &[Spec::xep("XEP-0355", "Namespace Delegation", "0.5")
        .partial("client mode (§5), which is optional")],
    features: &[Feature::host(ns::DELEGATION)],
    hooks: &[HookSpec {
        stage: Stage::Serving,
        band: Band::Guard,
        kinds: Kinds::IQ,
        after: &[],
        changes: &[],
        hook: Hook::Now(take),
    }],
    on: &[
        Listener {
            event: EventKind::Component,
            listen: Listen::Now(connected),
        },
        Listener {
            event: EventKind::Tick,
            listen: Listen::Now(tick),
        },
    ],
    state: Some(|_| Box::new(State::default())),
    conversations: &["xep-0355"],
    ..ModuleSpec::NOTHING
};

struct State {
    notices: Notices,
    nested: Nested,
    waiting: Waiting,
}

impl Default for State {
    fn default() -> State {
        State {
            notices: Notices::new(notice, || Element::new(ns::DELEGATION, "delegation")),
            nested: Nested::default(),
            waiting: Waiting::default(),
        }
    }
}

/// §7.2.4, §7.2.5: what stands for nodes of accounts in the place of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// What a node is that the server does not know.
    Info,
    /// What an account has, or a node that the server does not know.
    Items,
}

impl Rest {
    fn namespace(self) -> &'static str {
        match self {
            Rest::Info => "urn:xmpp:delegation:2:bare:disco#info:*",
            Rest::Items => "urn:xmpp:delegation:2:bare:disco#items:*",
        }
    }
}

/// What discovery says of delegated namespaces now.
pub(crate) fn nested<'c>(ctx: &Ctx<'c>) -> Option<&'c Nested> {
    ctx.state::<State>().map(|state| &state.nested)
}

/// What is delegated to a component for a host (§4.2).
fn notice(config: &Config, component: &Jid, host: &str) -> Option<Element> {
    let all = config.delegations.iter();
    let held = all.filter(|d| d.component == component.as_str() && d.is_for(host));
    let mut delegated = held.map(|held| {
        let attributes = held
            .attributes
            .iter()
            .map(|name| Element::new(ns::DELEGATION, "attribute").with_attr("name", name.as_str()));
        Element::new(ns::DELEGATION, "delegated")
            .with_attr("namespace", held.namespace.as_str())
            .with_children(attributes)
    });
    let first = delegated.next()?;
    let notice = Element::new(ns::DELEGATION, "delegation").with_child(first);
    Some(notice.with_children(delegated))
}

fn connected(ctx: &mut Ctx<'_>, event: &Event) {
    if let (Event::Component(component), Some(state)) = (event, ctx.state::<State>()) {
        state.notices.connected(ctx, component);
        nested::ask(ctx, component);
    }
}

fn tick(ctx: &mut Ctx<'_>, _: &Event) {
    if let Some(state) = ctx.state::<State>()
        && state.notices.look(ctx).is_some()
    {
        nested::ask_all(ctx);
    }
}

/// Takes a request in a namespace that is delegated (§4.3).
fn take(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let config = ctx.config();
    if config.delegations.is_empty() {
        return Flow::Continue;
    }
    let stanza = &envelope.stanza;
    let (Some(from), Some(payload)) = (&stanza.from, stanza.payload.first()) else {
        return Flow::Continue;
    };
    let by = match envelope.origin() {
        // What the server asks for itself is not answered by others.
        Origin::Server => return Flow::Continue,
        Origin::Behalf(component) => component,
        Origin::Session(_) | Origin::Foreign => from,
    };
    let host = stanza.to.as_ref().unwrap_or(from).domain();
    let fits = |held: &&Delegation| held.namespace == payload.ns() && has_all(held, &payload);
    let Some(component) = delegate(&config, by, host, fits) else {
        return Flow::Continue;
    };
    match forward::begin(ctx, stanza, envelope.session(), &component, host) {
        Ok(()) => Flow::Handled,
        Err(error) => Flow::Reject(error),
    }
}

/// Has a component answer a request about an account that the server has no answer to. `None`:
/// there is no component for that.
pub(crate) fn take_rest(ctx: &mut Ctx<'_>, request: &Request, rest: Rest) -> Option<Answer> {
    let config = ctx.config();
    if config.delegations.is_empty() {
        return None;
    }
    let stanza: &Stanza = &request.stanza;
    let from = stanza.from.as_ref()?;
    let host = stanza.to.as_ref().unwrap_or(from).domain();
    let fits = |held: &&Delegation| held.namespace == rest.namespace();
    let by = request.behalf.as_ref().unwrap_or(from);
    let component = delegate(&config, by, host, fits)?;
    let begun = forward::begin(ctx, stanza, request.session.as_ref(), &component, host);
    Some(match begun {
        Ok(()) => ctx.answer_later(),
        Err(error) => Err(error),
    })
}

/// The component that answers: never the one that asks, also in the name of an account (§4.3.1).
fn delegate(
    config: &Config,
    by: &Jid,
    host: &str,
    fits: impl Fn(&&Delegation) -> bool,
) -> Option<Jid> {
    let mut all = config.delegations.iter().filter(|held| held.is_for(host));
    let held = all.find(fits)?;
    let component = Jid::from_parts(None, &held.component, None).ok()?;
    (component.as_str() != by.bare_str()).then_some(component)
}

fn has_all(held: &Delegation, payload: &Child<'_>) -> bool {
    let mut attributes = held.attributes.iter();
    attributes.all(|name| payload.attr(name).is_some())
}
