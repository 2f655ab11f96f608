//! The tables of RFC 6121 Appendix A, typed in a second time from the document: each cell.

use super::*;
use crate::roster::Standing;
use State::{Both, From, FromOut, None as NoSub, NoneIn, NoneOut, NoneOutIn, To, ToIn};

const STATES: [State; 9] = [
    NoSub, NoneOut, NoneIn, NoneOutIn, To, ToIn, From, FromOut, Both,
];

/// Rows of a table: routed or delivered, and the new state.
type Table = [(bool, State); 9];

fn check_outbound(verb: Verb, table: Table) {
    for (state, (route, next)) in STATES.into_iter().zip(table) {
        let step = outbound(verb, state);
        assert_eq!(
            (step.route, step.next),
            (route, next),
            "outbound {verb:?} in {state:?}"
        );
    }
}

fn check_inbound(verb: Verb, table: Table) {
    for (state, (deliver, next)) in STATES.into_iter().zip(table) {
        let step = inbound(verb, state, false);
        assert_eq!(
            (step.deliver, step.next),
            (deliver, next),
            "inbound {verb:?} in {state:?}"
        );
    }
}

#[test]
fn table_2_outbound_subscribe() {
    check_outbound(
        Verb::Subscribe,
        [
            (true, NoneOut),
            (true, NoneOut),
            (true, NoneOutIn),
            (true, NoneOutIn),
            (true, To),
            (true, ToIn),
            (true, FromOut),
            (true, FromOut),
            (true, Both),
        ],
    );
}

#[test]
fn table_3_outbound_unsubscribe() {
    check_outbound(
        Verb::Unsubscribe,
        [
            (true, NoSub),
            (true, NoSub),
            (true, NoneIn),
            (true, NoneIn),
            (true, NoSub),
            (true, NoneIn),
            (true, From),
            (true, From),
            (true, From),
        ],
    );
}

#[test]
fn table_4_outbound_subscribed() {
    check_outbound(
        Verb::Subscribed,
        [
            (false, NoSub),
            (false, NoneOut),
            (true, From),
            (true, FromOut),
            (false, To),
            (true, Both),
            (false, From),
            (false, FromOut),
            (false, Both),
        ],
    );
    // Note [1]: the cells that are a pre-approval.
    let given = STATES.map(|state| outbound(Verb::Subscribed, state).approval == Approval::Give);
    assert_eq!(
        given,
        [true, true, false, false, true, false, false, false, false]
    );
}

#[test]
fn table_5_outbound_unsubscribed() {
    check_outbound(
        Verb::Unsubscribed,
        [
            (false, NoSub),
            (false, NoneOut),
            (true, NoSub),
            (true, NoneOut),
            (false, To),
            (true, To),
            (true, NoSub),
            (true, NoneOut),
            (true, To),
        ],
    );
    let cancels = |state| outbound(Verb::Unsubscribed, state).approval == Approval::Cancel;
    assert!(STATES.into_iter().all(cancels));
}

#[test]
fn table_6_inbound_subscribe() {
    check_inbound(
        Verb::Subscribe,
        [
            (true, NoneIn),
            (true, NoneOutIn),
            (false, NoneIn),
            (false, NoneOutIn),
            (true, ToIn),
            (false, ToIn),
            (false, From),
            (false, FromOut),
            (false, Both),
        ],
    );
    // Note [2].
    let replied = STATES.map(|state| inbound(Verb::Subscribe, state, false).reply.is_some());
    assert_eq!(
        replied,
        [false, false, false, false, false, false, true, true, true]
    );
}

#[test]
fn table_6_note_1_an_approved_contact_is_answered_and_never_shown() {
    let expected = [
        From, FromOut, From, FromOut, Both, Both, From, FromOut, Both,
    ];
    for (state, next) in STATES.into_iter().zip(expected) {
        let step = Inbound {
            deliver: false,
            next,
            reply: Some(Verb::Subscribed),
        };
        assert_eq!(inbound(Verb::Subscribe, state, true), step, "{state:?}");
    }
}

#[test]
fn table_7_inbound_unsubscribe() {
    check_inbound(
        Verb::Unsubscribe,
        [
            (false, NoSub),
            (false, NoneOut),
            (true, NoSub),
            (true, NoneOut),
            (false, To),
            (true, To),
            (true, NoSub),
            (true, NoneOut),
            (true, To),
        ],
    );
    // Note [1].
    for state in STATES {
        let step = inbound(Verb::Unsubscribe, state, false);
        let reply = step.deliver.then_some(Verb::Unsubscribed);
        assert_eq!(step.reply, reply, "{state:?}");
    }
}

#[test]
fn table_8_inbound_subscribed() {
    check_inbound(
        Verb::Subscribed,
        [
            (false, NoSub),
            (true, To),
            (false, NoneIn),
            (true, ToIn),
            (false, To),
            (false, ToIn),
            (false, From),
            (true, Both),
            (false, Both),
        ],
    );
}

#[test]
fn table_9_inbound_unsubscribed() {
    check_inbound(
        Verb::Unsubscribed,
        [
            (false, NoSub),
            (true, NoSub),
            (false, NoneIn),
            (true, NoneIn),
            (true, NoSub),
            (true, NoneIn),
            (false, From),
            (true, From),
            (true, From),
        ],
    );
}

#[test]
fn approvals_and_refusals_are_never_answered() {
    for state in STATES {
        for verb in [Verb::Subscribed, Verb::Unsubscribed] {
            assert_eq!(
                inbound(verb, state, false).reply,
                None,
                "{verb:?} in {state:?}"
            );
        }
    }
}

#[test]
fn a_state_is_what_item_and_request_say() {
    for state in STATES {
        let standing = Standing {
            subscription: state.subscription(),
            ask: state.pending_out(),
            approved: false,
        };
        assert_eq!(State::of(standing, state.pending_in()), state);
    }
}
