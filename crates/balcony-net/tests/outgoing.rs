//! Connections to the endpoints of a service, over loopback.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use balcony_net::{AttemptError, ConnectError, ConnectTimes, Endpoint, connect};
use tokio::net::{TcpListener, TcpSocket};

#[path = "support/dns.rs"]
#[allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
mod dns;

use dns::DnsServer;

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port that refuses, for as long as the socket is kept.
fn refusing() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A port that does not answer: its backlog of one is full, so that further SYNs are dropped.
async fn silent() -> (TcpListener, Vec<tokio::task::JoinHandle<()>>, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(20), connecting).await {
            Ok(stream) => held.push(tokio::spawn(async move {
                let _open = stream;
                std::future::pending::<()>().await;
            })),
            Err(_) => return (listener, held, address.port()),
        }
    }
    panic!("the backlog never fills");
}

fn endpoint(host: &str, port: u16, priority: u16) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port,
        direct_tls: false,
        priority,
        validated: false,
    }
}

#[tokio::test]
async fn a_name_leads_to_a_connection_without_delay_and_with_keepalive() {
    let server = DnsServer::start().await;
    server.host("xmpp.example.test", "127.0.0.1");
    let (listener, port) = listener().await;
    let endpoints = [endpoint("xmpp.example.test", port, 0)];
    let connected = connect(&server.resolver(), &endpoints, ConnectTimes::default())
        .await
        .unwrap();
    assert_eq!(connected.endpoint, endpoints[0]);
    assert_eq!(connected.address, listener.local_addr().unwrap());
    assert!(connected.failed.is_empty());
    assert!(connected.stream.nodelay().unwrap());
    let socket = socket2::SockRef::from(&connected.stream);
    assert!(socket.keepalive().unwrap());
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, connected.stream.local_addr().unwrap());
}

#[tokio::test]
async fn what_refuses_is_passed_over_and_told() {
    let server = DnsServer::start().await;
    let (_listener, port) = listener().await;
    let (_socket, closed) = refusing();
    let endpoints = [
        endpoint("127.0.0.1", closed, 0),
        endpoint("127.0.0.1", port, 0),
    ];
    let connected = connect(&server.resolver(), &endpoints, ConnectTimes::default())
        .await
        .unwrap();
    assert_eq!(connected.endpoint, endpoints[1]);
    let [attempt] = connected.failed.try_into().unwrap();
    assert_eq!(attempt.endpoint, endpoints[0]);
    assert!(matches!(attempt.reason, AttemptError::Io(_)));
    assert!(attempt.to_string().contains("127.0.0.1"), "{attempt}");
}

#[tokio::test]
async fn a_failure_lets_the_next_begin_at_once() {
    let server = DnsServer::start().await;
    let (_listener, port) = listener().await;
    let (_socket, closed) = refusing();
    let endpoints = [
        endpoint("127.0.0.1", closed, 0),
        endpoint("127.0.0.1", port, 0),
    ];
    let times = ConnectTimes {
        stagger: Duration::from_secs(20),
        ..ConnectTimes::default()
    };
    let begun = Instant::now();
    connect(&server.resolver(), &endpoints, times)
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn one_that_does_not_answer_does_not_hold_up_the_next() {
    let server = DnsServer::start().await;
    let (_full, _held, dead) = silent().await;
    let (_listener, port) = listener().await;
    let endpoints = [
        endpoint("127.0.0.1", dead, 0),
        endpoint("127.0.0.1", port, 0),
    ];
    let times = ConnectTimes {
        stagger: Duration::from_millis(10),
        attempt: Duration::from_secs(600),
        total: Duration::from_secs(600),
    };
    let connected = connect(&server.resolver(), &endpoints, times)
        .await
        .unwrap();
    assert_eq!(connected.endpoint, endpoints[1]);
}

#[tokio::test]
async fn the_next_priority_waits_until_the_first_has_failed() {
    let server = DnsServer::start().await;
    let (_full, _held, dead) = silent().await;
    let (_listener, port) = listener().await;
    let endpoints = [
        endpoint("127.0.0.1", dead, 1),
        endpoint("127.0.0.1", port, 2),
    ];
    let times = ConnectTimes {
        stagger: Duration::from_millis(1),
        attempt: Duration::from_millis(100),
        total: Duration::from_secs(60),
    };
    let connected = connect(&server.resolver(), &endpoints, times)
        .await
        .unwrap();
    assert_eq!(connected.endpoint, endpoints[1]);
    let [attempt] = connected.failed.try_into().unwrap();
    assert_eq!(attempt.reason, AttemptError::TimedOut);
}

#[tokio::test]
async fn a_host_without_address_is_told_and_the_others_are_tried() {
    let server = DnsServer::start().await;
    let (_listener, port) = listener().await;
    let endpoints = [
        endpoint("nowhere.example.test", port, 0),
        endpoint("127.0.0.1", port, 0),
    ];
    let connected = connect(&server.resolver(), &endpoints, ConnectTimes::default())
        .await
        .unwrap();
    assert_eq!(connected.endpoint, endpoints[1]);
    let (_socket, closed) = refusing();
    let endpoints = [
        endpoint("nowhere.example.test", closed, 0),
        endpoint("127.0.0.1", closed, 0),
    ];
    let error: ConnectError = connect(&server.resolver(), &endpoints, ConnectTimes::default())
        .await
        .unwrap_err();
    assert!(!error.timed_out);
    let mut tried: Vec<Option<SocketAddr>> = error
        .attempts
        .iter()
        .map(|attempt| attempt.address)
        .collect();
    tried.sort();
    assert_eq!(
        tried,
        [None, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, closed)))]
    );
    assert!(
        error.to_string().contains("nowhere.example.test"),
        "{error}"
    );
}

#[tokio::test]
async fn ipv6_is_preferred() {
    let server = DnsServer::start().await;
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return; // A machine without IPv6 cannot tell.
    };
    let port = listener.local_addr().unwrap().port();
    server
        .host("xmpp.example.test", "127.0.0.1")
        .host("xmpp.example.test", "::1");
    let endpoints = [endpoint("xmpp.example.test", port, 0)];
    let connected = connect(&server.resolver(), &endpoints, ConnectTimes::default())
        .await
        .unwrap();
    assert!(connected.address.is_ipv6());
    assert!(connected.failed.is_empty());
}

#[tokio::test]
async fn the_time_for_everything_is_bounded() {
    let server = DnsServer::start().await;
    let (_full, _held, dead) = silent().await;
    let times = ConnectTimes {
        total: Duration::from_millis(100),
        ..ConnectTimes::default()
    };
    let error = connect(&server.resolver(), &[endpoint("127.0.0.1", dead, 0)], times)
        .await
        .unwrap_err();
    assert!(error.timed_out);
    let [attempt] = error.attempts.try_into().unwrap();
    assert_eq!(attempt.reason, AttemptError::TimedOut);
    assert_eq!(attempt.address.map(|address| address.port()), Some(dead));
}
