//! The TLS of servers among each other: certificates are exchanged both ways and believed by
//! neither. A server whose certificate proves nothing can still prove itself by dialback, so the
//! handshake only checks that the peer has the key; what the certificate proves is asked later, for
//! the domain that the peer then claims (RFC 6120 §13.7.2).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};

use crate::certificates::Certificates;
use crate::dns::Service;

/// XEP-0368 §3: the ALPN name of a stream.
fn alpn(service: Service) -> Vec<u8> {
    let name: &[u8] = match service {
        Service::Server => b"xmpp-server",
        Service::Client => b"xmpp-client",
    };
    name.to_vec()
}

/// The configuration for all who connect to us. It asks `certificates` anew at each handshake.
pub(super) fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(HasTheKey(provider.signature_verification_algorithms));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(by_name(certificates, ""));
    // A peer that sends ALPN must name us; one that sends none, as with STARTTLS, is taken too.
    config.alpn_protocols = vec![alpn(Service::Server)];
    // No resumption: connections last, and a certificate is to be looked at each time.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The configuration for a connection from a domain of ours, whose certificate `key` is. `direct`:
/// see [`super::PeerTls::connect`].
pub(super) fn client_config(
    key: Arc<CertifiedKey>,
    direct: Option<Service>,
) -> Result<ClientConfig, Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let verifier = Arc::new(HasTheKey(provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(Ours(key)));
    config.alpn_protocols = direct.map(alpn).into_iter().collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Our certificate, whichever issuers the peer says it knows.
#[derive(Debug)]
struct Ours(Arc<CertifiedKey>);

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Without a scheme in common the handshake goes on without a certificate.
        let usable = self.0.key.choose_scheme(schemes).is_some();
        usable.then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Chooses the certificate of the domain that the peer asks for, or that of `otherwise` for one
/// that asks for none; empty means the first host's.
pub(super) fn by_name(
    certificates: Arc<Certificates>,
    otherwise: &str,
) -> Arc<dyn ResolvesServerCert> {
    Arc::new(ByName {
        certificates,
        otherwise: otherwise.to_owned(),
    })
}

#[derive(Debug)]
struct ByName {
    certificates: Arc<Certificates>,
    otherwise: String,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or(&self.otherwise);
        Some(self.certificates.key(name))
    }
}

/// Takes every chain from whoever can sign with the key of its first certificate.
#[derive(Debug)]
struct HasTheKey(WebPkiSupportedAlgorithms);

impl HasTheKey {
    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }
}

impl ServerCertVerifier for HasTheKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ClientCertVerifier for HasTheKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a hint of issuers would keep peers from showing what we do not know.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
