//! What the server does beyond routing: one file per XEP or part of RFC 6121.
//!
//! A module sees the core only through `balcony_core::module`, and declares itself in a `MODULE`.
#![forbid(unsafe_code)]

pub mod ping;

use balcony_core::module::ModuleSpec;

/// All modules. Their order decides where nothing else does.
pub static MODULES: &[&ModuleSpec] = &[&ping::MODULE];
