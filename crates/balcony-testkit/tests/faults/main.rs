//! Peers that are slow, silent, broken or gone, over real TCP: each gets what the RFC has for it,
//! and the others notice nothing. And a server that is killed, or whose disk or clock fails, keeps
//! what it answered for.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod bad_peers;
mod client;
mod clients;
mod disk;
mod durability;
mod resumption;
mod server;
mod strangers;
mod upgrade;
