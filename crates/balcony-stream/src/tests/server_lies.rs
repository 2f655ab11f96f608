//! A server, or somebody on the wire, that doesn't play by the rules.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::sasl::scram::ClientError;

use super::{Pair, config};
use crate::harness::{random, tls13};
use crate::initiating::{ClientConfig, Failure, Initiating, Input, Output, TlsPolicy};

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |bytes| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(from, to)
            .into_bytes()
    }
}

/// How a login ends whose answers are changed on the way.
fn through(config: ClientConfig, from: &'static str, to: &'static str) -> Failure {
    let mut pair = Pair::new(config);
    pair.run_through(replaced(from, to));
    assert!(pair.bound.is_none(), "{from} -> {to}");
    pair.failed.unwrap()
}

#[test]
fn jabber_ru_2023_stripped_binding_is_noticed() {
    let types = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
                 <channel-binding type='tls-server-end-point'/></sasl-channel-binding>";
    assert!(matches!(
        through(config(), types, ""),
        Failure::Contradiction
    ));
    // Another list and the same list with one mechanism less: XEP-0474 tells, or the server's own
    // check.
    let weaker = through(config(), "<mechanism>SCRAM-SHA-512-PLUS</mechanism>", "");
    assert!(matches!(weaker, Failure::Scram(_)), "{weaker}");
    let shorter = through(config(), "<channel-binding type='tls-exporter'/>", "");
    assert!(matches!(shorter, Failure::Scram(_)), "{shorter}");
}

#[test]
fn a_proxy_with_its_own_tls_does_not_get_through() {
    let mut pair = Pair::new(config());
    pair.tls.bindings.exporter = Some([1; 32]);
    pair.run_through(|bytes| bytes);
    assert!(pair.bound.is_some(), "both see the same channel");
    let mut client = Initiating::new(
        Arc::new(ClientConfig {
            tls: TlsPolicy::Direct,
            ..config()
        }),
        random(),
        Duration::ZERO,
    );
    let mut other = tls13();
    other.bindings.exporter = Some([2; 32]);
    client.handle(Input::TlsReady(other), Duration::ZERO);
    let mut server = crate::harness::Server::encrypted();
    let mut failed = None;
    while let Some(output) = client.poll() {
        match output {
            Output::Write(bytes) => {
                let answer = server.input(crate::receiving::Input::Bytes(&bytes));
                client.handle(Input::Bytes(&answer), Duration::ZERO);
            }
            Output::Failed(failure) => failed = Some(failure),
            _ => {}
        }
    }
    assert!(server.bound.is_none());
    assert!(
        matches!(failed, Some(Failure::Refused { .. })),
        "{failed:?}"
    );
}

#[test]
fn starttls_taken_out_is_no_reason_to_go_on_in_clear() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
    let failure = through(config(), starttls, "");
    assert_eq!(failure.to_string(), "the server offers no encryption");
}

#[test]
fn what_stands_behind_proceed_in_clear_is_dropped() {
    let mut pair = Pair::new(config());
    pair.run_through(replaced(
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:error/></stream:stream>",
    ));
    assert!(pair.bound.is_some(), "{:?}", pair.failed);
    assert_eq!(pair.client.into_established().1, b"");
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_believed() {
    let without_proof = through(config(), "additional-data", "x");
    assert!(
        matches!(without_proof, Failure::Scram(ClientError::Server)),
        "{without_proof}"
    );
    // Base64 of `v=`, so that what follows is another verifier.
    let forged = through(config(), "<additional-data>dj1", "<additional-data>dj0x");
    assert!(
        matches!(forged, Failure::Scram(_) | Failure::Protocol(_)),
        "{forged}"
    );
    let early = through(
        ClientConfig {
            sasl2: false,
            ..config()
        },
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><challenge xmlns='urn:x'>",
    );
    assert!(
        matches!(early, Failure::Scram(ClientError::Server)),
        "{early}"
    );
}

#[test]
fn the_proof_as_a_challenge_of_its_own_is_taken() {
    // RFC 6120 §6.3.10: the less efficient way of older servers.
    let mut client = Initiating::new(
        Arc::new(ClientConfig {
            sasl2: false,
            tls: TlsPolicy::Clear,
            ..config()
        }),
        random(),
        Duration::ZERO,
    );
    let mut server = crate::harness::Server::clear();
    let mut held = String::new();
    let mut proofs = 0;
    while let Some(output) = client.poll() {
        let Output::Write(bytes) = output else {
            continue;
        };
        let empty = bytes.starts_with(b"<response") && bytes.ends_with(b">=</response>");
        let mut answer = match empty {
            true => std::mem::take(&mut held),
            false => {
                String::from_utf8(server.input(crate::receiving::Input::Bytes(&bytes))).unwrap()
            }
        };
        if answer.starts_with("<success") && !empty {
            proofs += 1;
            held = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".into();
            answer = answer.replace("success", "challenge");
        }
        client.handle(Input::Bytes(answer.as_bytes()), Duration::ZERO);
    }
    assert_eq!(proofs, 1);
    assert!(server.bound.is_some());
}

#[test]
fn a_server_that_falls_silent_or_goes_away_is_given_up() {
    let outcome = |input: Input<'_>| {
        let mut client = Initiating::new(Arc::new(config()), random(), Duration::ZERO);
        let deadline = client.deadline().unwrap();
        client.handle(Input::Timeout, deadline - Duration::from_secs(1));
        client.handle(input, deadline);
        std::iter::from_fn(|| client.poll()).find_map(|output| match output {
            Output::Failed(failure) => Some(failure.to_string()),
            _ => None,
        })
    };
    assert_eq!(
        outcome(Input::Timeout).as_deref(),
        Some("the server did not answer in time")
    );
    assert_eq!(
        outcome(Input::Eof).as_deref(),
        Some("the server closed the connection")
    );
    let xml = outcome(Input::Bytes(b"<<"));
    assert!(xml.is_some_and(|text| text.starts_with("the server sent bad XML: ")));
}
