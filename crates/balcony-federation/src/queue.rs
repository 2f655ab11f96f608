//! What waits for one domain: a line for each of our domains, since a stream carries pairs of
//! domains (RFC 6120 §8.1.1.2, XEP-0220 §2.6) and only within a pair there is an order to keep.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use balcony_core::remote::Departing;
use tokio::sync::Notify;

/// A stream that carries a pair.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    /// Which one.
    pub(crate) id: u64,
    /// Rings when there is something to carry.
    pub(crate) bell: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Departing>,
    carrier: Option<Carrier>,
    /// Streams that could carry it as well, and do when the carrier is gone.
    others: Vec<Carrier>,
}

/// The lines to one domain.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lines: BTreeMap<Box<str>, Line>,
    /// Of what waits, and of what is on its way and not acknowledged.
    bytes: usize,
}

impl Queue {
    /// Adds a stanza at the end of the line of `local`; answers who carries it, if anybody does.
    pub(crate) fn push(&mut self, local: &str, departing: Departing) -> Option<Carrier> {
        self.bytes += departing.stanza.size();
        let line = self.lines.entry(local.into()).or_default();
        line.waiting.push_back(departing);
        line.carrier.clone()
    }

    /// The first of a line. Its bytes count until they are [settled](Queue::settle).
    pub(crate) fn take(&mut self, local: &str) -> Option<Departing> {
        self.lines.get_mut(local)?.waiting.pop_front()
    }

    /// So many bytes have arrived, or were given back to their senders.
    pub(crate) fn settle(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Puts a line into the hands of a stream. False when it is in those of another; when that is
    /// over, the stream gets the line, and hears its bell.
    pub(crate) fn hand(&mut self, local: &str, carrier: &Carrier) -> bool {
        let line = self.lines.entry(local.into()).or_default();
        let Some(other) = &line.carrier else {
            line.carrier = Some(carrier.clone());
            return true;
        };
        let has_it = other.id == carrier.id;
        if !has_it && line.others.iter().all(|known| known.id != carrier.id) {
            line.others.push(carrier.clone());
        }
        has_it
    }

    /// Whether a stream carries the line of `local`.
    pub(crate) fn is_carried(&self, local: &str) -> bool {
        let line = self.lines.get(local);
        line.is_some_and(|line| line.carrier.is_some())
    }

    /// A stream is over: its lines are another's or nobody's, and what it had taken and could not
    /// bring there waits again, before all that came later.
    pub(crate) fn release(&mut self, carrier: u64, back: Vec<(Box<str>, Departing)>) {
        for line in self.lines.values_mut() {
            line.others.retain(|of| of.id != carrier);
            if line.carrier.take_if(|of| of.id == carrier).is_some() && !line.others.is_empty() {
                let next = line.others.remove(0);
                next.bell.notify_one();
                line.carrier = Some(next);
            }
        }
        for (local, departing) in back.into_iter().rev() {
            let line = self.lines.entry(local).or_default();
            line.waiting.push_front(departing);
        }
        self.lines
            .retain(|_, line| line.carrier.is_some() || !line.waiting.is_empty());
    }

    /// Our domains for which something waits that nobody carries.
    pub(crate) fn uncarried(&self) -> Vec<Box<str>> {
        let lines = self.lines.iter();
        let idle = lines.filter(|(_, line)| line.carrier.is_none() && !line.waiting.is_empty());
        idle.map(|(local, _)| local.clone()).collect()
    }

    /// Takes all that waits in one line, with its bytes.
    pub(crate) fn take_line(&mut self, local: &str) -> VecDeque<Departing> {
        let line = self.lines.remove(local).unwrap_or_default();
        let bytes = line.waiting.iter().map(|d| d.stanza.size()).sum();
        self.settle(bytes);
        line.waiting
    }

    /// Puts what waited elsewhere before all that waits in one line.
    pub(crate) fn put_before(&mut self, local: &str, older: VecDeque<Departing>) {
        if older.is_empty() {
            return;
        }
        self.bytes += older.iter().map(|d| d.stanza.size()).sum::<usize>();
        let line = self.lines.entry(local.into()).or_default();
        let newer = std::mem::replace(&mut line.waiting, older);
        line.waiting.extend(newer);
    }

    /// Takes out of the lines that nobody carries what shall not wait any longer.
    pub(crate) fn weed(&mut self, gone: impl Fn(&Departing) -> bool) -> Vec<Departing> {
        let mut taken = Vec::new();
        for line in self.lines.values_mut() {
            if line.carrier.is_some() {
                continue;
            }
            let (out, stay): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut line.waiting)
                .into_iter()
                .partition(&gone);
            line.waiting = stay;
            taken.extend(out);
        }
        self.lines
            .retain(|_, line| line.carrier.is_some() || !line.waiting.is_empty());
        let bytes = taken.iter().map(|d| d.stanza.size()).sum();
        self.settle(bytes);
        taken
    }

    /// When the stanza that waits for longest was taken on, of those that nobody carries.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let lines = self.lines.values().filter(|line| line.carrier.is_none());
        let firsts = lines.filter_map(|line| line.waiting.front());
        firsts.map(|departing| departing.received_at).min()
    }

    /// About how many bytes wait or are not acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many stanzas wait.
    pub(crate) fn stanzas(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// Whether nothing waits and nobody carries anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::{MessageType, Stanza};

    fn departing(id: &str, kept: bool) -> Departing {
        Departing {
            stanza: Stanza::message(MessageType::Chat).with_id(id),
            received_at: 0,
            kept: kept.then_some(1),
            quiet: false,
        }
    }

    fn carrier(id: u64) -> Carrier {
        Carrier {
            id,
            bell: Arc::default(),
        }
    }

    fn ids(queue: &mut Queue, local: &str) -> Vec<String> {
        std::iter::from_fn(|| queue.take(local))
            .filter_map(|d| d.stanza.id.as_deref().map(str::to_owned))
            .collect()
    }

    #[test]
    fn what_a_stream_could_not_bring_comes_before_what_came_later() {
        let mut queue = Queue::default();
        for id in ["1", "2", "3"] {
            queue.push("verona.example", departing(id, true));
        }
        assert!(queue.hand("verona.example", &carrier(7)));
        assert!(queue.is_carried("verona.example") && !queue.is_carried("mantua.example"));
        let taken = [queue.take("verona.example"), queue.take("verona.example")];
        let back = taken.into_iter().flatten();
        let back = back.map(|d| ("verona.example".into(), d)).collect();
        assert!(queue.uncarried().is_empty());
        queue.release(7, back);
        assert!(!queue.is_carried("verona.example"));
        assert_eq!(queue.uncarried(), ["verona.example".into()]);
        assert_eq!(ids(&mut queue, "verona.example"), ["1", "2", "3"]);
    }

    #[test]
    fn a_stream_that_could_carry_a_line_gets_it_when_the_other_is_over() {
        let mut queue = Queue::default();
        let local = "verona.example";
        assert!(queue.hand(local, &carrier(1)));
        assert!(!queue.hand(local, &carrier(2)) && !queue.hand(local, &carrier(2)));
        assert!(!queue.hand(local, &carrier(3)));
        queue.release(2, Vec::new());
        queue.release(1, vec![(local.into(), departing("1", true))]);
        assert!(queue.is_carried(local) && queue.hand(local, &carrier(3)));
        assert!(queue.uncarried().is_empty());
        queue.release(3, Vec::new());
        assert_eq!(queue.uncarried(), [local.into()]);
    }

    #[test]
    fn what_is_moved_comes_before_what_is_there() {
        let local = "verona.example";
        let (mut from, mut to) = (Queue::default(), Queue::default());
        from.push(local, departing("1", true));
        from.push(local, departing("2", true));
        from.push("rooms.verona.example", departing("other", true));
        to.push(local, departing("3", true));
        let all = from.bytes() + to.bytes();
        let line = from.take_line(local);
        to.put_before(local, line);
        assert_eq!(from.bytes() + to.bytes(), all);
        assert_eq!(from.stanzas(), 1);
        assert_eq!(ids(&mut to, local), ["1", "2", "3"]);
        to.put_before("mantua.example", VecDeque::new());
        assert!(to.uncarried().is_empty(), "nothing makes no line");
    }

    #[test]
    fn bytes_count_until_they_are_settled() {
        let mut queue = Queue::default();
        queue.push("verona.example", departing("1", true));
        let size = queue.bytes();
        let taken = queue.take("verona.example").unwrap();
        assert_eq!(queue.bytes(), size);
        queue.settle(taken.stanza.size());
        queue.release(0, Vec::new());
        assert!(queue.is_idle());
    }

    #[test]
    fn only_what_nobody_carries_is_weeded() {
        let mut queue = Queue::default();
        for local in ["verona.example", "rooms.verona.example"] {
            queue.push(local, departing("kept", true));
            queue.push(local, departing("lost", false));
        }
        queue.hand("rooms.verona.example", &carrier(1));
        let gone = queue.weed(|departing| departing.kept.is_none());
        assert_eq!(gone.len(), 1);
        assert_eq!(queue.stanzas(), 3);
        assert_eq!(ids(&mut queue, "verona.example"), ["kept"]);
    }
}
