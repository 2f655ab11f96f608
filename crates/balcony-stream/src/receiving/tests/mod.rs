//! The receiving machine against scripted clients.

mod bind;
mod bind2;
mod fast;
mod headers;
mod pipelining;
mod properties;
mod resume;
mod sasl;
mod stages;
mod tls;
mod upgrade;
