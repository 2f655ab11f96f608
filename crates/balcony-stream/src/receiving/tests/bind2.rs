//! XEP-0386: the resource, inline in SASL2.

use balcony_proto::sasl::{Mechanism, encode};
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;

use super::bind::{bind, bound};
use crate::harness::{HEADER, PASSWORD, Server};

pub(super) fn authenticate(inner: &str) -> String {
    let message = encode(format!("\0romeo\0{PASSWORD}").as_bytes());
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
         <initial-response>{message}</initial-response>{inner}</authenticate>"
    )
}

pub(super) fn for_sasl2() -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.facts.bind_inline = vec!["urn:xmpp:carbons:2".into()];
    server.facts.inline = vec![Element::new("urn:xmpp:sm:3", "sm")];
    let answer = server.feed(HEADER);
    let inline = "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/></inline>\
                  </bind><sm xmlns='urn:xmpp:sm:3'/></inline></authentication>";
    assert!(answer.contains(inline), "{answer}");
    server
}

#[test]
fn bind_2_answers_all_at_once() {
    let mut server = for_sasl2();
    server.bind_extra.bound = vec![Element::new("urn:xmpp:mam:2", "metadata")];
    server.bind_extra.success = vec![Element::new("urn:x", "token")];
    let answer = server.feed(&authenticate(
        "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Balcony</software></user-agent>\
         <bind xmlns='urn:xmpp:bind:0'><tag>Balcony</tag><enable xmlns='urn:xmpp:carbons:2'/></bind>\
         <wish xmlns='urn:x'/>",
    ));
    let request = &server.binds[0];
    assert!(request.resource.starts_with("Balcony/") && request.bind2 && !request.requested);
    assert_eq!(
        request.client.as_ref().unwrap().software.as_deref(),
        Some("Balcony")
    );
    assert!(request.inline[0].is("urn:xmpp:carbons:2", "enable") && request.inline.len() == 1);
    assert!(request.authenticate[0].is("urn:x", "wish") && request.authenticate.len() == 1);
    let expected = format!(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@localhost/{}\
         </authorization-identifier><bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound>\
         <token xmlns='urn:x'/></success><stream:features>",
        request.resource
    );
    assert!(answer.starts_with(&expected), "{answer}");
    assert!(!answer.contains("xmpp-bind'"), "{answer}");
    assert!(bound(&server).bind2);
}

#[test]
fn what_was_enabled_with_the_binding_is_not_offered_again() {
    // XEP-0198 §3: there is one attempt; xmpp.js makes another where it finds the feature.
    let log_in = |bound: Element| {
        let mut server = Server::encrypted();
        server.facts.mechanisms = Mechanism::ALL.to_vec();
        server.facts.features_after_login = vec![
            Element::new("urn:xmpp:sm:3", "sm"),
            Element::new("urn:xmpp:csi:0", "csi"),
        ];
        server.feed(HEADER);
        server.bind_extra.bound = vec![bound];
        let answer = server.feed(&authenticate("<bind xmlns='urn:xmpp:bind:0'/>"));
        let (_, features) = answer.split_once("<stream:features>").unwrap();
        features.to_owned()
    };
    let managed = log_in(Element::new("urn:xmpp:sm:3", "enabled"));
    assert!(!managed.contains("urn:xmpp:sm:3") && managed.contains("csi"));
    let refused = log_in(Element::new("urn:xmpp:sm:3", "failed"));
    assert!(refused.contains("<sm xmlns='urn:xmpp:sm:3'/>"), "{refused}");
}

#[test]
fn success_is_not_told_before_the_session_stands() {
    use crate::receiving::{Answer, BindAnswer, Input};
    let mut server = for_sasl2();
    server.feed(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>{}",
        "<bind xmlns='urn:xmpp:bind:0'/></authenticate>"
    ));
    server.silent = true;
    let message = encode(format!("\0romeo\0{PASSWORD}").as_bytes());
    assert_eq!(
        server.feed(&format!(
            "<response xmlns='urn:xmpp:sasl:2'>{message}</response>"
        )),
        ""
    );
    assert_eq!(
        server.input(Input::Answer(Answer::Verdict(
            crate::receiving::Verdict::Right
        ))),
        b""
    );
    assert_eq!(server.asked.last(), Some(&"bind"));
    assert!(server.bound.is_none());
    let jid = crate::harness::jid("romeo@localhost/window");
    let answer = server.input(Input::Answer(Answer::Bind(Ok(BindAnswer::new(jid)))));
    assert!(
        String::from_utf8(answer)
            .unwrap()
            .contains("romeo@localhost/window")
    );
    assert!(server.bound.is_some());
}

#[test]
fn sasl2_without_bind_2_goes_on_without_a_new_stream() {
    let mut server = for_sasl2();
    let answer = server.feed(&authenticate(""));
    assert!(
        answer.contains(
            ">romeo@localhost</authorization-identifier></success><stream:features><bind "
        )
    );
    server.feed(&bind("<resource>orchard</resource>"));
    assert_eq!(bound(&server).jid.as_str(), "romeo@localhost/orchard");
}

#[test]
fn a_refused_session_fails_the_authentication() {
    let mut server = for_sasl2();
    server.refuse_bind = Some(StanzaError::resource_constraint());
    let answer = server.feed(&authenticate("<bind xmlns='urn:xmpp:bind:0'/>"));
    assert!(
        answer.starts_with("<failure xmlns='urn:xmpp:sasl:2'><temporary-auth-failure "),
        "{answer}"
    );
    assert!(answer.contains("<resource-constraint "), "{answer}");
    server.refuse_bind = None;
    server.feed(&authenticate("<bind xmlns='urn:xmpp:bind:0'/>"));
    assert!(server.bound.is_some());
}

#[test]
fn inline_features_of_a_failed_authentication_are_not_looked_at() {
    let mut server = for_sasl2();
    let wrong = authenticate("<bind xmlns='urn:xmpp:bind:0'/>").replace(
        &encode(format!("\0romeo\0{PASSWORD}").as_bytes()),
        &encode(b"\0romeo\0guess"),
    );
    assert!(server.feed(&wrong).contains("<not-authorized "));
    assert!(server.binds.is_empty());
}

#[test]
fn a_tag_that_fits_no_resource_is_left_out() {
    let mut server = for_sasl2();
    let tag = "x".repeat(65);
    server.feed(&authenticate(&format!(
        "<bind xmlns='urn:xmpp:bind:0'><tag>{tag}</tag></bind>"
    )));
    assert_eq!(server.binds[0].resource.len(), 22);
}
