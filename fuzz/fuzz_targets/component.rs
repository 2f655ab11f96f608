//! No bytes in any pieces make the stream of a component panic, or take a stanza from who does not
//! know the secret.
#![no_main]

use std::time::Duration;

use balcony_proto::limits::Limits;
use balcony_proto::xep::component;
use balcony_stream::Random;
use balcony_stream::component::{Component, Output, Settings, Terms};
use libfuzzer_sys::fuzz_target;

/// What [`Random::token`] makes of sevens.
const ID: &str = "BwcHBwcHBwcHBwcHBwcHBw";

const HEADER: &[u8] = b"<stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' to='plays.localhost'>";

fuzz_target!(|input: (bool, Vec<&[u8]>)| {
    let (proved, pieces) = input;
    let random = Random::new(|bytes| bytes.fill(7));
    let mut machine = Component::new(Settings::default(), random, Duration::ZERO);
    let handshake = component::handshake(ID, "soft");
    let handshake = format!("<handshake>{handshake}</handshake>");
    let begin: &[&[u8]] = if proved { &[HEADER, handshake.as_bytes()] } else { &[] };
    let (mut open, mut domain) = (false, String::new());
    for piece in begin.iter().chain(&pieces) {
        machine.bytes(piece);
        while let Some(output) = machine.poll() {
            match output {
                Output::Ask(_) => machine.answer(Ok(Terms {
                    secret: "soft".into(),
                    subdomains: false,
                    limits: Limits::AFTER_LOGIN,
                })),
                Output::Proved(proved) => (open, domain) = (true, proved),
                Output::Stanza(stanza) => {
                    let from = stanza.from.as_ref().expect("a sender");
                    assert!(open && from.domain() == domain && stanza.to.is_some());
                }
                Output::BadStanza(_) => assert!(open),
                _ => {}
            }
        }
    }
    assert!(!proved || open);
});
