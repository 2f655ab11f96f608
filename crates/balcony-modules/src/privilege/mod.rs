//! XEP-0356 Privileged Entity 0.4.1: what external components may do in the name of accounts.

mod contacts;
mod iq;
mod message;
mod notice;
mod presence;
mod shown;

use balcony_core::module::{
    Band, Config, Ctx, Event, EventKind, Handle, Hook, HookSpec, IqHandler, IqKind, Kinds, Listen,
    Listener, ModuleSpec, Privilege, Request, Seen, Spec, Stage, Target,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Payload, Stanza};

use crate::components::{Notices, Waiting};

/// Privileged entities.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "privilege",
    specs: &[Spec::xep("XEP-0356", "Privileged Entity", "0.4.1").partial(
        "presence of contacts on other servers from before the server started, until they \
             change it or an account of theirs comes online",
    )],
    iq: &[IqHandler {
        ns: ns::PRIVILEGE,
        name: "privileged_iq",
        kind: IqKind::Any,
        target: Target::ANY,
        handle: Handle::Waits(iq::answer),
    }],
    hooks: &[
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Guard,
            kinds: Kinds::IQ,
            after: &[],
            changes: &[],
            hook: Hook::Now(iq::for_resource),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Guard,
            kinds: Kinds::PRESENCE,
            after: &["blocking"],
            changes: &[],
            hook: Hook::Now(presence::arriving),
        },
        HookSpec {
            stage: Stage::Serving,
            band: Band::Guard,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Now(message::take),
        },
    ],
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
    conversations: &["xep-0356"],
    ..ModuleSpec::NOTHING
};

struct State {
    notices: Notices,
    contacts: contacts::Contacts,
    waiting: Waiting,
}

impl Default for State {
    fn default() -> State {
        State {
            notices: Notices::new(notice::of, notice::nothing),
            contacts: contacts::Contacts::default(),
            waiting: Waiting::default(),
        }
    }
}

/// What a component may do in the name of a host and its accounts: of several sections the first.
fn held<'c>(config: &'c Config, component: &Jid, host: &str) -> Option<&'c Privilege> {
    let mut all = config.privileges.iter();
    all.find(|held| held.component == component.bare_str() && held.is_for(host))
}

/// All that components may do in the name of a host and its accounts.
fn all_held<'c>(config: &'c Config, host: &str) -> impl Iterator<Item = (Jid, &'c Privilege)> {
    let names = config.components.iter();
    names.filter_map(move |component| {
        let name = Jid::from_parts(None, &component.name, None).ok()?;
        let held = held(config, &name, host)?;
        Some((name, held))
    })
}

fn connected(ctx: &mut Ctx<'_>, event: &Event) {
    let (Event::Component(component), Some(state)) = (event, ctx.state::<State>()) else {
        return;
    };
    state.notices.connected(ctx, component);
    presence::connected(ctx, component);
}

fn tick(ctx: &mut Ctx<'_>, _: &Event) {
    if let Some(state) = ctx.state::<State>()
        && let Some(told) = state.notices.look(ctx)
    {
        state.contacts.forget_for_others(&ctx.config());
        for component in told {
            presence::connected(ctx, &component);
        }
    }
}

/// Whether whoever asks may read or change the roster of the account that it asks for (§4.3).
pub(crate) fn has_roster(ctx: &Ctx<'_>, request: &Request) -> bool {
    let (Ok(from), Ok(account)) = (request.from(), request.account()) else {
        return false;
    };
    let config = ctx.config();
    held(&config, from, account.domain()).is_some_and(|held| match request.is_set() {
        true => held.roster_set,
        false => held.roster_get,
    })
}

/// §4.4: tells components of a change in an account's roster, with the payload of a roster push.
pub(crate) fn roster_changed(ctx: &mut Ctx<'_>, account: &Jid, id: &str, push: &Payload) {
    let config = ctx.config();
    if config.privileges.is_empty() {
        return;
    }
    let told = all_held(&config, account.domain()).filter(|(_, held)| held.roster_pushes);
    for (component, _) in told {
        let push = Stanza::iq(IqType::Set, id)
            .with_from(account.clone())
            .with_to(component)
            .with_payload(push.clone());
        ctx.core().depart_quietly(push);
    }
}

/// Tells components that an account came or goes (§7.1), but those that are its contacts and told
/// as such (§8 point 2). The account knows nothing of it.
pub(crate) fn show(ctx: &Ctx<'_>, presence: &Stanza, is_contact: impl Fn(&Jid) -> bool) {
    let config = ctx.config();
    if config.privileges.is_empty() {
        return;
    }
    let Some(from) = &presence.from else { return };
    let told = all_held(&config, from.domain());
    for (component, _) in told.filter(|(_, held)| held.presence >= Seen::Accounts) {
        if !is_contact(&component) {
            let presence = presence.clone().with_to(component);
            ctx.core().depart_quietly(presence);
        }
    }
}

/// Whether a component is shown the presence of the accounts of a host.
pub(crate) fn sees(ctx: &Ctx<'_>, component: &Jid, host: &str) -> bool {
    let config = ctx.config();
    !config.privileges.is_empty() && presence::is_shown(&config, component, host)
}

/// Whether a component acts for the accounts of a host, so that none of them can keep it out.
pub(crate) fn acts_for(ctx: &Ctx<'_>, component: &Jid, host: &str) -> bool {
    let config = ctx.config();
    !config.privileges.is_empty() && held(&config, component, host).is_some()
}
