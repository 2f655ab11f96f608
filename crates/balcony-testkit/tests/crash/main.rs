//! The short form of the crash rounds (`cargo xtask crash` is the long one): the server passes, and
//! each of its mutants is found out. See docs/testing-durability.md.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use balcony_testkit::crash::check::Promise;
use balcony_testkit::crash::{Mutant, Options, Outcome, round};
use balcony_testkit::run::binary;

/// Rounds in which a mutant has to be found: each of them has found each so far.
const TRIES: u64 = 3;

/// Builds what is tested, so that nothing old is.
fn built() -> PathBuf {
    if std::env::var_os("BALCONY_BIN").is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        let packages = [
            "build",
            "--quiet",
            "-p",
            "balcony",
            "-p",
            "balcony-testkit",
            "--bins",
        ];
        let built = cargo.args(packages).status();
        assert!(built.unwrap().success(), "the binaries cannot be built");
    }
    binary().unwrap()
}

/// Few clients, and as much as fits into some seconds.
fn options() -> Options {
    Options {
        binary: built(),
        accounts: 6,
        crashes: 3,
        power_cut: false,
        pause: 60,
        patience: Duration::from_secs(40),
        mutant: None,
    }
}

fn nothing_is_lost(options: &Options, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let outcome = round(options, seed).unwrap();
        assert!(outcome.violations.is_empty(), "seed {seed}: {outcome}");
        assert!(outcome.acknowledged > 20, "seed {seed}: {outcome}");
    }
}

#[test]
fn nothing_is_lost_when_the_process_goes() {
    nothing_is_lost(&options(), 1..4);
}

#[test]
fn nothing_is_lost_when_the_power_goes() {
    let options = Options {
        power_cut: true,
        ..options()
    };
    nothing_is_lost(&options, 1..4);
}

/// The first outcome in which this promise is broken.
fn found_out(mutant: Mutant, power_cut: bool, promise: Promise) -> Outcome {
    let options = Options {
        power_cut,
        crashes: 2,
        patience: Duration::from_secs(15),
        mutant: Some(mutant),
        ..options()
    };
    let outcomes = (1..=TRIES).map(|seed| round(&options, seed).unwrap());
    let broken = |outcome: &Outcome| {
        let mut violations = outcome.violations.iter();
        violations.any(|violation| violation.promise == promise)
    };
    let found = outcomes.into_iter().find(broken);
    found.unwrap_or_else(|| panic!("{} was not found in {TRIES} rounds", mutant.name()))
}

#[test]
fn a_server_that_does_not_sync_is_found_out() {
    found_out(Mutant::SyncOff, true, Promise::Kept);
}

#[test]
fn a_server_that_acknowledges_before_the_commit_is_found_out() {
    let outcome = found_out(Mutant::EagerAcks, false, Promise::Kept);
    let kept = outcome
        .violations
        .iter()
        .find(|one| one.promise == Promise::Kept);
    let tails = outcome.tails(kept.unwrap()).join("\n");
    assert!(
        tails.contains("<message "),
        "it says what went wrong: {tails}"
    );
}
