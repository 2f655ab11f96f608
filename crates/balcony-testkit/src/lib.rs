//! What tests stand on: a whole server in memory, conversations that a person can read, and clients
//! that account for every message while a real server is killed.
//!
//! The format of the scripts is described in `tests/conversations/README.md`.
#![forbid(unsafe_code)]

pub mod compare;
pub mod crash;
mod keys;
pub mod memory;
pub mod neighbours;
pub mod placeholders;
pub mod power;
pub mod reader;
pub mod roads;
pub mod rooms;
pub mod run;
pub mod script;
pub mod server;
pub mod sim;

pub use server::TestServer;
