//! XEP-0077 In-Band Registration 2.4: accounts that people make, change and remove themselves.
//!
//! Before login [`create`] answers, where the host allows it; after login [`own_account`].

mod create;
mod fields;
mod invite;
mod own_account;
mod settings;

pub use invite::{NewInvite, create_invite};

use balcony_core::module::Throttle;
use balcony_core::module::{
    Feature, Handle, IqHandler, IqKind, ModuleSpec, Spec, Target, stanza_error,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use tokio::sync::Semaphore;

/// Registration.
///
/// The stream feature of §8 is written by the stream itself, which lets nothing through before
/// login on a host that does not have it.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "register",
    specs: &[Spec::xep("XEP-0077", "In-Band Registration", "2.4")
        .partial("no redirection to a web page (§5)")
        .note("an invitation's token is the field `token` of the form")],
    // §10: passwords can be changed on every host.
    features: &[Feature::host(ns::REGISTER)],
    before_login: &[
        IqHandler {
            ns: ns::REGISTER,
            name: "query",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Now(create::get),
        },
        IqHandler {
            ns: ns::REGISTER,
            name: "query",
            kind: IqKind::Set,
            target: Target::HOST,
            handle: Handle::Waits(create::set),
        },
    ],
    iq: &[
        IqHandler {
            ns: ns::REGISTER,
            name: "query",
            kind: IqKind::Get,
            target: Target::SERVER,
            handle: Handle::Waits(own_account::get),
        },
        IqHandler {
            ns: ns::REGISTER,
            name: "query",
            kind: IqKind::Set,
            target: Target::SERVER,
            handle: Handle::Waits(own_account::set),
        },
    ],
    config: &[&settings::SECTION],
    state: Some(|_| Box::new(Registrar::default())),
    conversations: &["xep-0077"],
    ..ModuleSpec::NOTHING
};

/// Accounts whose keys are made at the same time. Keys take tens of milliseconds of one processor,
/// and nobody must take all of them from the rest of the server.
const AT_ONCE: usize = 2;

/// What bounds registration.
struct Registrar {
    /// How often each address tried.
    tries: Throttle,
    /// How often each account changed its password.
    changes: Throttle<Jid>,
    /// Who may make keys.
    keys: Semaphore,
}

impl Default for Registrar {
    fn default() -> Self {
        Self {
            tries: Throttle::default(),
            changes: Throttle::default(),
            keys: Semaphore::new(AT_ONCE),
        }
    }
}

/// What a client is told when the core did not do what it asked for.
pub(crate) fn refused(cause: balcony_core::module::Error) -> StanzaError {
    use balcony_core::module::Error;
    match cause {
        // §3.1: the name is taken.
        Error::AccountExists(_) => StanzaError::conflict(),
        // What cannot be a password (RFC 8265 §4.2.2).
        Error::Malformed(text) => StanzaError::not_acceptable().with_text(text),
        Error::NoSuchAccount(_) => StanzaError::registration_required(),
        Error::NoSuchHost(_) => StanzaError::service_unavailable(),
        Error::Store(cause) => stanza_error(&cause),
        cause => {
            tracing::error!(%cause, "registration failed");
            StanzaError::internal_server_error()
        }
    }
}
