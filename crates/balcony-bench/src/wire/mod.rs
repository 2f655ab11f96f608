//! Bytes: sockets, TLS, elements, and the loop that waits for them.

mod engine;
mod link;
mod losing;
mod management;
pub(crate) mod markup;
mod reading;
mod session;
mod tickets;
mod timer;
pub(crate) mod tls;

pub(crate) use engine::{Engine, Load};
pub(crate) use link::{Drained, Link, READ_BYTES};
pub(crate) use management::Former;
pub(crate) use session::Bound;
