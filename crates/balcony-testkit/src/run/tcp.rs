//! A connection over TCP, with TLS where the conversation wants it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balcony_proto::sasl::ChannelBindings;
use balcony_stream::TlsInfo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bytes of one read: what the largest TLS record carries.
const READ_BYTES: usize = 16 * 1024;
/// RFC 9266 §2
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// A TCP connection of a client.
pub(crate) struct TcpWire {
    stream: Stream,
    host: String,
    /// Whether logins are bound to the TLS connection.
    pub(crate) binds: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Gone,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl TcpWire {
    /// Connects to a server of this host. The last part of `from` tells clients on loopback
    /// apart: 192.0.2.7 comes from 127.0.2.7.
    pub(crate) async fn connect(
        address: SocketAddr,
        from: IpAddr,
        host: &str,
    ) -> Result<Self, String> {
        let stream = async {
            let IpAddr::V4(from) = from else {
                return TcpStream::connect(address).await;
            };
            if from.is_loopback() {
                return TcpStream::connect(address).await;
            }
            let [_, _, _, last] = from.octets();
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::new(127, 0, 2, last), 0).into())?;
            socket.connect(address).await
        };
        let stream = stream
            .await
            .map_err(|error| format!("{address}: {error}"))?;
        Ok(Self {
            stream: Stream::Plain(stream),
            host: host.to_owned(),
            binds: true,
        })
    }

    fn io(&mut self) -> Option<&mut dyn Io> {
        match &mut self.stream {
            Stream::Plain(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream),
            Stream::Gone => None,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let Some(io) = self.io() else { return false };
        io.write_all(bytes).await.is_ok() && io.flush().await.is_ok()
    }

    pub(crate) async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; READ_BYTES];
        let count = self.io()?.read(&mut buffer).await.ok()?;
        buffer.truncate(count);
        (count > 0).then_some(buffer)
    }

    pub(crate) async fn close(&mut self) {
        if let Some(io) = self.io() {
            let _ = io.shutdown().await;
        }
    }

    pub(crate) async fn start_tls(&mut self) -> Option<TlsInfo> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return None;
        };
        let name = ServerName::try_from(self.host.clone()).ok()?;
        let connector = TlsConnector::from(client_config()?);
        let stream = connector.connect(name, stream).await.ok()?;
        let mut info = info(&stream);
        if !self.binds {
            info.bindings = ChannelBindings::default();
        }
        self.stream = Stream::Tls(Box::new(stream));
        Some(info)
    }
}

fn info(stream: &TlsStream<TcpStream>) -> TlsInfo {
    let (_, connection) = stream.get_ref();
    let exporter = connection
        .export_keying_material([0; 32], EXPORTER_LABEL, None)
        .ok();
    TlsInfo {
        version13: connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        bindings: ChannelBindings {
            exporter,
            server_end_point: None,
        },
        ..TlsInfo::default()
    }
}

fn client_config() -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    // XEP-0368 §3
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Some(Arc::new(config))
}

/// Believes every certificate: a conversation is about what is said, with a server that made its
/// certificate itself. That certificates are right is tested with real clients.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
