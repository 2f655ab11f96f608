//! From a domain to its servers, with a DNS server that says what each case needs.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use balcony_net::{Endpoint, Found, LookupError, Resolver, Service, SrvRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

#[path = "support/dns.rs"]
#[allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
mod dns;

use dns::{Answer, DnsServer};

const PLAIN: &str = "_xmpp-server._tcp.example.test";
const DIRECT: &str = "_xmpps-server._tcp.example.test";

fn endpoint(host: &str, port: u16, priority: u16, direct_tls: bool) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port,
        direct_tls,
        priority,
        validated: false,
    }
}

async fn fails(server: &DnsServer) -> LookupError {
    server
        .resolver()
        .lookup("example.test", Service::Server)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn both_services_are_merged_by_priority() {
    let server = DnsServer::start().await;
    server
        .srv(PLAIN, 10, 0, 5269, "xmpp.example.test")
        .srv(PLAIN, 30, 0, 5269, "backup.example.test")
        .srv(DIRECT, 20, 0, 5270, "XMPP.example.test");
    let found = server
        .resolver()
        .lookup("example.test", Service::Server)
        .await
        .unwrap();
    assert_eq!(found.found, Found::Srv);
    assert_eq!(
        found.endpoints,
        [
            endpoint("xmpp.example.test", 5269, 10, false),
            endpoint("xmpp.example.test", 5270, 20, true),
            endpoint("backup.example.test", 5269, 30, false),
        ]
    );
}

#[tokio::test]
async fn another_server_is_asked_where_one_does_not_answer() {
    let server = DnsServer::start().await;
    server.srv(PLAIN, 0, 0, 5269, "xmpp.example.test");
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::at(&[silent.local_addr().unwrap(), server.address()]).unwrap();
    let found = resolver.lookup("example.test", Service::Server).await;
    assert_eq!(found.unwrap().found, Found::Srv);
    assert!(
        silent.try_recv(&mut [0; 512]).is_ok(),
        "the first was not asked"
    );
}

#[tokio::test]
async fn clients_have_services_of_their_own() {
    let server = DnsServer::start().await;
    server.srv(
        "_xmpps-client._tcp.example.test",
        0,
        0,
        443,
        "c.example.test",
    );
    let found = server
        .resolver()
        .lookup("example.test", Service::Client)
        .await
        .unwrap();
    assert_eq!(found.endpoints, [endpoint("c.example.test", 443, 0, true)]);
}

#[tokio::test]
async fn without_srv_records_it_is_the_domain_itself() {
    let server = DnsServer::start().await;
    server.host("example.test", "127.0.0.1");
    let found = server
        .resolver()
        .lookup("example.test", Service::Server)
        .await
        .unwrap();
    assert_eq!(found.found, Found::Fallback);
    assert_eq!(found.endpoints, [endpoint("example.test", 5269, 0, false)]);
}

#[tokio::test]
async fn a_refused_service_does_not_fall_back() {
    let server = DnsServer::start().await;
    server
        .srv(PLAIN, 0, 0, 0, ".")
        .host("example.test", "127.0.0.1");
    let error = fails(&server).await;
    assert!(matches!(error, LookupError::NotOffered { .. }), "{error}");
    let asked = server.asked();
    assert!(!asked.contains(&("example.test".to_owned(), RecordType::A)));
}

#[tokio::test]
async fn refused_direct_tls_leaves_starttls() {
    let server = DnsServer::start().await;
    server
        .srv(DIRECT, 0, 0, 0, ".")
        .srv(PLAIN, 5, 0, 5269, "xmpp.example.test");
    let found = server
        .resolver()
        .lookup("example.test", Service::Server)
        .await
        .unwrap();
    assert_eq!(
        found.endpoints,
        [endpoint("xmpp.example.test", 5269, 5, false)]
    );
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_not_asked_for_again() {
    let server = DnsServer::start().await;
    let error = fails(&server).await;
    assert!(matches!(error, LookupError::NoSuchDomain { .. }), "{error}");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn a_domain_without_address_is_told_from_one_that_does_not_exist() {
    let server = DnsServer::start().await;
    server.set("example.test", RecordType::MX, Answer::Records(Vec::new()));
    let error = fails(&server).await;
    assert!(matches!(error, LookupError::NoAddress { .. }), "{error}");
}

#[tokio::test]
async fn a_failing_server_is_a_temporary_error_without_fallback() {
    let server = DnsServer::start().await;
    server
        .set(PLAIN, RecordType::SRV, Answer::Code(ResponseCode::ServFail))
        .host("example.test", "127.0.0.1");
    let error = fails(&server).await;
    assert!(matches!(error, LookupError::ServerFailed { .. }), "{error}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn silence_ends_in_time() {
    let server = DnsServer::start().await;
    server.set(PLAIN, RecordType::SRV, Answer::Silence);
    let resolver = server.resolver().within(Duration::from_millis(200));
    let error = resolver
        .lookup("example.test", Service::Server)
        .await
        .unwrap_err();
    assert!(matches!(error, LookupError::TimedOut { .. }), "{error}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn names_go_out_as_a_labels() {
    let server = DnsServer::start().await;
    let name = "_xmpp-server._tcp.xn--bcher-kva.test";
    server.srv(name, 0, 0, 5269, "xmpp.example.test");
    let resolver = server.resolver();
    let found = resolver.lookup("bücher.test", Service::Server).await;
    assert_eq!(found.unwrap().found, Found::Srv);
    let asked = server.asked();
    assert!(
        asked.contains(&(name.to_owned(), RecordType::SRV)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_address_needs_no_dns() {
    let server = DnsServer::start().await;
    let resolver = server.resolver();
    let found = resolver.lookup("[::1]", Service::Server).await.unwrap();
    assert_eq!(found.found, Found::Address);
    assert_eq!(found.endpoints, [endpoint("::1", 5269, 0, false)]);
    assert_eq!(
        resolver.addresses("::1").await.unwrap(),
        ["::1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn addresses_of_both_families_are_found_through_an_alias() {
    let server = DnsServer::start().await;
    server
        .alias("www.example.test", "host.example.test")
        .host("host.example.test", "127.0.0.2")
        .host("host.example.test", "::1");
    let addresses = server.resolver().addresses("www.example.test").await;
    let texts: Vec<String> = addresses.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["::1", "127.0.0.2"]);
}

#[tokio::test]
async fn aliases_that_go_in_circles_are_an_error() {
    let server = DnsServer::start().await;
    server
        .alias("a.example.test", "b.example.test")
        .alias("b.example.test", "a.example.test");
    let error = server.resolver().addresses("a.example.test").await;
    assert!(error.is_err(), "{error:?}");
}

#[tokio::test]
async fn two_hundred_records_come_by_tcp_and_become_sixteen_endpoints() {
    let server = DnsServer::start().await;
    for number in 0..200 {
        server.srv(PLAIN, number, 0, 5269, "h.example.test");
    }
    let found = server
        .resolver()
        .lookup("example.test", Service::Server)
        .await
        .unwrap();
    assert_eq!(found.endpoints.len(), 16);
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_not_asked_for() {
    let server = DnsServer::start().await;
    let resolver: Resolver = server.resolver();
    for domain in ["", "a b.test", &"x".repeat(64)] {
        let error = resolver.lookup(domain, Service::Server).await.unwrap_err();
        assert!(matches!(error, LookupError::BadDomain { .. }), "{error}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn the_records_of_each_kind_are_told_by_themselves() {
    let server = DnsServer::start().await;
    server
        .srv(PLAIN, 9, 0, 5269, "backup.example.test")
        .srv(PLAIN, 5, 0, 5269, "xmpp.example.test")
        .srv(DIRECT, 0, 0, 0, ".");
    let resolver = server.resolver();
    let of = async |service, direct| resolver.srv_records("example.test", service, direct).await;
    let plain = [
        endpoint("xmpp.example.test", 5269, 5, false),
        endpoint("backup.example.test", 5269, 9, false),
    ];
    let (servers, clients) = (Service::Server, Service::Client);
    let plain = SrvRecords::Endpoints(plain.into());
    assert_eq!(of(servers, false).await, Ok(plain));
    assert_eq!(of(servers, true).await, Ok(SrvRecords::NotOffered));
    assert_eq!(of(clients, false).await, Ok(SrvRecords::Missing));
    let failed = Answer::Code(ResponseCode::ServFail);
    server.set("_xmpps-client._tcp.example.test", RecordType::SRV, failed);
    assert!(of(clients, true).await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn an_alias_is_told_from_a_name() {
    let server = DnsServer::start().await;
    server
        .alias("alias.example.test", "Host.example.test")
        .host("host.example.test", "127.0.0.1");
    let resolver = server.resolver();
    let target = Some("host.example.test".to_owned());
    assert_eq!(resolver.alias("alias.example.test").await, Ok(target));
    for none in ["host.example.test", "nowhere.example.test"] {
        assert_eq!(resolver.alias(none).await, Ok(None), "{none}");
    }
}
