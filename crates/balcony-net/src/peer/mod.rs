//! TLS between servers (RFC 6120 §5 and §13.7, RFC 7590), and what a peer's certificate proves.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CommonState, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

mod certificate;
mod handshake;
mod names;
mod roots;
mod stream;

pub use certificate::{Distrust, PeerCertificate, PeerCertificateFacts};
pub use roots::{Roots, RootsError};
pub use stream::PeerStream;

use crate::certificates::{Certificates, ascii};
use crate::dns::Service;

/// Why there is no TLS with a peer. The connection is closed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerTlsError {
    /// The peer did not finish in time.
    #[error("the TLS handshake took too long")]
    TimedOut,
    /// The peer closed before the end.
    #[error("the peer closed during the TLS handshake")]
    Closed,
    /// The handshake failed, or the connection did.
    #[error("the TLS handshake failed: {0}")]
    Failed(String),
    /// The domain cannot be written into a TLS handshake.
    #[error("{0:?} cannot be the name of a TLS server")]
    BadName(String),
}

impl From<io::Error> for PeerTlsError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What a handshake between servers established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTlsFacts {
    /// TLS 1.3, otherwise 1.2.
    pub version13: bool,
    /// The cipher suite, by its name in the registry of TLS.
    pub cipher: String,
    /// The domain that was asked for (RFC 6066 §3), in A-labels; `None` if the peer asked for none.
    pub sni: Option<String>,
    /// The protocol agreed on (XEP-0368: `xmpp-server`); `None` without ALPN.
    pub alpn: Option<Vec<u8>>,
}

/// A connection on which TLS begins now.
#[derive(Debug)]
pub struct Secured<S = TcpStream> {
    /// Nothing has been read from it.
    pub stream: PeerStream<S>,
    /// What was agreed on.
    pub tls: PeerTlsFacts,
    /// What the peer showed; it proves nothing until it is asked.
    pub certificate: PeerCertificate,
}

/// TLS with other servers, by the certificates of our hosts.
pub struct PeerTls {
    certificates: Arc<Certificates>,
    server: Arc<ServerConfig>,
    roots: ArcSwap<Roots>,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerTls")
            .field("certificates", &self.certificates)
            .field("roots", &self.roots.load())
            .finish_non_exhaustive()
    }
}

impl PeerTls {
    /// Uses what `certificates` has at the time of each handshake, so a reload needs nothing here.
    ///
    /// # Errors
    /// The TLS library's, which means that it was built without what it needs.
    pub fn new(certificates: Arc<Certificates>, roots: Roots) -> Result<Self, PeerTlsError> {
        let server = handshake::server_config(Arc::clone(&certificates)).map_err(setup)?;
        Ok(Self {
            certificates,
            server: Arc::new(server),
            roots: ArcSwap::from_pointee(roots),
        })
    }

    /// Whom certificates are to lead to, now.
    #[must_use]
    pub fn roots(&self) -> Arc<Roots> {
        self.roots.load_full()
    }

    /// Replaces the roots; what was proven before stays proven.
    pub fn set_roots(&self, roots: Roots) {
        self.roots.store(Arc::new(roots));
    }

    /// The TLS handshake with a server that connected to us, at once or after `<proceed/>`. It is
    /// asked for a certificate and may go on without. It gets the certificate of the domain that
    /// it asks for by SNI; if it asks for none, that of `to`, the domain in its stream header; and
    /// without that the first host's.
    ///
    /// Whatever has been read from `stream` before belongs to the time before TLS and must not be
    /// used after it (RFC 6120 §5.4.3.3, and against injected commands).
    ///
    /// # Errors
    /// It failed, or did not end `within` this time.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        to: Option<&str>,
        within: Duration,
    ) -> Result<Secured<S>, PeerTlsError> {
        let mut server = Arc::clone(&self.server);
        if let Some(to) = to {
            let certificates = Arc::clone(&self.certificates);
            Arc::make_mut(&mut server).cert_resolver = handshake::by_name(certificates, to);
        }
        let acceptor = TlsAcceptor::from(server);
        let stream = bounded(within, acceptor.accept(stream)).await?;
        let (_, connection) = stream.get_ref();
        let sni = connection.server_name().map(str::to_owned);
        Ok(Secured {
            tls: facts(connection, sni),
            certificate: shown(connection),
            stream: PeerStream::Incoming(Box::new(stream)),
        })
    }

    /// The TLS handshake with a server that we connected to: at once if `direct` says for which
    /// service, whose ALPN name is offered then (XEP-0368 §3), or after its `<proceed/>`. The
    /// certificate of `local` is shown if the server asks for one, and the domain `remote` is asked
    /// for. As for [`PeerTls::accept`], nothing that was read before may be used after it.
    ///
    /// # Errors
    /// It failed, or did not end `within` this time.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        local: &str,
        remote: &str,
        direct: Option<Service>,
        within: Duration,
    ) -> Result<Secured<S>, PeerTlsError> {
        let key = self.certificates.key(local);
        let config = handshake::client_config(key, direct).map_err(setup)?;
        // XEP-0368 §3: the domainpart, not the host that the SRV record led to.
        let bare = remote.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(ascii(bare))
            .map_err(|_| PeerTlsError::BadName(remote.to_owned()))?;
        let sni = match &name {
            ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
            _ => None,
        };
        let connector = TlsConnector::from(Arc::new(config));
        let stream = bounded(within, connector.connect(name, stream)).await?;
        let (_, connection) = stream.get_ref();
        Ok(Secured {
            tls: facts(connection, sni),
            certificate: shown(connection),
            stream: PeerStream::Outgoing(Box::new(stream)),
        })
    }
}

fn setup(error: rustls::Error) -> PeerTlsError {
    PeerTlsError::Failed(error.to_string())
}

async fn bounded<T>(
    within: Duration,
    handshake: impl Future<Output = io::Result<T>>,
) -> Result<T, PeerTlsError> {
    let ended = tokio::time::timeout(within, handshake).await;
    Ok(ended.map_err(|_| PeerTlsError::TimedOut)??)
}

fn facts(connection: &CommonState, sni: Option<String>) -> PeerTlsFacts {
    let cipher = connection.negotiated_cipher_suite();
    let cipher = cipher.and_then(|cipher| cipher.suite().as_str());
    PeerTlsFacts {
        version13: connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        cipher: cipher.unwrap_or_default().to_owned(),
        sni,
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
    }
}

fn shown(connection: &CommonState) -> PeerCertificate {
    let chain = connection.peer_certificates().unwrap_or_default();
    PeerCertificate::new(
        chain
            .iter()
            .map(CertificateDer::clone)
            .map(CertificateDer::into_owned),
    )
}
