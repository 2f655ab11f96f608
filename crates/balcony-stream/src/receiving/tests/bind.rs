//! RFC 6120 §7: the resource.

use balcony_proto::sasl::{Mechanism, encode};
use balcony_proto::stanza::StanzaError;

use crate::harness::{HEADER, PASSWORD, Server};
use crate::receiving::Bound;

fn login() -> String {
    let message = encode(format!("\0romeo\0{PASSWORD}").as_bytes());
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>")
}

/// Authenticated, with the second header answered.
pub(super) fn authenticated() -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.feed(HEADER);
    server.feed(&login());
    let answer = server.feed(HEADER);
    assert!(
        answer.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"),
        "{answer}"
    );
    assert!(
        answer.contains("-session'><optional/></session>"),
        "{answer}"
    );
    assert!(answer.contains("<max-bytes>262144</max-bytes>"), "{answer}");
    assert!(!answer.contains("<mechanism>"), "{answer}");
    server
}

pub(super) fn bind(inner: &str) -> String {
    format!(
        "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{inner}</bind></iq>"
    )
}

pub(super) fn bound(server: &Server) -> &Bound {
    server.bound.as_ref().unwrap()
}

#[test]
fn a_wish_is_granted_as_it_is() {
    let mut server = authenticated();
    let answer = server.feed(&bind("<resource>orchard</resource>"));
    assert_eq!(
        answer,
        "<iq id='b1' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <jid>romeo@localhost/orchard</jid></bind></iq>"
    );
    assert_eq!(bound(&server).jid.as_str(), "romeo@localhost/orchard");
    assert!(bound(&server).encrypted && !bound(&server).bind2);
    assert!(server.binds[0].requested && server.machine.deadline().is_none());
}

#[test]
fn without_a_wish_the_resource_is_random() {
    for inner in ["", "<resource/>"] {
        let mut server = authenticated();
        server.feed(&bind(inner));
        assert!(!server.binds[0].requested && server.binds[0].resource.len() == 22);
        assert!(server.bound.is_some());
    }
}

#[test]
fn a_refused_resource_can_be_replaced_a_few_times() {
    let mut server = authenticated();
    server.refuse_bind = Some(StanzaError::conflict());
    for _ in 0..5 {
        let answer = server.feed(&bind("<resource>orchard</resource>"));
        assert!(
            answer.contains("type='error'") && answer.contains("<conflict "),
            "{answer}"
        );
        assert!(!server.closed);
    }
    let last = server.feed(&bind("<resource>orchard</resource>"));
    assert!(
        last.contains("<conflict ") && last.contains("<policy-violation "),
        "{last}"
    );
    assert!(server.closed);
}

#[test]
fn a_resource_that_is_none_is_a_bad_request() {
    let mut server = authenticated();
    let answer = server.feed(&bind(&format!("<resource>{}</resource>", "a".repeat(1024))));
    assert!(
        answer.contains("<bad-request ") && server.binds.is_empty(),
        "{answer}"
    );
    server.feed(&bind(""));
    assert!(server.bound.is_some());
}

#[test]
fn stanzas_before_binding_end_the_stream_unless_they_ask_the_server() {
    for stanza in [
        "<message to='juliet@localhost'/>",
        "<presence/>",
        "<iq type='result' id='x'/>",
    ] {
        let mut server = authenticated();
        assert!(server.feed(stanza).contains("<not-authorized "), "{stanza}");
    }
    let mut server = authenticated();
    let ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    assert!(server.feed(ping).contains("<not-allowed ") && !server.closed);
    assert!(
        server
            .feed(&ping.replace("localhost", "juliet@localhost"))
            .contains("<not-authorized ")
    );
}

#[test]
fn an_authenticated_client_may_send_large_stanzas_at_once() {
    let mut server = authenticated();
    let large = format!("<message><body>{}</body></message>", "a".repeat(200_000));
    server.feed(&format!("{}{large}", bind("")));
    assert!(server.bound.is_some());
    let (mut established, rest) = server.machine.into_established();
    let event = established.receive(&mut rest.as_slice()).unwrap();
    assert!(matches!(event, Some(crate::Event::Stanza(_))), "{event:?}");
}

#[test]
fn authentication_happens_once() {
    for again in [
        login(),
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>".into(),
    ] {
        let mut server = authenticated();
        let answer = server.feed(&again);
        assert!(
            answer.contains("<not-authorized ") && server.closed,
            "{answer}"
        );
    }
}

#[test]
fn starttls_after_login_is_refused() {
    let mut server = Server::clear();
    server.facts.mechanisms = vec![Mechanism::Anonymous];
    server.feed(HEADER);
    server.feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>=</auth>");
    assert!(!server.feed(HEADER).contains("<starttls"));
    server.feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(server.closed && !server.starttls);
}

#[test]
fn a_login_on_one_host_opens_no_other() {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.feed(HEADER);
    server.feed(&login());
    let answer = server.feed(&HEADER.replace("'localhost'", "'mantua.example'"));
    assert!(
        answer.contains("<host-unknown ") && server.closed,
        "{answer}"
    );
}

#[test]
fn what_came_behind_the_bind_request_is_given_to_the_owner() {
    let mut server = authenticated();
    server.feed(&format!("{}<presence/><mess", bind("")));
    let (mut established, rest) = server.machine.into_established();
    assert_eq!(rest, b"<presence/><mess");
    let mut input = rest.as_slice();
    let event = established.receive(&mut input).unwrap();
    assert!(matches!(event, Some(crate::Event::Stanza(_))), "{event:?}");
    assert!(established.receive(&mut input).unwrap().is_none());
    assert!(established.buffered() > 0);
}
