//! XEP-0050 Ad-Hoc Commands 1.3.0: the commands of hosts, with forms, step by step.
//!
//! A command is a value of [`Command`]; [`run`] leads through its forms, [`sessions`] keeps what
//! is half filled in.

mod command;
mod discovery;
mod run;
mod sessions;
mod step;

pub(crate) use command::{Call, Command, Done, Finish, Note};
pub(crate) use discovery::NODES;
pub(crate) use step::{Action, bad};

use balcony_core::module::{
    Ctx, Event, EventKind, Feature, Handle, IqHandler, IqKind, Listen, Listener, ModuleSpec, Spec,
    Target,
};
use balcony_proto::ns;
use parking_lot::Mutex;

use crate::admin;
use sessions::Sessions;

/// Commands.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "adhoc",
    specs: &[Spec::xep("XEP-0050", "Ad-Hoc Commands", "1.3.0")
        .note("commands of hosts, in English; lists are not announced by message (§2.3)")],
    // §2.1, §1.3
    features: &[Feature::host(ns::COMMANDS), Feature::host(ns::DATA_FORMS)],
    iq: &[IqHandler {
        ns: ns::COMMANDS,
        name: "command",
        kind: IqKind::Set,
        target: Target::HOST,
        handle: Handle::Waits(run::answer),
    }],
    on: &[Listener {
        event: EventKind::Tick,
        listen: Listen::Now(expire),
    }],
    state: Some(|_| Box::new(AdHoc::default())),
    conversations: &["xep-0050"],
    ..ModuleSpec::NOTHING
};

/// The executions that wait for the next step.
#[derive(Default)]
struct AdHoc(Mutex<Sessions>);

/// All commands of a host.
fn commands() -> impl Iterator<Item = &'static Command> {
    admin::GROUPS.iter().copied().flatten()
}

fn expire(ctx: &mut Ctx<'_>, _: &Event) {
    if let Some(AdHoc(sessions)) = ctx.state() {
        sessions.lock().expire(ctx.core().clock().coarse_seconds());
    }
}
