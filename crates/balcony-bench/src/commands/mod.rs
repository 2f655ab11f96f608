//! The cases, one file each.

pub(crate) mod accounts;
pub(crate) mod chat;
pub(crate) mod idle;
pub(crate) mod login;
