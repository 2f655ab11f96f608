//! Two other parsers as witnesses: what we take they must take, and read the same tree; and
//! they must read what we write as we meant it.

// In a test's own functions too a failed unwrap is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod generate;

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xml::{Element, Item, Scanner};
use generate::Tape;
use proptest::prelude::*;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::reader::NsReader;
use rxml::{Parse, Parser, WithOptions};

/// Puts a tree together from events.
#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    done: Option<Element>,
}

impl Builder {
    fn close(&mut self) {
        let element = self.open.pop().expect("an element is open");
        match self.open.last_mut() {
            Some(parent) => parent.push(element),
            None => self.done = Some(element),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(parent) = self.open.last_mut() {
            parent.push_text(text);
        }
    }
}

fn key(ns: &str, name: &str) -> String {
    match ns {
        "" => name.to_owned(),
        ns::XML => format!("xml:{name}"),
        ns => format!("{{{ns}}}{name}"),
    }
}

fn by_rxml(mut bytes: &[u8]) -> Result<Element, String> {
    let options = rxml::parser::Options {
        max_token_length: 1 << 20,
        ..Default::default()
    };
    let mut parser = Parser::with_options(options);
    let mut builder = Builder::default();
    loop {
        match parser.parse(&mut bytes, true) {
            Ok(None) => return builder.done.ok_or_else(|| "no element".to_owned()),
            Ok(Some(rxml::Event::StartElement(_, (ns, name), attrs))) => {
                let mut element = Element::new(ns.to_string(), name.to_string());
                for ((ns, name), value) in attrs.iter() {
                    element.set_attr(key(ns, name), value.as_str());
                }
                builder.open.push(element);
            }
            Ok(Some(rxml::Event::EndElement(_))) => builder.close(),
            Ok(Some(rxml::Event::Text(_, text))) => builder.text(&text),
            Ok(Some(_)) => {}
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

fn bound(resolved: ResolveResult<'_>) -> Result<String, String> {
    match resolved {
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Bound(name) => {
            // quick-xml compares declarations as they stand; the value counts (XML 1.0 §3.3.3).
            let raw = name
                .as_ref()
                .replace("\r\n", " ")
                .replace(['\r', '\n', '\t'], " ");
            let name = quick_xml::escape::unescape(&raw).map_err(|error| error.to_string())?;
            Ok(name.into_owned())
        }
        ResolveResult::Unknown(prefix) => Err(format!("{prefix:?}")),
    }
}

fn start(resolver: &NamespaceResolver, tag: &BytesStart<'_>) -> Result<Element, String> {
    let (ns, name) = resolver.resolve_element(tag.name());
    let mut element = Element::new(bound(ns)?, name.as_ref().to_owned());
    for attr in tag.attributes() {
        let attr = attr.map_err(|error| error.to_string())?;
        if attr.key.as_namespace_binding().is_some() {
            continue;
        }
        let (ns, name) = resolver.resolve_attribute(attr.key);
        let value = attr
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        element.set_attr(key(&bound(ns)?, name.as_ref()), value);
    }
    Ok(element)
}

fn by_quick_xml(bytes: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut reader = NsReader::from_str(text);
    let mut builder = Builder::default();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(tag) => builder.open.push(start(reader.resolver(), &tag)?),
            Event::Empty(tag) => {
                builder.open.push(start(reader.resolver(), &tag)?);
                builder.close();
            }
            Event::End(_) => builder.close(),
            Event::Text(text) => builder.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => builder.text(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(name) => {
                let c = match name.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(name.as_ref())
                        .ok_or("entity")?
                        .to_owned(),
                };
                builder.text(&c);
            }
            Event::Eof => return builder.done.ok_or_else(|| "no element".to_owned()),
            other => return Err(format!("{other:?}")),
        }
    }
}

/// The tree with attributes in one order: the witnesses keep none.
fn sorted(element: &Element) -> Element {
    let mut attrs: Vec<_> = element.attrs().collect();
    attrs.sort_unstable();
    let mut out = Element::new(element.ns().to_owned(), element.name().to_owned());
    for (key, value) in attrs {
        out.set_attr(key.to_owned(), value);
    }
    for node in element.nodes() {
        match node {
            balcony_proto::xml::Node::Element(child) => out.push(sorted(child)),
            balcony_proto::xml::Node::Text(text) => out.push_text(text),
        }
    }
    out
}

/// rxml 0.14 loses a bare carriage return in an attribute value, or refuses what follows it;
/// XML 1.0 §2.11 and §3.3.3 make it a space.
fn is_rxml_fault(bytes: &[u8]) -> bool {
    bytes
        .windows(2)
        .any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
        // It refuses U+FFFD in names, the last character of a range of XML 1.0 §2.3.
        || bytes.windows(3).any(|char| char == "\u{FFFD}".as_bytes())
}

fn agree(bytes: &[u8], ours: &Element) -> Result<(), TestCaseError> {
    let ours = sorted(ours);
    let shown = String::from_utf8_lossy(bytes);
    // rxml takes no white space before the root; XML 1.0 §2.8 does.
    let rxml = by_rxml(bytes.trim_ascii_start()).map(|tree| sorted(&tree));
    if rxml.as_ref() != Ok(&ours) && !is_rxml_fault(bytes) {
        prop_assert_eq!(rxml.as_ref(), Ok(&ours), "rxml on {}", shown);
    }
    let quick = by_quick_xml(bytes).map(|tree| sorted(&tree));
    prop_assert_eq!(quick.as_ref(), Ok(&ours), "quick-xml on {}", shown);
    Ok(())
}

/// `bytes` within a message, as a stream.
fn payload(inner: &[u8]) -> Option<Payload> {
    let mut stream =
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                       <message>"
            .to_vec();
    stream.extend_from_slice(inner);
    stream.extend_from_slice(b"</message>");
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    let mut rest = stream.as_slice();
    scanner.next(&mut rest).ok()?;
    match scanner.next(&mut rest) {
        Ok(Some(Item::Stanza(stanza))) if rest.is_empty() => Some(stanza.payload.clone()),
        _ => None,
    }
}

fn canonical_holds(payload: &Payload) -> Result<(), TestCaseError> {
    let bytes = payload.to_bytes();
    let again = Payload::parse(&bytes).map(|again| again.to_bytes());
    prop_assert_eq!(again.as_ref(), Ok(&bytes), "canonical form is not its own");
    let seen = |payload: &Payload| -> Vec<String> {
        payload
            .children()
            .map(|c| format!("{} {} {c:?}", c.ns(), c.name()))
            .collect()
    };
    prop_assert_eq!(
        seen(payload),
        seen(&Payload::parse(&bytes).unwrap()),
        "index"
    );
    let whole = [
        b"<message xmlns='jabber:client'>",
        bytes.as_slice(),
        b"</message>",
    ]
    .concat();
    let ours = Element::parse(&whole, "").unwrap();
    for (child, indexed) in ours.children().zip(payload.children()) {
        prop_assert_eq!(child, &indexed.element());
        prop_assert_eq!(child.text(), indexed.text());
        for (key, value) in child.attrs() {
            let read = indexed.attr(key);
            prop_assert_eq!(read.as_deref(), Some(value));
        }
    }
    agree(&whole, &ours)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn well_formed_documents_are_read_alike(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = generate::element(&mut Tape::new(&tape));
        match Element::parse(text.as_bytes(), "") {
            Ok(ours) => agree(text.as_bytes(), &ours)?,
            // The tape may have put `]]` and `>` side by side.
            Err(error) => prop_assert!(by_rxml(text.as_bytes()).is_err(), "{error}: {text}"),
        }
    }

    #[test]
    fn what_we_take_the_others_take(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let tape = &mut Tape::new(&tape);
        let text = generate::element(tape);
        let bytes = generate::mutate(tape, &text);
        if let Ok(ours) = Element::parse(&bytes, "") {
            agree(&bytes, &ours)?;
        }
    }

    #[test]
    fn what_we_send_on_is_read_as_we_mean_it(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let tape = &mut Tape::new(&tape);
        let inner = generate::content(tape);
        if let Some(payload) = payload(inner.as_bytes()) {
            canonical_holds(&payload)?;
        }
        if let Some(payload) = payload(&generate::mutate(tape, &inner)) {
            canonical_holds(&payload)?;
        }
    }

    #[test]
    fn trees_that_we_write_are_read_back(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = generate::element(&mut Tape::new(&tape));
        if let Ok(tree) = Element::parse(text.as_bytes(), "") {
            let bytes = tree.to_bytes("");
            let again = Element::parse(&bytes, "");
            prop_assert_eq!(again.as_ref(), Ok(&tree));
            agree(&bytes, &tree)?;
        }
    }
}

#[test]
fn the_witnesses_can_disagree() {
    // If this stopped failing the comparison would prove nothing.
    let ours = Element::new("", "a").with_text("b");
    assert!(agree(b"<a>c</a>", &ours).is_err());
    assert!(agree(b"<a xmlns='urn:a'>b</a>", &ours).is_err());
    assert!(agree(b"<a>b</a>", &ours).is_ok());
}
