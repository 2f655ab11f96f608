//! What the streams need of the network, so that tests can give them another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use balcony_core::module::BoxFuture;
use balcony_net::Dane;
use balcony_stream::TlsInfo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::failure::Failure;

/// A connection, plain or encrypted.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What the peer showed in a TLS handshake.
pub trait Shown: Send + Sync {
    /// Whether it is a valid certificate of this domain.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    fn proves(&self, domain: &str, now: SystemTime) -> Result<(), String>;
}

/// An encrypted connection.
pub struct Secured {
    /// To go on with.
    pub socket: Box<dyn Socket>,
    /// What was agreed on.
    pub info: TlsInfo,
    /// Who is at the other end.
    pub shown: Arc<dyn Shown>,
}

/// A connection to a server of another domain.
pub struct Opened {
    /// Not encrypted yet.
    pub socket: Box<dyn Socket>,
    /// Where it goes.
    pub address: SocketAddr,
    /// TLS comes first (XEP-0368).
    pub direct_tls: bool,
    /// What DNSSEC proves of the certificate there (RFC 7673).
    pub dane: Option<Dane>,
}

/// The network.
pub trait Reach: Send + Sync + 'static {
    /// Looks a domain up and connects to one of its servers. With `plain_only` to one where
    /// STARTTLS is used: direct TLS was tried and failed.
    fn open<'a>(
        &'a self,
        remote: &'a str,
        plain_only: bool,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// The TLS handshake of the connecting side.
    fn secure_out<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        local: &'a str,
        remote: &'a str,
        direct: bool,
        dane: Option<Dane>,
    ) -> BoxFuture<'a, Result<Secured, String>>;

    /// The TLS handshake of the accepting side; `to` is our domain that the stream is for, where
    /// that is known.
    fn secure_in<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        to: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Secured, String>>;
}
