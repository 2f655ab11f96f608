//! TLS of the client and of the relay.

use std::path::Path;
use std::sync::Arc;

use balcony_proto::sasl::ChannelBindings;
use balcony_stream::TlsInfo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::tickets::Tickets;
use crate::error::{Error, Result};

/// XEP-0368 §3.
const ALPN: &[u8] = b"xmpp-client";

/// RFC 9266 §2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Makes connections to one server.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// What resumes sessions, where they are resumed.
    tickets: Option<Arc<Tickets>>,
}

impl Connector {
    /// TLS 1.3 without resumption, so that each login pays for a whole handshake. The certificate
    /// is checked against the authority in `ca`; without one it is not checked.
    ///
    /// # Errors
    /// [`Error::Usage`] for a domain or an authority that cannot be used.
    pub(crate) fn new(domain: &str, ca: Option<&Path>) -> Result<Connector> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match ca {
            Some(path) => authority(path, provider.clone())?,
            None => Arc::new(Trusting(provider.clone())) as Arc<dyn ServerCertVerifier>,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let name = ServerName::try_from(domain.to_owned());
        Ok(Connector {
            config: Arc::new(config),
            name: name.map_err(|_| Error::Usage(format!("{domain} is no name for TLS")))?,
            tickets: None,
        })
    }

    /// The same, but what the server gives to resume its TLS sessions (RFC 8446 §2.2) is kept, as
    /// by clients' libraries, for [`Connector::use_tickets`].
    pub(crate) fn with_tickets(&self) -> Connector {
        let tickets = Arc::new(Tickets::default());
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(tickets.clone());
        Connector {
            config: Arc::new(config),
            name: self.name.clone(),
            tickets: Some(tickets),
        }
    }

    /// Each connection from now on resumes the session of one before it, as long as there are some.
    pub(crate) fn use_tickets(&self) {
        if let Some(tickets) = &self.tickets {
            tickets.use_them();
        }
    }

    /// A connection before its handshake.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub(crate) fn connect(&self) -> Result<ClientConnection> {
        let mut connection = ClientConnection::new(self.config.clone(), self.name.clone())?;
        // What is queued is bounded by the load, not here.
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

/// What the stream has to know of a finished handshake.
pub(crate) fn info(connection: &Connection) -> TlsInfo {
    let version13 = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b""));
    TlsInfo {
        version13,
        bindings: ChannelBindings {
            exporter: exporter.ok().filter(|_| version13),
            server_end_point: None,
        },
        ..TlsInfo::default()
    }
}

/// The relay's side, with a self-signed certificate over ECDSA P-256, as the peers have.
///
/// As in Balcony's own server: rustls with the cryptography of ring, its suites and groups, the
/// ALPN name, and one ticket for each connection, that carries all state and is kept nowhere. A
/// ticket is made even for a client that never resumes. The server has more: TLS 1.2, which a
/// client that can 1.3 does not use, a choice among certificates, and the secret for channel
/// bindings.
///
/// # Errors
/// [`Error::Usage`] when the certificate cannot be made.
pub(crate) fn relay_config() -> Result<Arc<ServerConfig>> {
    let failed = |error: rcgen::Error| Error::Usage(format!("making a certificate: {error}"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(failed)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let key = key.map_err(|error| Error::Usage(error.to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn authority(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let bad = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
        roots.add(certificate.map_err(|e| bad(e.to_string()))?)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|e| bad(e.to_string()))?)
}

/// Takes every certificate: it is the server's cost that is measured, on a loopback address. The
/// signatures are checked, as every client does.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{HandshakeKind, ServerConnection};

    /// Both ends of a connection whose handshake is done, and which have said all they want to.
    fn handshake(connector: &Connector, config: &Arc<ServerConfig>) -> HandshakeKind {
        let mut client = connector.connect().unwrap();
        let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            bytes.clear();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        client.handshake_kind().unwrap()
    }

    #[test]
    fn tickets_are_kept_and_later_each_used_once() {
        let config = relay_config().unwrap();
        let connector = Connector::new("localhost", None).unwrap().with_tickets();
        assert_eq!(handshake(&connector, &config), HandshakeKind::Full);
        assert_eq!(handshake(&connector, &config), HandshakeKind::Full);
        let tickets = connector.tickets.clone().unwrap();
        assert_eq!(tickets.count(), 2);
        connector.use_tickets();
        for _ in 0..3 {
            assert_eq!(handshake(&connector, &config), HandshakeKind::Resumed);
            assert_eq!(tickets.count(), 2, "one was used and another given");
        }
        let without = Connector::new("localhost", None).unwrap();
        for _ in 0..2 {
            assert_eq!(handshake(&without, &config), HandshakeKind::Full);
        }
    }
}
