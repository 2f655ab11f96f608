//! However the bytes of a stream are cut, the scanner tells the same.

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
use balcony_proto::xml::{Item, Scanner, XmlError};
use generate::Tape;
use proptest::prelude::*;

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' \
                    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:r='urn:r'>";

/// The items as text, white space aside: long runs of it may be told in parts.
fn told(pieces: &[&[u8]], limits: Limits) -> (Vec<String>, Option<XmlError>) {
    let mut scanner = Scanner::new(ns::CLIENT, limits);
    let mut items = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match scanner.next(&mut rest) {
                Ok(None) => break,
                Ok(Some(Item::Whitespace)) => {}
                Ok(Some(item)) => items.push(format!("{item:?}")),
                Err(error) => return (items, Some(error)),
            }
        }
        assert!(rest.is_empty(), "input left over without an item");
    }
    (items, None)
}

fn cut<'b>(bytes: &'b [u8], tape: &mut Tape<'_>) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let at = (1 + tape.below(40)).min(rest.len());
        let (piece, after) = rest.split_at(at);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn check(bytes: &[u8], limits: Limits, tape: &mut Tape<'_>) -> Result<(), TestCaseError> {
    let whole = told(&[bytes], limits);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    prop_assert_eq!(&whole, &told(&single, limits), "byte by byte");
    prop_assert_eq!(&whole, &told(&cut(bytes, tape), limits), "cut at random");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cuts_do_not_change_what_is_told(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let tape = &mut Tape::new(&tape);
        let input = format!("{OPEN}{}</stream:stream>", generate::stanzas(tape));
        check(input.as_bytes(), Limits::AFTER_LOGIN, tape)?;
    }

    #[test]
    fn cuts_do_not_change_which_error_is_told(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let tape = &mut Tape::new(&tape);
        let input = format!("{OPEN}{}", generate::stanzas(tape));
        let input = generate::mutate(tape, &input);
        check(&input, Limits::AFTER_LOGIN, tape)?;
    }

    #[test]
    fn cuts_do_not_change_where_limits_strike(tape in prop::collection::vec(any::<u8>(), 0..300)) {
        let tape = &mut Tape::new(&tape);
        let limits = Limits {
            stanza_bytes: 190 + tape.below(60),
            depth: 4,
            attributes: 7,
            children: 8,
            name_bytes: 14,
            namespace_bytes: 32,
        };
        let input = format!("{OPEN}{}", generate::stanzas(tape));
        check(input.as_bytes(), limits, tape)?;
    }
}
