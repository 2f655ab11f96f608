//! Judges what was seen in a run. Pure: facts in, violations out.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::facts::{Answer, Facts, Got, Left, Said, Side};
use super::plan::Asks;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Promise {
    /// At most one connection has the stream.
    OneWinner,
    /// Who asks for a stream is answered, and who loses one is told.
    Answered,
    /// Who may not have the stream does not get it, and learns nothing of it.
    Private,
    /// What nobody ended goes on.
    GoesOn,
    /// A stanza has one place in its stream, whenever it is sent again.
    Position,
    /// What one says comes in its order.
    InOrder,
    /// What was taken comes.
    Received,
    /// What is said is handled once.
    Once,
    /// `h` is what was handled.
    Count,
    /// Contacts see the session until its end, and its end once.
    Presence,
    /// Nothing is left behind.
    Nothing,
    /// The protocol itself.
    Protocol,
}

/// How a promise was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}

/// Everything that is wrong.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Violation> {
    let mut check = Check(Vec::new());
    check.winners(facts);
    check.answers(facts);
    check.positions(&facts.client);
    check.positions(&facts.contact);
    check.order("the client", &facts.client);
    check.order("the contact", &facts.contact);
    check.received(
        "the client",
        &facts.client,
        &facts.contact.said,
        facts.went_on,
    );
    check.received("the contact", &facts.contact, &facts.client.said, true);
    check.once(&facts.contact);
    check.counts(&facts.client, facts.disk_failed);
    check.counts(&facts.contact, facts.disk_failed);
    check.presences(facts);
    check.left(&facts.left);
    check.0
}

struct Check(Vec<Violation>);

impl Check {
    fn say(&mut self, promise: Promise, what: String) {
        self.0.push(Violation { promise, what });
    }

    /// XEP-0198 §5: a stream is on one connection at a time.
    fn winners(&mut self, facts: &Facts) {
        for holders in facts.holders.iter().filter(|holders| holders.len() > 1) {
            self.say(
                Promise::OneWinner,
                format!("connections {holders:?} all have it"),
            );
        }
        if !facts.went_on && !facts.may_end {
            self.say(
                Promise::GoesOn,
                "the stream ended, and nobody ended it".into(),
            );
        }
    }

    fn answers(&mut self, facts: &Facts) {
        for attempt in &facts.attempts {
            let who = format!("connection {} ({:?})", attempt.line, attempt.asks);
            let refused = matches!(
                attempt.answer,
                Some(Answer::Failed(None) | Answer::Ended(_))
            );
            match attempt.asks {
                _ if attempt.cut => {}
                _ if attempt.answer.is_none() => {
                    self.say(Promise::Answered, format!("{who} heard nothing"));
                }
                Asks::Forged | Asks::Truncated | Asks::Stranger if !refused => {
                    self.say(
                        Promise::Private,
                        format!("{who} heard {:?}", attempt.answer),
                    );
                }
                Asks::TooHigh if matches!(attempt.answer, Some(Answer::Resumed(_))) => {
                    self.say(Promise::Count, format!("{who} was believed"));
                }
                _ => {}
            }
        }
        for lost in &facts.client.lost {
            if lost.condition.is_none() {
                let what = format!("connection {} ended without a word", lost.line);
                self.say(Promise::Answered, what);
            }
        }
        for leaked in &facts.leaked {
            self.say(Promise::Private, format!("a stranger got {leaked}"));
        }
        for fault in facts.client.faults.iter().chain(&facts.contact.faults) {
            self.say(Promise::Protocol, fault.clone());
        }
    }

    /// The client counts what comes, and so does the server: both must mean the same stanza.
    fn positions(&mut self, side: &Side) {
        let mut known: HashMap<(usize, u32), &str> = HashMap::new();
        let mut places: HashMap<(usize, u32), u32> = HashMap::new();
        for came in &side.came {
            let (stream, position) = (came.stream, came.position);
            let before = *known.entry((stream, position)).or_insert(&came.bytes);
            if before != came.bytes {
                let what = format!(
                    "stanza {position} of stream {stream} was {before} and is {} on connection {}",
                    came.bytes, came.line
                );
                self.say(Promise::Position, what);
            }
            let Some(message) = came.message else {
                continue;
            };
            let place = *places.entry((stream, message)).or_insert(position);
            if place != position {
                let what = format!("message {message} is stanza {place} and stanza {position}");
                self.say(Promise::Position, what);
            }
        }
    }

    /// RFC 6120 §10.1. What is sent again comes behind later ones; the first time counts.
    ///
    /// On the first stream this holds for all messages. A later one gets what waited for the
    /// account when it becomes available, and what is for itself as soon as it is bound.
    fn order(&mut self, who: &str, side: &Side) {
        let on_the_first = |got: &&Got| got.stream == Some(0);
        self.ascending(who, side.got.iter().filter(|got| got.for_account));
        self.ascending(who, side.got.iter().filter(on_the_first));
    }

    fn ascending<'g>(&mut self, who: &str, got: impl Iterator<Item = &'g Got>) {
        let mut last = 0;
        let mut seen = HashSet::new();
        for got in got.filter(|got| seen.insert(got.number)) {
            if got.number < last {
                let what = format!("{who} got {last} before {}", got.number);
                self.say(Promise::InOrder, what);
            }
            last = last.max(got.number);
        }
    }

    fn received(&mut self, who: &str, side: &Side, said: &[Said], went_on: bool) {
        for said in said.iter().filter(|said| said.taken) {
            let due = said.lasting || went_on;
            if due && side.got.iter().all(|got| got.number != said.number) {
                self.say(
                    Promise::Received,
                    format!("{who} never got {}", said.number),
                );
            }
        }
    }

    /// What the client sends again, because `h` did not count it, was not handled before.
    fn once(&mut self, contact: &Side) {
        let mut times: HashMap<u32, usize> = HashMap::new();
        for got in &contact.got {
            *times.entry(got.number).or_default() += 1;
        }
        // What its own stream sends again has the same position there.
        let mut again: HashMap<u32, usize> = HashMap::new();
        let mut positions = Vec::new();
        for came in &contact.came {
            let position = (came.stream, came.position);
            match came.message {
                Some(number) if positions.contains(&position) => {
                    *again.entry(number).or_default() += 1;
                }
                _ => positions.push(position),
            }
        }
        for (number, times) in times {
            let repeated = again.get(&number).copied().unwrap_or_default();
            if times > repeated + 1 {
                self.say(Promise::Once, format!("{number} was handled {times} times"));
            }
        }
    }

    /// A disk that takes nothing at the moment in which a stream ends leaves an older count.
    fn counts(&mut self, side: &Side, disk_failed: bool) {
        for count in &side.counts {
            if count.h > count.sent || (count.h < count.before && !disk_failed) {
                self.say(Promise::Count, format!("that is no count: {count:?}"));
            }
        }
    }

    fn presences(&mut self, facts: &Facts) {
        let mut shown: HashMap<&str, bool> = HashMap::new();
        for (jid, available) in &facts.presences {
            let before = shown.insert(jid, *available);
            if !available && before != Some(true) {
                let what = format!("{jid} went, and was not there: {:?}", facts.presences);
                self.say(Promise::Presence, what);
            }
        }
        for (jid, _) in shown.into_iter().filter(|(_, available)| *available) {
            self.say(
                Promise::Presence,
                format!("{jid} is gone, and nobody was told"),
            );
        }
        let ends = facts.presences.iter().filter(|(_, available)| !available);
        let ends = ends.count();
        if facts.went_on && ends != 1 {
            let what = format!("the session ended once and was seen to end {ends} times");
            self.say(Promise::Presence, what);
        }
    }

    fn left(&mut self, left: &Left) {
        if *left != Left::default() {
            self.say(Promise::Nothing, format!("this is left behind: {left:?}"));
        }
    }
}
