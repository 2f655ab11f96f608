//! The receiving machine against scripted clients.

mod bind;
mod bind2;
mod headers;
mod properties;
mod resume;
mod sasl;
mod stages;
mod tls;
