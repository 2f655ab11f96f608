//! XEP-0356 Privileged Entity 0.4.1: what external components may do in the name of accounts.

mod contacts;
mod iq;
mod message;
mod notice;
mod presence;

use balcony_core::module::{
    Band, Config, Ctx, Event, EventKind, Hook, HookSpec, IqHandler, IqKind, Kinds, Listen,
    Listener, ModuleSpec, Privilege, Request, Seen, Spec, Stage, Target,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Payload, Stanza};

use crate::components::{Notices, is_there};

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
        handle: balcony_core::module::Handle::Now(iq::answer),
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
}

impl Default for State {
    fn default() -> State {
        State {
            notices: Notices::new(notice::of),
            contacts: contacts::Contacts::default(),
        }
    }
}

/// What a component may do in the name of a host and its accounts.
fn held<'c>(config: &'c Config, component: &Jid, host: &str) -> Option<&'c Privilege> {
    let mut all = config.privileges.iter();
    all.find(|held| held.component == component.bare_str() && held.is_for(host))
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
        && state.notices.look(ctx)
    {
        state.contacts.forget_for_others(&ctx.config());
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
    let all = config.privileges.iter();
    let told = all.filter(|held| held.roster_pushes && held.is_for(account.domain()));
    for component in told.filter_map(name) {
        let push = Stanza::iq(IqType::Set, id)
            .with_from(account.clone())
            .with_to(component)
            .with_payload(push.clone());
        ctx.core().depart(push);
    }
}

/// The components that are to know when an account of this host comes and goes (§7.1), and are
/// there.
pub(crate) fn watchers(ctx: &Ctx<'_>, host: &str) -> Vec<Jid> {
    let config = ctx.config();
    let all = config.privileges.iter();
    let told = all.filter(|held| held.presence >= Seen::Accounts && held.is_for(host));
    let told = told.filter_map(name);
    told.filter(|component| is_there(ctx, component)).collect()
}

fn name(held: &Privilege) -> Option<Jid> {
    Jid::from_parts(None, &held.component, None).ok()
}
