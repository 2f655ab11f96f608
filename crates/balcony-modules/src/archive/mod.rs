//! XEP-0313 Message Archive Management 1.1.3: the archive of each account.
//!
//! [`worth`] says what belongs in it, [`keep`] puts it there, [`query`] and [`about`] answer
//! questions; [`prefs`] is what an account wants, [`retract`] what its author takes back, and
//! [`retention`] ends what is too old.

mod about;
mod keep;
mod prefs;
mod query;
mod retention;
mod retract;
mod worth;

pub(crate) use about::{ends, query_form};
pub(crate) use query::{Reader, forget_received, has_received, note_received, page};
pub(crate) use worth::worth;

use balcony_core::module::{
    Band, BindInline, EventKind, Feature, Handle, Hook, HookSpec, IqHandler, IqKind, Kinds, Listen,
    Listener, ModuleSpec, OnBind, Request, Spec, Stage, Target,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;

/// The archive.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "archive",
    specs: &[
        Spec::xep("XEP-0313", "Message Archive Management", "1.1.3")
            .note("of accounts; messages of rooms are not in them"),
        Spec::xep("XEP-0424", "Message Retraction", "0.4.2").note("tombstones in both archives"),
        Spec::xep(
            "XEP-0441",
            "Message Archive Management Preferences",
            "0.2.0",
        ),
    ],
    features: &[
        // COMPAT(profanity, 0.13): XEP-0313 §7 wants them on accounts. It looks at its host alone,
        // and finds no history otherwise.
        Feature::both(ns::MAM),
        Feature::both(ns::MAM_EXTENDED),
        // XEP-0424 §2: retractions are archived.
        Feature::account(ns::RETRACT),
        Feature::account(ns::RETRACT_TOMBSTONE),
    ],
    iq: &[
        iq("query", IqKind::Set, Handle::Waits(query::set)),
        iq("query", IqKind::Get, Handle::Now(about::form)),
        iq("metadata", IqKind::Get, Handle::Waits(about::metadata)),
        iq("prefs", IqKind::Get, Handle::Waits(prefs::get)),
        iq("prefs", IqKind::Set, Handle::Waits(prefs::set)),
    ],
    hooks: &[
        hook(Stage::Sending, Band::Record, Hook::Now(keep::sending)),
        hook(Stage::Arriving, Band::Record, Hook::Now(keep::arriving)),
        hook(
            Stage::Undelivered,
            Band::Record,
            Hook::Waits(keep::undelivered),
        ),
        hook(Stage::Arriving, Band::Stamp, Hook::Now(keep::stamp)),
    ],
    on: &[
        listener(EventKind::Bound, Listen::Waits(prefs::on_bound)),
        listener(EventKind::Ended, Listen::Now(prefs::on_ended)),
        listener(EventKind::AccountCreated, Listen::Waits(prefs::on_account)),
        listener(EventKind::AccountDeleted, Listen::Waits(prefs::on_account)),
        listener(EventKind::Tick, Listen::Now(retention::on_tick)),
    ],
    bind_inline: &[BindInline {
        var: ns::MAM,
        element: None,
        run: OnBind::Waits(about::on_bind),
    }],
    state: Some(|_| Box::new(prefs::Preferences::default())),
    conversations: &["xep-0313", "xep-0424", "xep-0441"],
    ..ModuleSpec::NOTHING
};

/// §8.1: nobody but its owner has anything to do with an archive.
const fn iq(name: &'static str, kind: IqKind, handle: Handle) -> IqHandler {
    IqHandler {
        ns: ns::MAM,
        name,
        kind,
        target: Target::ACCOUNT,
        handle,
    }
}

const fn hook(stage: Stage, band: Band, hook: Hook) -> HookSpec {
    HookSpec {
        stage,
        band,
        kinds: Kinds::MESSAGE,
        after: &[],
        changes: &["archive"],
        hook,
    }
}

const fn listener(event: EventKind, listen: Listen) -> Listener {
    Listener { event, listen }
}

/// The account whose archive is asked about: the own one.
///
/// # Errors
/// `forbidden` for that of anybody else, whether it exists or not.
fn own_account(request: &Request) -> Result<Jid, StanzaError> {
    match request.target {
        Target::OWN_ACCOUNT => request.account(),
        _ => Err(StanzaError::forbidden()),
    }
}
