//! What the server does beyond routing: one file per XEP or part of RFC 6121.
//!
//! A module sees the core only through `balcony_core::module`, and declares itself in a `MODULE`.
#![forbid(unsafe_code)]

pub mod iq_guard;
pub mod offline;
pub mod ping;
pub mod presence;
pub mod roster;
pub mod session_legacy;
mod stored;
pub mod subscription;
mod turns;

use balcony_core::module::ModuleSpec;

/// All modules. Their order decides where nothing else does.
pub static MODULES: &[&ModuleSpec] = &[
    // RFC 6121. When a session ends, presence is told before the roster is dropped.
    &session_legacy::MODULE,
    &subscription::MODULE,
    &presence::MODULE,
    &roster::MODULE,
    &iq_guard::MODULE,
    &offline::MODULE,
    // Questions to the server.
    &ping::MODULE,
];
