//! What may come when: stanzas before login, limits and time limits.

use std::time::Duration;

use crate::harness::{HEADER, Server};
use crate::receiving::{Answer, Input};
use crate::{Security, Settings};

const REGISTER: &str = "<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>";

fn open() -> Server {
    let mut server = Server::encrypted();
    server.feed(HEADER);
    server
}

#[test]
fn stanzas_before_login_are_not_authorized() {
    for stanza in [
        "<message to='juliet@localhost'/>",
        "<presence/>",
        REGISTER,
        "<iq/>",
    ] {
        let mut server = open();
        let answer = server.feed(stanza);
        assert!(
            answer.contains("<not-authorized ") && server.closed,
            "{stanza}: {answer}"
        );
        assert_eq!(server.asked, ["host"]);
    }
}

#[test]
fn other_elements_before_login_are_unsupported() {
    for element in [
        "<pubsub/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<stream:features/>",
    ] {
        let mut server = open();
        let answer = server.feed(element);
        assert!(
            answer.contains("<unsupported-stanza-type "),
            "{element}: {answer}"
        );
        assert!(server.closed);
    }
}

#[test]
fn registration_is_handed_out_where_the_host_has_it() {
    let mut server = Server::encrypted();
    server.facts.registration = true;
    let features = server.feed(HEADER);
    assert!(features.contains("<register xmlns='http://jabber.org/features/iq-register'/>"));
    assert_eq!(server.feed(REGISTER), "<iq id='r1' type='result'/>");
    assert_eq!(server.asked, ["host", "pre-auth"]);
    assert_eq!(
        server.machine.deadline(),
        Some(Duration::from_secs(300)),
        "a person needs time"
    );
    assert!(
        server
            .feed("<message><body>spam</body></message>")
            .contains("<not-authorized ")
    );
}

#[test]
fn registration_waits_for_required_encryption() {
    let mut server = Server::new(Settings::default(), Security::Plain);
    server.facts.registration = true;
    assert!(!server.feed(HEADER).contains("iq-register"));
    assert!(server.feed(REGISTER).contains("<not-authorized "));
}

#[test]
fn a_silent_client_is_sent_away_in_time() {
    let mut server = open();
    server.now = Duration::from_secs(59);
    assert_eq!(server.input(Input::Timeout), b"");
    server.now = server.machine.deadline().unwrap();
    let answer = String::from_utf8(server.input(Input::Timeout)).unwrap();
    assert!(
        answer.contains("<connection-timeout ") && server.closed,
        "{answer}"
    );
    assert_eq!(server.machine.deadline(), None);
}

#[test]
fn a_client_that_never_says_a_word_gets_a_header_with_its_time_out() {
    let mut server = Server::new(Settings::default(), Security::Plain);
    server.now = Duration::from_secs(60);
    let answer = String::from_utf8(server.input(Input::Timeout)).unwrap();
    assert!(answer.contains("<stream:stream ") && answer.contains("<connection-timeout "));
}

#[test]
fn bytes_before_login_are_bounded_however_they_come() {
    let mut server = open();
    let mut fed = HEADER.len();
    while !server.closed {
        server.feed(&" ".repeat(1000));
        fed += 1000;
        assert!(fed < 70_000);
    }
    assert!(fed > 64 * 1024);
}

#[test]
fn an_element_over_the_limit_ends_the_stream() {
    let mut server = open();
    let answer = server.feed(&format!("<auth xmlns='urn:x'>{}", "A".repeat(10_001)));
    assert!(
        answer.contains("<policy-violation ") && server.closed,
        "{answer}"
    );
    assert_eq!(server.machine.buffered(), 0);
}

#[test]
fn what_comes_while_a_question_is_open_waits_and_is_bounded() {
    let mut server = Server::encrypted();
    server.silent = true;
    assert_eq!(server.feed(&format!("{HEADER}</stream:stream>")), "");
    assert!(!server.machine.wants_bytes());
    assert_eq!(server.machine.buffered(), "</stream:stream>".len());
    let answer = server.input(Input::Answer(Answer::Host(None)));
    assert!(
        String::from_utf8(answer)
            .unwrap()
            .contains("<host-unknown ")
    );
    let mut server = Server::encrypted();
    server.silent = true;
    server.feed(HEADER);
    let answer = server.feed(&" ".repeat(64 * 1024));
    assert!(
        answer.contains("<policy-violation ") && server.closed,
        "{answer}"
    );
    assert_eq!(server.machine.buffered(), 0);
}

#[test]
fn limits_are_announced() {
    let settings = Settings {
        idle_seconds: Some(600),
        tls_required: false,
        ..Settings::default()
    };
    let answer = Server::new(settings, Security::Plain).feed(HEADER);
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes>\
                  <idle-seconds>600</idle-seconds></limits>";
    assert!(answer.contains(limits), "{answer}");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_stream() {
    let mut server = open();
    let answer = server.input(Input::Answer(Answer::Anonymous(None)));
    assert!(
        String::from_utf8(answer)
            .unwrap()
            .contains("<internal-server-error ")
    );
}

#[test]
fn the_waiting_machine_is_small() {
    // 10,000 silent strangers must stay under 30 MB with everything around them.
    let size = size_of::<crate::receiving::negotiation::Negotiation>();
    assert!(size <= 1536, "{size} bytes");
    assert_eq!(size_of::<crate::receiving::Receiving>(), size_of::<usize>());
}
