//! The TLS handshake of a connection, for STARTTLS and direct TLS alike.
//!
//! Its future is boxed and its buffers go with it, so that none of it stays with an idle
//! connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use super::Connection;
use crate::certificates::{Chosen, observe};
use crate::exporter;
use crate::tls::{RecordError, Tls};

/// What the handshake established.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// TLS 1.3, otherwise 1.2.
    pub version13: bool,
    /// RFC 9266 `tls-exporter`; `None` on TLS 1.2.
    pub exporter: Option<[u8; 32]>,
    /// RFC 5929 §4 `tls-server-end-point`; `None` if the certificate's signature defines no single
    /// hash.
    pub server_end_point: Option<Vec<u8>>,
    /// The host that the client asked for (RFC 6066 §3), as it wrote it.
    pub sni: Option<String>,
    /// The protocol agreed on (XEP-0368: `xmpp-client`); `None` if the client offered none.
    pub alpn: Option<Vec<u8>>,
    /// The client came back with a ticket, so no certificate was sent.
    pub resumed: bool,
}

/// Why a handshake failed. The connection is closed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer did not finish in time.
    #[error("the TLS handshake took too long")]
    TimedOut,
    /// The peer closed before the end.
    #[error("the peer closed during the TLS handshake")]
    Closed,
    /// The socket failed.
    #[error("the socket failed during the TLS handshake: {0}")]
    Io(#[from] io::Error),
    /// The peer broke TLS, sent something else, or shares no version or cipher suite with us. The
    /// alert was sent.
    #[error("the TLS handshake failed: {0}")]
    Tls(#[from] rustls::Error),
    /// The peer sent a handshake message longer than any that is allowed.
    #[error("a TLS handshake message is too long")]
    TooLong,
}

impl From<RecordError> for HandshakeError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Tls(error) => Self::Tls(error),
            RecordError::TooLong => Self::TooLong,
            RecordError::CannotEncrypt | RecordError::Failed => {
                Self::Tls(rustls::Error::EncryptError)
            }
        }
    }
}

/// The future of [`Connection::accept_tls`].
pub type HandshakeFuture = Pin<Box<dyn Future<Output = Result<TlsFacts, HandshakeError>> + Send>>;

/// What the handshake leaves beside the connection.
#[derive(Default)]
struct Seen {
    exporter: Option<[u8; exporter::LENGTH]>,
    chosen: Option<Chosen>,
}

impl Connection {
    /// Runs the server side of a TLS handshake, at most for `within`, behind what is queued (the
    /// `<proceed/>` of STARTTLS). After it everything on the connection is encrypted. What the
    /// client sent before it was the caller's to refuse (RFC 6120 §5.4.3.3).
    ///
    /// Nothing may be queued, and nobody may read, until it ends. On error the alert is sent, if
    /// there is one, and the connection is closed.
    pub fn accept_tls(
        self: &Arc<Self>,
        config: Arc<ServerConfig>,
        within: Duration,
    ) -> HandshakeFuture {
        let connection = Arc::clone(self);
        Box::pin(async move {
            // Boxed once the peer says something: one that does not costs no room for it.
            let handshake = async {
                connection.socket.readable().await?;
                Box::pin(handshake(&connection, config)).await
            };
            let result = match tokio::time::timeout(within, handshake).await {
                Ok(result) => result,
                Err(_) => Err(HandshakeError::TimedOut),
            };
            if result.is_err() {
                connection.close_after_flush();
            }
            result
        })
    }

    /// Gives the handshake what came, and its answer to the socket. Answers whether there was one.
    fn advance(
        self: &Arc<Self>,
        tls: &mut Tls,
        input: &mut [u8],
        seen: &mut Seen,
    ) -> Result<bool, HandshakeError> {
        let mut wire = Vec::new();
        let ((result, exporter), chosen) =
            observe(|| exporter::capture(|| tls.receive_handshake(input, &mut wire)));
        seen.exporter = seen.exporter.or(exporter);
        seen.chosen = chosen.or(seen.chosen.take());
        if result.is_err() {
            tls.alert(&mut wire);
        }
        if !wire.is_empty() {
            self.queue_wire(&wire);
        }
        result?;
        Ok(!wire.is_empty())
    }

    fn establish(&self, tls: Box<Tls>) {
        self.io.lock().tls = Some(tls);
        self.secure.store(true, Ordering::Release);
        // There may be plaintext behind the last handshake message.
        self.untold.store(true, Ordering::Release);
    }
}

async fn handshake(
    connection: &Arc<Connection>,
    config: Arc<ServerConfig>,
) -> Result<TlsFacts, HandshakeError> {
    // A peer that says nothing costs no TLS state: strangers may open thousands of connections.
    let mut input = Vec::new();
    if connection.read_raw(&mut input).await? == 0 {
        return Err(HandshakeError::Closed);
    }
    let mut tls = Box::new(Tls::new(config)?);
    let mut seen = Seen::default();
    let mut answered = false;
    loop {
        // What takes long is the first answer, with the key exchange and the signature.
        let mut advance = || connection.advance(&mut tls, &mut input, &mut seen);
        let advanced = match answered {
            true => advance(),
            false => connection.home.heavy(advance).await,
        };
        answered |= advanced?;
        if !tls.state().is_handshaking() {
            break;
        }
        input = tls.take_tail();
        if connection.read_raw(&mut input).await? == 0 {
            return Err(HandshakeError::Closed);
        }
    }
    if connection.ended().is_some() {
        return Err(HandshakeError::Closed);
    }
    let facts = facts(&tls, seen);
    connection.establish(tls);
    Ok(facts)
}

fn facts(tls: &Tls, seen: Seen) -> TlsFacts {
    let state = tls.state();
    let chosen = seen.chosen.unwrap_or_default();
    TlsFacts {
        version13: state.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        exporter: seen.exporter,
        server_end_point: chosen.end_point,
        sni: chosen.sni,
        alpn: state.alpn_protocol().map(<[u8]>::to_vec),
        resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}
