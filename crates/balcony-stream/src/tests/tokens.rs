//! A client that logs in by a token, and what spares it round trips.

use balcony_proto::ns;
use balcony_proto::sasl::{HashKind, Mechanism};
use balcony_proto::xml::Element;

use super::{Pair, config, with_password};
use crate::harness::{CLIENT, EXPIRES, PASSWORD, jid, token};
use crate::initiating::{self, ClientConfig, FastToken, Resume, Resumption, TlsPolicy};
use crate::receiving::Input;
use crate::user_agent::UserAgent;

fn client() -> ClientConfig {
    ClientConfig {
        tls: TlsPolicy::Direct,
        user_agent: Some(UserAgent {
            id: Some(CLIENT.into()),
            ..UserAgent::default()
        }),
        ..config()
    }
}

fn has_token(mechanism: Mechanism) -> ClientConfig {
    ClientConfig {
        token: Some(FastToken {
            mechanism,
            secret: "secret".into(),
            expires: None,
        }),
        ..client()
    }
}

fn pair(config: ClientConfig) -> Pair {
    let mut pair = Pair::new(config);
    pair.server.facts.fast = true;
    let sm = Element::new(ns::SM, "sm");
    pair.server.facts.inline.push(sm);
    pair.server.tokens = vec![token(Mechanism::HtSha256Expr, "secret")];
    pair.server.resumable = Some("verona");
    pair
}

#[test]
fn a_token_that_is_asked_for_is_kept_with_its_mechanism() {
    let mut pair = pair(ClientConfig {
        request_token: true,
        ..client()
    });
    pair.run();
    let token = pair.bound().token.clone().unwrap();
    assert_eq!(token.mechanism, Mechanism::HtSha256Expr);
    assert_eq!((token.secret.len(), token.expires), (43, Some(EXPIRES)));
}

#[test]
fn a_token_replaces_the_password() {
    let mut pair = pair(with_password(
        has_token(Mechanism::HtSha256Expr),
        "forgotten",
    ));
    pair.server.tokens[0].due = true;
    pair.run();
    assert_eq!(pair.bound().mechanism, Mechanism::HtSha256Expr);
    assert!(!pair.bound().token_refused);
    let rotated = pair.bound().token.as_ref().unwrap();
    assert_eq!(rotated.mechanism, Mechanism::HtSha256Expr);
    assert_ne!(rotated.secret, "secret");
}

#[test]
fn a_refused_token_gives_way_to_the_password() {
    let mut pair = pair(has_token(Mechanism::HtSha256Expr));
    pair.server.tokens.clear();
    pair.run();
    assert!(pair.bound().token_refused);
    assert_eq!(pair.bound().mechanism, Mechanism::ScramSha512Plus);
}

#[test]
fn a_server_that_cannot_prove_the_token_is_left() {
    let mut pair = pair(has_token(Mechanism::HtSha256Expr));
    pair.run_through(|bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let data = "<additional-data>";
        let changed = text.replace(data, &format!("{data}AAAA"));
        changed.into_bytes()
    });
    assert!(pair.bound.is_none() && pair.failed.is_some());
}

/// Runs until nobody has anything to say; how often the client spoke.
fn flights(pair: &mut Pair) -> usize {
    pair.server.input(Input::TlsReady(pair.tls.clone()));
    let ready = initiating::Input::TlsReady(pair.tls.clone());
    pair.client.handle(ready, std::time::Duration::ZERO);
    let mut flights = 0;
    while let Some(output) = pair.client.poll() {
        match output {
            initiating::Output::Write(bytes) => {
                flights += 1;
                let answer = pair.server.input(Input::Bytes(&bytes));
                let input = initiating::Input::Bytes(&answer);
                pair.client.handle(input, std::time::Duration::ZERO);
            }
            initiating::Output::Bound(bound) => pair.bound = Some(*bound),
            initiating::Output::Failed(failure) => pair.failed = Some(failure),
            _ => {}
        }
    }
    flights
}

/// The version that a server like ours announces.
fn version() -> Option<String> {
    let mut first = pair(client());
    first.run();
    first.bound().config_version.clone()
}

#[test]
fn a_reconnect_is_one_round_trip_with_and_without_a_session() {
    for (previd, resumption) in [
        ("verona", Resumption::Resumed(7)),
        ("mantua", Resumption::Failed(None)),
    ] {
        let mut pair = pair(ClientConfig {
            pipelined: version(),
            resume: Some(Resume {
                jid: jid("romeo@localhost/orchard"),
                previd: previd.into(),
                h: 5,
            }),
            ..has_token(Mechanism::HtSha256Expr)
        });
        assert_eq!(flights(&mut pair), 1);
        assert_eq!(pair.bound().resumption, Some(resumption));
        assert_eq!(pair.bound().mechanism, Mechanism::HtSha256Expr);
    }
}

#[test]
fn a_server_that_has_changed_is_asked_again_with_the_same_token() {
    let mut pair = pair(ClientConfig {
        pipelined: Some("b2xk".into()),
        ..has_token(Mechanism::HtSha256Expr)
    });
    assert_eq!(flights(&mut pair), 2);
    assert_eq!(pair.bound().mechanism, Mechanism::HtSha256Expr);
    assert!(!pair.bound().token_refused);
    assert_eq!(pair.bound().config_version, version());
}

#[test]
fn a_pipelined_token_that_is_refused_gives_way_to_the_password() {
    let mut pair = pair(ClientConfig {
        pipelined: version(),
        ..has_token(Mechanism::HtSha256Expr)
    });
    pair.server.tokens.clear();
    flights(&mut pair);
    assert!(pair.bound().token_refused);
    assert_eq!(pair.bound().mechanism, Mechanism::ScramSha512Plus);
}

#[test]
fn keys_that_the_server_lacks_are_made_on_the_way() {
    let mut pair = pair(ClientConfig {
        upgrade: true,
        mechanisms: vec![Mechanism::ScramSha1Plus, Mechanism::ScramSha1],
        ..client()
    });
    pair.server.facts.upgrades = vec![HashKind::Sha256, HashKind::Sha512];
    pair.server.lacks = pair.server.facts.upgrades.clone();
    pair.run();
    assert_eq!(pair.bound().mechanism, Mechanism::ScramSha1Plus);
    let hashes: Vec<_> = pair.server.added.iter().map(|keys| keys.hash).collect();
    assert_eq!(hashes, [HashKind::Sha512, HashKind::Sha256]);
    let keys = &pair.server.added;
    assert!(keys.iter().all(|keys| keys.verify_password(PASSWORD)));
}

#[test]
fn a_task_that_was_not_asked_for_is_refused() {
    let mut pair = pair(client());
    pair.run_through(|bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let task = "<tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>";
        match text.split_once("<authorization-identifier>") {
            Some((before, _)) => {
                let before = before.replace("<success ", "<continue ");
                format!("{before}{task}").into_bytes()
            }
            None => text.into_bytes(),
        }
    });
    assert!(pair.bound.is_none() && pair.failed.is_some());
}
