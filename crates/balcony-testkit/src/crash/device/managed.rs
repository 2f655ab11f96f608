//! XEP-0198 Stream Management 1.6.3 as a client keeps it: what was sent and is not acknowledged,
//! and how much came.

use std::collections::VecDeque;

use super::super::observed::MessageId;

/// A stanza on its way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// As it is written.
    pub(super) bytes: Vec<u8>,
    /// The message in it. `None`: something that is not sent again on another stream.
    pub(super) message: Option<MessageId>,
}

/// A stream that counts.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// What to name for resumption. `None`: the server does not resume it.
    pub(super) previd: Option<String>,
    /// Stanzas of the server that came, modulo 2^32 (§4).
    pub(super) handled: u32,
    /// What the server has acknowledged so far, modulo 2^32.
    acknowledged: u32,
    /// How many it had when it acknowledged the last message.
    messages: u32,
    unacknowledged: VecDeque<Outgoing>,
}

impl Managed {
    /// A stream on which nothing was said yet.
    pub(super) fn new(previd: Option<String>) -> Self {
        Self {
            previd,
            ..Self::default()
        }
    }

    /// Notes a stanza that is written now.
    pub(super) fn push(&mut self, stanza: Outgoing) {
        self.unacknowledged.push_back(stanza);
    }

    /// Another stanza came.
    pub(super) fn count(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// The server has handled `h` stanzas (§4). Answers which ones that adds.
    ///
    /// # Errors
    /// What is wrong with this number.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<Vec<Outgoing>, String> {
        let before = self.acknowledged;
        let more = h.wrapping_sub(before);
        if more > u32::MAX / 2 {
            return Err(format!("h went back from {before} to {h}"));
        }
        let waiting = self.unacknowledged.len();
        if more as usize > waiting {
            return Err(format!(
                "h is {h}, but {before} and {waiting} more were sent"
            ));
        }
        self.acknowledged = h;
        let taken: Vec<_> = self.unacknowledged.drain(..more as usize).collect();
        if let Some(last) = taken.iter().rposition(|stanza| stanza.message.is_some()) {
            let behind = u32::try_from(taken.len() - 1 - last).unwrap_or(u32::MAX);
            self.messages = h.wrapping_sub(behind);
        }
        Ok(taken)
    }

    /// The stream is gone, and the server says what it had handled (§5). What left nothing behind,
    /// such as presence, it may have forgotten.
    ///
    /// # Errors
    /// As [`Managed::acknowledge`], and when it forgot a message.
    pub(super) fn failed(&mut self, h: u32) -> Result<Vec<Outgoing>, String> {
        let forgotten = self.acknowledged.wrapping_sub(h);
        let allowed = self.acknowledged.wrapping_sub(self.messages);
        if forgotten > 0 && forgotten <= allowed {
            return Ok(Vec::new());
        }
        self.acknowledge(h)
    }

    /// What is not acknowledged, in order.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Outgoing> {
        self.unacknowledged.iter()
    }

    /// How many stanzas these are.
    pub(super) fn waiting(&self) -> usize {
        self.unacknowledged.len()
    }

    /// The messages that are not acknowledged: what to send again on the next stream.
    pub(super) fn into_messages(self) -> impl DoubleEndedIterator<Item = Outgoing> {
        let all = self.unacknowledged.into_iter();
        all.filter(|stanza| stanza.message.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(n: u32) -> Outgoing {
        Outgoing {
            bytes: Vec::new(),
            message: (n > 0).then_some(MessageId { sender: 0, n }),
        }
    }

    #[test]
    fn what_h_counts_is_let_go_and_the_rest_is_kept_in_order() {
        let mut managed = Managed::default();
        (1..=4).for_each(|n| managed.push(stanza(n)));
        assert_eq!(managed.acknowledge(2), Ok(vec![stanza(1), stanza(2)]));
        assert_eq!(managed.acknowledge(2), Ok(vec![]));
        managed.push(stanza(0));
        let again: Vec<_> = managed.into_messages().collect();
        assert_eq!(again, [stanza(3), stanza(4)]);
    }

    #[test]
    fn h_neither_goes_back_nor_counts_what_was_not_sent() {
        let mut managed = Managed::default();
        managed.push(stanza(1));
        assert!(managed.acknowledge(2).is_err());
        managed.acknowledge(1).unwrap();
        assert!(managed.acknowledge(0).is_err());
    }

    #[test]
    fn after_a_crash_presence_may_be_forgotten_and_messages_may_not() {
        let mut managed = Managed::default();
        [0, 1, 0, 0, 2]
            .into_iter()
            .for_each(|n| managed.push(stanza(n)));
        managed.acknowledge(4).unwrap();
        assert!(managed.failed(1).is_err());
        assert_eq!(managed.failed(2), Ok(vec![]));
        assert_eq!(managed.failed(5), Ok(vec![stanza(2)]));
    }

    #[test]
    fn h_begins_again_after_the_largest_number() {
        let mut managed = Managed {
            acknowledged: u32::MAX,
            ..Managed::default()
        };
        managed.push(stanza(1));
        assert_eq!(managed.acknowledge(0), Ok(vec![stanza(1)]));
    }
}
