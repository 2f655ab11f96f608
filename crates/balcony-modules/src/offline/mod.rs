//! XEP-0160 Best Practices for Handling Offline Messages 1.0.1: what nobody can take now waits.
//!
//! [`keep`] decides what waits, [`flush`] brings it to the first resource that takes messages,
//! [`expire`] ends the waiting.
//!
//! What arrives while something waits lines up behind it ([`queues`]).

mod expire;
mod flush;
mod keep;
mod queues;

pub(crate) use flush::{goes_to, set_aside};

use balcony_core::module::{
    Band, Config, EventKind, Feature, Hook, HookSpec, Kinds, Listen, Listener, ModuleSpec, Spec,
    Stage,
};
use balcony_proto::ns;

/// Offline messages.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "offline",
    specs: &[
        Spec::xep(
            "XEP-0160",
            "Best Practices for Handling Offline Messages",
            "1.0.1",
        ),
        Spec::xep("XEP-0203", "Delayed Delivery", "2.0"),
        Spec::xep("XEP-0334", "Message Processing Hints", "1.0.0")
            .note("of messages that are no errors"),
    ],
    features: &[Feature::host(ns::OFFLINE)],
    hooks: &[
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Transform,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["delay of the server"],
            hook: Hook::Now(keep::refuse_forged_delay),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Transform,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["who gets it"],
            hook: Hook::Now(flush::on_arrival),
        },
        HookSpec {
            stage: Stage::Undelivered,
            band: Band::Record,
            kinds: Kinds::MESSAGE,
            // What is archived waits by reference.
            after: &["archive"],
            changes: &["offline queue"],
            hook: Hook::Waits(keep::hook),
        },
        HookSpec {
            stage: Stage::Undelivered,
            band: Band::Notify,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Now(flush::on_kept),
        },
    ],
    on: &[
        Listener {
            event: EventKind::Bound,
            listen: Listen::Now(flush::on_bound),
        },
        Listener {
            event: EventKind::Queued,
            listen: Listen::Now(flush::on_queued),
        },
        Listener {
            event: EventKind::Ended,
            listen: Listen::Now(flush::on_ended),
        },
        Listener {
            event: EventKind::Available,
            listen: Listen::Now(flush::on_available),
        },
        Listener {
            event: EventKind::Tick,
            listen: Listen::Now(expire::on_tick),
        },
    ],
    session_notes: &[flush::NOTE],
    state: Some(state),
    conversations: &["xep-0160", "xep-0203", "xep-0334"],
    ..ModuleSpec::NOTHING
};

fn state(_: &Config) -> Box<dyn std::any::Any + Send + Sync> {
    Box::new(queues::Queues::default())
}
