//! RFC 6121 Appendix A: what each subscription stanza does in each state. Values only.

use super::state::{State, Verb};

/// What becomes of the `approved` flag (§3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Keep,
    Give,
    Cancel,
}

/// What a stanza of the user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outbound {
    /// Whether it goes to the contact.
    pub(crate) route: bool,
    pub(crate) next: State,
    pub(crate) approval: Approval,
}

/// What a stanza of a contact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inbound {
    /// Whether the user sees it.
    pub(crate) deliver: bool,
    pub(crate) next: State,
    /// What is answered on the user's behalf.
    pub(crate) reply: Option<Verb>,
}

/// Appendix A.2.
pub(crate) fn outbound(verb: Verb, state: State) -> Outbound {
    let (route, next, approval) = match verb {
        Verb::Subscribe => (true, ask(state), Approval::Keep),
        Verb::Unsubscribe => (true, stop_asking(state), Approval::Keep),
        Verb::Subscribed => match allow(state) {
            Allowed::Now(next) => (true, next, Approval::Keep),
            Allowed::InAdvance => (false, state, Approval::Give),
            Allowed::Already => (false, state, Approval::Keep),
        },
        Verb::Unsubscribed => {
            let (route, next) = forbid(state);
            (route, next, Approval::Cancel)
        }
    };
    Outbound {
        route,
        next,
        approval,
    }
}

/// Table 2: outbound `subscribe`, which is always routed.
fn ask(state: State) -> State {
    match state {
        State::None => State::NoneOut,
        State::NoneOut => State::NoneOut,
        State::NoneIn => State::NoneOutIn,
        State::NoneOutIn => State::NoneOutIn,
        State::To => State::To,
        State::ToIn => State::ToIn,
        State::From => State::FromOut,
        State::FromOut => State::FromOut,
        State::Both => State::Both,
    }
}

/// Table 3: outbound `unsubscribe`, which is always routed.
fn stop_asking(state: State) -> State {
    match state {
        State::None => State::None,
        State::NoneOut => State::None,
        State::NoneIn => State::NoneIn,
        State::NoneOutIn => State::NoneIn,
        State::To => State::None,
        State::ToIn => State::NoneIn,
        State::From => State::From,
        State::FromOut => State::From,
        State::Both => State::From,
    }
}

enum Allowed {
    /// Routed.
    Now(State),
    /// Not routed; note [1] of the table: a pre-approval.
    InAdvance,
    /// Not routed, nothing changes.
    Already,
}

/// Table 4: outbound `subscribed`.
fn allow(state: State) -> Allowed {
    match state {
        State::None => Allowed::InAdvance,
        State::NoneOut => Allowed::InAdvance,
        State::NoneIn => Allowed::Now(State::From),
        State::NoneOutIn => Allowed::Now(State::FromOut),
        State::To => Allowed::InAdvance,
        State::ToIn => Allowed::Now(State::Both),
        State::From => Allowed::Already,
        State::FromOut => Allowed::Already,
        State::Both => Allowed::Already,
    }
}

/// Table 5: outbound `unsubscribed`, and whether it is routed. It cancels a pre-approval, note
/// [1]; that of a contact who is subscribed too (§3.4.2, the note on keeping a record).
fn forbid(state: State) -> (bool, State) {
    match state {
        State::None => (false, State::None),
        State::NoneOut => (false, State::NoneOut),
        State::NoneIn => (true, State::None),
        State::NoneOutIn => (true, State::NoneOut),
        State::To => (false, State::To),
        State::ToIn => (true, State::To),
        State::From => (true, State::None),
        State::FromOut => (true, State::NoneOut),
        State::Both => (true, State::To),
    }
}

/// Appendix A.3. `approved` tells whether the user approved the contact's request in advance.
pub(crate) fn inbound(verb: Verb, state: State, approved: bool) -> Inbound {
    let changed = |next: State, reply: Option<Verb>| {
        let deliver = next != state;
        Inbound {
            deliver,
            next,
            reply: reply.filter(|_| deliver),
        }
    };
    match verb {
        Verb::Subscribe if approved => grant(state),
        Verb::Subscribe => request(state),
        // A.3.2: the answer is a SHOULD where the state changes.
        Verb::Unsubscribe => changed(withdrawn(state), Some(Verb::Unsubscribed)),
        Verb::Subscribed => changed(granted(state), None),
        Verb::Unsubscribed => changed(refused(state), None),
    }
}

/// Table 6: inbound `subscribe`.
fn request(state: State) -> Inbound {
    let (deliver, next, reply) = match state {
        State::None => (true, State::NoneIn, None),
        State::NoneOut => (true, State::NoneOutIn, None),
        State::NoneIn => (false, State::NoneIn, None),
        State::NoneOutIn => (false, State::NoneOutIn, None),
        State::To => (true, State::ToIn, None),
        State::ToIn => (false, State::ToIn, None),
        // Note [2], which §3.1.3 makes a MUST.
        State::From => (false, State::From, Some(Verb::Subscribed)),
        State::FromOut => (false, State::FromOut, Some(Verb::Subscribed)),
        State::Both => (false, State::Both, Some(Verb::Subscribed)),
    };
    Inbound {
        deliver,
        next,
        reply,
    }
}

/// Table 6, note [1], and §3.4.2: the request of an approved contact is granted and never shown.
fn grant(state: State) -> Inbound {
    let next = match state {
        State::None | State::NoneIn => State::From,
        State::NoneOut | State::NoneOutIn => State::FromOut,
        State::To | State::ToIn => State::Both,
        State::From | State::FromOut | State::Both => state,
    };
    Inbound {
        deliver: false,
        next,
        reply: Some(Verb::Subscribed),
    }
}

/// Table 7: inbound `unsubscribe`, delivered where the state changes.
fn withdrawn(state: State) -> State {
    match state {
        State::None => State::None,
        State::NoneOut => State::NoneOut,
        State::NoneIn => State::None,
        State::NoneOutIn => State::NoneOut,
        State::To => State::To,
        State::ToIn => State::To,
        State::From => State::None,
        State::FromOut => State::NoneOut,
        State::Both => State::To,
    }
}

/// Table 8: inbound `subscribed`, delivered where the state changes.
fn granted(state: State) -> State {
    match state {
        State::None => State::None,
        State::NoneOut => State::To,
        State::NoneIn => State::NoneIn,
        State::NoneOutIn => State::ToIn,
        State::To => State::To,
        State::ToIn => State::ToIn,
        State::From => State::From,
        State::FromOut => State::Both,
        State::Both => State::Both,
    }
}

/// Table 9: inbound `unsubscribed`, delivered where the state changes.
fn refused(state: State) -> State {
    match state {
        State::None => State::None,
        State::NoneOut => State::None,
        State::NoneIn => State::NoneIn,
        State::NoneOutIn => State::NoneIn,
        State::To => State::None,
        State::ToIn => State::NoneIn,
        State::From => State::From,
        State::FromOut => State::From,
        State::Both => State::From,
    }
}

#[cfg(test)]
mod tests;
