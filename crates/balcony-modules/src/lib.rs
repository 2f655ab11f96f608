//! What the server does beyond routing: one file per XEP or part of RFC 6121.
//!
//! A module sees the core only through `balcony_core::module`, and declares itself in a `MODULE`.
#![forbid(unsafe_code)]

mod access;
pub mod adhoc;
pub mod admin;
pub mod archive;
pub mod avatar;
pub mod blocking;
pub mod caps;
pub mod carbons;
pub mod client_access;
mod components;
pub mod csi;
pub mod delegation;
pub mod disco;
pub mod extdisco;
pub mod iq_guard;
mod keys;
pub mod last;
pub mod muc;
pub mod offline;
pub mod ping;
pub mod presence;
pub mod private;
pub mod privilege;
pub mod pubsub;
pub mod push;
pub mod register;
pub mod reporting;
pub mod roster;
pub mod server_info;
mod service_iq;
pub mod session_legacy;
pub mod stanza_id;
mod stored;
pub mod subscription;
pub mod time;
mod turns;
pub mod vcard;
pub mod version;

use balcony_core::module::ModuleSpec;

/// All modules. Their order decides where nothing else does.
pub static MODULES: &[&ModuleSpec] = &[
    // RFC 6121. When a session ends, presence is told before the roster
    // and the block list are dropped.
    &session_legacy::MODULE,
    &subscription::MODULE,
    &presence::MODULE,
    &roster::MODULE,
    &blocking::MODULE,
    &reporting::MODULE,
    &iq_guard::MODULE,
    &stanza_id::MODULE,
    &archive::MODULE,
    &offline::MODULE,
    // What devices get.
    &carbons::MODULE,
    &csi::MODULE,
    &push::MODULE,
    // Where many talk.
    &muc::MODULE,
    // What external components do for the server.
    &privilege::MODULE,
    &delegation::MODULE,
    // What people do with their account.
    &register::MODULE,
    &client_access::MODULE,
    // What admins do.
    &adhoc::MODULE,
    &admin::MODULE,
    // Questions to the server.
    &disco::MODULE,
    &caps::MODULE,
    &ping::MODULE,
    &version::MODULE,
    &time::MODULE,
    &last::MODULE,
    &extdisco::MODULE,
    // What accounts keep and tell.
    &private::MODULE,
    &vcard::MODULE,
    &pubsub::MODULE,
    &avatar::MODULE,
    &server_info::MODULE,
];
