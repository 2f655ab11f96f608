//! What the scanner makes of streams: items, canonical form, and errors.

// In a test's own functions too a failed unwrap is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, IqType, Kind, MessageType, Payload, Stanza};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::{Element, Item, Limit, Scanner, XmlError};

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' \
                    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

fn scan_with(limits: Limits, input: &str) -> (Vec<Item>, Option<XmlError>) {
    let mut scanner = Scanner::new(ns::CLIENT, limits);
    let mut rest = input.as_bytes();
    let mut items = Vec::new();
    loop {
        match scanner.next(&mut rest) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(error) => return (items, Some(error)),
        }
    }
}

/// The items after the header.
fn after_open(input: &str) -> (Vec<Item>, Option<XmlError>) {
    let (mut items, error) = scan_with(Limits::AFTER_LOGIN, &format!("{OPEN}{input}"));
    assert!(matches!(items.remove(0), Item::Open(_)));
    (items, error)
}

fn stanza(input: &str) -> Stanza {
    let (items, error) = after_open(input);
    assert_eq!(error, None, "{input}");
    match items.into_iter().next() {
        Some(Item::Stanza(stanza)) => stanza,
        other => panic!("{input}: {other:?}"),
    }
}

fn payload(inner: &str) -> String {
    let stanza = stanza(&format!("<message>{inner}</message>"));
    let bytes = stanza.payload.to_bytes();
    // Whatever we write must be canonical: read again it comes out the same.
    assert_eq!(Payload::parse(&bytes).unwrap().to_bytes(), bytes);
    String::from_utf8(bytes).unwrap()
}

fn error(input: &str) -> XmlError {
    let (items, error) = after_open(input);
    error.unwrap_or_else(|| panic!("{input}: {items:?}"))
}

fn header_error(input: &str) -> XmlError {
    scan_with(Limits::BEFORE_LOGIN, input)
        .1
        .unwrap_or_else(|| panic!("{input}"))
}

#[test]
fn a_whole_conversation_is_told_item_by_item() {
    let (items, error) = after_open(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>\n\
         <iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq><presence/> \
         <stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
         </stream:stream>\n",
    );
    assert_eq!(error, None);
    let [
        Item::Nonza(auth),
        Item::Whitespace,
        Item::Stanza(iq),
        Item::Stanza(presence),
        Item::Whitespace,
        Item::Nonza(fault),
        Item::Close,
        Item::Whitespace,
    ] = items.as_slice()
    else {
        panic!("{items:?}");
    };
    assert!(auth.is(ns::SASL, "auth"));
    assert_eq!(auth.text(), "AGEAYg==");
    assert_eq!(iq.kind, Kind::Iq(IqType::Get));
    assert!(iq.payload.find(ns::PING, "ping").is_some());
    assert!(presence.payload.is_empty());
    assert!(fault.is(ns::STREAMS, "error"));
    assert!(fault.child(ns::STREAM_ERROR, "reset").is_some());
}

#[test]
fn header_attributes_are_typed() {
    let stanza = stanza(
        "<message to='Juliet@LOCALHOST' from='romeo@localhost/o&apos;r' id=\"a&lt;'b\" type='chat' \
         xml:lang='it' x='1' p:y=\"2'\" xmlns:p='urn:p'><body>hi</body></message>",
    );
    assert_eq!(stanza.to.as_ref().unwrap().as_str(), "juliet@localhost");
    assert_eq!(
        stanza.from.as_ref().unwrap().as_str(),
        "romeo@localhost/o'r"
    );
    assert_eq!(stanza.id.as_deref(), Some("a<'b"));
    assert_eq!(stanza.kind, Kind::Message(MessageType::Chat));
    assert_eq!(stanza.lang.as_deref(), Some("it"));
    assert_eq!(
        stanza.extra.as_deref(),
        Some(" x='1' xmlns:ns0='urn:p' ns0:y='2&apos;'")
    );
}

#[test]
fn a_stanza_without_language_inherits_that_of_the_stream() {
    assert_eq!(stanza("<presence/>").lang.as_deref(), Some("en"));
}

#[test]
fn children_of_the_content_namespace_carry_no_xmlns() {
    assert_eq!(
        payload("<body xmlns='jabber:client'>a</body>"),
        "<body>a</body>"
    );
    // RFC 6120 §4.8.3: re-scoped, so that a peer server cannot read another body than we did.
    assert_eq!(
        payload("<body xmlns='jabber:server'>a</body>"),
        "<body>a</body>"
    );
}

#[test]
fn other_subtrees_declare_their_namespace_where_it_changes() {
    assert_eq!(
        payload("<a xmlns='urn:a'><b/><c xmlns='urn:c'><d xmlns='urn:a'/></c></a>"),
        "<a xmlns='urn:a'><b/><c xmlns='urn:c'><d xmlns='urn:a'/></c></a>"
    );
    assert_eq!(
        payload("<f xmlns='urn:f'><message xmlns='jabber:client'><body/></message></f>"),
        "<f xmlns='urn:f'><message xmlns='jabber:client'><body/></message></f>"
    );
    assert_eq!(payload("<a xmlns=''><b/></a>"), "<a xmlns=''><b/></a>");
}

#[test]
fn prefixes_are_rewritten() {
    assert_eq!(
        payload("<p:a xmlns:p='urn:p' p:x='1' y='2'><p:b/><c p:x='3'/></p:a>"),
        "<a xmlns='urn:p' xmlns:ns0='urn:p' ns0:x='1' y='2'><b/>\
         <c xmlns='jabber:client' xmlns:ns0='urn:p' ns0:x='3'/></a>"
    );
}

#[test]
fn declarations_of_the_stream_header_hold_within_stanzas() {
    let open = OPEN.replace(
        "version='1.0' xml",
        "xmlns:db='jabber:server:dialback' version='1.0' xml",
    );
    let (items, error) = scan_with(
        Limits::AFTER_LOGIN,
        &format!("{open}<db:verify/><message><db:x/><stream:y/></message>"),
    );
    assert_eq!(error, None);
    let [_, Item::Nonza(verify), Item::Stanza(message)] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert!(verify.is(ns::DIALBACK, "verify"));
    assert_eq!(
        String::from_utf8(message.payload.to_bytes()).unwrap(),
        "<x xmlns='jabber:server:dialback'/><y xmlns='http://etherx.jabber.org/streams'/>"
    );
}

#[test]
fn text_comes_out_in_one_form() {
    assert_eq!(
        payload("<body>a&#x26;b<![CDATA[<&>]]]]>&#x1F600;\r\nc\rd&#13;\"'></body>"),
        "<body>a&amp;b&lt;&amp;&gt;]]\u{1F600}\nc\nd&#xD;\"'&gt;</body>"
    );
    assert_eq!(
        payload("<body></body><body><![CDATA[]]></body>"),
        "<body/><body/>"
    );
    assert_eq!(
        payload("<a xmlns='urn:a' x=\"it's\t&#10;&quot;&gt;>\"/>"),
        "<a xmlns='urn:a' x='it&apos;s &#xA;\"&gt;&gt;'/>"
    );
}

#[test]
fn text_between_children_is_kept() {
    assert_eq!(payload(" <body/>\n<subject/>x"), " <body/>\n<subject/>x");
}

#[test]
fn the_index_finds_children_without_a_tree() {
    let stanza = stanza(
        "<message><body>hi</body><request xmlns='urn:xmpp:receipts'/>\
         <p:odd xmlns:p='urn:a&amp;b' k='v'><body>not this</body></p:odd></message>",
    );
    let seen: Vec<_> = stanza
        .payload
        .children()
        .map(|c| (c.ns(), c.name()))
        .collect();
    assert_eq!(
        seen,
        [
            (ns::CLIENT, "body"),
            (ns::RECEIPTS, "request"),
            ("urn:a&b", "odd")
        ]
    );
    assert_eq!(stanza.body().as_deref(), Some("hi"));
}

#[test]
fn malformed_headers_are_answered_and_the_stream_goes_on() {
    for (input, condition) in [
        (
            "<message to='@localhost'><body/></message>",
            Condition::JidMalformed,
        ),
        ("<message from=''/>", Condition::JidMalformed),
        ("<iq id='1'><a xmlns='urn:a'/></iq>", Condition::BadRequest),
        (
            "<iq type='get'><a xmlns='urn:a'/></iq>",
            Condition::BadRequest,
        ),
        (
            "<iq type='subscribe' id='1'><a xmlns='urn:a'/></iq>",
            Condition::BadRequest,
        ),
        ("<iq type='get' id='1'/>", Condition::BadRequest),
        (
            "<iq type='set' id='1'><a xmlns='urn:a'/><b xmlns='urn:a'/></iq>",
            Condition::BadRequest,
        ),
        ("<presence type='available'/>", Condition::BadRequest),
    ] {
        let (items, error) = after_open(&format!("{input}<presence/>"));
        assert_eq!(error, None, "{input}");
        let [Item::BadStanza(bad), Item::Stanza(_)] = items.as_slice() else {
            panic!("{input}: {items:?}");
        };
        assert_eq!(bad.condition, condition, "{input}");
        assert!(bad.answer().is_some());
    }
}

#[test]
fn stanzas_of_other_content_namespaces_end_the_stream() {
    // RFC 6120 §4.8.3, §4.8.5.
    assert_eq!(
        error("<message xmlns='jabber:server'/>"),
        XmlError::InvalidNamespace
    );
    assert_eq!(
        error("<c:message xmlns:c='jabber:client'/>"),
        XmlError::BadNamespacePrefix
    );
    assert_eq!(
        error("<message><c:body xmlns:c='jabber:client'/></message>"),
        XmlError::BadNamespacePrefix
    );
}

#[test]
fn first_level_elements_that_only_look_like_stanzas_are_none() {
    let (items, _) = after_open("<message xmlns='urn:other' to='a@b'/><pubsub/>");
    let [Item::Nonza(message), Item::Nonza(pubsub)] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert!(message.is("urn:other", "message"));
    assert!(pubsub.is(ns::CLIENT, "pubsub"));
}

#[test]
fn prefix_free_streams_are_understood() {
    // RFC 6120 §4.8.2.
    let (items, error) = scan_with(
        Limits::BEFORE_LOGIN,
        "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>\
         <message xmlns='jabber:client'><body>foo</body></message><features/></stream>",
    );
    assert_eq!(error, None);
    let [
        Item::Open(header),
        Item::Stanza(message),
        Item::Nonza(features),
        Item::Close,
    ] = items.as_slice()
    else {
        panic!("{items:?}");
    };
    assert_eq!(header.content_ns, ns::STREAMS);
    assert_eq!(message.body().as_deref(), Some("foo"));
    assert!(features.is(ns::STREAMS, "features"));
}

#[test]
fn stream_headers_are_held_to_the_rules() {
    let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
    let cases = [
        // RFC 6120 §4.8.1, §4.9.3.10.
        (
            "<stream:stream xmlns='jabber:client' xmlns:stream='urn:wrong'>".to_owned(),
            StreamCondition::InvalidNamespace,
        ),
        (
            format!("<stream:stream xmlns='jabber:server' {streams}>"),
            StreamCondition::InvalidNamespace,
        ),
        (
            format!("<stream:stream xmlns='http://etherx.jabber.org/streams' {streams}>"),
            StreamCondition::InvalidNamespace,
        ),
        // RFC 6120 §4.8.5, §4.9.3.2.
        (
            "<foobar:stream xmlns='jabber:client' xmlns:foobar='http://etherx.jabber.org/streams'>"
                .to_owned(),
            StreamCondition::BadNamespacePrefix,
        ),
        (
            format!("<stream:features xmlns='jabber:client' {streams}>"),
            StreamCondition::BadFormat,
        ),
        (
            format!("<other:stream xmlns='jabber:client' {streams}>"),
            StreamCondition::NotWellFormed,
        ),
        ("<html>".to_owned(), StreamCondition::InvalidNamespace),
        (
            "GET / HTTP/1.1\r\n".to_owned(),
            StreamCondition::NotWellFormed,
        ),
        (
            "\u{FEFF}<?xml version='1.0'?>".to_owned(),
            StreamCondition::NotWellFormed,
        ),
        (
            "<?xml version='1.0' encoding='UTF-16'?>".to_owned(),
            StreamCondition::UnsupportedEncoding,
        ),
        ("\0<\0?\0".to_owned(), StreamCondition::UnsupportedEncoding),
        (" <?xml".to_owned(), StreamCondition::RestrictedXml),
        (
            "<?xml version='1.0'?><?xml".to_owned(),
            StreamCondition::RestrictedXml,
        ),
        ("<?xml-s".to_owned(), StreamCondition::RestrictedXml),
        ("<!".to_owned(), StreamCondition::RestrictedXml),
        ("</".to_owned(), StreamCondition::NotWellFormed),
        (
            format!("<stream:stream xmlns='jabber:client' {streams} to='a' to='b'>"),
            StreamCondition::NotWellFormed,
        ),
    ];
    for (input, condition) in cases {
        assert_eq!(
            header_error(&input).stream_condition(),
            condition,
            "{input}"
        );
    }
}

#[test]
fn the_header_is_told_with_its_attributes() {
    let (items, _) = scan_with(
        Limits::BEFORE_LOGIN,
        "<stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xml:lang='de-CH' \
         id='x&amp;y' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    let [Item::Open(header)] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!(header.from.as_deref(), Some("juliet@im.example.com"));
    assert_eq!(header.to.as_deref(), Some("im.example.com"));
    assert_eq!(header.version, Some((1, 0)));
    assert_eq!(header.lang.as_deref(), Some("de-CH"));
    assert_eq!(header.id.as_deref(), Some("x&y"));
    assert_eq!(header.content_ns, ns::CLIENT);
}

#[test]
fn a_header_that_closes_itself_opens_and_closes() {
    let open = OPEN.replace("streams'>", "streams'/>");
    let (items, error) = scan_with(Limits::BEFORE_LOGIN, &open);
    assert_eq!(error, None);
    assert!(
        matches!(items.as_slice(), [Item::Open(_), Item::Close]),
        "{items:?}"
    );
}

#[test]
fn what_is_not_well_formed_ends_the_stream() {
    for input in [
        "<message><body>No closing tag!</message>",
        "</message>",
        "<message a='1' a='2'/>",
        "<message xmlns:p='urn:a' xmlns:q='urn:a' p:x='1' q:x='2'/>",
        "<message><p:a/></message>",
        "<message p:a='1'/>",
        "<message><a b=c/></message>",
        "<message><a b='<'/></message>",
        "<message>]]></message>",
        "<message>&#0;</message>",
        "<message>\u{1}</message>",
        "<message>\u{FFFF}</message>",
        "<message><1/></message>",
        "<message><a:b:c/></message>",
        "<message xmlns:xmlns='urn:a'/>",
        "<message xmlns:a=''/>",
        "<message><xmlns:a/></message>",
        "<message><![CDATA[\u{1}]]></message>",
        "<message><![cdata[",
        "<message/ >",
        "<message></message x>",
        "<message>& </message>",
        "\u{7}",
        "</stream:stream><message/>",
    ] {
        let error = error(input);
        assert!(
            matches!(error, XmlError::NotWellFormed(_)),
            "{input}: {error}"
        );
    }
}

#[test]
fn text_between_stanzas_is_bad_format() {
    for input in ["hello", "&amp;", "<presence/>x", "<![CDATA[", "é"] {
        let error = error(input);
        assert!(matches!(error, XmlError::BadFormat(_)), "{input}: {error}");
    }
}

#[test]
fn restricted_xml_is_refused_as_soon_as_it_shows() {
    // RFC 6120 §11.1; each input ends where the scanner must know.
    for input in [
        "<!D",
        "<!-",
        "<?",
        "<message><!-",
        "<message><?",
        "<message>&lol",
        "<message a='&x;'",
        "<message><!E",
    ] {
        assert_eq!(
            error(input).stream_condition(),
            StreamCondition::RestrictedXml,
            "{input}"
        );
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let mut limits = Limits::AFTER_LOGIN;
    let stanza = "<message><body>Good night</body></message>";
    limits.stanza_bytes = 300;
    let long = format!("<message><body>{}</body></message>", "x".repeat(300 - 32));
    assert_eq!(long.len(), 300);
    assert_eq!(scan_with(limits, &format!("{OPEN}{long}{stanza}")).1, None);
    let long = long.replace("xx<", "xxx<");
    let error = scan_with(limits, &format!("{OPEN}{long}")).1;
    assert_eq!(error, Some(XmlError::Policy(Limit::StanzaBytes)));

    let depth = |n: usize| {
        format!(
            "{OPEN}<message>{}{}</message>",
            "<a>".repeat(n),
            "</a>".repeat(n)
        )
    };
    limits.depth = 5;
    assert_eq!(scan_with(limits, &depth(4)).1, None);
    assert_eq!(
        scan_with(limits, &depth(5)).1,
        Some(XmlError::Policy(Limit::Depth))
    );

    limits.children = 5;
    let children = |n: usize| format!("{OPEN}<message>{}</message>", "<a/>".repeat(n));
    assert_eq!(scan_with(limits, &children(4)).1, None);
    assert_eq!(
        scan_with(limits, &children(5)).1,
        Some(XmlError::Policy(Limit::Children))
    );

    limits.namespace_bytes = 40;
    let error = scan_with(
        limits,
        &format!("{OPEN}<a xmlns='urn:{}'/>", "x".repeat(40)),
    )
    .1;
    assert_eq!(error, Some(XmlError::Policy(Limit::NamespaceBytes)));
    limits.name_bytes = 20;
    let error = scan_with(limits, &format!("{OPEN}<{}", "x".repeat(21))).1;
    assert_eq!(error, Some(XmlError::Policy(Limit::NameBytes)));
}

#[test]
fn an_oversized_stanza_is_refused_before_it_is_complete() {
    let start = format!("{OPEN}<message><body>");
    let (_, error) = scan_with(Limits::BEFORE_LOGIN, &(start + &"x".repeat(10_000)));
    assert_eq!(error, Some(XmlError::Policy(Limit::StanzaBytes)));
}

#[test]
fn after_an_error_nothing_else_is_said() {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::BEFORE_LOGIN);
    let first = scanner.next(&mut &b"<!"[..]).unwrap_err();
    assert_eq!(scanner.next(&mut OPEN.as_bytes()).unwrap_err(), first);
}

#[test]
fn restart_expects_a_header_again() {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::BEFORE_LOGIN);
    let twice = format!("{OPEN}<presence/>");
    for _ in 0..2 {
        let mut rest = twice.as_bytes();
        assert!(matches!(scanner.next(&mut rest), Ok(Some(Item::Open(_)))));
        assert!(matches!(scanner.next(&mut rest), Ok(Some(Item::Stanza(_)))));
        assert!(matches!(scanner.next(&mut rest), Ok(None)));
        scanner.restart();
        assert_eq!(scanner.stream_lang(), None);
    }
}

#[test]
fn space_before_the_declaration_passes_after_a_restart_only() {
    let spaced = format!("\n{OPEN}");
    let mut scanner = Scanner::new(ns::CLIENT, Limits::BEFORE_LOGIN);
    assert!(matches!(
        scanner.next(&mut spaced.as_bytes()),
        Err(XmlError::Restricted(_))
    ));
    scanner.restart();
    let mut rest = spaced.as_bytes();
    assert!(matches!(scanner.next(&mut rest), Ok(Some(Item::Open(_)))));
}

#[test]
fn an_idle_scanner_is_small_and_holds_nothing() {
    assert!(size_of::<Scanner>() <= 128, "{}", size_of::<Scanner>());
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    let mut rest = OPEN.as_bytes();
    scanner.next(&mut rest).unwrap();
    let big = format!("<message><body>{}</body></message>", "x".repeat(100_000));
    let (first, second) = big.as_bytes().split_at(50_000);
    let mut rest = first;
    assert!(scanner.next(&mut rest).unwrap().is_none());
    assert!(scanner.in_stanza());
    assert!(scanner.buffered() > 49_000);
    rest = second;
    assert!(matches!(scanner.next(&mut rest), Ok(Some(Item::Stanza(_)))));
    assert!(!scanner.in_stanza());
    assert_eq!(scanner.buffered(), 0);
}

#[test]
fn a_server_stream_gives_the_same_canonical_form() {
    let open = OPEN.replace("jabber:client", "jabber:server");
    let mut scanner = Scanner::new(ns::SERVER, Limits::AFTER_LOGIN);
    let input = format!("{open}<message from='a@b' to='c@d'><body>hi</body></message>");
    let mut rest = input.as_bytes();
    scanner.next(&mut rest).unwrap();
    let Ok(Some(Item::Stanza(stanza))) = scanner.next(&mut rest) else {
        panic!();
    };
    assert_eq!(stanza.payload.to_bytes(), b"<body>hi</body>");
    assert_eq!(stanza.payload.first().unwrap().ns(), ns::CLIENT);
}

#[test]
fn one_element_is_parsed_strictly() {
    let parse = |text: &str| Element::parse(text.as_bytes(), "urn:d");
    assert_eq!(parse(" <a/>\n"), Ok(Element::new("urn:d", "a")));
    for bad in [
        "",
        "<a>",
        "<a/><b/>",
        "x<a/>",
        "<a/></b>",
        "</>",
        "<a",
        "<!-- --><a/>",
        "<a/><![CDATA[",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(Payload::parse(b"</message>").is_err());
    assert!(Payload::parse(b"</>").is_err());
}
