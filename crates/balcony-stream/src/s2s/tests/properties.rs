//! Whatever comes, in whatever order and pieces.

use proptest::prelude::*;

use super::*;

fn fragments() -> Vec<String> {
    let texts = [
        HEADER,
        ANSWER,
        CLAIM,
        MESSAGE,
        "<stream:features/>",
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL\
         </mechanism></mechanisms><bidi xmlns='urn:xmpp:features:bidi'/><sm xmlns='urn:xmpp:sm:3'/>\
         </stream:features>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<db:verify from='capulet.example' to='montague.example' id='x'>y</db:verify>",
        "<db:verify from='capulet.example' to='montague.example' id='x' type='valid'/>",
        "<db:result from='capulet.example' to='montague.example' type='valid'/>",
        "<db:result from='evil.example' to='montague.example'>x</db:result>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
        "<enable xmlns='urn:xmpp:sm:3'/>",
        "<enabled xmlns='urn:xmpp:sm:3'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<a xmlns='urn:xmpp:sm:3' h='1'/>",
        "<message from='x@evil.example' to='romeo@montague.example'/>",
        "<iq type='odd' from='x@capulet.example' to='montague.example'/>",
        "</stream:stream>",
        "<stream:error/>",
        "<!-- -->",
        "<open",
        " ",
    ];
    texts.map(str::to_owned).to_vec()
}

/// A fragment, or bytes of any kind.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => proptest::sample::select(fragments()).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(piece(), 0..14)
}

/// What was seen and written, in words.
fn told(seen: &[Output], written: &str) -> String {
    format!("{seen:?} {written}")
}

/// Feeds in pieces of that size; claims are decided at once, good ones alone.
fn hear(hearer: &mut Hearer, bytes: &[u8], size: usize) -> String {
    let mut written = String::new();
    for piece in bytes.chunks(size) {
        written += &hearer.input(Input::Bytes(piece));
        written += &hearer.decide("capulet.example", Verdict::Valid);
    }
    written
}

/// No stanza before a domain is proved, none of another, and nothing behind the end.
fn is_in_order(seen: &[Output]) -> bool {
    let mut proved = false;
    for (at, output) in seen.iter().enumerate() {
        match output {
            Output::Proved { .. } | Output::Bidi(_) => proved = true,
            Output::Stanza(stanza) => {
                let from = stanza.from.as_ref().map(|from| from.domain().to_owned());
                if !proved || from.as_deref() != Some("capulet.example") {
                    return false;
                }
            }
            Output::BadStanza(_) if !proved => return false,
            Output::Close if at + 1 != seen.len() => return false,
            _ => {}
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_hearer_takes_stanzas_of_proved_domains_only(
        pieces in pieces(), certified in any::<bool>(), size in 1usize..200,
        opened in any::<bool>(),
    ) {
        let mut bytes = if opened { HEADER.as_bytes().to_vec() } else { Vec::new() };
        bytes.extend(pieces.concat());
        let (mut whole, mut cut) = (Hearer::encrypted(certified), Hearer::encrypted(certified));
        hear(&mut cut, &bytes, size);
        whole.feed(&String::from_utf8_lossy(&bytes));
        prop_assert!(is_in_order(&cut.seen), "{:?}", cut.seen);
        prop_assert!(is_in_order(&whole.seen), "{:?}", whole.seen);
        prop_assert!(cut.machine.buffered() <= bytes.len() + 1024);
        prop_assert!(!cut.is_closed() || cut.machine.buffered() == 0);
    }

    #[test]
    fn pieces_make_no_difference(pieces in pieces(), size in 1usize..200) {
        let mut bytes = HEADER.as_bytes().to_vec();
        bytes.extend(pieces.concat());
        let (mut whole, mut cut) = (Hearer::encrypted(true), Hearer::encrypted(true));
        let at_once = whole.input(Input::Bytes(&bytes));
        let in_pieces: String = bytes
            .chunks(size)
            .map(|piece| cut.input(Input::Bytes(piece)))
            .collect();
        prop_assert_eq!(told(&whole.seen, &at_once), told(&cut.seen, &in_pieces));
    }

    #[test]
    fn nothing_is_proved_in_clear_where_tls_is_required(pieces in pieces()) {
        let mut hearer = Hearer::new(Security::Plain);
        hearer.trust = Trust::Proved;
        hear(&mut hearer, &[HEADER.as_bytes(), &pieces.concat()].concat(), usize::MAX);
        let other = |output: &Output| !matches!(output, Output::StartTls | Output::Close);
        prop_assert!(!hearer.seen.iter().any(other), "{:?}", hearer.seen);
    }

    #[test]
    fn a_speaker_is_ready_by_its_own_claim_only(pieces in pieces(), size in 1usize..200) {
        let mut speaker = Speaker::new(options(), Security::DirectTls);
        speaker.input(Input::TlsReady(handshake()));
        let bytes = [ANSWER.as_bytes(), &pieces.concat()].concat();
        for piece in bytes.chunks(size) {
            speaker.input(Input::Bytes(piece));
        }
        prop_assert!(is_in_order(&speaker.seen), "{:?}", speaker.seen);
        let mut ready = speaker.ready();
        ready.dedup();
        prop_assert!(ready.len() <= 1);
        prop_assert!(ready.iter().all(|(local, _)| *local == "montague.example"));
    }

    #[test]
    fn nothing_panics_whatever_happens_in_whatever_order(
        inputs in proptest::collection::vec((0u8..10, piece()), 0..20), silent in any::<bool>(),
    ) {
        let mut hearer = Hearer::clear();
        hearer.silent = silent;
        let options = Options { tls_required: false, ..options() };
        let mut speaker = Speaker::new(options, Security::Plain);
        for (kind, piece) in &inputs {
            let input = || match kind {
                0 => Input::TlsReady(handshake()),
                1 => Input::Answer(Answer::Certificate(Trust::Proved)),
                2 => Input::Answer(Answer::Host(Ok(terms()))),
                3 => Input::Timeout,
                4 => Input::Eof,
                _ => Input::Bytes(piece),
            };
            hearer.input(input());
            hearer.decide("capulet.example", Verdict::Valid);
            hearer.machine.handled(2);
            hearer.machine.sent(1);
            hearer.machine.request();
            speaker.input(input());
            speaker.machine.verify("montague.example", "x", "y");
            speaker.machine.claim("rooms.montague.example");
            speaker.machine.handled(1);
            speaker.machine.acknowledge();
        }
        hearer.drain();
        speaker.drain();
    }
}
