//! Stream negotiation of both roles as pure state machines: `handle(Input, now)`, then `poll()`
//! until it is empty.

#![forbid(unsafe_code)]

pub mod component;
pub mod established;
mod framing;
#[cfg(test)]
mod harness;
pub mod initiating;
pub mod management;
mod outbox;
mod random;
pub mod receiving;
pub mod s2s;
mod sasl_profile;
pub mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod user_agent;

pub use established::{Established, Event};
pub use random::Random;
pub use settings::{HostFacts, KeyCounts, Settings, Timeouts};
pub use tls::{Security, TlsInfo};
pub use user_agent::UserAgent;
