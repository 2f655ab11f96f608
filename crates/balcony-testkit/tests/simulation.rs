//! Races for a stream (XEP-0198 §5), from seeds: the short form; `BALCONY_SIM_SEEDS=20000` is a
//! longer one, `BALCONY_SIM_SEED=7` plays one seed again. See docs/testing-durability.md.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::str::FromStr;

use balcony_testkit::sim::check::Promise;
use balcony_testkit::sim::plan::{Act, Asks, Before, Message, Plan, Timed, Way};
use balcony_testkit::sim::{self, Fault, Outcome};

/// About ten seconds in a debug build.
const SEEDS: u64 = 400;

/// Seeds that failed once: what a session that is ended while its client is away leaves behind
/// must be in the offline queue before what comes later.
const FOUND: [u64; 2] = [8_849, 9_998];

/// Seeds in which a server with a fault must be found.
const TRIES: u64 = 40;

fn wish<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_stream_has_one_connection_and_loses_nothing() {
    let seeds: Vec<u64> = match wish("BALCONY_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..wish("BALCONY_SIM_SEEDS").unwrap_or(SEEDS))
            .chain(FOUND)
            .collect(),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let outcome = sim::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        if !outcome.violations.is_empty() {
            println!("{outcome}");
            failed.push(seed);
        }
    }
    assert!(
        failed.is_empty(),
        "seeds {failed:?}; see above what they did"
    );
}

/// What was said, without the names that the system's random numbers made, without archive ids and
/// without the parts of stamps that are below a second.
fn told(outcome: &Outcome) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mask = |word: &str| match word.len() {
        // Names are 22 long, those that were truncated 21, archive ids 32.
        21 | 22 | 32 => "*".to_owned(),
        4 if word.ends_with('Z') => "*".to_owned(),
        _ => word.to_owned(),
    };
    let masked = |line: &String| {
        let words = line.split_inclusive(|c| !is_name(c)).map(|word| {
            let name = word.trim_end_matches(|c| !is_name(c));
            mask(name) + word.strip_prefix(name).unwrap_or_default()
        });
        words.collect()
    };
    outcome.journal.iter().map(masked).collect()
}

#[test]
fn a_seed_plays_the_same_again() {
    // A start takes the streams up in the order of their names, which are random.
    let restarts = |plan: &Plan| plan.acts.iter().any(|timed| timed.act == Act::Restart);
    for plan in (0..30).map(Plan::new).filter(|plan| !restarts(plan)) {
        let [first, second] = [(); 2].map(|()| sim::play(plan.clone(), None).unwrap());
        assert_eq!(told(&first), told(&second), "seed {}", plan.seed);
    }
}

#[test]
fn a_server_with_a_fault_is_found_out() {
    for fault in Fault::ALL {
        let promise = match fault {
            Fault::EverybodyWins => Promise::OneWinner,
            Fault::Silence => Promise::Answered,
            Fault::Forgets => Promise::Received,
            Fault::Overcounts => Promise::Count,
            Fault::GoesTwice => Promise::Presence,
        };
        let broken = |seed| {
            let outcome = sim::play(Plan::new(seed), Some(fault)).unwrap();
            let mut violations = outcome.violations.iter();
            violations.any(|violation| violation.promise == promise)
        };
        assert!(
            (0..TRIES).any(broken),
            "{fault:?} was not found in {TRIES} runs"
        );
    }
}

/// A schedule in which all happens in one moment, each act so many turns after the one before.
fn plan(before: Before, acts: &[(u64, Act)]) -> Plan {
    Plan {
        seed: 1,
        login: Way::Plain,
        same_client: false,
        warm: (1, 1, 1),
        before,
        at_expiry: None,
        acts: acts
            .iter()
            .map(|(turns, act)| Timed {
                at: 0,
                turns: *turns,
                act: *act,
            })
            .collect(),
        leaves_by_cut: false,
    }
}

/// Nothing may be wrong, in so many orders of turns.
fn holds(plan: &Plan, orders: u64) {
    for seed in 0..orders {
        let outcome = sim::play(
            Plan {
                seed,
                ..plan.clone()
            },
            None,
        )
        .unwrap();
        assert!(outcome.violations.is_empty(), "{outcome}");
    }
}

const RESUME: Act = Act::Resume(Way::Plain, Asks::Truly);

/// It was told less than it knew, and sent again what had been handled.
#[test]
fn who_asks_for_a_stream_that_was_ended_hears_how_much_was_handled() {
    for end in [Act::Replace, Act::Kick, Act::Garbage] {
        let say = Act::Say(Message::Headline);
        let acts = [(0, say), (9, end), (20, RESUME)];
        holds(&plan(Before::Alive, &acts), 4);
        let acts = [(0, say), (9, Act::Hold), (0, end), (0, RESUME)];
        holds(&plan(Before::Alive, &acts), 4);
    }
}

/// Its connection closed the stream twice: for the new resource, and for who resumed.
#[test]
fn a_session_that_is_replaced_and_resumed_at_once_closes_its_stream_once() {
    let acts = [(0, Act::Replace), (0, RESUME)];
    holds(&plan(Before::Alive, &acts), 100);
}

/// Its end was told when its dead connection had closed, by when the successor had gone, too.
#[test]
fn a_session_is_seen_to_end_once_though_its_successor_goes_first() {
    let acts = [(0, Act::Replace), (0, Act::Fail), (90, Act::Restart)];
    holds(&plan(Before::Dead, &acts), 4);
}

/// `<enabled/>` followed the end of the stream.
#[test]
fn a_session_that_is_ended_while_it_enables_says_nothing_more() {
    let acts = [(0, Act::Hold), (0, Act::Replace), (90, Act::Kick)];
    holds(&plan(Before::Alive, &acts), 4);
}

/// It was ended for good, and not kept.
#[test]
fn a_stream_that_is_resumed_while_the_server_stops_is_kept() {
    let say = Act::Say(Message::Bare);
    let acts = [(0, Act::Hold), (0, say), (1, RESUME), (90, Act::Restart)];
    holds(&plan(Before::Alive, &acts), 4);
}
