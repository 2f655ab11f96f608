//! XEP-0357 Push Notifications 0.4.1: a client that is away is told by the service of its app that
//! there is something for it.
//!
//! A registration belongs to one device, that of the session which asked for it last. When a
//! message comes that is [worth](worth) it, the device is told unless its session has a connection
//! and is active: not unless some other device is, for a desk where nobody sits must not silence a
//! phone. The device is told once, and again only when one of these has happened ([`device`]):
//!
//! * its session showed life after it was told: a new one was bound, or the client sent something;
//! * it registered again;
//! * some minutes went by, for a notification may get lost on its way through other people's
//!   services.
//!
//! When a connection is lost, what its client has not acknowledged counts as having come just then;
//! so does what goes to the offline queue because a session is over.

mod cache;
mod device;
mod notify;
mod request;
mod watch;
mod worth;

pub(crate) use watch::on_room;

use balcony_core::module::{
    Band, EventKind, Feature, Handle, Hook, HookSpec, IqHandler, IqKind, Kinds, Listen, Listener,
    ModuleSpec, Spec, Stage, Target, WaitingHandler,
};
use balcony_proto::ns;

/// Push notifications.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "push",
    specs: &[Spec::xep("XEP-0357", "Push Notifications", "0.4.1")
        .note("without the number of pending subscription requests, which is optional")],
    // §4.1
    features: &[Feature::account(ns::PUSH).when(|config| config.push.enabled)],
    iq: &[
        iq("enable", request::enable),
        iq("disable", request::disable),
    ],
    hooks: &[
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Notify,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Now(watch::arriving),
        },
        HookSpec {
            stage: Stage::Undelivered,
            band: Band::Notify,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Now(watch::undelivered),
        },
    ],
    on: &[
        Listener {
            event: EventKind::Detached,
            listen: Listen::Now(watch::on_detached),
        },
        Listener {
            event: EventKind::Queued,
            listen: Listen::Now(watch::on_queued),
        },
        Listener {
            event: EventKind::Ended,
            listen: Listen::Now(watch::on_ended),
        },
        Listener {
            event: EventKind::AccountDeleted,
            listen: Listen::Now(watch::on_account_deleted),
        },
    ],
    state: Some(|_| Box::new(cache::Registrations::default())),
    conversations: &["xep-0357"],
    ..ModuleSpec::NOTHING
};

const fn iq(name: &'static str, run: WaitingHandler) -> IqHandler {
    IqHandler {
        ns: ns::PUSH,
        name,
        kind: IqKind::Set,
        target: Target::OWN_ACCOUNT,
        handle: Handle::Waits(run),
    }
}
