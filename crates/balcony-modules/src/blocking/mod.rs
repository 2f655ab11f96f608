//! XEP-0191 Blocking Command 1.3: an account's list of JIDs that it will not hear from or write to.

mod cache;
mod commands;
mod farewell;
mod guard;
mod list;

pub(crate) use cache::{between, blocks};
pub(crate) use guard::{blocks_if_known, is_blocked_online as blocks_online};

use balcony_core::module::{
    Band, Config, EventKind, Feature, Handle, Hook, HookSpec, IqHandler, IqKind, KeyKind, Kinds,
    Listen, Listener, ModuleSpec, Section, Spec, Stage, Target,
};
use balcony_proto::ns;

use crate::keys::key;

/// Block lists.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "blocking",
    specs: &[Spec::xep("XEP-0191", "Blocking Command", "1.3")
        .note("polite: subscriptions stay (§4); no privacy lists beside it (§5)")],
    // §3.1
    features: &[Feature::host(ns::BLOCKING)],
    iq: &[
        iq("blocklist", IqKind::Get, Handle::Waits(commands::get)),
        iq("block", IqKind::Set, Handle::Waits(commands::block)),
        iq("unblock", IqKind::Set, Handle::Waits(commands::unblock)),
    ],
    hooks: &[
        HookSpec {
            stage: Stage::Sending,
            band: Band::Guard,
            kinds: Kinds::ALL,
            after: &[],
            changes: &[],
            hook: Hook::Now(guard::sending),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Guard,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["resource of the addressee"],
            hook: Hook::Now(guard::message),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Guard,
            kinds: Kinds::PRESENCE.or(Kinds::IQ),
            after: &[],
            changes: &[],
            hook: Hook::Waits(guard::presence_or_iq),
        },
        HookSpec {
            stage: Stage::Undelivered,
            band: Band::Guard,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Waits(guard::undelivered),
        },
    ],
    on: &[
        Listener {
            event: EventKind::Bound,
            listen: Listen::Waits(cache::on_bound),
        },
        Listener {
            event: EventKind::Ended,
            listen: Listen::Waits(cache::on_ended),
        },
        Listener {
            event: EventKind::AccountCreated,
            listen: Listen::Waits(cache::on_account),
        },
        Listener {
            event: EventKind::AccountDeleted,
            listen: Listen::Waits(cache::on_account),
        },
    ],
    config: &[&CONFIG],
    state: Some(|_| Box::new(cache::BlockLists::default())),
    session_notes: &[commands::NOTE],
    conversations: &["xep-0191"],
    ..ModuleSpec::NOTHING
};

/// A request about the own list: nobody has anything to do with another's.
const fn iq(name: &'static str, kind: IqKind, handle: Handle) -> IqHandler {
    IqHandler {
        ns: ns::BLOCKING,
        name,
        kind,
        target: Target::OWN_ACCOUNT,
        handle,
    }
}

/// `[blocking]`
static CONFIG: Section = Section {
    name: "blocking",
    doc: "Lists of blocked addresses (XEP-0191).",
    list: false,
    keys: &[key(
        "jids",
        KeyKind::Int {
            min: 1,
            max: 100_000,
        },
        "1000",
        "The most addresses on one account's list; one more is refused with `not-allowed`. A \
         thousand is more than people block by hand, and takes about 60 KB while the account is \
         connected.",
    )],
};

fn max_jids(config: &Config) -> u32 {
    config.values("blocking").int("jids")
}
