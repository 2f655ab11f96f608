//! Microseconds and allocations for one stanza: `cargo run --release --example scan_speed`.

use std::alloc::System;
use std::hint::black_box;

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::Stanza;
use balcony_proto::xml::{Item, Scanner};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Long enough that the clock's grain does not show.
const ROUNDS: usize = 200_000;
/// The best of several runs is the one that other processes disturbed least.
const RUNS: usize = 7;

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' \
                    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

const SAMPLES: [(&str, &str); 4] = [
    (
        "chat message",
        "<message xmlns='jabber:client' to='juliet@localhost/balcony' \
         from='romeo@localhost/orchard' type='chat' id='6c3d1f0e-51c1-4d2a-9a83-3c1b8f1f0d11' \
         xml:lang='en'><body>But, soft! what light through yonder window breaks? It is the east, \
         and Juliet is the sun.</body><active xmlns='http://jabber.org/protocol/chatstates'/>\
         <request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' \
         id='6c3d1f0e-51c1-4d2a-9a83-3c1b8f1f0d11'/></message>",
    ),
    (
        "presence",
        "<presence id='p1'><show>away</show><c xmlns='http://jabber.org/protocol/caps' \
         hash='sha-1' node='https://example.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>",
    ),
    (
        "ping",
        "<iq type='get' id='ping-1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
    ),
    (
        "non-ASCII",
        "<message to='juliet@localhost' type='chat' id='1'><body>Любовь летит от вздохов ввысь, \
         как дым &amp; 愛は溜息と共に立ち上る煙 \u{1F339}</body></message>",
    ),
];

/// CPU time of this thread so far, in microseconds: neighbours on the machine do not count.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e3
}

fn best(mut round: impl FnMut()) -> f64 {
    let runs = (0..RUNS).map(|_| {
        let start = cpu();
        for _ in 0..ROUNDS {
            round();
        }
        (cpu() - start) / ROUNDS as f64
    });
    runs.fold(f64::INFINITY, f64::min)
}

fn stanza(scanner: &mut Scanner, mut input: &[u8]) -> Option<Stanza> {
    match scanner.next(&mut input) {
        Ok(Some(Item::Stanza(stanza))) => Some(stanza),
        _ => None,
    }
}

fn main() {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    let opened = scanner.next(&mut OPEN.as_bytes());
    assert!(matches!(opened, Ok(Some(Item::Open(_)))));
    println!("              bytes   scan us  allocs   in two us  write us");
    for (name, text) in SAMPLES {
        let bytes = text.as_bytes();
        let Some(sample) = stanza(&mut scanner, bytes) else {
            println!("{name}: not a stanza");
            continue;
        };
        let region = Region::new(ALLOCATOR);
        drop(stanza(&mut scanner, bytes));
        let allocs = region.change().allocations;
        let scan = best(|| drop(black_box(stanza(&mut scanner, black_box(bytes)))));
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let halves = best(|| {
            let mut input = black_box(first);
            drop(black_box(scanner.next(&mut input)));
            drop(black_box(stanza(&mut scanner, black_box(second))));
        });
        let mut out = Vec::with_capacity(4096);
        let write = best(|| {
            out.clear();
            black_box(&sample).write(&mut out);
            black_box(&out);
        });
        let len = bytes.len();
        println!("{name:<14}{len:>5}{scan:>10.3}{allocs:>8}{halves:>12.3}{write:>10.3}");
    }
}
