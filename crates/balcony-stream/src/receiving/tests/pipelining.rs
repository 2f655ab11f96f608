//! XEP-0509, and what clients send ahead of our answers.

use balcony_proto::sasl::{Mechanism, encode, ht};

use super::bind2::authenticate;
use crate::harness::{CLIENT, HEADER, Server, tls13, token};
use crate::receiving::Input;

fn open() -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.facts.fast = true;
    server.tokens = vec![token(Mechanism::HtSha256Expr, "secret")];
    server.resumable = Some("some-long-sm-id");
    server
}

/// What is announced to a client.
fn version(features: &str) -> &str {
    let version = features.split("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='");
    let version = version.last().unwrap();
    version.split('\'').next().unwrap()
}

fn with_version(value: &str) -> String {
    format!("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='{value}'/>")
}

#[test]
fn the_version_is_the_same_for_the_same_offer() {
    let (one, two) = (open().feed(HEADER), open().feed(HEADER));
    assert_eq!(version(&one), version(&two));
    let mut other = open();
    other.facts.mechanisms = vec![Mechanism::Plain];
    assert_ne!(version(&one), version(&other.feed(HEADER)));
    let mut clear = Server::clear();
    assert!(!clear.feed(HEADER).contains("urn:xmpp:iap:0"));
}

#[test]
fn a_login_by_the_present_version_goes_on() {
    let mut server = open();
    let features = server.feed(HEADER);
    let answer = server.feed(&authenticate(&with_version(version(&features))));
    assert!(answer.starts_with("<success "), "{answer}");
}

#[test]
fn a_login_by_another_version_is_refused_without_prejudice() {
    let mut server = open();
    server.feed(HEADER);
    for _ in 0..10 {
        let answer = server.feed(&authenticate(&with_version("SSBjaGFuZ2VkIHRoaXMh")));
        assert_eq!(
            answer,
            "<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
             <config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>"
        );
    }
    assert_eq!(server.machine.failed_logins(), 0);
    assert_eq!(server.asked, ["host"]);
    assert!(server.feed(&authenticate("")).starts_with("<success "));
}

/// Header, login by token and resumption, before a byte of ours.
fn first_flight(version: &str) -> String {
    let tls = tls13();
    let binding = ht::binding(Mechanism::HtSha256Expr, &tls.bindings).unwrap();
    let message = encode(&ht::initiate("romeo", "secret", binding));
    format!(
        "{HEADER}<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-EXPR'>\
         <initial-response>{message}</initial-response><user-agent id='{CLIENT}'/>\
         <bind xmlns='urn:xmpp:bind:0'><tag>Balcony</tag></bind>\
         <resume xmlns='urn:xmpp:sm:3' previd='some-long-sm-id' h='345'/>\
         <fast xmlns='urn:xmpp:fast:0' count='1'/>{}</authenticate>",
        with_version(version)
    )
}

#[test]
fn a_reconnect_is_one_round_trip() {
    let version = version(&open().feed(HEADER)).to_owned();
    let mut server = open();
    let answer = server.feed(&first_flight(&version));
    let order = [
        "<stream:stream ",
        "<stream:features>",
        "</stream:features><success ",
        "<additional-data>",
        "<authorization-identifier>romeo@localhost/orchard</",
        "<resumed xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/></success>",
    ];
    let places = order.map(|part| {
        answer
            .find(part)
            .unwrap_or_else(|| panic!("{part}: {answer}"))
    });
    assert!(places.is_sorted(), "{answer}");
    assert!(answer.ends_with("</success>"), "{answer}");
    assert_eq!(server.asked, ["host", "tokens", "token", "resume"]);
    assert!(server.resumed && server.binds.is_empty());
}

#[test]
fn it_makes_no_difference_where_the_first_flight_is_cut() {
    let version = version(&open().feed(HEADER)).to_owned();
    let flight = format!("{}<presence/>", first_flight(&version));
    let whole = open().feed(&flight);
    for cut in 1..flight.len() {
        let mut server = open();
        let (one, two) = flight.as_bytes().split_at(cut);
        let mut answer = server.input(Input::Bytes(one));
        answer.extend(server.input(Input::Bytes(two)));
        assert_eq!(String::from_utf8(answer).unwrap(), whole, "cut at {cut}");
        assert!(server.resumed);
        let (mut established, rest) = server.machine.into_established();
        let mut rest = rest.as_slice();
        let event = established.receive(&mut rest).unwrap();
        assert!(
            matches!(event, Some(crate::Event::Stanza(_))),
            "cut at {cut}"
        );
    }
}

#[test]
fn what_comes_ahead_waits_for_each_answer_of_the_owner() {
    let version = version(&open().feed(HEADER)).to_owned();
    let mut server = open();
    server.silent = true;
    server.feed(&first_flight(&version));
    assert_eq!(server.asked, ["host"]);
    assert!(!server.machine.wants_bytes());
    let facts = Some(std::sync::Arc::new(server.facts.clone()));
    server.input(Input::Answer(crate::receiving::Answer::Host(facts)));
    assert_eq!(server.asked, ["host", "tokens"]);
}

#[test]
fn a_login_in_the_first_flight_that_fails_leaves_the_others() {
    let mut server = open();
    server.tokens.clear();
    let version = version(&open().feed(HEADER)).to_owned();
    let answer = server.feed(&first_flight(&version));
    assert!(answer.contains("<not-authorized "), "{answer}");
    assert!(server.feed(&authenticate("")).starts_with("<success "));
}
