use proptest::prelude::*;

use super::super::{
    BindingType, ChannelBindings, HashKind, Mechanism, Offer, PasswordError, SaslError,
};
use super::*;

const UNBOUND: Offer<'static> = Offer {
    mechanisms: &["PLAIN"],
    channel_bindings: None,
};

const BOUND: Offer<'static> = Offer {
    mechanisms: &[
        "SCRAM-SHA-1",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-256-PLUS",
        "PLAIN",
    ],
    channel_bindings: Some(&["tls-server-end-point", "tls-exporter"]),
};

const LOGIN: Login<'static> = Login {
    user: "romeo",
    authzid: None,
    secret: Secret::Password("rosaline"),
};

fn nonce(text: &str) -> Nonce {
    Nonce::from_text(text).unwrap()
}

fn keys(hash: HashKind) -> ScramKeys {
    ScramKeys::derive(hash, "rosaline", &[7; SALT_BYTES], MIN_ITERATIONS).unwrap()
}

/// Keys kept from an earlier login, so that the tests need not derive each time.
fn kept(hash: HashKind) -> ClientKeys {
    ClientKeys::derive(hash, "rosaline", &[7; SALT_BYTES], MIN_ITERATIONS).unwrap()
}

fn channel(types: &[BindingType]) -> ChannelBindings {
    ChannelBindings {
        exporter: types.contains(&BindingType::TlsExporter).then_some([1; 32]),
        server_end_point: types
            .contains(&BindingType::TlsServerEndPoint)
            .then(|| vec![2; 48]),
    }
}

fn server(mechanism: Mechanism, offer: &Offer<'_>, bindings: ChannelBindings) -> Server {
    Server::new(mechanism, offer, bindings, nonce("3rfcNHYJY1ZVvWVs7j"))
}

fn client(
    mechanism: Mechanism,
    login: &Login<'_>,
    offer: &Offer<'_>,
    bindings: &ChannelBindings,
) -> Client {
    Client::new(
        mechanism,
        login,
        offer,
        bindings,
        nonce("fyko+d2lbbFgONRv9qkxdawL"),
    )
    .unwrap()
}

/// What a whole exchange came to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Trusted(NeedKeys),
    Server(SaslError),
    Client(ClientError),
}

/// Runs an exchange in which `meddle` may change each message on its way.
fn exchange(
    client: &mut Client,
    server: &mut Server,
    keys: &ScramKeys,
    mut meddle: impl FnMut(usize, &mut Vec<u8>),
) -> Outcome {
    let mut run = || -> Result<NeedKeys, Outcome> {
        let mut message = client.first().map_err(Outcome::Client)?;
        meddle(0, &mut message);
        let need = server.first(&message).map_err(Outcome::Server)?;
        let mut message = server.keys(keys).map_err(Outcome::Server)?;
        meddle(1, &mut message);
        let mut message = client.respond(&message).map_err(Outcome::Client)?;
        meddle(2, &mut message);
        let mut message = server.finish(&message).map_err(Outcome::Server)?;
        meddle(3, &mut message);
        client.finish(&message).map_err(Outcome::Client)?;
        Ok(need)
    };
    match run() {
        Ok(need) => Outcome::Trusted(need),
        Err(outcome) => outcome,
    }
}

fn trusted(user: &str) -> Outcome {
    Outcome::Trusted(NeedKeys {
        user: user.to_owned(),
        authzid: None,
    })
}

/// A known exchange: both roles must write the very messages.
struct Vector {
    mechanism: Mechanism,
    nonces: [&'static str; 2],
    salt: &'static str,
    messages: [&'static str; 4],
}

fn check_vector(vector: &Vector) {
    let salt = STANDARD.decode(vector.salt).unwrap();
    let hash = vector.mechanism.hash().unwrap();
    let keys = ScramKeys::derive(hash, "pencil", &salt, 4096).unwrap();
    let login = Login {
        user: "user",
        authzid: None,
        secret: Secret::Password("pencil"),
    };
    let none = ChannelBindings::default();
    let [c_nonce, s_nonce] = vector.nonces.map(nonce);
    let mut client = Client::new(vector.mechanism, &login, &UNBOUND, &none, c_nonce).unwrap();
    let mut server = Server::new(vector.mechanism, &UNBOUND, none.clone(), s_nonce)
        .without_downgrade_protection();
    let outcome = exchange(&mut client, &mut server, &keys, |step, message| {
        assert_eq!(std::str::from_utf8(message).unwrap(), vector.messages[step]);
    });
    assert_eq!(outcome, trusted("user"));
}

#[test]
fn example_of_rfc_5802_is_reproduced() {
    // RFC 5802 §5.
    check_vector(&Vector {
        mechanism: Mechanism::ScramSha1,
        nonces: ["fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"],
        salt: "QSXCR+Q6sek8bf92",
        messages: [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    });
}

#[test]
fn example_of_rfc_7677_is_reproduced() {
    // RFC 7677 §3.
    check_vector(&Vector {
        mechanism: Mechanism::ScramSha256,
        nonces: ["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"],
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        messages: [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    });
}

#[test]
fn signatures_of_the_xep_0474_example_are_reproduced() {
    // XEP-0474 §5.3; its binding data is too short to come from a channel of ours.
    let nonce = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6";
    let auth = auth_message(
        "n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
        &format!("r={nonce},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="),
        &format!(
            "c={},r={nonce},x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3",
            channel_binding("p=tls-exporter,,", Some(b"THIS IS FAKE CB DATA")),
        ),
    );
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap();
    let keys = ClientKeys::derive(HashKind::Sha1, "pencil", &salt, 4096).unwrap();
    let signature = keys::hmac(HashKind::Sha1, &keys.stored_key(), &[auth.as_bytes()]);
    let proof = keys::xor(&keys.client_key, &signature);
    assert_eq!(STANDARD.encode(proof), "M/SIDjT+dfcxUh89jZEypRvFxB4=");
    let verifier = keys::hmac(HashKind::Sha1, &keys.server_key, &[auth.as_bytes()]);
    assert_eq!(STANDARD.encode(verifier), "MQrMPvv7yv4x4Cq4W4Ih25EqS2c=");
}

#[test]
fn every_mechanism_goes_through_with_every_binding() {
    use BindingType::{TlsExporter, TlsServerEndPoint};
    for hash in HashKind::ALL {
        let (keys, kept) = (keys(hash), kept(hash));
        let login = Login {
            secret: Secret::Keys(&kept),
            ..LOGIN
        };
        for types in [
            &[TlsExporter][..],
            &[TlsServerEndPoint],
            &[TlsExporter, TlsServerEndPoint],
        ] {
            let mechanism = Mechanism::scram(hash, true);
            let mut client = client(mechanism, &login, &BOUND, &channel(types));
            let mut server = server(mechanism, &BOUND, channel(types));
            let strongest = format!("p={},,n=romeo", types[0].as_str());
            let outcome = exchange(&mut client, &mut server, &keys, |step, message| {
                assert!(step != 0 || message.starts_with(strongest.as_bytes()));
            });
            assert_eq!(outcome, trusted("romeo"));
        }
        // Without binding: the flag is "n" for want of a channel, or of a
        // common type; "y" where the server seems to have none.
        let mechanism = Mechanism::scram(hash, false);
        let some = channel(&[TlsExporter]);
        for (offer, bindings, flag) in [
            (&UNBOUND, ChannelBindings::default(), b'n'),
            (&BOUND, some.clone(), b'n'),
            (&UNBOUND, some.clone(), b'y'),
        ] {
            let mut client = client(mechanism, &login, offer, &bindings);
            let mut server = server(mechanism, offer, bindings);
            let outcome = exchange(&mut client, &mut server, &keys, |step, message| {
                assert!(step != 0 || message[0] == flag);
            });
            assert_eq!(outcome, trusted("romeo"));
        }
    }
}

#[test]
fn names_with_commas_and_signs_arrive() {
    let login = Login {
        user: "a,b=c",
        authzid: Some("=@,"),
        ..LOGIN
    };
    let none = ChannelBindings::default();
    let mut client = client(Mechanism::ScramSha1, &login, &UNBOUND, &none);
    let mut server = server(Mechanism::ScramSha1, &UNBOUND, none);
    let outcome = exchange(&mut client, &mut server, &keys(HashKind::Sha1), |_, _| ());
    let need = NeedKeys {
        user: "a,b=c".to_owned(),
        authzid: Some("=@,".to_owned()),
    };
    assert_eq!(outcome, Outcome::Trusted(need));
}

#[test]
fn wrong_password_and_unknown_user_fail_alike() {
    let none = ChannelBindings::default();
    let fake = fake_keys(
        b"secret",
        "romeo@localhost",
        HashKind::Sha256,
        MIN_ITERATIONS,
    );
    let wrong = Login {
        secret: Secret::Password("juliet"),
        ..LOGIN
    };
    for (login, keys) in [(wrong, keys(HashKind::Sha256)), (LOGIN, fake)] {
        let mut client = client(Mechanism::ScramSha256, &login, &UNBOUND, &none);
        let mut server = server(Mechanism::ScramSha256, &UNBOUND, none.clone());
        let outcome = exchange(&mut client, &mut server, &keys, |_, _| ());
        assert_eq!(outcome, Outcome::Server(SaslError::NotAuthorized));
    }
}

#[test]
fn hidden_plus_is_detected_by_the_server() {
    // The client saw no -PLUS, but the server had offered it (RFC 5802 §6).
    let bindings = channel(&[BindingType::TlsExporter]);
    let mut client = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &bindings);
    let mut server = server(Mechanism::ScramSha1, &BOUND, bindings);
    assert_eq!(
        server.first(&client.first().unwrap()),
        Err(SaslError::NotAuthorized)
    );
}

#[test]
fn changed_offer_is_detected_by_the_client() {
    // XEP-0474 §5.2: somebody took a mechanism, or a binding type, out.
    let fewer = Offer {
        mechanisms: &["SCRAM-SHA-1", "PLAIN"],
        ..BOUND
    };
    let weaker = Offer {
        channel_bindings: Some(&["tls-server-end-point"]),
        ..BOUND
    };
    for seen in [fewer, weaker] {
        let none = ChannelBindings::default();
        let mut client = client(Mechanism::ScramSha1, &LOGIN, &seen, &none);
        let mut server = server(Mechanism::ScramSha1, &BOUND, none);
        let outcome = exchange(&mut client, &mut server, &keys(HashKind::Sha1), |_, _| ());
        assert_eq!(outcome, Outcome::Client(ClientError::Downgrade));
    }
}

#[test]
fn taking_the_downgrade_hash_out_breaks_the_proof() {
    let none = ChannelBindings::default();
    let mut client = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &none);
    let mut server = server(Mechanism::ScramSha1, &BOUND, none);
    let outcome = exchange(
        &mut client,
        &mut server,
        &keys(HashKind::Sha1),
        |step, message| {
            if step == 1 {
                let text = String::from_utf8(message.clone()).unwrap();
                *message = text.split(",h=").next().unwrap().into();
            }
        },
    );
    assert_eq!(outcome, Outcome::Server(SaslError::NotAuthorized));
}

#[test]
fn another_channel_is_refused() {
    // What a proxy in between would see: the same offer, its own channel.
    let mechanism = Mechanism::ScramSha1Plus;
    let other = ChannelBindings {
        exporter: Some([9; 32]),
        server_end_point: None,
    };
    let mut client = client(mechanism, &LOGIN, &BOUND, &other);
    let mut server = server(mechanism, &BOUND, channel(&[BindingType::TlsExporter]));
    let outcome = exchange(&mut client, &mut server, &keys(HashKind::Sha1), |_, _| ());
    assert_eq!(outcome, Outcome::Server(SaslError::NotAuthorized));
}

#[test]
fn flags_that_do_not_go_with_the_offer_are_refused() {
    use BindingType::{TlsExporter, TlsServerEndPoint};
    let both = [TlsExporter, TlsServerEndPoint];
    let plus = Mechanism::ScramSha1Plus;
    let plain = Mechanism::ScramSha1;
    let narrow = Offer {
        channel_bindings: Some(&["tls-exporter"]),
        ..BOUND
    };
    let (malformed, not_authorized) = (SaslError::MalformedRequest, SaslError::NotAuthorized);
    for (mechanism, offer, types, flag, error) in [
        (plus, BOUND, &both[..], "n", malformed),
        (plus, BOUND, &both, "y", not_authorized),
        (plain, BOUND, &both, "y", not_authorized),
        (plain, BOUND, &both, "p=tls-exporter", malformed),
        (plus, BOUND, &both, "p=tls-unique", not_authorized),
        (plus, BOUND, &both[1..], "p=tls-exporter", not_authorized),
        (
            plus,
            narrow,
            &both,
            "p=tls-server-end-point",
            not_authorized,
        ),
        (
            Mechanism::Plain,
            BOUND,
            &both,
            "n",
            SaslError::InvalidMechanism,
        ),
    ] {
        let mut server = server(mechanism, &offer, channel(types));
        let message = format!("{flag},,n=romeo,r=x");
        assert_eq!(
            server.first(message.as_bytes()),
            Err(error),
            "{mechanism} {flag}"
        );
    }
}

#[test]
fn client_without_a_common_binding_does_not_begin_plus() {
    let narrow = Offer {
        channel_bindings: Some(&["tls-unique"]),
        ..BOUND
    };
    for (offer, bindings) in [
        (narrow, channel(&BindingType::ALL)),
        (BOUND, ChannelBindings::default()),
    ] {
        let plus = Mechanism::ScramSha1Plus;
        let begun = Client::new(plus, &LOGIN, &offer, &bindings, nonce("x"));
        assert_eq!(begun.err(), Some(ClientError::NoChannelBinding));
    }
}

#[test]
fn client_refuses_what_it_cannot_send() {
    let begin = |mechanism, login: Login<'_>| {
        let none = ChannelBindings::default();
        Client::new(mechanism, &login, &UNBOUND, &none, nonce("x")).err()
    };
    let scram = Mechanism::ScramSha1;
    assert_eq!(
        begin(scram, Login { user: "", ..LOGIN }),
        Some(ClientError::Username)
    );
    assert_eq!(
        begin(
            scram,
            Login {
                user: "a\0",
                ..LOGIN
            }
        ),
        Some(ClientError::Username)
    );
    let control = Login {
        secret: Secret::Password("\u{7}"),
        ..LOGIN
    };
    assert_eq!(
        begin(scram, control),
        Some(ClientError::Password(PasswordError::NotAllowed))
    );
    assert_eq!(
        begin(Mechanism::Plain, LOGIN),
        Some(ClientError::NotScram(Mechanism::Plain))
    );
}

#[test]
fn client_refuses_suspicious_challenges() {
    let ours = "fyko+d2lbbFgONRv9qkxdawL";
    for (challenge, error) in [
        (format!("r={ours},s=QQ==,i=4096"), ClientError::Nonce),
        (format!("r=x{ours}y,s=QQ==,i=4096"), ClientError::Nonce),
        (
            format!("r={ours}y,s=QQ==,i=4095"),
            ClientError::TooFewIterations(4095),
        ),
        (
            format!("r={ours}y,s=QQ==,i=10000001"),
            ClientError::TooManyIterations(10_000_001),
        ),
        (
            format!("r={ours}y,s=QQ==,i=9999999999"),
            ClientError::TooManyIterations(u32::MAX),
        ),
        (
            format!("m=x,r={ours}y,s=QQ==,i=4096"),
            ClientError::Extension,
        ),
        (
            format!("r={ours}y,s=QQ==,i=4096,h=QQ=="),
            ClientError::Downgrade,
        ),
        ("e=other-error".to_owned(), ClientError::Malformed),
    ] {
        let none = ChannelBindings::default();
        let mut client = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &none);
        client.first().unwrap();
        assert_eq!(
            client.respond(challenge.as_bytes()),
            Err(error),
            "{challenge}"
        );
    }
}

#[test]
fn kept_keys_serve_until_the_salt_changes() {
    let none = ChannelBindings::default();
    let keys_now = keys(HashKind::Sha1);
    let mut asked = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &none);
    assert!(asked.keys().is_none());
    let mut other = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
    assert_eq!(
        exchange(&mut asked, &mut other, &keys_now, |_, _| ()),
        trusted("romeo")
    );
    let kept = asked.keys().unwrap().clone();
    let changed = ScramKeys::derive(HashKind::Sha1, "rosaline", b"other", MIN_ITERATIONS).unwrap();
    for (keys, outcome) in [
        (keys_now, trusted("romeo")),
        (changed, Outcome::Client(ClientError::StaleKeys)),
    ] {
        let login = Login {
            secret: Secret::Keys(&kept),
            ..LOGIN
        };
        let mut client = client(Mechanism::ScramSha1, &login, &UNBOUND, &none);
        let mut server = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
        assert_eq!(
            exchange(&mut client, &mut server, &keys, |_, _| ()),
            outcome
        );
    }
}

#[test]
fn steps_out_of_turn_are_refused() {
    let none = ChannelBindings::default();
    let mut early = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
    assert_eq!(
        early.finish(b"c=biws,r=x,p=QQ=="),
        Err(SaslError::MalformedRequest)
    );
    assert_eq!(early.first(b"n,,n=a,r=x"), Err(SaslError::MalformedRequest));
    let mut twice = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
    twice.first(b"n,,n=a,r=x").unwrap();
    assert_eq!(twice.first(b"n,,n=a,r=x"), Err(SaslError::MalformedRequest));
    let mut other = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
    other.first(b"n,,n=a,r=x").unwrap();
    assert_eq!(
        other.keys(&keys(HashKind::Sha256)),
        Err(SaslError::TemporaryAuthFailure)
    );
    let mut eager = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &none);
    assert_eq!(eager.finish(b"v=QQ=="), Err(ClientError::Malformed));
}

#[test]
fn server_that_cannot_prove_itself_is_not_trusted() {
    let none = ChannelBindings::default();
    for (last, error) in [
        ("v=AAAA", ClientError::Server),
        (
            "e=invalid-proof",
            ClientError::Refused("invalid-proof".to_owned()),
        ),
        ("", ClientError::Malformed),
    ] {
        let mut client = client(Mechanism::ScramSha1, &LOGIN, &UNBOUND, &none);
        let mut server = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
        let outcome = exchange(
            &mut client,
            &mut server,
            &keys(HashKind::Sha1),
            |step, message| {
                if step == 3 {
                    *message = last.into();
                }
            },
        );
        assert_eq!(outcome, Outcome::Client(error));
    }
}

#[test]
fn nonces_are_printable_and_differ() {
    let one = Nonce::from_random(&[0xfb; NONCE_BYTES]);
    assert!(message::is_nonce(one.as_str()));
    assert_ne!(one, Nonce::from_random(&[0; NONCE_BYTES]));
    for text in ["", "a,b", "a b", "\u{e9}"] {
        assert_eq!(Nonce::from_text(text), None);
    }
}

/// A change to one message of an exchange.
#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
}

impl Change {
    fn apply(&self, message: &mut Vec<u8>) {
        match self {
            Change::Replace(at, byte) => {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            Change::Insert(at, byte) => message.insert(at.index(message.len()), *byte),
            Change::Remove(at) => drop(message.remove(at.index(message.len()))),
            Change::Cut(at) => message.truncate(at.index(message.len())),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let byte = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(b"=,anmrcsipveyh/+A0".to_vec())
        ]
    };
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Remove),
        at().prop_map(Change::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_exchange_survives_a_change(step in 0..4_usize, change in change(), plus: bool) {
        let kept = kept_sha1();
        let login = Login { authzid: Some("romeo@localhost"), secret: Secret::Keys(kept), ..LOGIN };
        let mechanism = Mechanism::scram(HashKind::Sha1, plus);
        let mut client = client(mechanism, &login, &BOUND, &channel(&BindingType::ALL));
        let mut server = server(mechanism, &BOUND, channel(&BindingType::ALL));
        let keys = ScramKeys {
            hash: kept.hash,
            salt: kept.salt.clone(),
            iterations: kept.iterations,
            stored_key: kept.stored_key().into(),
            server_key: kept.server_key.clone(),
        };
        let mut same = false;
        let outcome = exchange(&mut client, &mut server, &keys, |at, message| {
            if at == step {
                let before = message.clone();
                change.apply(message);
                same = *message == before;
            }
        });
        prop_assert_eq!(matches!(outcome, Outcome::Trusted(_)), same, "{:?}", outcome);
    }

    #[test]
    fn no_bytes_make_a_side_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let none = ChannelBindings::default();
        let mut server = server(Mechanism::ScramSha1, &UNBOUND, none.clone());
        let _ = server.first(&bytes);
        let _ = message::server_first(&bytes);
        let _ = message::client_final(&bytes);
        let _ = message::server_final(&bytes);
    }

    #[test]
    fn no_attributes_make_a_side_panic(
        text in "([nyp]?,)?(a=[=,23CD]*)?,?([a-z]=[a-zA-Z0-9=+/]*,?){0,6}",
    ) {
        let none = ChannelBindings::default();
        let _ = server(Mechanism::ScramSha1, &UNBOUND, none).first(text.as_bytes());
        let _ = message::server_first(text.as_bytes());
        let _ = message::client_final(text.as_bytes());
        let _ = message::server_final(text.as_bytes());
    }
}

fn kept_sha1() -> &'static ClientKeys {
    static KEPT: std::sync::OnceLock<ClientKeys> = std::sync::OnceLock::new();
    KEPT.get_or_init(|| kept(HashKind::Sha1))
}
