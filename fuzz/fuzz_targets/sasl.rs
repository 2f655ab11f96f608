//! No message makes either side of SASL panic, and no guess logs in.
#![no_main]

use balcony_proto::sasl::scram::{Client, Login, Nonce, Secret, Server};
use balcony_proto::sasl::{
    ChannelBindings, HashKind, Mechanism, Offer, anonymous, decode, encode, external, fake_keys,
    plain::Plain, prepare_password,
};
use libfuzzer_sys::fuzz_target;

const OFFER: Offer<'static> = Offer {
    mechanisms: &["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"],
    channel_bindings: Some(&["tls-exporter"]),
};

// Two messages of the peer; the rest of a real exchange follows from them.
fuzz_target!(|messages: (&[u8], &[u8], bool)| {
    let (first, second, plus) = messages;
    single(first);
    let mechanism = Mechanism::scram(HashKind::Sha1, plus);
    let bindings = ChannelBindings {
        exporter: Some([1; 32]),
        server_end_point: None,
    };
    let nonce = || Nonce::from_random(&[7; 18]);
    let mut server = Server::new(mechanism, &OFFER, bindings.clone(), nonce());
    if let Ok(need) = server.first(first) {
        assert!(!need.user.is_empty());
        let keys = fake_keys(b"secret", &need.user, HashKind::Sha1, 4096);
        assert!(server.keys(&keys).is_ok());
        assert!(server.finish(second).is_err());
    }
    let login = Login {
        user: "romeo",
        authzid: None,
        secret: Secret::Password("rosaline"),
    };
    let Ok(mut client) = Client::new(mechanism, &login, &OFFER, &bindings, nonce()) else {
        return;
    };
    assert!(client.first().is_ok());
    // A challenge that continues our nonce would cost its rounds of hashing.
    let prefix = format!("r={}", nonce().as_str());
    if !first.starts_with(prefix.as_bytes()) {
        assert!(client.respond(first).is_err());
    }
});

fn single(message: &[u8]) {
    if let Ok(plain) = Plain::parse(message) {
        assert_eq!(Plain::parse(&plain.build()), Ok(plain));
        if let Ok(password) = prepare_password(plain.password) {
            assert!(!password.is_empty());
        }
    }
    let _ = anonymous::parse(message);
    let _ = external::parse(message);
    if let Ok(text) = std::str::from_utf8(message)
        && let Ok(bytes) = decode(text)
        && !bytes.is_empty()
    {
        assert_eq!(encode(&bytes), text);
    }
}
