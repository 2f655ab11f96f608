//! XEP-0198 §4 between servers: what is handled of theirs, and what of ours. Without resumption.

use std::time::Duration;

use balcony_proto::stream::StreamError;

use crate::management;

/// How long after an answer that told nothing new the other side is asked again, unless more was
/// written: it has yet to handle what it has.
const AGAIN: Duration = Duration::from_secs(1);

/// Both counts of a stream on which stanzas are counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Of theirs.
    handled: u32,
    /// Of ours, written.
    sent: u32,
    /// Of ours, known to be handled.
    acknowledged: u32,
    /// The other side was asked and has not answered.
    asked: bool,
    /// Until then nothing new is to be expected.
    waits_until: Option<Duration>,
}

impl Counts {
    /// So many more of theirs are handled.
    pub(super) fn handle(&mut self, stanzas: u32) {
        self.handled = self.handled.wrapping_add(stanzas);
    }

    /// So many more of ours are written.
    pub(super) fn send(&mut self, stanzas: u32) {
        self.sent = self.sent.wrapping_add(stanzas);
        if stanzas > 0 {
            self.waits_until = None;
        }
    }

    /// Whether to ask now.
    pub(super) fn asks(&mut self, now: Duration) -> bool {
        let outstanding = self.sent != self.acknowledged;
        let waits = self.waits_until.is_some_and(|until| now < until);
        outstanding && !waits && !std::mem::replace(&mut self.asked, true)
    }

    /// The other side has handled `h` of ours; how many more that are.
    pub(super) fn acknowledge(&mut self, h: u32, now: Duration) -> Result<u32, StreamError> {
        self.asked = false;
        let more = h.wrapping_sub(self.acknowledged);
        // §4: modulo 2^32, so one that is too high looks like a long way back.
        if more > self.sent.wrapping_sub(self.acknowledged) {
            return Err(management::handled_count_too_high(h, self.sent));
        }
        self.acknowledged = h;
        self.waits_until = (more == 0).then(|| now + AGAIN);
        Ok(more)
    }

    pub(super) fn write_answer(&self, out: &mut Vec<u8>) {
        management::write_answer(self.handled, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_round_and_never_beyond_what_was_sent() {
        let mut counts = Counts {
            sent: u32::MAX,
            acknowledged: u32::MAX,
            ..Counts::default()
        };
        counts.send(3);
        let now = Duration::ZERO;
        assert!(counts.asks(now) && !counts.asks(now));
        assert_eq!(counts.acknowledge(1, now), Ok(2));
        assert!(counts.acknowledge(3, now).is_err());
        assert!(counts.acknowledge(0, now).is_err());
        assert_eq!(counts.acknowledge(2, now), Ok(1));
        assert!(!counts.asks(now));
    }

    #[test]
    fn who_has_nothing_new_to_say_is_not_asked_again_at_once() {
        let mut counts = Counts::default();
        let now = Duration::ZERO;
        counts.send(1);
        assert!(counts.asks(now));
        assert_eq!(counts.acknowledge(0, now), Ok(0));
        assert!(!counts.asks(now) && counts.asks(now + AGAIN));
        assert_eq!(counts.acknowledge(0, now), Ok(0));
        counts.send(1);
        assert!(counts.asks(now));
    }
}
