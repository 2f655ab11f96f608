//! The scanner: any bytes, cut anywhere, tell the same; what is taken is written canonically;
//! memory stays in proportion to what came.
#![no_main]

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xml::{Element, Item, Scanner, XmlError};
use libfuzzer_sys::fuzz_target;

const OPEN: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Bytes held for each byte received, and what an empty scanner may hold on top.
const HELD: (usize, usize) = (64, 4096);

fn told(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Item>, Option<XmlError>) {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::BEFORE_LOGIN);
    let (mut items, mut received) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        received += piece.len();
        loop {
            match scanner.next(&mut rest) {
                Ok(None) => break,
                Ok(Some(Item::Whitespace)) => {}
                Ok(Some(item)) => items.push(item),
                Err(error) => return (items, Some(error)),
            }
        }
        assert!(scanner.buffered() <= HELD.0 * received + HELD.1);
    }
    (items, None)
}

fuzz_target!(|data: &[u8]| {
    let [mode, size, data @ ..] = data else {
        return;
    };
    let head = if mode & 1 == 0 { OPEN } else { b"" };
    let stream = [head, data].concat();
    let whole = told(&mut std::iter::once(stream.as_slice()));
    let cut = told(&mut stream.chunks(1 + usize::from(size % 16)));
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    for item in whole.0 {
        if let Item::Stanza(stanza) = item {
            let bytes = stanza.payload.to_bytes();
            let again = Payload::parse(&bytes).expect("canonical form is taken");
            assert_eq!(again.to_bytes(), bytes);
        }
    }
    if let Ok(element) = Element::parse(data, "") {
        assert_eq!(Element::parse(&element.to_bytes(""), ""), Ok(element));
    }
});
