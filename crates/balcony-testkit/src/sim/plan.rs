//! What happens in one run, made from its seed alone.

use std::fmt;

use crate::crash::Seeded;

/// How a connection asks for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `<resume/>` before binding (XEP-0198 §5).
    Plain,
    /// `<resume/>` within `<authenticate/>` (XEP-0198 §9.2), beside a `<bind/>` of Bind 2.
    Inline,
}

/// Who asks for the stream, and how truthfully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Its client, with what it has got.
    Truly,
    /// Its client, with less than it has acknowledged.
    TooLow,
    /// Its client, with more than it was sent.
    TooHigh,
    /// Its account, with a name that nobody gave out.
    Forged,
    /// Its account, with the beginning of the name.
    Truncated,
    /// Another account, with the right name.
    Stranger,
}

/// To whom a message goes, and what becomes of it when nobody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A chat message for the account: archived.
    Bare,
    /// A chat message for the session: archived.
    Full,
    /// A headline for the session: kept in memory alone.
    Headline,
}

/// What becomes of the first connection before anybody resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Alive,
    /// It is cut, and the server hears of it.
    Cut,
    /// The client sends nothing more, and still reads.
    HalfClosed,
    /// Nothing gets through any more in either direction, and the server does not know.
    Dead,
    /// What the client sends is lost; it still reads.
    Mute,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Another connection asks for the stream.
    Resume(Way, Asks),
    /// Another connection binds the resource of the stream (RFC 6120 §7.7.2.2).
    Replace,
    /// Everybody's latest connection is cut.
    Cut,
    /// The client ends its stream properly.
    Close,
    /// The client breaks its stream's rules.
    Garbage,
    /// The contact says something.
    Hear(Message),
    /// The client says something.
    Say(Message),
    /// The client asks the server for something that has to wait for what it said before.
    Ask,
    /// Commits wait.
    Hold,
    /// The first commit that waits is done.
    ReleaseOne,
    /// Those that wait are done.
    Release,
    /// Commits fail.
    Fail,
    /// They work again.
    Heal,
    /// An operator ends the sessions of the account.
    Kick,
    /// The server stops in order, and starts again.
    Restart,
}

/// An act and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Milliseconds of virtual time since the race began.
    pub at: u64,
    /// How often everybody else gets a turn before, in the same moment.
    pub turns: u64,
    /// The act.
    pub act: Act,
}

/// The schedule of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it is made from.
    pub seed: u64,
    /// How the first connection logs in.
    pub login: Way,
    /// The client gives itself an id, so that Bind 2 takes its former session away
    /// (XEP-0386 §3.2).
    pub same_client: bool,
    /// Messages to the client, and to the contact, before the race, and how many the client gets
    /// before its first connection is what `before` says.
    pub warm: (u64, u64, u64),
    /// The state of the first connection.
    pub before: Before,
    /// The race begins as many milliseconds before the detached session's time runs out.
    pub at_expiry: Option<u64>,
    /// What happens, in this order.
    pub acts: Vec<Timed>,
    /// In the end the client is cut off and does not come back, or it ends its stream.
    pub leaves_by_cut: bool,
}

impl Plan {
    /// The schedule of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = Seeded::new(seed).part(1);
        let before = pick(
            &mut chance,
            (25, Before::Alive),
            &[
                (35, Before::Cut),
                (15, Before::HalfClosed),
                (15, Before::Dead),
                (10, Before::Mute),
            ],
        );
        let expires = matches!(before, Before::Cut | Before::HalfClosed) && chance.percent(30);
        Self {
            seed,
            login: way(&mut chance),
            same_client: chance.percent(20),
            warm: (chance.below(4), chance.below(4), chance.below(4)),
            before,
            at_expiry: expires.then(|| chance.below(3)),
            acts: acts(&mut chance),
            leaves_by_cut: chance.percent(40),
        }
    }

    /// Whether something in it may end the stream, so that nobody may count on its going on.
    #[must_use]
    pub fn may_end_the_stream(&self) -> bool {
        let ends = |timed: &Timed| match timed.act {
            Act::Replace | Act::Close | Act::Garbage | Act::Kick => true,
            // Its client has bound anew by the same login, and Bind 2 takes the former away.
            Act::Resume(Way::Inline, asks) => self.same_client && asks != Asks::Stranger,
            _ => false,
        };
        self.at_expiry.is_some() || self.acts.iter().any(ends)
    }
}

fn way(chance: &mut Seeded) -> Way {
    match chance.percent(50) {
        true => Way::Plain,
        false => Way::Inline,
    }
}

/// One of these, as often as its weight says.
fn pick<T: Copy>(chance: &mut Seeded, first: (u64, T), others: &[(u64, T)]) -> T {
    let all: u64 = first.0 + others.iter().map(|(weight, _)| weight).sum::<u64>();
    let mut left = chance.below(all);
    for (weight, what) in others {
        if left < *weight {
            return *what;
        }
        left -= weight;
    }
    first.1
}

/// Two or three connections that want the stream, and what gets in their way.
fn acts(chance: &mut Seeded) -> Vec<Timed> {
    let mut acts: Vec<Act> = (0..chance.between(2, 3))
        .map(|_| match chance.percent(85) {
            true => Act::Resume(way(chance), Asks::Truly),
            false => Act::Replace,
        })
        .collect();
    for _ in 0..chance.between(1, 3) {
        acts.push(Act::Hear(message(chance)));
    }
    for _ in 0..chance.below(5) {
        acts.push(other(chance));
    }
    for last in (1..acts.len()).rev() {
        let with = chance.below(last as u64 + 1);
        acts.swap(last, usize::try_from(with).unwrap_or(last));
    }
    let (mut at, mut timed) = (0, Vec::new());
    for act in acts {
        // Most of it in the same moment: that is what races are made of.
        at += pick(chance, (80, 0), &[(12, 1), (6, 5), (2, 1_500)]);
        let turns = pick(chance, (3, 0), &[(3, 1), (2, 2), (2, 4), (2, 8), (1, 20)]);
        timed.push(Timed { at, turns, act });
    }
    timed
}

fn message(chance: &mut Seeded) -> Message {
    pick(
        chance,
        (4, Message::Bare),
        &[(3, Message::Full), (2, Message::Headline)],
    )
}

fn other(chance: &mut Seeded) -> Act {
    let asks = pick(
        chance,
        (3, Asks::TooLow),
        &[
            (2, Asks::TooHigh),
            (1, Asks::Forged),
            (1, Asks::Truncated),
            (3, Asks::Stranger),
        ],
    );
    let (heard, said, way) = (message(chance), message(chance), way(chance));
    pick(
        chance,
        (10, Act::Resume(way, asks)),
        &[
            (10, Act::Hear(heard)),
            (12, Act::Say(said)),
            (6, Act::Ask),
            (12, Act::Hold),
            (5, Act::ReleaseOne),
            (4, Act::Release),
            (3, Act::Fail),
            (3, Act::Heal),
            (6, Act::Cut),
            (3, Act::Close),
            (2, Act::Garbage),
            (3, Act::Kick),
            (3, Act::Restart),
        ],
    )
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heard, said, got) = self.warm;
        writeln!(f, "seed {}: login {:?}", self.seed, self.login)?;
        writeln!(f, "  same client id: {}", self.same_client)?;
        writeln!(f, "  before: {heard} heard, {said} said, {got} let through")?;
        writeln!(f, "  first connection: {:?}", self.before)?;
        if let Some(early) = self.at_expiry {
            writeln!(f, "  the race begins {early} ms before its time is over")?;
        }
        for Timed { at, turns, act } in &self.acts {
            writeln!(f, "  {at:>5} ms, {turns:>2} turns: {act:?}")?;
        }
        write!(f, "  leaves by a cut: {}", self.leaves_by_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_plan_and_others_make_others() {
        assert_eq!(Plan::new(7), Plan::new(7));
        assert_ne!(Plan::new(7).acts, Plan::new(8).acts);
    }

    #[test]
    fn every_act_and_every_state_comes_up() {
        let plans: Vec<_> = (0..400).map(Plan::new).collect();
        let text: String = plans.iter().map(|plan| format!("{plan}\n")).collect();
        for word in [
            "Truly",
            "TooLow",
            "TooHigh",
            "Forged",
            "Truncated",
            "Stranger",
            "Replace",
            "Cut",
            "Close",
            "Garbage",
            "Hear",
            "Say",
            "Ask",
            "Hold",
            "ReleaseOne",
            "Fail",
            "Heal",
            "Kick",
            "Restart",
            "HalfClosed",
            "Dead",
            "Mute",
            "Alive",
            "over",
        ] {
            assert!(text.contains(word), "{word} never comes up");
        }
    }
}
