//! XEP-0045 Multi-User Chat 1.35.5: rooms.
//!
//! [`room`] is a room as a machine, without store and clock. [`rooms`] has those that somebody is
//! in; [`serve`] is where a stanza for the service begins.

#[cfg(test)]
mod authority;
mod card;
mod deliver;
mod entry;
mod hats;
mod info;
mod invite;
mod iq;
mod owner;
mod past;
mod register;
mod relay;
mod retract;
mod room;
mod rooms;
mod serve;
mod settings;
mod upkeep;
mod voice;

use balcony_core::module::{
    BoxFuture, Config, Ctx, Event, EventKind, Listen, Listener, ModuleSpec, Service, Spec,
};

/// Rooms.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "muc",
    specs: &[
        Spec::xep("XEP-0045", "Multi-User Chat", "1.35.5").partial(
            "status 332 at a stop (§11.2) for sessions here: whoever resumes is in the room still; \
             occupants on other servers are told it, and who is on a domain that the configuration \
             no longer has",
        ),
        Spec::xep("XEP-0054", "vcard-temp", "1.3.0").note("of rooms"),
        Spec::xep("XEP-0122", "Data Forms Validation", "1.0.2")
            .note("whole numbers and their range, in the form of a room"),
        Spec::xep("XEP-0249", "Direct MUC Invitations", "1.2").note("passed on and archived"),
        Spec::xep("XEP-0317", "Hats", "0.3.1").note("made and given by owners and admins"),
        Spec::xep("XEP-0410", "MUC Self-Ping (Schrödinger's Chat)", "1.1.0"),
        Spec::xep(
            "XEP-0421",
            "Occupant identifiers for semi-anonymous MUCs",
            "1.0.1",
        ),
        Spec::xep("XEP-0425", "Moderated Message Retraction", "0.3.0"),
        Spec::xep("XEP-0463", "MUC Affiliations Versioning", "0.2.0")
            .note("what changed since a version while somebody is in the room, else everything"),
        Spec::xep("XEP-0486", "MUC Avatars", "0.1.0"),
        Spec::xep("XEP-0500", "MUC Slow Mode", "0.0.1"),
        Spec::xep("XEP-0502", "MUC Activity Indicator", "0.1.0"),
    ],
    service: Some(Service {
        title: "Rooms",
        domains: |config| &config.muc.hosts,
        take: serve::take,
        wait: serve::wait,
        committed: serve::committed,
    }),
    on: &[
        Listener {
            event: EventKind::Bound,
            listen: Listen::Waits(on_bound),
        },
        Listener {
            event: EventKind::AccountDeleted,
            listen: Listen::Waits(upkeep::on_account_deleted),
        },
        Listener {
            event: EventKind::Stopping,
            listen: Listen::Now(upkeep::on_stopping),
        },
        Listener {
            event: EventKind::Tick,
            listen: Listen::Now(upkeep::on_tick),
        },
    ],
    session_notes: &[entry::NOTE],
    config: &[&settings::SECTION],
    state: Some(state),
    conversations: &[
        "xep-0045", "xep-0317", "xep-0425", "xep-0463", "xep-0486", "xep-0502",
    ],
    ..ModuleSpec::NOTHING
};

fn state(_: &Config) -> Box<dyn std::any::Any + Send + Sync> {
    Box::new(rooms::Rooms::default())
}

/// A session from before a restart is in its rooms.
fn on_bound<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        if let Event::Bound(session) = event {
            entry::come_back(ctx.core(), session).await;
        }
    })
}
