//! Peers that never log in.

use std::io::Write;
use std::net::TcpStream;

use crate::client::{Client, HEADER};
use crate::server::Server;

/// CVE-2021-32918: memory of connections that never say anything. How many bytes each costs is
/// measured by the benchmark; here they must not be in the way, and go.
#[test]
fn cve_2021_32918_a_thousand_silent_strangers_are_told_and_go() {
    let server = Server::start("negotiation_timeout = \"2s\"\nclose_timeout = \"1s\"");
    let silent: Vec<TcpStream> = (0..1_000)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    server.until("all are there", |server| {
        server.test.instance.strangers() == 1_000
    });
    server.login("romeo").ping();
    server.until("none is left", |server| {
        server.test.instance.strangers() == 0 && server.gate.open() == 0
    });
    for socket in silent {
        let mut client = Client::over(socket);
        let rest = client.rest();
        assert!(rest.contains("<connection-timeout "), "{rest}");
    }
}

#[test]
fn no_more_strangers_than_there_may_be() {
    let server = Server::start("unauthenticated = 10");
    let mut romeo = server.login("romeo");
    let _silent: Vec<TcpStream> = (0..10)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    server.until("all are there", |server| {
        server.test.instance.strangers() == 10
    });
    let mut late = Client::connect(server.address);
    assert_eq!(late.rest(), "");
    romeo.ping();
}

/// CVE-2026-43506: leaks from connections that never log in.
#[test]
fn cve_2026_43506_nothing_is_left_of_strangers_that_come_and_go() {
    let server = Server::start("");
    let parts = [
        String::new(),
        "<".to_owned(),
        HEADER.to_owned(),
        format!("{HEADER}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        format!(
            "{HEADER}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biws"
        ),
        format!("{HEADER}<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
    ];
    for round in 0..100 {
        for part in &parts {
            let mut socket = TcpStream::connect(server.address).unwrap();
            socket.write_all(part.as_bytes()).unwrap();
            if round % 2 == 0 {
                socket.shutdown(std::net::Shutdown::Write).unwrap();
            }
        }
    }
    server.until("none is left", |server| {
        server.test.instance.strangers() == 0 && server.gate.open() == 0
    });
    server.login("romeo").ping();
}

#[test]
fn a_stranger_that_sends_byte_by_byte_has_no_more_time_than_others() {
    let server = Server::start("negotiation_timeout = \"2s\"\nclose_timeout = \"1s\"");
    let mut stranger = Client::connect(server.address);
    stranger.send(HEADER);
    stranger.until("</stream:features>");
    let sender = stranger.socket.try_clone().unwrap();
    let slow = std::thread::spawn(move || {
        let mut sender = sender;
        // Until nobody listens any more.
        while sender.write_all(b" ").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let rest = stranger.rest();
    assert!(rest.contains("<connection-timeout "), "{rest}");
    slow.join().unwrap();
}
