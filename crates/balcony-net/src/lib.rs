//! Bytes meet the protocol: the workers' threads, client sockets (plain and TLS), certificates,
//! listeners.
//!
//! A connection belongs to the worker on which its task reads, but any thread writes to it: the
//! worker that routed a stanza hands the recipient's socket its bytes itself, so a message costs no
//! wake-up of another thread. An idle connection holds no buffer.
//!
//! * [`Workers`]: threads with one runtime each, and the list of connections that have output.
//! * [`Connection`]: one client socket; [`Source`] is what it takes its output from.
//! * [`Certificates`]: certificates per host, self-signed where there is none, reloaded in place.
//! * [`Resolver`], [`connect`]: the way to another domain's servers.
//! * [`PeerTls`], [`PeerCertificate`]: TLS with them, and what their certificates prove.
//! * [`Listener`], [`Gate`]: taking connections, within limits per address.

#![forbid(unsafe_code)]

mod certificates;
mod connection;
mod dns;
mod exporter;
mod gate;
mod listen;
mod outgoing;
mod peer;
mod scratch;
mod self_signed;
mod tls;
mod worker;

pub use certificates::{CertificateError, CertificateFacts, Certificates, LoadErrors};
pub use connection::handshake::{HandshakeError, HandshakeFuture, TlsFacts};
pub use connection::read::Read;
pub use connection::write::Source;
pub use connection::{Closed, Connection, ConnectionLimits};
pub use dns::{
    Dane, Endpoint, Found, Lookup, LookupError, Resolver, ResolverError, Service, SrvRecords, Tlsa,
};
pub use gate::{Gate, GateLimits, Permit, Refused};
pub use listen::{ListenError, Listener, Listening, raise_descriptor_limit};
pub use outgoing::{Attempt, AttemptError, ConnectError, ConnectTimes, Connected, connect};
pub use peer::{
    Distrust, PeerCertificate, PeerCertificateFacts, PeerStream, PeerTls, PeerTlsError,
    PeerTlsFacts, Roots, RootsError, Secured,
};
pub use worker::{Worker, Workers};
