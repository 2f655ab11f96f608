//! What a client that is being sent last items has still to get, and what it has heard meanwhile.

use std::collections::HashSet;

use balcony_core::module::Session;
use balcony_proto::jid::Jid;

use super::interest;
use super::known::Wants;

/// Last items that a client is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Of which nodes.
    pub(super) nodes: Vec<String>,
    /// Of which account; `None`: of its own and of all its contacts.
    pub(super) of: Option<Jid>,
}

/// Note of a session that is being sent last items: what it has heard meanwhile is not sent again.
#[derive(Default)]
struct Hearing {
    heard: HashSet<(Jid, String)>,
    /// What comes next: one for each account at most, with nodes that the client wants. So it is
    /// bounded by the roster and by what capabilities may name.
    waiting: Vec<Look>,
}

impl Hearing {
    fn wait(&mut self, look: Look, wants: &Wants) {
        match self.waiting.iter_mut().find(|other| other.of == look.of) {
            Some(other) => {
                let nodes = &mut other.nodes;
                // The client may have changed its mind about some.
                nodes.retain(|node| wants.iter().any(|wanted| **wanted == **node));
                nodes.retain(|node| !look.nodes.contains(node));
                nodes.extend(look.nodes);
            }
            None => self.waiting.push(look),
        }
    }
}

/// Puts down what a client is to get. Answers whether nobody is at sending it some.
pub(super) fn begin(session: &Session, look: Look) -> bool {
    let wants = interest::of(session).unwrap_or_default();
    session.notes(|notes| match notes.get_mut::<Hearing>() {
        Some(hearing) => {
            hearing.wait(look, &wants);
            false
        }
        None => {
            let mut hearing = Hearing::default();
            hearing.wait(look, &wants);
            notes.set(hearing);
            true
        }
    })
}

/// What to send next. `None`: that was all, and nobody is at it any more.
pub(super) fn next(session: &Session) -> Option<Look> {
    session.notes(|notes| {
        let hearing = notes.get_mut::<Hearing>()?;
        let next = hearing.waiting.pop();
        if next.is_none() {
            notes.take::<Hearing>();
        }
        next
    })
}

/// A client is about to hear news of a node: it need not be sent its last item.
pub(super) fn heard(session: &Session, owner: &Jid, node: &str) {
    session.notes(|notes| {
        if let Some(hearing) = notes.get_mut::<Hearing>() {
            hearing.heard.insert((owner.clone(), node.to_owned()));
        }
    });
}

/// Whether a client has heard of a node meanwhile.
pub(super) fn has_heard(session: &Session, owner: &Jid, node: &str) -> bool {
    let of = (owner.clone(), node.to_owned());
    let has = |hearing: &Hearing| hearing.heard.contains(&of);
    session.notes(|notes| notes.get().is_some_and(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(nodes: &[&str], of: Option<&str>) -> Look {
        Look {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            of: of.map(|of| Jid::parse(of).unwrap()),
        }
    }

    #[test]
    fn what_waits_is_bounded_by_what_is_wanted() {
        let wants = |nodes: &[&str]| -> Wants { nodes.iter().map(|node| (*node).into()).collect() };
        let mut hearing = Hearing::default();
        hearing.wait(look(&["a", "b"], None), &wants(&["a", "b"]));
        hearing.wait(look(&["b", "c"], None), &wants(&["b", "c"]));
        hearing.wait(look(&["b"], Some("juliet@localhost")), &wants(&["b", "c"]));
        let expected = [
            look(&["b", "c"], None),
            look(&["b"], Some("juliet@localhost")),
        ];
        assert_eq!(hearing.waiting, expected);
    }
}
