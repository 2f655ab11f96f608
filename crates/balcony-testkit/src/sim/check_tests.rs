//! Each promise, broken once.

use super::check::{Promise, check};
use super::facts::{Answer, Attempt, Came, Count, Facts, Got, Left, Lost, Said, Side};
use super::plan::Asks;

fn got(number: u32) -> Got {
    Got {
        number,
        for_account: true,
        stream: Some(0),
    }
}

fn came(position: u32, message: u32) -> Came {
    Came {
        stream: 0,
        line: 0,
        position,
        bytes: format!("<message id='m{message}'/>"),
        message: Some(message),
    }
}

fn said(number: u32) -> Said {
    Said {
        number,
        lasting: true,
        taken: true,
    }
}

fn asked(line: usize, asks: Asks, answer: Option<Answer>) -> Attempt {
    Attempt {
        line,
        asks,
        answer,
        cut: false,
    }
}

/// A stream that was resumed once, and over which two messages came.
fn sound() -> Facts {
    let count = |before, h| Count {
        stream: 0,
        h,
        before,
        sent: 2,
    };
    Facts {
        client: Side {
            counts: vec![count(0, 1), count(1, 2)],
            came: vec![came(1, 1), came(2, 2), came(2, 2)],
            got: vec![got(1), got(2), got(2)],
            said: vec![said(3)],
            lost: vec![Lost {
                line: 0,
                condition: Some("conflict".into()),
            }],
            faults: Vec::new(),
        },
        contact: Side {
            got: vec![got(3)],
            came: vec![came(1, 3)],
            said: vec![said(1), said(2)],
            ..Side::default()
        },
        attempts: vec![
            asked(1, Asks::Truly, Some(Answer::Resumed(1))),
            asked(0, Asks::Stranger, Some(Answer::Failed(None))),
        ],
        holders: vec![vec![1]],
        presences: vec![
            ("romeo@localhost/a".into(), true),
            ("romeo@localhost/a".into(), false),
        ],
        went_on: true,
        ..Facts::default()
    }
}

/// What is found when something is changed.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<Promise> {
    let mut facts = sound();
    change(&mut facts);
    check(&facts)
        .iter()
        .map(|violation| violation.promise)
        .collect()
}

#[test]
fn a_sound_run_breaks_nothing() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn two_connections_with_one_stream_are_found() {
    assert_eq!(
        found(|facts| facts.holders.push(vec![1, 2])),
        [Promise::OneWinner]
    );
}

#[test]
fn a_stream_that_ends_by_itself_is_found_unless_somebody_may_have_ended_it() {
    assert_eq!(found(|facts| facts.went_on = false), [Promise::GoesOn]);
    let ended = |facts: &mut Facts| (facts.went_on, facts.may_end) = (false, true);
    assert_eq!(found(ended), []);
}

#[test]
fn silence_is_found() {
    let silent = |facts: &mut Facts| facts.attempts.push(asked(2, Asks::TooLow, None));
    assert_eq!(found(silent), [Promise::Answered]);
    assert_eq!(
        found(|facts| facts.client.lost[0].condition = None),
        [Promise::Answered]
    );
}

#[test]
fn what_a_stranger_learns_is_found() {
    let resumed = |facts: &mut Facts| facts.attempts[1].answer = Some(Answer::Resumed(0));
    assert_eq!(found(resumed), [Promise::Private]);
    let count = |facts: &mut Facts| facts.attempts[1].answer = Some(Answer::Failed(Some(1)));
    assert_eq!(found(count), [Promise::Private]);
    assert_eq!(
        found(|facts| facts.leaked.push("<message/>".into())),
        [Promise::Private]
    );
}

#[test]
fn who_claims_too_much_and_is_believed_is_found() {
    let believed = |facts: &mut Facts| facts.attempts[0].asks = Asks::TooHigh;
    assert_eq!(found(believed), [Promise::Count]);
}

#[test]
fn another_stanza_in_the_same_place_is_found() {
    assert_eq!(
        found(|facts| facts.client.came[2].bytes.clear()),
        [Promise::Position]
    );
    assert_eq!(
        found(|facts| facts.client.came[2].position = 3),
        [Promise::Position]
    );
}

#[test]
fn a_message_before_an_earlier_one_is_found() {
    let swapped = |facts: &mut Facts| facts.client.got.swap(0, 1);
    assert!(found(swapped).contains(&Promise::InOrder));
    // For itself, and from another stream: what waits for the account comes when it is available.
    let later = |facts: &mut Facts| {
        facts.client.got.swap(0, 1);
        for got in &mut facts.client.got {
            (got.for_account, got.stream) = (false, Some(1));
        }
    };
    assert_eq!(found(later), []);
}

#[test]
fn a_message_that_does_not_come_is_found_if_it_was_taken() {
    assert_eq!(
        found(|facts| facts.client.got.truncate(1)),
        [Promise::Received]
    );
    assert_eq!(
        found(|facts| facts.contact.got.clear()),
        [Promise::Received]
    );
    let refused = |facts: &mut Facts| {
        facts.contact.got.clear();
        facts.client.said[0].taken = false;
    };
    assert_eq!(found(refused), []);
    let forgotten = |facts: &mut Facts| {
        facts.client.got.truncate(1);
        facts.contact.said[1].lasting = false;
    };
    assert_eq!(found(forgotten), [Promise::Received], "the stream went on");
}

#[test]
fn what_is_handled_twice_is_found_and_what_is_only_sent_again_is_not() {
    let again = |facts: &mut Facts| {
        facts.contact.got.push(got(3));
        facts.contact.came.push(came(1, 3));
    };
    assert_eq!(found(again), []);
    let twice = |facts: &mut Facts| facts.contact.got.push(got(3));
    assert_eq!(found(twice), [Promise::Once]);
}

#[test]
fn a_count_that_goes_back_or_too_far_is_found() {
    assert_eq!(
        found(|facts| facts.client.counts[1].h = 0),
        [Promise::Count]
    );
    assert_eq!(
        found(|facts| facts.client.counts[1].h = 3),
        [Promise::Count]
    );
    let failed = |facts: &mut Facts| {
        facts.client.counts[1].h = 0;
        facts.disk_failed = true;
    };
    assert_eq!(found(failed), []);
}

#[test]
fn an_end_that_is_told_twice_or_never_is_found() {
    let gone = |facts: &mut Facts| facts.presences.push(("romeo@localhost/a".into(), false));
    assert!(found(gone).contains(&Promise::Presence));
    assert!(found(|facts| facts.presences.truncate(1)).contains(&Promise::Presence));
    let meanwhile = |facts: &mut Facts| facts.presences.extend(facts.presences.clone());
    assert_eq!(found(meanwhile), [Promise::Presence], "it went on");
}

#[test]
fn what_is_left_behind_is_found() {
    let left = Left {
        held: 1,
        ..Left::default()
    };
    assert_eq!(found(|facts| facts.left = left), [Promise::Nothing]);
    assert_eq!(
        found(|facts| facts.client.faults.push("?".into())),
        [Promise::Protocol]
    );
}
