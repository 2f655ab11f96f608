//! Faults that other servers and parsers had, each named after its incident.

// In a test's own functions too a failed unwrap is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::{Item, Limit, Scanner, XmlError};

const OPEN: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

fn scan(bytes: &[u8]) -> (Vec<Item>, Option<XmlError>) {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    let mut rest = bytes;
    let mut items = Vec::new();
    loop {
        match scanner.next(&mut rest) {
            Ok(None) => return (items, None),
            Ok(Some(item)) => items.push(item),
            Err(error) => return (items, Some(error)),
        }
    }
}

/// How a stream with `bytes` after its header ends.
fn condition(bytes: &[u8]) -> Option<StreamCondition> {
    scan(&[OPEN, bytes].concat())
        .1
        .map(|error| error.stream_condition())
}

#[test]
fn cve_2011_1753_and_2205_billion_laughs() {
    let bomb = b"<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'>\
                 <!ENTITY lol2 '&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;'>]>\
                 <stream:stream xmlns='jabber:client'><message>&lol2;</message>";
    let mut scanner = Scanner::new(ns::CLIENT, Limits::BEFORE_LOGIN);
    let mut rest = &bomb[..];
    let error = scanner.next(&mut rest).unwrap_err();
    assert_eq!(error.stream_condition(), StreamCondition::RestrictedXml);
    // It was refused at the `<!`; nothing of the declarations was even taken.
    assert!(
        rest.starts_with(b"DOCTYPE") || rest.starts_with(b"OCTYPE"),
        "{}",
        rest.len()
    );
    assert_eq!(scanner.buffered(), 0);
    assert_eq!(
        condition(b"<message>&lol2;"),
        Some(StreamCondition::RestrictedXml)
    );
    assert_eq!(
        condition(b"<!DOCTYPE x>"),
        Some(StreamCondition::RestrictedXml)
    );
}

#[test]
fn cve_2022_25235_invalid_utf_8_in_names_text_and_values() {
    for bad in [
        &b"\xF0\x80\x80\xBC"[..],
        b"\xE0\x80\xAF",
        b"\xC0\xBC",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xFE",
        b"\x80",
    ] {
        for (before, after) in [
            (&b"<message><body>"[..], &b"</body></message>"[..]),
            (b"<message><a b='", b"'/></message>"),
            (b"<message to='", b"'/>"),
            (b"<message><a", b"/></message>"),
            (b"<message><a x", b"='1'/></message>"),
            (b"<message><a xmlns='urn:", b"'/></message>"),
            (b"<message><![CDATA[", b"]]></message>"),
        ] {
            let bytes = [before, bad, after].concat();
            // RFC 6120 §4.9.3.22: violating the rules of UTF-8 is unsupported-encoding.
            assert_eq!(
                condition(&bytes),
                Some(StreamCondition::UnsupportedEncoding),
                "{bytes:?}"
            );
        }
    }
}

#[test]
fn cve_2022_25236_namespace_names_cannot_forge_expanded_names() {
    // Expat joined namespace and name with a separator that the namespace itself could hold.
    let (items, error) = scan(
        &[
            OPEN,
            b"<message><a xmlns='urn:x}body'/><a xmlns='jabber:client&#xA;body'/>\
                  <a xmlns='x' k='1' xmlns:p='urn:p}q' p:k='2'/></message>",
        ]
        .concat(),
    );
    assert_eq!(error, None);
    let Some(Item::Stanza(stanza)) = items.last() else {
        panic!("{items:?}");
    };
    let seen: Vec<_> = stanza
        .payload
        .children()
        .map(|c| (c.ns(), c.name()))
        .collect();
    assert_eq!(
        seen,
        [
            ("urn:x}body", "a"),
            ("jabber:client\nbody", "a"),
            ("x", "a")
        ]
    );
    assert_eq!(stanza.body(), None);
    let last = stanza.payload.children().last().unwrap();
    assert_eq!(last.attr("{urn:p}q}k").as_deref(), Some("2"));
    assert_eq!(last.attr("k").as_deref(), Some("1"));
}

#[test]
fn tigase_xmltools_16_stanzas_that_are_not_well_formed_are_not_routed() {
    for bad in [
        "<message to='juliet@localhost'><body>x</message></body>",
        "<message to='a@b' to='c@d'/>",
        "<message to='a@b'<body/></message>",
        "<message><body>a</body></message\u{0}>",
        "<message><body>&</body></message>",
        "<message><body attr>x</body></message>",
        "<message ><body\"/></message>",
        "<message from='a@b'to='c@d'/>",
        "<message><b:ody/></message>",
    ] {
        let (items, error) = scan(&[OPEN, bad.as_bytes()].concat());
        assert!(
            !items.iter().any(|item| matches!(item, Item::Stanza(_))),
            "{bad}"
        );
        let condition = error.map(|error| error.stream_condition());
        assert_eq!(condition, Some(StreamCondition::NotWellFormed), "{bad}");
    }
}

#[test]
fn stanza_smuggling_2022_what_is_sent_on_was_written_by_us() {
    // Two parsers could read these differently; one canonical form is left of each.
    for (sent, written) in [
        (
            "<body><![CDATA[</body><message from='victim@localhost'/>]]></body>",
            "<body>&lt;/body&gt;&lt;message from='victim@localhost'/&gt;</body>",
        ),
        (
            "<body a=\"'>&lt;x/>\"/>",
            "<body a='&apos;&gt;&lt;x/&gt;'/>",
        ),
        ("<body>]]&gt;</body>", "<body>]]&gt;</body>"),
        ("<body xmlns='jabber:server'>a</body>", "<body>a</body>"),
    ] {
        let (items, error) = scan(&[OPEN, b"<message>", sent.as_bytes(), b"</message>"].concat());
        assert_eq!(error, None, "{sent}");
        let Some(Item::Stanza(stanza)) = items.last() else {
            panic!("{items:?}");
        };
        assert_eq!(
            String::from_utf8(stanza.payload.to_bytes()).unwrap(),
            written
        );
    }
}

#[test]
fn cve_2026_43507_a_long_namespace_used_by_short_elements_is_bounded() {
    let mut stanza = format!("<message xmlns:a='urn:{}'>", "x".repeat(1_000));
    let mut sizes = Vec::new();
    for _ in 0..2_000 {
        stanza.push_str("<a:x/>");
    }
    stanza.push_str("</message>");
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    scanner.next(&mut &OPEN[..]).unwrap();
    let mut received = 0;
    let error = loop {
        let Some(piece) = stanza.as_bytes().get(received..received + 100) else {
            panic!("taken whole");
        };
        received += 100;
        match scanner.next(&mut &piece[..]) {
            Ok(_) => sizes.push((received, scanner.buffered())),
            Err(error) => break error,
        }
    };
    assert_eq!(error, XmlError::Policy(Limit::Amplification));
    for (received, held) in sizes {
        assert!(held <= 32 * received + 8_192, "{held} bytes for {received}");
    }
    assert_eq!(scanner.buffered(), 0);
}

#[test]
fn cve_2026_43507_declarations_in_scope_are_bounded() {
    let mut stanza = String::from("<message>");
    for depth in 0..4 {
        stanza.push_str("<a");
        for number in 0..60 {
            stanza.push_str(&format!(" xmlns:p{depth}x{number}='urn:{number}'"));
        }
        stanza.push('>');
    }
    assert_eq!(
        condition(stanza.as_bytes()),
        Some(StreamCondition::PolicyViolation)
    );
}
