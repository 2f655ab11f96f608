//! XEP-0198 §5 and §9.2: a session resumed instead of a resource bound.

use super::bind::{authenticated, bind, bound};
use super::bind2::{authenticate, for_sasl2};
use crate::harness::Server;

const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='some-long-sm-id' h='345'/>";
const RESUMED: &str = "<resumed xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>";
const BIND2: &str = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3'/></bind>";

fn failed(condition: &str) -> String {
    format!(
        "<failed xmlns='urn:xmpp:sm:3'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    )
}

fn resumable(mut server: Server) -> Server {
    server.resumable = Some("some-long-sm-id");
    server
}

#[test]
fn a_session_resumed_inline_needs_no_binding_and_gets_no_features() {
    let mut server = resumable(for_sasl2());
    let answer = server.feed(&authenticate(&format!("{BIND2}{RESUME}")));
    assert_eq!(
        answer,
        format!(
            "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@localhost/orchard\
             </authorization-identifier>{RESUMED}</success>"
        )
    );
    assert!(server.resumed && server.binds.is_empty());
    assert_eq!(bound(&server).jid.as_str(), "romeo@localhost/orchard");
    let request = &server.resumes[0];
    assert_eq!(request.account.as_str(), "romeo@localhost");
    assert_eq!(
        (request.previd.as_str(), request.h),
        ("some-long-sm-id", 345)
    );
    assert!(server.machine.deadline().is_none());
}

#[test]
fn a_failed_inline_resumption_is_told_in_the_success_and_binding_goes_on() {
    let mut server = for_sasl2();
    let answer = server.feed(&authenticate(&format!("{RESUME}{BIND2}")));
    let expected = format!(
        "</authorization-identifier>{}<bound ",
        failed("item-not-found")
    );
    assert!(answer.contains(&expected), "{answer}");
    assert!(answer.contains("</success><stream:features>"), "{answer}");
    assert!(!server.resumed && bound(&server).bind2);
    assert_eq!(server.asked[server.asked.len() - 2..], ["resume", "bind"]);
}

#[test]
fn a_failed_inline_resumption_without_bind_2_leaves_classic_binding() {
    let mut server = for_sasl2();
    let answer = server.feed(&authenticate(RESUME));
    let expected = format!(
        ">romeo@localhost</authorization-identifier>{}</success><stream:features><bind ",
        failed("item-not-found")
    );
    assert!(answer.contains(&expected), "{answer}");
    server.feed(&bind("<resource>orchard</resource>"));
    assert_eq!(bound(&server).jid.as_str(), "romeo@localhost/orchard");
}

#[test]
fn a_malformed_resumption_is_a_bad_request_that_the_owner_never_sees() {
    for attributes in [
        "",
        "h='1'",
        "previd='x'",
        "previd='' h='1'",
        "previd='x' h='-1'",
        "previd='x' h='4294967296'",
    ] {
        let resume = format!("<resume xmlns='urn:xmpp:sm:3' {attributes}/>");
        let mut server = resumable(for_sasl2());
        let answer = server.feed(&authenticate(&format!("{resume}{BIND2}")));
        assert!(
            answer.contains(&failed("bad-request")) && answer.contains("<bound "),
            "{answer}"
        );
        let mut server = resumable(authenticated());
        assert_eq!(server.feed(&resume), failed("bad-request"));
        assert!(server.resumes.is_empty());
        server.feed(&bind(""));
        assert!(server.bound.is_some());
    }
}

#[test]
fn after_classic_authentication_resumption_is_an_element_of_its_own() {
    let mut server = resumable(authenticated());
    assert_eq!(server.feed(RESUME), RESUMED);
    assert!(server.resumed && server.binds.is_empty());
    assert_eq!(bound(&server).jid.as_str(), "romeo@localhost/orchard");
    assert!(!bound(&server).bind2);
}

#[test]
fn after_a_failed_resumption_the_client_may_bind() {
    let mut server = authenticated();
    assert_eq!(server.feed(RESUME), failed("item-not-found"));
    assert!(!server.closed);
    server.feed(&bind("<resource>orchard</resource>"));
    assert!(!server.resumed && server.bound.is_some());
}

#[test]
fn sessions_cannot_be_searched_for_without_end() {
    let mut server = authenticated();
    for _ in 0..5 {
        assert_eq!(server.feed(RESUME), failed("item-not-found"));
    }
    let answer = server.feed(RESUME);
    assert!(answer.contains("<policy-violation "), "{answer}");
    assert!(server.closed);
}

#[test]
fn stream_management_cannot_be_enabled_before_binding() {
    let mut server = authenticated();
    let answer = server.feed("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert_eq!(answer, failed("unexpected-request"));
    server.feed(&bind(""));
    assert!(server.bound.is_some());
    let mut server = authenticated();
    let answer = server.feed(&"<enable xmlns='urn:xmpp:sm:3'/>".repeat(7));
    assert_eq!(answer.matches("<unexpected-request ").count(), 6);
    assert!(answer.contains("<policy-violation ") && server.closed);
}

#[test]
fn nobody_resumes_before_authentication() {
    let mut server = resumable(for_sasl2());
    assert!(server.feed(RESUME).contains("<unsupported-stanza-type "));
    assert!(server.resumes.is_empty() && server.closed);
    let mut server = resumable(for_sasl2());
    let wrong = authenticate(RESUME).replace("<initial-response>", "<initial-response>AAAA");
    assert!(server.feed(&wrong).contains("<failure "));
    assert!(server.resumes.is_empty());
}

#[test]
fn what_follows_the_resumption_in_the_same_packet_waits_for_the_owner() {
    let mut server = resumable(authenticated());
    server.feed(&format!("{RESUME}<presence/>"));
    let (mut established, rest) = server.machine.into_established();
    let mut rest = rest.as_slice();
    let event = established.receive(&mut rest).unwrap();
    assert!(matches!(event, Some(crate::Event::Stanza(_))));
}
