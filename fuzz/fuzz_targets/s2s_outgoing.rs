//! No bytes in any pieces make the opening side of a stream between servers panic, hold more than
//! it was given, believe what it did not ask, or go on in clear.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use balcony_stream::s2s::{
    Answer, Input, Options, Outgoing, Output, Pair, Secret, Settings, Trust,
};
use balcony_stream::{Random, Security, TlsInfo};
use libfuzzer_sys::fuzz_target;

/// A server that believes the first claim, to be got past.
const BEGIN: &[u8] = b"<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
    xmlns:stream='http://etherx.jabber.org/streams' id='x' version='1.0'><stream:features>\
    <bidi xmlns='urn:xmpp:features:bidi'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>\
    <db:result from='capulet.example' to='montague.example' type='valid'/>";

fuzz_target!(|input: (bool, bool, Vec<&[u8]>)| {
    let (direct, begun, pieces) = input;
    let now = Duration::ZERO;
    let security = if direct { Security::DirectTls } else { Security::Plain };
    let options = Options { tls_required: true, external: true, bidi: true };
    let mut machine = Outgoing::new(
        Arc::new(Settings::new(Secret::new(b"secret"))),
        options,
        Pair::new("montague.example", "capulet.example"),
        security,
        Random::new(|bytes| bytes.fill(7)),
        now,
    );
    let (mut encrypted, mut given, mut ready) = (direct, 0, false);
    machine.verify("montague.example", "asked", "key");
    if direct {
        machine.handle(Input::TlsReady(TlsInfo::default()), now);
    }
    let begin = begun.then_some(BEGIN);
    for piece in begin.into_iter().chain(pieces) {
        given += piece.len();
        machine.handle(Input::Bytes(piece), now);
        while let Some(output) = machine.poll() {
            match output {
                Output::Ask(_) => {
                    machine.handle(Input::Answer(Answer::Certificate(Trust::Proved)), now);
                }
                Output::StartTls => {
                    encrypted = true;
                    machine.handle(Input::TlsReady(TlsInfo::default()), now);
                }
                Output::Ready { pair, .. } => {
                    assert!(encrypted && pair.local.ends_with("montague.example"));
                    if !std::mem::replace(&mut ready, true) {
                        machine.claim("rooms.montague.example");
                    }
                    machine.sent(1);
                    machine.request();
                }
                Output::Verified { stream_id, .. } => assert_eq!(stream_id, "asked"),
                Output::Stanza(stanza) => {
                    let from = stanza.from.as_ref().expect("a sender");
                    assert!(machine.is_open() || !machine.wants_bytes());
                    assert_eq!(from.domain(), "capulet.example");
                    machine.handled(1);
                }
                _ => {}
            }
        }
        // The factor is that of the canonical form, which the scanner bounds.
        assert!(machine.buffered() <= 8 * given + 4096);
    }
});
