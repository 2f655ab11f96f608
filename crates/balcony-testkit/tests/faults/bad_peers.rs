//! Peers that are logged in and then misbehave.

use std::net::Shutdown;
use std::time::Instant;

use crate::client::Client;
use crate::server::Server;

#[test]
fn a_stanza_that_comes_byte_by_byte_is_a_stanza() {
    let server = Server::start("");
    let mut juliet = Client::online(server.address, "juliet");
    let mut romeo = server.login("romeo");
    for byte in "<message to='juliet@localhost/test'><body>Ho, ✓</body></message>".as_bytes() {
        std::io::Write::write_all(&mut romeo.socket, &[*byte]).unwrap();
    }
    let message = juliet.until("</message>");
    assert!(message.contains("<body>Ho, ✓</body>"), "{message}");
}

#[test]
fn a_stanza_that_never_ends_holds_up_nobody() {
    let server = Server::start("");
    let mut romeo = server.login("romeo");
    romeo.send("<message to='juliet@localhost'><body>");
    let mut nurse = server.login("nurse");
    nurse.ping();
    romeo.send("at last</body></message>");
    romeo.ping();
}

#[test]
fn who_closes_one_half_still_gets_its_answers() {
    let server = Server::start("");
    let mut romeo = server.login("romeo");
    romeo.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>");
    romeo.socket.shutdown(Shutdown::Write).unwrap();
    let rest = romeo.rest();
    assert!(rest.contains("id='last'"), "{rest}");
    assert!(rest.ends_with("</stream:stream>"), "{rest}");
    server.until("the session is gone", |server| {
        !server.is_connected("romeo@localhost/test")
    });
}

#[test]
fn who_is_cut_off_is_gone_and_its_resource_is_free() {
    let server = Server::start("");
    drop(server.login("romeo"));
    server.until("the session is gone", |server| {
        !server.is_connected("romeo@localhost/test")
    });
    server.login("romeo").ping();
    server.until("no connection is left", |server| server.gate.open() == 0);
}

#[test]
fn garbage_ends_its_own_stream_only() {
    let server = Server::start("");
    let mut juliet = Client::online(server.address, "juliet");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\xff\xfe\xfd\x00\x00",
        b"<<<<<<<<",
        b"]]>]]>]]>",
        b"<message to='juliet@localhost/test'><body></message>",
    ] {
        let mut romeo = server.login("romeo");
        std::io::Write::write_all(&mut romeo.socket, garbage).unwrap();
        let rest = romeo.rest();
        assert!(rest.contains("<stream:error>"), "{garbage:?}: {rest}");
        assert!(rest.ends_with("</stream:stream>"), "{garbage:?}: {rest}");
    }
    juliet.ping();
}

/// CVE-2010-0305: a queue without an end.
#[test]
fn cve_2010_0305_a_reader_that_stops_is_ended_and_others_are_not_held_up() {
    let server = Server::start(
        "rate = \"1GiB\"\nburst = \"1GiB\"\nsession_queue = \"512KiB\"\nwrite_timeout = \"2s\"",
    );
    let juliet = Client::online(server.address, "juliet");
    let mut nurse = server.login("nurse");
    let mut romeo = server.login("romeo");
    let body = "a".repeat(200_000);
    let message = format!(
        "<message to='juliet@localhost/test' type='headline'><body>{body}</body></message>"
    );
    // More than the buffers of both kernels and the session's queue take together.
    for _ in 0..100 {
        romeo.send(&message);
    }
    let asked = Instant::now();
    romeo.ping();
    nurse.ping();
    assert!(asked.elapsed().as_secs() < 5, "the others waited for her");
    server.until("she is ended", |server| {
        !server.is_connected("juliet@localhost/test")
    });
    drop(juliet);
    server.until("her connection is gone", |server| server.gate.open() == 2);
}
