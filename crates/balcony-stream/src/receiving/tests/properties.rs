//! Whatever a client sends, in whatever pieces.

use balcony_proto::sasl::{HashKind, Mechanism, encode, ht};
use proptest::prelude::*;

use crate::harness::{CLIENT, HEADER, PASSWORD, Server, tls13, token};
use crate::receiving::Input;
use crate::{Security, Settings};

/// Pieces of conversations, right and wrong, so that random sequences of them get far.
fn fragments() -> Vec<String> {
    let plain = encode(format!("\0romeo\0{PASSWORD}").as_bytes());
    let scram = encode(b"n,,n=romeo,r=fyko");
    let token = encode(&ht::initiate("romeo", "secret", b""));
    let sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    let sasl2 = "xmlns='urn:xmpp:sasl:2'";
    let bind2 = "<bind xmlns='urn:xmpp:bind:0'/>";
    vec![
        HEADER.into(),
        "</stream:stream>".into(),
        " ".into(),
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".into(),
        format!("<auth {sasl} mechanism='PLAIN'>{plain}</auth>"),
        format!("<auth {sasl} mechanism='ANONYMOUS'>=</auth>"),
        format!("<auth {sasl} mechanism='SCRAM-SHA-1'>{scram}</auth>"),
        format!("<auth {sasl} mechanism='SCRAM-SHA-1'/>"),
        format!("<response {sasl}>{scram}</response>"),
        format!("<response {sasl}/>"),
        format!("<abort {sasl}/>"),
        format!(
            "<authenticate {sasl2} mechanism='PLAIN'><initial-response>{plain}</initial-response>{bind2}\
             </authenticate>"
        ),
        format!("<authenticate {sasl2} mechanism='SCRAM-SHA-256-PLUS'/>"),
        format!(
            "<authenticate {sasl2} mechanism='HT-SHA-256-NONE'><initial-response>{token}</initial-response>\
             <user-agent id='{CLIENT}'/><fast xmlns='urn:xmpp:fast:0'/>\
             <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/></authenticate>"
        ),
        format!(
            "<authenticate {sasl2} mechanism='PLAIN'><initial-response>{plain}</initial-response>\
             <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>"
        ),
        format!("<next {sasl2} task='UPGR-SCRAM-SHA-256'/>"),
        format!(
            "<task-data {sasl2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash></task-data>",
            encode(&[7; 32])
        ),
        format!("<response {sasl2}>{scram}</response>"),
        format!("<abort {sasl2}/>"),
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".into(),
        "<resume xmlns='urn:xmpp:sm:3' previd='some-long-sm-id' h='3'/>".into(),
        format!(
            "<authenticate {sasl2} mechanism='PLAIN'><initial-response>{plain}</initial-response>\
             <resume xmlns='urn:xmpp:sm:3' previd='some-long-sm-id' h='3'/>{bind2}</authenticate>"
        ),
        "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>".into(),
        "<presence/>".into(),
        "<message to='@'/>".into(),
        "<!-- -->".into(),
        "<open".into(),
        "&#0;".into(),
    ]
}

/// A fragment, or bytes of any kind.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => proptest::sample::select(fragments()).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn server(settings: Settings, security: Security) -> Server {
    let mut server = Server::new(settings, security);
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.facts.registration = true;
    server.facts.fast = true;
    server.tokens = vec![token(Mechanism::HtSha256None, "secret")];
    server.facts.upgrades = vec![HashKind::Sha256];
    server.lacks = vec![HashKind::Sha256];
    server.resumable = Some("some-long-sm-id");
    server
}

/// Feeds in pieces of the given sizes, round and round; TLS stands as soon as it is called for.
fn run(server: &mut Server, bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut written = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (now, later) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        rest = later;
        written.extend(server.input(Input::Bytes(now)));
        if server.closed || rest.is_empty() {
            return written;
        }
    }
    written
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn cve_2014_8760_no_path_leads_to_authentication_in_clear(
        pieces in proptest::collection::vec(piece(), 0..12),
        handshake_after in 0usize..12,
    ) {
        let mut server = server(Settings::default(), Security::Plain);
        let mut encrypted = false;
        for (number, piece) in pieces.iter().enumerate() {
            if number >= handshake_after && server.starttls && !encrypted && !server.closed {
                server.input(Input::TlsReady(tls13()));
                encrypted = true;
            }
            server.input(Input::Bytes(piece));
            prop_assert!(encrypted || server.asked.iter().all(|name| *name == "host"), "{:?}", server.asked);
            prop_assert!(encrypted || server.bound.is_none());
        }
    }

    #[test]
    fn pieces_make_no_difference_and_memory_is_bounded(
        pieces in proptest::collection::vec(piece(), 0..12),
        sizes in proptest::collection::vec(1usize..200, 1..8),
    ) {
        let bytes = pieces.concat();
        let start = || {
            let mut server = server(Settings::default(), Security::DirectTls);
            server.input(Input::TlsReady(tls13()));
            server
        };
        let (mut whole, mut split) = (start(), start());
        let at_once = run(&mut whole, &bytes, &[usize::MAX]);
        let in_pieces = run(&mut split, &bytes, &sizes);
        prop_assert_eq!(String::from_utf8_lossy(&at_once), String::from_utf8_lossy(&in_pieces));
        prop_assert_eq!(&whole.asked, &split.asked);
        prop_assert_eq!(whole.closed, split.closed);
        // What an unfinished element takes, and what waits after the end of the negotiation.
        prop_assert!(split.machine.buffered() <= bytes.len() + 1024);
        prop_assert!(!split.closed || split.machine.buffered() == 0);
    }

    #[test]
    fn nothing_panics_whatever_comes_in_whatever_order(
        inputs in proptest::collection::vec((0u8..8, piece()), 0..20),
        silent in any::<bool>(),
    ) {
        use crate::receiving::{Answer, Credentials, Verdict};
        let settings = Settings { tls_required: false, ..Settings::default() };
        let mut server = server(settings, Security::Plain);
        server.silent = silent;
        for (kind, piece) in &inputs {
            server.input(match kind {
                0 => Input::TlsReady(tls13()),
                1 => Input::Answer(Answer::Credentials(Credentials::Unknown)),
                2 => Input::Answer(Answer::Verdict(Verdict::Right)),
                3 => Input::Answer(Answer::Host(None)),
                4 => Input::Timeout,
                _ => Input::Bytes(piece),
            });
        }
    }
}
