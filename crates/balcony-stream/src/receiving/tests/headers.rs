//! RFC 6120 §4: headers and the errors they cause.

use crate::harness::{HEADER, Server, tls13};
use crate::receiving::Input;
use crate::{Security, Settings, TlsInfo};

fn header(attributes: &str) -> String {
    format!(
        "<stream:stream {attributes} xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

/// The answer to a first header that is refused: a header of ours, the error, the end.
fn refused(attributes: &str) -> String {
    let mut server = Server::encrypted();
    let answer = server.feed(&header(attributes));
    assert!(
        answer.starts_with("<?xml version='1.0'?><stream:stream "),
        "{answer}"
    );
    assert!(
        answer.ends_with("</stream:error></stream:stream>"),
        "{answer}"
    );
    assert!(!answer.contains("<stream:features"), "{answer}");
    assert!(server.closed);
    answer
}

#[test]
fn the_response_header_has_all_its_attributes() {
    let answer = Server::encrypted().feed(&header(
        "from='romeo@localhost/orchard' to='localhost' version='1.0' xml:lang='it'",
    ));
    let open = answer.split("<stream:features>").next().unwrap();
    for part in [
        "from='localhost'",
        "to='romeo@localhost'",
        "version='1.0'",
        "xml:lang='en'",
        " id='",
    ] {
        assert!(open.contains(part), "{part} in {open}");
    }
    let without_from = Server::encrypted().feed(HEADER);
    assert!(
        !without_from.split('>').nth(1).unwrap().contains(" to="),
        "{without_from}"
    );
}

#[test]
fn the_stream_id_differs_on_every_stream() {
    let id = |text: &str| {
        text.split(" id='")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_string()
    };
    let mut server = Server::new(Settings::default(), Security::Plain);
    let first = id(&server.feed(HEADER));
    server.feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    server.input(Input::TlsReady(tls13()));
    let second = id(&server.feed(HEADER));
    assert_ne!(first, second);
    assert!(first.len() >= 22 && second.len() >= 22);
}

#[test]
fn an_unknown_host_is_answered_with_a_header_first() {
    let answer = refused("to='mantua.example' version='1.0'");
    assert!(
        answer.contains("<host-unknown ") && answer.contains("from=''"),
        "{answer}"
    );
}

#[test]
fn addresses_that_are_none_are_improper() {
    for to in [
        "",
        "to=''",
        "to='romeo@localhost'",
        "to='localhost/x'",
        "to='@@'",
    ] {
        let answer = refused(&format!("{to} version='1.0'"));
        assert!(answer.contains("<improper-addressing "), "{to}: {answer}");
    }
}

#[test]
fn without_to_the_handshake_or_the_only_host_says_which_host_is_meant() {
    let mut by_sni = Server::new(Settings::default(), Security::DirectTls);
    by_sni.input(Input::TlsReady(TlsInfo {
        sni: Some("localhost".into()),
        ..tls13()
    }));
    assert!(
        by_sni
            .feed(&header("version='1.0'"))
            .contains("<stream:features>")
    );
    let only = Settings {
        default_host: Some("localhost".into()),
        ..Settings::default()
    };
    let mut by_default = Server::new(only, Security::Plain);
    assert!(
        by_default
            .feed(&header("version='1.0'"))
            .contains("<stream:features>")
    );
}

#[test]
fn from_of_another_domain_is_invalid() {
    for from in ["tybalt@mantua.example", "@", "mantua.example"] {
        let answer = refused(&format!("from='{from}' to='localhost' version='1.0'"));
        assert!(answer.contains("<invalid-from "), "{from}: {answer}");
    }
}

#[test]
fn a_client_without_version_gets_a_header_without_version() {
    for version in ["", "version='0.9'", "version='one'"] {
        let answer = refused(&format!("to='localhost' {version}"));
        assert!(answer.contains("<unsupported-version "), "{answer}");
        assert!(
            !answer
                .replace("<?xml version='1.0'?>", "")
                .contains("version='"),
            "{answer}"
        );
    }
}

#[test]
fn a_language_that_is_none_is_not_kept() {
    let answer = refused(&format!(
        "to='localhost' version='1.0' xml:lang='{}'",
        "x".repeat(65)
    ));
    assert!(answer.contains("<policy-violation "), "{answer}");
}

#[test]
fn a_newer_client_is_answered_with_our_version() {
    let answer = Server::encrypted().feed(&header("to='localhost' version='2.13'"));
    assert!(
        answer.contains("' version='1.0'") && answer.contains("<stream:features>"),
        "{answer}"
    );
}

#[test]
fn a_wrong_stream_namespace_is_named_in_a_proper_header() {
    let mut server = Server::encrypted();
    let answer = server.feed(&HEADER.replace("etherx.jabber.org", "wrong.example"));
    assert!(
        answer.contains("<stream:stream xmlns='jabber:client'"),
        "{answer}"
    );
    assert!(
        answer.contains("<invalid-namespace ") && server.closed,
        "{answer}"
    );
}

#[test]
fn a_doctype_ends_the_stream_before_it_began() {
    // CVE-2011-1753: billion laughs.
    let mut server = Server::encrypted();
    let answer = server.feed("<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>]>");
    assert!(
        answer.contains("<restricted-xml ") && server.closed,
        "{answer}"
    );
}

#[test]
fn the_closing_tag_is_answered() {
    let mut server = Server::encrypted();
    server.feed(HEADER);
    assert_eq!(server.feed("</stream:stream>"), "</stream:stream>");
    assert!(server.closed);
}

#[test]
fn a_stream_error_of_the_client_is_answered_with_the_end_only() {
    let mut server = Server::encrypted();
    server.feed(HEADER);
    let error = "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    assert_eq!(server.feed(error), "</stream:stream>");
    assert!(server.closed);
}

#[test]
fn shutdown_says_so() {
    let mut server = Server::encrypted();
    server.feed(HEADER);
    let answer = String::from_utf8(server.input(Input::Shutdown)).unwrap();
    assert!(
        answer.contains("<system-shutdown ") && server.closed,
        "{answer}"
    );
}
