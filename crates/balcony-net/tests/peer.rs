//! TLS between two servers of ours, and with peers that do worse, over loopback.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balcony_net::{
    Certificates, Distrust, PeerTls, PeerTlsError, Roots, RootsError, Secured, Service,
};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// For steps that must come to an end: a test that waits longer has failed.
const LONG: Duration = Duration::from_secs(60);

struct Host {
    directory: tempfile::TempDir,
    name: &'static str,
    certificates: Arc<Certificates>,
    tls: PeerTls,
}

/// A server of this name with a self-signed certificate.
fn host(name: &'static str) -> Host {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::load(directory.path(), &[name.to_owned()]).unwrap();
    let certificates = Arc::new(certificates);
    let tls = PeerTls::new(Arc::clone(&certificates), Roots::none()).unwrap();
    Host {
        directory,
        name,
        certificates,
        tls,
    }
}

impl Host {
    fn chain(&self) -> std::path::PathBuf {
        self.directory.path().join(format!("{}.crt", self.name))
    }

    fn roots(&self) -> Roots {
        Roots::from_pem_file(&self.chain()).unwrap()
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// `from` connects to `to`.
async fn shake(from: &Host, to: &Host, direct: Option<Service>) -> (Secured, Secured) {
    let (client, server) = pair().await;
    let (client, server) = tokio::join!(
        from.tls.connect(client, from.name, to.name, direct, LONG),
        to.tls.accept(server, None, LONG)
    );
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn both_sides_show_their_certificates_and_each_proves_its_domain() {
    let (a, b) = (host("a.example"), host("b.example"));
    let (at_a, at_b) = shake(&a, &b, None).await;
    let now = SystemTime::now();
    assert_eq!(
        at_a.certificate.proves("b.example", now, &b.roots()),
        Ok(())
    );
    assert_eq!(
        at_b.certificate.proves("a.example", now, &a.roots()),
        Ok(())
    );
    assert_eq!(
        at_b.certificate.proves("a.example", now, &b.roots()),
        Err(Distrust::SelfSigned)
    );
    assert!(matches!(
        at_b.certificate.proves("c.example", now, &a.roots()),
        Err(Distrust::WrongName { .. })
    ));
}

#[tokio::test]
async fn what_is_written_is_read_on_the_other_side() {
    let (a, b) = (host("a.example"), host("b.example"));
    let (mut at_a, mut at_b) = shake(&a, &b, Some(Service::Server)).await;
    at_a.stream.write_all(b"hither").await.unwrap();
    at_a.stream.flush().await.unwrap();
    let mut read = [0; 6];
    at_b.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hither");
    at_b.stream.write_all(b"thither").await.unwrap();
    at_b.stream.shutdown().await.unwrap();
    let mut read = Vec::new();
    at_a.stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"thither");
    assert!(at_a.stream.into_plain().is_none());
}

#[tokio::test]
async fn alpn_is_for_direct_tls_and_sni_is_the_domain() {
    let (a, b) = (host("a.example"), host("bücher.example"));
    let (at_a, at_b) = shake(&a, &b, Some(Service::Server)).await;
    assert_eq!(at_a.tls, at_b.tls);
    assert_eq!(at_b.tls.alpn.as_deref(), Some(&b"xmpp-server"[..]));
    assert_eq!(at_b.tls.sni.as_deref(), Some("xn--bcher-kva.example"));
    assert!(at_b.tls.version13);
    assert!(at_b.tls.cipher.starts_with("TLS13_"), "{}", at_b.tls.cipher);
    let (_, at_b) = shake(&a, &b, None).await;
    assert_eq!(at_b.tls.alpn, None);
    // What is for clients is refused at the servers' port.
    let (client, server) = pair().await;
    let (refused, _) = tokio::join!(
        a.tls
            .connect(client, a.name, b.name, Some(Service::Client), LONG),
        b.tls.accept(server, None, LONG)
    );
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_handshake_uses_the_certificates_of_its_time() {
    let (a, b) = (host("a.example"), host("b.example"));
    let before = shake(&a, &b, None).await.0.certificate;
    for end in ["crt", "key"] {
        fs::remove_file(b.directory.path().join(format!("b.example.{end}"))).unwrap();
    }
    b.certificates.reload(&["b.example".to_owned()]).unwrap();
    let after = shake(&a, &b, None).await.0.certificate;
    assert_ne!(before, after);
    let now = SystemTime::now();
    assert_eq!(after.proves("b.example", now, &b.roots()), Ok(()));
}

#[tokio::test]
async fn roots_are_replaced_while_running() {
    let (a, b) = (host("a.example"), host("b.example"));
    assert_eq!(a.tls.roots().count(), 0);
    a.tls.set_roots(b.roots());
    assert_eq!(a.tls.roots().count(), 1);
}

/// A peer with a configuration of its own.
async fn stranger(
    to: &Host,
    configure: impl FnOnce(Arc<Takes>) -> ClientConfig,
) -> Result<Secured, PeerTlsError> {
    let (client, server) = pair().await;
    let config = configure(Arc::new(Takes));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(to.name).unwrap();
    let client = async {
        let mut stream = connector.connect(name, client).await.ok()?;
        // With TLS 1.3 the server's word on our certificate comes after our handshake.
        let _ = stream.read(&mut [0; 1]).await;
        Some(stream)
    };
    let server = async {
        let secured = to.tls.accept(server, None, LONG).await;
        // Lets the stranger end.
        secured.map(|mut secured| {
            secured.stream = balcony_net::PeerStream::Plain(dead());
            secured
        })
    };
    tokio::join!(client, server).1
}

/// A socket that is connected to nobody.
fn dead() -> TcpStream {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

fn builder(
    takes: Arc<Takes>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(takes)
}

#[tokio::test]
async fn a_peer_without_certificate_is_taken() {
    let to = host("b.example");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let secured = stranger(&to, |takes| {
            builder(takes, &[version]).with_no_client_auth()
        });
        let secured = secured.await.unwrap();
        assert!(secured.certificate.is_empty());
        assert_eq!(
            secured
                .certificate
                .proves("a.example", SystemTime::now(), &to.roots()),
            Err(Distrust::NoCertificate)
        );
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let to = host("b.example");
    let (owner, thief) = (host("a.example"), host("thief.example"));
    let chain = vec![CertificateDer::from_pem_file(owner.chain()).unwrap()];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let forged = key(
            &chain,
            thief.directory.path().join("thief.example.key").as_path(),
        );
        let result = stranger(&to, |takes| {
            builder(takes, &[version]).with_client_cert_resolver(Arc::new(Shows(forged)))
        });
        assert!(matches!(result.await, Err(PeerTlsError::Failed(_))));
        let own = key(
            &chain,
            owner.directory.path().join("a.example.key").as_path(),
        );
        let result = stranger(&to, |takes| {
            builder(takes, &[version]).with_client_cert_resolver(Arc::new(Shows(own)))
        });
        assert!(!result.await.unwrap().certificate.is_empty());
    }
}

#[tokio::test]
async fn without_sni_the_stream_header_decides() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["a.example".to_owned(), "b.example".to_owned()];
    let certificates = Arc::new(Certificates::load(directory.path(), &names).unwrap());
    let tls = PeerTls::new(certificates, Roots::none()).unwrap();
    for (asked, to, wanted) in [
        (None, None, "a.example"),
        (None, Some("b.example"), "b.example"),
        (Some("a.example"), Some("b.example"), "a.example"),
    ] {
        let (client, server) = pair().await;
        let mut config = builder(Arc::new(Takes), &[&rustls::version::TLS13]).with_no_client_auth();
        config.enable_sni = asked.is_some();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(asked.unwrap_or("c.example")).unwrap();
        let (client, server) = tokio::join!(
            connector.connect(name, client),
            tls.accept(server, to, LONG)
        );
        assert_eq!(server.unwrap().tls.sni.as_deref(), asked);
        let client = client.unwrap();
        let chain = client.get_ref().1.peer_certificates().unwrap();
        let shown = balcony_net::PeerCertificate::new([chain[0].clone().into_owned()]);
        assert_eq!(shown.facts().unwrap().names, [wanted]);
    }
}

#[tokio::test]
async fn a_client_of_users_is_sent_away() {
    let to = host("b.example");
    let result = stranger(&to, |takes| {
        let mut config = builder(takes, &[&rustls::version::TLS13]).with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        config
    });
    assert!(matches!(result.await, Err(PeerTlsError::Failed(_))));
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let (a, b) = (host("a.example"), host("b.example"));
    let (client, server) = pair().await;
    let short = Duration::from_millis(20);
    let accepted = b.tls.accept(server, None, short).await;
    assert!(matches!(accepted, Err(PeerTlsError::TimedOut)));
    drop(client);
    let (client, server) = pair().await;
    let connected = a.tls.connect(client, "a.example", "b.example", None, short);
    assert!(matches!(connected.await, Err(PeerTlsError::TimedOut)));
    drop(server);
}

#[tokio::test]
async fn a_peer_that_hangs_up_has_closed() {
    let b = host("b.example");
    let (client, server) = pair().await;
    drop(client);
    let accepted = b.tls.accept(server, None, LONG).await;
    assert!(matches!(accepted, Err(PeerTlsError::Closed)));
}

#[test]
fn roots_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("roots.pem");
    assert!(matches!(
        Roots::from_pem_file(&file),
        Err(RootsError::File { .. })
    ));
    fs::write(&file, "not a certificate").unwrap();
    let error = Roots::from_pem_file(&file).unwrap_err();
    assert!(error.to_string().contains("roots.pem"), "{error}");
    assert_eq!(Roots::none().count(), 0);
}

fn key(chain: &[CertificateDer<'static>], file: &Path) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::from_pem_file(file).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(chain.to_vec(), key))
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes whatever the server shows.
#[derive(Debug)]
struct Takes;

impl ServerCertVerifier for Takes {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
