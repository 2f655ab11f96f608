//! XEP-0198 §4 between servers: what is handled of theirs, and what of ours. Without resumption.

use balcony_proto::stream::StreamError;

use crate::management;

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
}

impl Counts {
    /// So many more of theirs are handled.
    pub(super) fn handle(&mut self, stanzas: u32) {
        self.handled = self.handled.wrapping_add(stanzas);
    }

    /// So many more of ours are written.
    pub(super) fn send(&mut self, stanzas: u32) {
        self.sent = self.sent.wrapping_add(stanzas);
    }

    /// Whether to ask now.
    pub(super) fn asks(&mut self) -> bool {
        let outstanding = self.sent != self.acknowledged;
        outstanding && !std::mem::replace(&mut self.asked, true)
    }

    /// The other side has handled `h` of ours; how many more that are.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<u32, StreamError> {
        self.asked = false;
        let more = h.wrapping_sub(self.acknowledged);
        // §4: modulo 2^32, so one that is too high looks like a long way back.
        if more > self.sent.wrapping_sub(self.acknowledged) {
            return Err(management::handled_count_too_high(h, self.sent));
        }
        self.acknowledged = h;
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
        assert!(counts.asks() && !counts.asks());
        assert_eq!(counts.acknowledge(1), Ok(2));
        assert!(counts.acknowledge(3).is_err());
        assert!(counts.acknowledge(0).is_err());
        assert_eq!(counts.acknowledge(2), Ok(1));
        assert!(!counts.asks());
    }
}
