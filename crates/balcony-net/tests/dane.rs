//! RFC 7673: what DNSSEC proves, and what it does not, with zones that are signed here.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use balcony_net::{Endpoint, LookupError, Resolver, Service};

#[path = "support/dns.rs"]
#[allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
mod dns;

use dns::DnsServer;

const SRV: &str = "_xmpp-server._tcp.example.test";
const TLSA: &str = "_5269._tcp.xmpp.host.test";

/// A resolver that trusts these keys.
fn validating(server: &DnsServer, anchors: &str) -> Resolver {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anchors");
    fs::write(&file, anchors).unwrap();
    server.resolver().validating(Some(&file)).unwrap()
}

async fn only_endpoint(resolver: &Resolver) -> Endpoint {
    let found = resolver.lookup("example.test", Service::Server).await;
    let [endpoint] = found.unwrap().endpoints.try_into().unwrap();
    endpoint
}

#[tokio::test]
async fn signed_records_are_proven() {
    let server = DnsServer::start().await;
    let anchors = server.sign("example.test") + &server.sign("host.test");
    server
        .srv(SRV, 0, 0, 5269, "xmpp.host.test")
        .tlsa(TLSA, 3, 1, 1, &[7; 32])
        .tlsa(TLSA, 2, 0, 2, &[8; 64]);
    let resolver = validating(&server, &anchors);
    let endpoint = only_endpoint(&resolver).await;
    assert!(endpoint.validated);
    let dane = resolver.dane(&endpoint).await.unwrap().unwrap();
    assert_eq!(dane.host, "xmpp.host.test");
    assert_eq!(dane.records.len(), 2);
    let ends: Vec<(u8, u8, u8, usize)> = dane
        .records
        .iter()
        .map(|record| {
            let length = record.data.len();
            (record.usage, record.selector, record.matching, length)
        })
        .collect();
    assert!(ends.contains(&(3, 1, 1, 32)) && ends.contains(&(2, 0, 2, 64)));
}

#[tokio::test]
async fn records_without_signature_are_found_and_prove_nothing() {
    let server = DnsServer::start().await;
    let anchors = server.sign("elsewhere.test");
    server
        .srv(SRV, 0, 0, 5269, "xmpp.host.test")
        .tlsa(TLSA, 3, 1, 1, &[7; 32]);
    let resolver = validating(&server, &anchors);
    let endpoint = only_endpoint(&resolver).await;
    assert!(!endpoint.validated);
    assert_eq!(resolver.dane(&endpoint).await, Ok(None));
}

#[tokio::test]
async fn records_signed_by_another_key_prove_nothing() {
    let (server, other) = (DnsServer::start().await, DnsServer::start().await);
    server.sign("example.test");
    server.srv(SRV, 0, 0, 5269, "xmpp.host.test");
    let resolver = validating(&server, &other.sign("example.test"));
    assert!(!only_endpoint(&resolver).await.validated);
}

#[tokio::test]
async fn without_validation_even_signed_records_prove_nothing() {
    let server = DnsServer::start().await;
    server.sign("example.test");
    server.srv(SRV, 0, 0, 5269, "xmpp.host.test");
    let resolver = server.resolver();
    let endpoint = only_endpoint(&resolver).await;
    assert!(!endpoint.validated);
    assert_eq!(resolver.dane(&endpoint).await, Ok(None));
}

#[tokio::test]
async fn a_forged_tlsa_record_forbids_the_endpoint() {
    let server = DnsServer::start().await;
    let anchors = server.sign("example.test");
    server.srv(SRV, 0, 0, 5269, "xmpp.example.test").tlsa(
        "_5269._tcp.xmpp.example.test",
        3,
        1,
        1,
        &[7; 32],
    );
    let resolver = validating(&server, &anchors);
    let endpoint = only_endpoint(&resolver).await;
    assert!(endpoint.validated);
    // From now on the records are signed by a key that is not the zone's.
    server.forge();
    let result = resolver.dane(&endpoint).await;
    assert!(
        matches!(result, Err(LookupError::ServerFailed { .. })),
        "{result:?}"
    );
}

#[test]
fn anchors_that_are_none_are_refused() {
    let resolver = Resolver::at(&["127.0.0.1:1".parse().unwrap()]).unwrap();
    let missing = std::path::Path::new("/nonexistent/anchors");
    let error = resolver.validating(Some(missing)).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/anchors"), "{error}");
}
