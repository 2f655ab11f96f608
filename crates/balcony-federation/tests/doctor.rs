//! The doctor at a server whose certificate only the DNS vouches for (RFC 7673), in a zone that is
//! signed here.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balcony_federation::doctor::{Finding, Options, State, examine};
use balcony_net::{Certificates, PeerTls, Roots};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[path = "../../balcony-net/tests/support/dns.rs"]
#[allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
mod dns;

use dns::DnsServer;

/// For steps that must come to an end: a test that waits longer has failed.
const LONG: Duration = Duration::from_secs(60);

const GREETING: &str = "<stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='verona.test' id='1' version='1.0'>\
    <stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";

/// The server of `verona.test`, by direct TLS, with a self-signed certificate.
struct Verona {
    folder: TempDir,
    dns: DnsServer,
    port: u16,
    /// In DER.
    certificate: Vec<u8>,
    /// The key of its zone.
    anchors: String,
}

async fn verona() -> Verona {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::load(folder.path(), &["verona.test".to_owned()]).unwrap();
    let pem = fs::read_to_string(folder.path().join("verona.test.crt")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let tls = Arc::new(PeerTls::new(Arc::new(certificates), Roots::none()).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(greet(stream, Arc::clone(&tls)));
        }
    });
    let dns = DnsServer::start().await;
    let anchors = dns.sign("verona.test");
    let (direct, starttls) = (
        "_xmpps-server._tcp.verona.test",
        "_xmpp-server._tcp.verona.test",
    );
    dns.srv(direct, 0, 0, port, "host.verona.test")
        .srv(starttls, 0, 0, 0, ".")
        .host("host.verona.test", "127.0.0.1");
    Verona {
        folder,
        dns,
        port,
        certificate: STANDARD.decode(body).unwrap(),
        anchors,
    }
}

async fn greet(stream: TcpStream, tls: Arc<PeerTls>) {
    let Ok(secured) = tls.accept(stream, None, LONG).await else {
        return;
    };
    let (mut stream, mut bytes) = (secured.stream, [0; 4096]);
    let _ = stream.read(&mut bytes).await;
    let _ = stream.write_all(GREETING.as_bytes()).await;
    let _ = stream.read(&mut bytes).await;
}

impl Verona {
    /// The DNS says that this is the certificate, as a whole (DANE-EE).
    fn says(&self, certificate: &[u8]) {
        let name = format!("_{}._tcp.host.verona.test", self.port);
        self.dns.tlsa(&name, 3, 0, 0, certificate);
    }

    /// A file of authorities that have nothing to do with it.
    fn others(&self) -> &'static str {
        Certificates::load(self.folder.path(), &["other.test".to_owned()]).unwrap();
        "other.test.crt"
    }

    /// What the doctor says of the certificate, with the authorities in this file of the folder.
    async fn finding(&self, trusted: &str) -> Finding {
        let anchors = self.folder.path().join("anchors");
        fs::write(&anchors, &self.anchors).unwrap();
        let options = Options {
            domain: "verona.test".to_owned(),
            clients: false,
            resolver: Some(self.dns.address()),
            anchors: Some(anchors),
            trust_roots: Some(self.folder.path().join(trusted)),
            from: "doctor.invalid".to_owned(),
            within: LONG,
            now: SystemTime::now(),
        };
        let findings = examine(&options).await.unwrap();
        let found = findings
            .iter()
            .find(|finding| finding.what.contains("certificate"));
        found.unwrap_or_else(|| panic!("{findings:?}")).clone()
    }
}

#[tokio::test]
async fn a_certificate_that_only_the_dns_vouches_for_is_worth_a_note() {
    let verona = verona().await;
    let before = verona.finding(verona.others()).await;
    assert_eq!(before.state, State::Fault, "{before}");
    verona.says(&verona.certificate);
    let found = verona.finding(verona.others()).await;
    assert_eq!(found.state, State::Note, "{found}");
    assert!(found.what.contains("DANE only"), "{found}");
}

#[tokio::test]
async fn a_certificate_that_the_dns_contradicts_is_a_fault_though_all_trust_it() {
    let verona = verona().await;
    let before = verona.finding("verona.test.crt").await;
    assert_eq!(before.state, State::Good, "{before}");
    verona.says(&[7; 32]);
    let found = verona.finding("verona.test.crt").await;
    assert_eq!(found.state, State::Fault, "{found}");
    assert!(found.what.contains("TLSA"), "{found}");
}

#[tokio::test]
async fn what_is_signed_by_a_strange_key_proves_nothing() {
    let mut verona = verona().await;
    verona.says(&verona.certificate);
    verona.anchors = DnsServer::start().await.sign("verona.test");
    let found = verona.finding(verona.others()).await;
    assert_eq!(found.state, State::Fault, "{found}");
}
