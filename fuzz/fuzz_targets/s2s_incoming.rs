//! No bytes in any pieces make the accepting side of a stream between servers panic, hold more than
//! it was given, or take a stanza of a domain that is not proved.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use balcony_stream::s2s::{
    Answer, HostTerms, Incoming, Input, Output, Question, Secret, Settings, Trust, Verdict,
};
use balcony_stream::{Random, Security, TlsInfo};
use libfuzzer_sys::fuzz_target;

/// A domain that claims itself, to be got past.
const BEGIN: &[u8] = b"<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
    xmlns:stream='http://etherx.jabber.org/streams' from='capulet.example' to='montague.example' \
    version='1.0'><bidi xmlns='urn:xmpp:bidi'/>\
    <db:result from='capulet.example' to='montague.example'>x</db:result>";

/// An owner that lets everyone in, so that the machine gets far.
fn answer(question: &Question) -> Answer {
    match question {
        Question::Header { .. } => Answer::Host(Ok(HostTerms {
            tls_required: true,
            dialback: true,
            bidi: true,
        })),
        Question::Certificate { .. } => Answer::Certificate(Trust::Proved),
    }
}

fuzz_target!(|input: (bool, bool, Vec<&[u8]>)| {
    let (direct, begun, pieces) = input;
    let now = Duration::ZERO;
    let security = if direct { Security::DirectTls } else { Security::Plain };
    let settings = Arc::new(Settings::new(Secret::new(b"secret")));
    let random = Random::new(|bytes| bytes.fill(7));
    let mut machine = Incoming::new(settings, security, random, now);
    let (mut encrypted, mut given) = (direct, 0);
    let mut proved = HashSet::new();
    if direct {
        machine.handle(Input::TlsReady(TlsInfo::default()), now);
    }
    let begin = begun.then_some(BEGIN);
    for piece in begin.into_iter().chain(pieces) {
        given += piece.len();
        machine.handle(Input::Bytes(piece), now);
        while let Some(output) = machine.poll() {
            match output {
                Output::Ask(question) => machine.handle(Input::Answer(answer(&question)), now),
                Output::StartTls => {
                    encrypted = true;
                    machine.handle(Input::TlsReady(TlsInfo::default()), now);
                }
                Output::Claim {
                    pair, stream_id, ..
                } => machine.decide(&pair, &stream_id, Verdict::Valid),
                Output::Proved { pair, .. } => {
                    assert!(encrypted);
                    proved.insert(pair.remote);
                }
                Output::Stanza(stanza) => {
                    let from = stanza.from.as_ref().expect("a sender");
                    assert!(proved.contains(from.domain()) && stanza.to.is_some());
                    machine.handled(1);
                }
                Output::BadStanza(bad) => {
                    assert!(!proved.is_empty() && bad.from.is_some());
                    machine.handled(1);
                }
                _ => {}
            }
        }
        // The factor is that of the canonical form, which the scanner bounds.
        assert!(machine.buffered() <= 8 * given + 4096);
    }
});
