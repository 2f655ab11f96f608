//! Every way in.

use balcony_proto::sasl::Mechanism;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;

use super::{Pair, config, failure_of, with_password};
use crate::harness::{PASSWORD, jid, tls13};
use crate::initiating::{ClientConfig, Secret, TlsPolicy};
use crate::{TlsInfo, UserAgent};

const TLS_POLICIES: [TlsPolicy; 2] = [TlsPolicy::StartTls, TlsPolicy::Direct];

fn allow(pair: &mut Pair, mechanism: Mechanism) {
    pair.server.facts.mechanisms.push(mechanism);
}

#[test]
fn every_mechanism_works_in_both_profiles_over_both_kinds_of_tls() {
    for mechanism in Mechanism::ALL
        .into_iter()
        .filter(|known| *known != Mechanism::External)
    {
        for sasl2 in [true, false] {
            for tls in TLS_POLICIES {
                let mut client = ClientConfig {
                    mechanisms: vec![mechanism],
                    sasl2,
                    tls,
                    ..config()
                };
                if mechanism == Mechanism::Anonymous {
                    client.secret = Secret::Anonymous;
                    client.jid = jid("localhost");
                }
                let mut pair = Pair::new(client);
                allow(&mut pair, mechanism);
                pair.run();
                let bound = pair.bound();
                assert_eq!(bound.mechanism, mechanism);
                let server = pair.server.bound.as_ref().unwrap();
                assert_eq!((&server.jid, server.mechanism), (&bound.jid, mechanism));
                assert_eq!((server.bind2, server.encrypted), (sasl2, true));
                let local = if mechanism == Mechanism::Anonymous {
                    "mercutio"
                } else {
                    "romeo"
                };
                assert_eq!(bound.jid.local(), Some(local));
                assert_eq!(bound.features.max_bytes(), Some(262_144));
            }
        }
    }
}

#[test]
fn the_strongest_mechanism_that_binds_is_taken() {
    let mut pair = Pair::new(config());
    pair.run();
    assert_eq!(pair.bound().mechanism, Mechanism::ScramSha512Plus);
    let mut old = Pair::new(ClientConfig {
        tls: TlsPolicy::Direct,
        ..config()
    });
    old.tls = TlsInfo {
        version13: false,
        ..tls13()
    };
    old.run();
    assert_eq!(
        old.bound().mechanism,
        Mechanism::ScramSha512Plus,
        "by tls-server-end-point"
    );
    let mut bare = Pair::new(config());
    bare.tls = TlsInfo {
        version13: true,
        ..TlsInfo::default()
    };
    bare.run();
    assert_eq!(bare.bound().mechanism, Mechanism::ScramSha512);
}

#[test]
fn in_clear_scram_and_classic_sasl_are_left() {
    let mut pair = Pair::new(ClientConfig {
        tls: TlsPolicy::Clear,
        ..config()
    });
    pair.run();
    assert_eq!(pair.bound().mechanism, Mechanism::ScramSha512);
    let server = pair.server.bound.as_ref().unwrap();
    assert!(!server.bind2 && !server.encrypted);
}

#[test]
fn kept_keys_spare_the_derivation_and_stale_ones_do_no_harm() {
    let mut first = Pair::new(config());
    first.run();
    let kept = first.bound().keys.clone().unwrap();
    let again = |keys| {
        let secret = Secret::Password {
            password: PASSWORD.into(),
            keys: Some(keys),
        };
        let mut pair = Pair::new(ClientConfig { secret, ..config() });
        pair.run();
        pair.bound().keys.clone().unwrap()
    };
    assert_eq!(again(kept.clone()).client_key, kept.client_key);
    let mut stale = kept.clone();
    stale.salt = (*b"another salt").into();
    assert_eq!(again(stale).client_key, kept.client_key);
}

#[test]
fn resource_tag_and_inline_features_reach_the_owner() {
    let client = ClientConfig {
        tag: Some("Balcony".into()),
        user_agent: Some(UserAgent {
            software: Some("Balcony".into()),
            ..UserAgent::default()
        }),
        bind_inline: vec![Element::new("urn:xmpp:carbons:2", "enable")],
        ..config()
    };
    let mut pair = Pair::new(client);
    pair.server.bind_extra.bound = vec![Element::new("urn:xmpp:mam:2", "metadata")];
    pair.server.bind_extra.success = vec![Element::new("urn:x", "token")];
    pair.run();
    assert!(pair.server.binds[0].inline[0].is("urn:xmpp:carbons:2", "enable"));
    let bound = pair.bound();
    assert!(bound.jid.resource().unwrap().starts_with("Balcony/"));
    assert!(bound.bound[0].is("urn:xmpp:mam:2", "metadata"));
    assert!(bound.success[0].is("urn:x", "token"));
    let mut classic = Pair::new(ClientConfig {
        sasl2: false,
        resource: Some("orchard".into()),
        ..config()
    });
    classic.run();
    assert_eq!(classic.bound().jid.as_str(), "romeo@localhost/orchard");
}

#[test]
fn both_sides_are_ready_for_stanzas_afterwards() {
    let mut pair = Pair::new(config());
    pair.run();
    for (mut established, rest) in [
        pair.client.into_established(),
        pair.server.machine.into_established(),
    ] {
        assert!(rest.is_empty());
        assert_eq!(established.buffered(), 0);
        let mut input = &b"<message><body>But, soft!</body></message> "[..];
        let event = established.receive(&mut input).unwrap();
        assert!(matches!(event, Some(crate::Event::Stanza(_))), "{event:?}");
    }
}

#[test]
fn a_session_is_requested_from_servers_that_insist() {
    let mut pair = Pair::new(ClientConfig {
        sasl2: false,
        ..config()
    });
    let optional = "xmpp-session'><optional/></session>";
    pair.run_through(|bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(optional, "xmpp-session'/>").into_bytes()
    });
    // Our server binds at once and knows no session: the request is left in what came behind.
    assert!(pair.bound.is_none() && pair.failed.is_none());
    let (_, rest) = pair.server.machine.into_established();
    assert!(
        rest.starts_with(b"<iq id='session' type='set'><session "),
        "{rest:?}"
    );
    let answer = b"<iq id='session' type='result'/>";
    pair.client.handle(
        crate::initiating::Input::Bytes(answer),
        std::time::Duration::ZERO,
    );
    let output = pair.client.poll();
    assert!(
        matches!(output, Some(crate::initiating::Output::Bound(_))),
        "{output:?}"
    );
}

#[test]
fn failures_are_told_in_words() {
    let wrong = failure_of(with_password(config(), "guess"));
    assert_eq!(
        wrong,
        "the server refused the login: wrong user name or password"
    );
    let nobody = failure_of(ClientConfig {
        jid: jid("paris@localhost"),
        ..config()
    });
    assert_eq!(nobody, wrong);
    let disabled = failure_of(ClientConfig {
        jid: jid("juliet@localhost"),
        ..config()
    });
    assert!(disabled.ends_with("the account is disabled"), "{disabled}");
    let elsewhere = failure_of(ClientConfig {
        jid: jid("romeo@mantua.example"),
        ..config()
    });
    assert!(elsewhere.contains("host-unknown"), "{elsewhere}");
    let nothing = failure_of(ClientConfig {
        mechanisms: vec![Mechanism::Plain],
        ..config()
    });
    assert!(
        nothing.contains("it offers: SCRAM-SHA-512-PLUS, "),
        "{nothing}"
    );
}

#[test]
fn a_client_without_encryption_is_told_what_is_missing() {
    let mut pair = Pair::new(ClientConfig {
        tls: TlsPolicy::Clear,
        ..config()
    });
    pair.server.facts.tls_required = true;
    pair.run();
    assert_eq!(
        pair.failed.unwrap().to_string(),
        "the server wants encryption"
    );
}

#[test]
fn a_refused_resource_is_told() {
    let mut pair = Pair::new(ClientConfig {
        sasl2: false,
        ..config()
    });
    pair.server.refuse_bind = Some(StanzaError::resource_constraint());
    pair.run();
    assert!(
        pair.failed
            .unwrap()
            .to_string()
            .ends_with("resource-constraint")
    );
}
