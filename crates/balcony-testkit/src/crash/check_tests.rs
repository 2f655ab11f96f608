//! Each violation is found: a checker that cannot fail proves nothing.

use super::super::observed::{CatchUp, Reception};
use super::*;

fn id(sender: usize, n: u32) -> MessageId {
    MessageId { sender, n }
}

fn row(id: MessageId, place: usize) -> Archived {
    Archived {
        archive_id: format!("a{place}"),
        id,
        stamp: 1_000 + place as i64,
    }
}

fn reception(id: MessageId, place: usize, way: Way) -> Reception {
    Reception {
        id,
        archive_id: Some(format!("a{place}")),
        way,
        stream: 1,
    }
}

/// Device 0 of account 0 sent four messages to account 1, whose devices are 1 and 2; device 1 was
/// there, device 2 caught up.
fn all_well() -> Observed {
    let ids: Vec<MessageId> = (1..=4).map(|n| id(0, n)).collect();
    let rows: Vec<Archived> = ids.iter().zip(0..).map(|(id, at)| row(*id, at)).collect();
    let account = AccountFacts {
        forward: rows.clone(),
        backward: rows.clone(),
        by_field: Some(rows),
    };
    let sent = ids.iter().map(|id| Sent {
        id: *id,
        to: 1,
        fate: Fate::Acknowledged,
    });
    let received = |way| {
        let each = ids.iter().zip(0..);
        each.map(|(id, at)| reception(*id, at, way)).collect()
    };
    let sender = DeviceFacts {
        sent: sent.collect(),
        ..DeviceFacts::default()
    };
    let live = DeviceFacts {
        account: 1,
        received: received(Way::Live),
        ..DeviceFacts::default()
    };
    let absent = DeviceFacts {
        account: 1,
        received: received(Way::Archive),
        catch_ups: vec![
            CatchUp {
                after: None,
                ids: vec!["a0".into(), "a1".into()],
            },
            CatchUp {
                after: Some("a1".into()),
                ids: vec!["a2".into(), "a3".into()],
            },
        ],
        ..DeviceFacts::default()
    };
    Observed {
        devices: vec![sender, live, absent],
        accounts: vec![account.clone(), account],
    }
}

/// What is found when this is done to facts that are all well.
fn found(harm: impl FnOnce(&mut Observed)) -> Vec<Promise> {
    let mut observed = all_well();
    harm(&mut observed);
    let violations = check(&observed);
    violations.into_iter().map(|one| one.promise).collect()
}

/// The same with the archive of an account, in every reading.
fn found_in_archive(account: usize, harm: impl Fn(&mut Vec<Archived>)) -> Vec<Promise> {
    found(|observed| {
        let account = &mut observed.accounts[account];
        harm(&mut account.forward);
        account.backward = account.forward.clone();
        account.by_field = Some(account.forward.clone());
    })
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_found_in_either_archive() {
    let of_sender = found_in_archive(0, |rows| drop(rows.remove(3)));
    assert_eq!(of_sender, [Promise::Kept]);
    let of_recipient = found_in_archive(1, |rows| drop(rows.remove(3)));
    assert!(of_recipient.contains(&Promise::Kept));
}

#[test]
fn what_was_refused_may_be_missing() {
    let refused = found(|observed| {
        observed.devices[0].sent.push(Sent {
            id: id(0, 5),
            to: 1,
            fate: Fate::Refused("resource-constraint".into()),
        });
    });
    assert_eq!(refused, []);
}

#[test]
fn what_is_there_twice_is_found() {
    let twice = found_in_archive(1, |rows| rows.push(row(id(0, 4), 9)));
    assert_eq!(twice, [Promise::Once]);
    let unsure = found(|observed| {
        observed.devices[0].sent[3].fate = Fate::Refused("not-allowed".into());
        observed.accounts[0].forward.push(row(id(0, 4), 9));
    });
    assert!(unsure.contains(&Promise::Once));
}

#[test]
fn what_nobody_answered_is_found() {
    let open = found(|observed| observed.devices[0].sent[0].fate = Fate::Open);
    assert_eq!(open, [Promise::Answered]);
}

#[test]
fn what_nobody_sent_is_found() {
    let invented = found_in_archive(0, |rows| rows.push(row(id(0, 5), 9)));
    assert_eq!(invented, [Promise::Sent]);
    let astray = found(|observed| {
        let mut account = AccountFacts::default();
        account.forward.push(row(id(0, 1), 0));
        account.backward = account.forward.clone();
        observed.accounts.push(account);
    });
    assert_eq!(astray, [Promise::Sent]);
}

#[test]
fn what_a_device_did_not_get_is_found() {
    for device in [1, 2] {
        let missed = found(|observed| drop(observed.devices[device].received.remove(3)));
        assert_eq!(missed, [Promise::Received], "{device}");
    }
}

#[test]
fn what_the_other_device_of_the_sender_did_not_get_is_found() {
    let missed = found(|observed| observed.devices.push(DeviceFacts::default()));
    assert_eq!(missed, [Promise::Received; 4]);
}

#[test]
fn what_came_before_its_turn_is_found() {
    let swapped = found(|observed| observed.devices[2].received.swap(1, 2));
    assert_eq!(swapped, [Promise::InOrder]);
    let again = found(|observed| {
        let again = observed.devices[2].received[0].clone();
        observed.devices[2].received.push(again);
    });
    assert_eq!(again, [], "a second time is not too late");
}

#[test]
fn an_archive_out_of_order_is_found() {
    let swapped = found_in_archive(0, |rows| {
        rows.swap(1, 2);
        rows.iter_mut().for_each(|row| row.stamp = 0);
    });
    assert_eq!(swapped, [Promise::InOrder]);
}

#[test]
fn live_against_the_order_of_the_archive_is_found_within_a_stream() {
    // Another sender, whose message is archived between the others and came last.
    let harm = |observed: &mut Observed, stream| {
        let id = id(1, 1);
        observed.devices[1].sent.push(Sent {
            id,
            to: 1,
            fate: Fate::Acknowledged,
        });
        let account = &mut observed.accounts[1];
        account.forward.insert(
            2,
            Archived {
                stamp: 1_001,
                ..row(id, 9)
            },
        );
        account.backward = account.forward.clone();
        account.by_field = None;
        let late = Reception {
            stream,
            ..reception(id, 9, Way::Live)
        };
        observed.devices[1].received.push(late);
        observed.devices[2]
            .received
            .push(reception(id, 9, Way::Archive));
        observed.devices[2].catch_ups.clear();
    };
    let found = |stream| found(|observed| harm(observed, stream));
    assert_eq!(found(1), [Promise::ArchiveOrder]);
    assert_eq!(found(2), []);
}

#[test]
fn an_id_that_the_archive_does_not_know_is_found() {
    let unknown = found(|observed| observed.devices[1].received[3].archive_id = Some("x".into()));
    assert_eq!(unknown, [Promise::KnownId]);
    let other = found(|observed| observed.devices[2].received[3].archive_id = Some("a0".into()));
    assert_eq!(other, [Promise::KnownId]);
}

#[test]
fn a_walk_with_a_hole_or_a_repetition_is_found() {
    let walk = |harm: fn(&mut Vec<String>)| found(|o| harm(&mut o.devices[2].catch_ups[0].ids));
    assert_eq!(walk(|ids| drop(ids.remove(0))), [Promise::Whole]);
    assert_eq!(walk(|ids| ids.insert(0, "a0".into())), [Promise::Whole]);
    let from = found(|o| o.devices[2].catch_ups[1].after = Some("x".into()));
    assert_eq!(from, [Promise::Whole]);
}

#[test]
fn readings_that_differ_are_found() {
    let end = found(|observed| drop(observed.accounts[1].backward.remove(0)));
    assert_eq!(end, [Promise::Whole]);
    let field = found(|observed| observed.accounts[1].by_field = Some(Vec::new()));
    assert_eq!(field, [Promise::Whole]);
    let without = found(|observed| observed.accounts[1].by_field = None);
    assert_eq!(without, []);
}

#[test]
fn one_id_for_two_messages_is_found() {
    let same = found_in_archive(0, |rows| rows[3].archive_id = "a2".into());
    assert_eq!(same, [Promise::Whole]);
}

#[test]
fn time_that_runs_backwards_is_found() {
    let backwards = found_in_archive(0, |rows| rows[3].stamp = 0);
    assert_eq!(backwards, [Promise::Time]);
}

#[test]
fn what_a_client_complained_of_is_found() {
    let fault = found(|observed| observed.devices[0].faults.push("h went back".into()));
    assert_eq!(fault, [Promise::Protocol]);
}
