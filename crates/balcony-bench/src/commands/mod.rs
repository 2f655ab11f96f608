//! The cases, one file each.

pub(crate) mod accounts;
pub(crate) mod chat;
pub(crate) mod idle;
pub(crate) mod iq;
pub(crate) mod login;
pub(crate) mod mam;
pub(crate) mod mixed;
pub(crate) mod muc;
pub(crate) mod pep;
pub(crate) mod presence;
pub(crate) mod reconnect;
pub(crate) mod relay;
pub(crate) mod roster;
pub(crate) mod s2s;
