//! What was said before, for those who come in (XEP-0045 §7.2.13–§7.2.15).

use std::collections::VecDeque;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza};
use balcony_proto::xep::date_time;
use balcony_proto::xep::delay::Delay;
use balcony_proto::xml::Element;

use super::{Affiliation, Out, State};

/// Bytes of messages that a room keeps in memory for newcomers: some hundred of the usual size.
const MAX_BYTES: usize = 128 * 1_024;

/// A message that was sent.
#[derive(Debug)]
pub(in crate::muc) struct Past {
    /// When the room got it: microseconds since the Unix epoch.
    pub(in crate::muc) at: i64,
    pub(in crate::muc) message: Stanza,
    /// It says itself when it was written, and the room does not say it again: an owner brought a
    /// conversation of before (XEP-0045 §7.9).
    pub(in crate::muc) dated: bool,
}

/// Whether a message is dated by itself. From anybody but an owner it is nothing to rely on.
pub(in crate::muc) fn is_dated(by: Affiliation, message: &Stanza) -> bool {
    by == Affiliation::Owner && message.payload.find(ns::DELAY, "delay").is_some()
}

/// The last messages, as they were sent, the oldest first.
#[derive(Default)]
pub(in crate::muc) struct History {
    past: VecDeque<Past>,
    bytes: usize,
}

impl History {
    /// Adds the newest.
    pub(in crate::muc) fn push(&mut self, newest: Past, most: u32) {
        self.bytes += newest.message.size();
        self.past.push_back(newest);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        while self.past.len() > most || self.bytes > MAX_BYTES {
            match self.past.pop_front() {
                Some(gone) => self.bytes = self.bytes.saturating_sub(gone.message.size()),
                None => break,
            }
        }
    }

    /// Takes the messages out for which `keep` does not hold.
    pub(in crate::muc) fn retain(&mut self, keep: impl Fn(&Stanza) -> bool) {
        self.past.retain(|past| keep(&past.message));
        self.bytes = self.past.iter().map(|past| past.message.size()).sum();
    }
}

/// How much of it somebody wants (§7.2.14). `None`: whatever is usual.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    bytes: Option<usize>,
    stanzas: Option<usize>,
    since: Option<i64>,
}

impl Wanted {
    /// What `<x/>` of an entry says. What cannot be read limits nothing.
    pub(super) fn of(x: &Element, now: i64) -> Wanted {
        let Some(history) = x.child(ns::MUC, "history") else {
            return Wanted::default();
        };
        let number = |name| {
            history
                .attr(name)
                .and_then(|n| n.trim().parse::<usize>().ok())
        };
        let seconds = number("seconds").and_then(|n| i64::try_from(n).ok());
        let last = seconds.map(|n| now.saturating_sub(n.saturating_mul(1_000_000)));
        let since = history.attr("since").and_then(date_time::parse);
        Wanted {
            bytes: number("maxchars"),
            stanzas: number("maxstanzas"),
            since: last.max(since),
        }
    }
}

impl State {
    /// §7.2.13, §7.2.14: the most that all limits let through, whole messages, the oldest first.
    pub(super) fn tell_history(&self, wanted: &Wanted, to: &Jid, out: &mut Out) {
        let usual = usize::try_from(self.config.history).unwrap_or(usize::MAX);
        let most = wanted.stanzas.map_or(usual, |stanzas| stanzas.min(usual));
        let mut bytes = wanted.bytes.unwrap_or(usize::MAX);
        let mut chosen = Vec::new();
        for past in self.history.past.iter().rev().take(most) {
            if wanted.since.is_some_and(|since| past.at < since) {
                break;
            }
            let message = past.message.clone().with_to(to.clone());
            let message = match past.dated {
                true => message,
                false => self.delayed(message, past.at),
            };
            match bytes.checked_sub(message.to_bytes().len()) {
                Some(left) => bytes = left,
                None => break,
            }
            chosen.push(message);
        }
        chosen
            .into_iter()
            .rev()
            .for_each(|message| out.push(message));
    }

    /// §7.2.15
    pub(super) fn tell_subject(&self, to: &Jid, out: &mut Out) {
        let message = match &self.subject {
            Some(subject) => self.delayed(subject.message.clone(), subject.at),
            None => Stanza::message(MessageType::Groupchat)
                .with_from(self.jid.clone())
                .with_element(Element::new(ns::CLIENT, "subject")),
        };
        out.push(message.with_to(to.clone()));
    }

    fn delayed(&self, mut message: Stanza, at: i64) -> Stanza {
        let delay = Delay {
            from: Some(self.jid.clone()),
            stamp: at,
            reason: None,
        };
        message.payload.add(&delay.to_element());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(attrs: &str) -> Wanted {
        let text = format!("<x xmlns='{}'><history {attrs}/></x>", ns::MUC);
        let x = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        Wanted::of(&x, 1_000_000_000)
    }

    #[test]
    fn limits_are_read_and_the_later_time_counts() {
        assert_eq!(wanted("maxchars='0'").bytes, Some(0));
        assert_eq!(wanted("maxstanzas=' 20 '").stanzas, Some(20));
        assert_eq!(wanted("seconds='180'").since, Some(820_000_000));
        assert_eq!(wanted("since='1970-01-01T00:00:00Z'").since, Some(0));
        let both = wanted("since='1970-01-01T00:00:00Z' seconds='180'");
        assert_eq!(both.since, Some(820_000_000));
        let odd = wanted("seconds='99999999999999999999' maxstanzas='-1' since='yesterday'");
        assert_eq!(odd, Wanted::default());
    }

    #[test]
    fn the_oldest_go_by_number_and_by_bytes() {
        let mut history = History::default();
        let past = |at, text: &str| {
            let body = Element::new(ns::CLIENT, "body").with_text(text);
            Past {
                at,
                message: Stanza::message(MessageType::Groupchat).with_element(body),
                dated: false,
            }
        };
        for at in 0..5 {
            history.push(past(at, "x"), 3);
        }
        let times: Vec<i64> = history.past.iter().map(|past| past.at).collect();
        assert_eq!(times, [2, 3, 4]);
        history.push(past(5, &"x".repeat(MAX_BYTES - 400)), 3);
        assert!(history.bytes <= MAX_BYTES && history.past.len() == 3);
        history.push(past(6, &"x".repeat(MAX_BYTES)), 3);
        assert!(history.past.is_empty() && history.bytes == 0);
    }
}
