//! RFC 6120 §5: encryption.

use std::time::Duration;

use crate::harness::{HEADER, Server, tls13};
use crate::receiving::Input;
use crate::{Security, Settings, TlsInfo};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn plain() -> Server {
    let mut server = Server::new(Settings::default(), Security::Plain);
    server.feed(HEADER);
    server
}

#[test]
fn where_encryption_is_required_nothing_else_is_offered() {
    let mut server = Server::new(Settings::default(), Security::Plain);
    let answer = server.feed(HEADER);
    let features = answer.split("<stream:features>").nth(1).unwrap();
    assert_eq!(
        features,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    );
}

#[test]
fn a_host_can_require_encryption_alone() {
    let mut server = Server::clear();
    server.facts.tls_required = true;
    let answer = server.feed(HEADER);
    assert!(
        answer.contains("<required/>") && !answer.contains("<mechanism>"),
        "{answer}"
    );
}

#[test]
fn cve_2014_8760_no_authentication_in_clear_where_encryption_is_required() {
    for (profile, element) in [
        ("urn:ietf:params:xml:ns:xmpp-sasl", "auth"),
        ("urn:xmpp:sasl:2", "authenticate"),
    ] {
        let mut server = plain();
        let answer = server.feed(&format!(
            "<{element} xmlns='{profile}' mechanism='SCRAM-SHA-1'/>"
        ));
        assert!(answer.contains("<encryption-required"), "{answer}");
        assert_eq!(server.asked, ["host"]);
    }
}

#[test]
fn after_proceed_everything_begins_anew() {
    let mut server = plain();
    assert_eq!(
        server.feed(STARTTLS),
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    );
    assert!(server.starttls);
    server.input(Input::TlsReady(tls13()));
    let answer = server.feed(HEADER);
    assert!(
        answer.starts_with("<?xml version='1.0'?><stream:stream "),
        "{answer}"
    );
    assert!(
        !answer.contains("<starttls") && answer.contains("<mechanism>"),
        "{answer}"
    );
}

#[test]
fn starttls_injection_bytes_behind_the_command_are_never_looked_at() {
    let mut server = plain();
    let injected = format!("{STARTTLS}{HEADER}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert_eq!(
        server.feed(&injected),
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    );
    assert_eq!(server.feed(HEADER), "", "clear text during the handshake");
    assert_eq!(server.machine.buffered(), 0);
    assert_eq!(server.input(Input::TlsReady(tls13())), b"");
    assert_eq!(server.asked, ["host"]);
}

#[test]
fn starttls_injection_half_an_element_does_not_survive_the_handshake() {
    let mut server = plain();
    server.feed(&format!("{STARTTLS}<auth xmlns='urn:ietf:params"));
    server.input(Input::TlsReady(tls13()));
    assert!(server.feed(HEADER).contains("<stream:features>"));
}

#[test]
fn starttls_that_was_not_offered_fails_and_closes() {
    let mut server = Server::encrypted();
    server.feed(HEADER);
    let answer = server.feed(STARTTLS);
    assert_eq!(
        answer,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"
    );
    assert!(server.closed && !server.starttls);
}

#[test]
fn tls_1_2_has_only_the_end_point_binding() {
    let mut server = Server::new(Settings::default(), Security::DirectTls);
    server.input(Input::TlsReady(TlsInfo {
        version13: false,
        ..tls13()
    }));
    let answer = server.feed(HEADER);
    assert!(answer.contains("type='tls-server-end-point'"), "{answer}");
    assert!(!answer.contains("tls-exporter"), "{answer}");
}

#[test]
fn without_bindings_nothing_is_said_of_binding() {
    let mut server = Server::new(Settings::default(), Security::DirectTls);
    server.input(Input::TlsReady(TlsInfo::default()));
    let answer = server.feed(HEADER);
    assert!(
        !answer.contains("-PLUS") && !answer.contains("sasl-channel-binding"),
        "{answer}"
    );
}

#[test]
fn a_handshake_that_never_ends_is_cut_without_xml() {
    let mut server = plain();
    server.feed(STARTTLS);
    let deadline = server.machine.deadline().unwrap();
    assert_eq!(deadline, Duration::from_secs(15));
    server.now = deadline;
    assert_eq!(server.input(Input::Timeout), b"");
    assert!(server.closed);
}
