//! What a peer makes us allocate stays in proportion to what it sent (CVE-2026-43507), and
//! nothing is left of it (CVE-2026-43506). One test in this file: the counters are global.

// In a test's own functions too a failed unwrap is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::alloc::System;

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::xml::{Item, Scanner};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OPEN: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Bytes held at any moment for each byte received. An element of four bytes in a tree of its own
/// takes about 30 times as much.
const HELD: usize = 40;
/// Bytes allocated in sum for each byte received. The worst is a stanza of eleven bytes that
/// comes byte by byte: its state is copied out of the shared working memory once.
const ALLOCATED: usize = 128;
/// What a stream may take whatever it receives: the working memory of one element.
const FIXED: usize = 32 * 1024;

fn attacks() -> Vec<String> {
    let many = |piece: &str, n: usize| piece.repeat(n);
    vec![
        format!("<message>{}", many("<a>", 60)),
        format!("<message>{}", many("<a/>", 5_000)),
        format!("<message a='{}'/>", many("&lt;", 5_000)),
        format!("<message><body>{}</body></message>", many(">", 20_000)),
        format!("<message><body>{}</body></message>", many("'", 20_000)),
        format!(
            "<message xmlns:a='urn:{}'>{}",
            many("x", 1_000),
            many("<a:b/>", 2_000)
        ),
        format!(
            "<message xmlns:a='urn:{}'>{}",
            many("x", 1_000),
            many("<b a:c=''/>", 2_000)
        ),
        format!("<{}", many("x", 600)),
        format!("<a {}", many(" ", 20_000)),
        format!("<message></message{}", many(" ", 20_000)),
        format!("<message><body>{}", many("&amp;", 5_000)),
        format!("<message><![CDATA[{}", many("]]", 10_000)),
        format!("<x>{}</x>", many("<a b=''/>", 2_000)),
        many("<presence/>", 2_000),
        many(" ", 20_000),
    ]
}

/// The most that was held at a time, what was allocated in sum, and what is still held when the
/// stream is gone.
fn cost(input: &str, piece: usize) -> (usize, usize, usize) {
    let region = Region::new(ALLOCATOR);
    let held = || {
        let change = region.change();
        change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated)
    };
    let mut most = 0;
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    'stream: for piece in input.as_bytes().chunks(piece) {
        let mut rest = piece;
        loop {
            let item = scanner.next(&mut rest);
            most = most.max(held());
            match item {
                Ok(Some(Item::Close)) | Err(_) => break 'stream,
                Ok(Some(_)) => {}
                Ok(None) => break,
            }
        }
    }
    drop(scanner);
    (most, region.change().bytes_allocated, held())
}

#[test]
fn cve_2026_43506_and_43507_memory_is_in_proportion_and_given_back() {
    // The thread's spare working memory is made before anything is counted.
    cost(&format!("{OPEN}<message><body>x</body></message>"), 4_096);
    for attack in attacks() {
        let input = format!("{OPEN}{attack}");
        for piece in [1, 100, 16_384] {
            let (most, allocated, left) = cost(&input, piece);
            let shown = format!("{} in pieces of {piece}", &attack[..attack.len().min(40)]);
            let bytes = input.len();
            assert!(
                most <= HELD * bytes + FIXED,
                "{shown}: {most} held for {bytes}"
            );
            assert!(
                allocated <= ALLOCATED * bytes + FIXED,
                "{shown}: {allocated} for {bytes}"
            );
            // The spare may have grown, within its bound.
            assert!(left <= 64 * 1024, "{shown}: {left} left");
        }
    }
}
