//! What a client has been sent and has not acknowledged (XEP-0198 §4).

use std::collections::VecDeque;
use std::time::Duration;

use balcony_store::StreamId;
use tokio::sync::oneshot;

use super::queue::Item;

/// Stanzas after which the client is asked what it has got: often enough that little is sent again
/// and kept, seldom enough that the question costs little beside them.
const ASK_AFTER: u32 = 16;

/// Stanzas that were written and may have to be written again.
#[derive(Debug)]
pub(super) struct Window {
    /// How to resume, if the client may: its name for the stream, and for how long it may be away.
    pub(super) resumable: Option<(StreamId, Duration)>,
    sent: VecDeque<Sent>,
    /// Stanzas among `sent`.
    stanzas: u32,
    bytes: usize,
    /// What the client said last.
    acknowledged: u32,
    /// Stanzas written since it was asked.
    unasked: u32,
    /// It was asked, and has not answered.
    asked: bool,
}

#[derive(Debug)]
enum Sent {
    Stanza(Item),
    /// Whoever wants to know when the client has all that came before.
    Mark(oneshot::Sender<()>),
}

/// The client acknowledged more than it was sent (XEP-0198 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHigh {
    /// How many it was sent.
    pub sent: u32,
}

impl Window {
    pub(super) fn new(resumable: Option<(StreamId, Duration)>) -> Self {
        Self {
            resumable,
            sent: VecDeque::new(),
            stanzas: 0,
            bytes: 0,
            acknowledged: 0,
            unasked: 0,
            asked: false,
        }
    }

    /// A window as it was kept: what was acknowledged, and all that was sent since.
    pub(super) fn kept(resumable: (StreamId, Duration), acknowledged: u32) -> Self {
        Self {
            acknowledged,
            ..Self::new(Some(resumable))
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the client said last.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// How many stanzas the client was sent.
    pub(super) fn count(&self) -> u32 {
        self.acknowledged.wrapping_add(self.stanzas)
    }

    pub(super) fn written(&mut self, item: Item) {
        self.bytes += item.stanza.size();
        self.stanzas += 1;
        self.unasked += 1;
        self.sent.push_back(Sent::Stanza(item));
    }

    /// `tell` is told when the client has all that was written so far.
    pub(super) fn mark(&mut self, tell: oneshot::Sender<()>) {
        if self.stanzas == 0 {
            // Whoever asked may have gone.
            let _ = tell.send(());
            return;
        }
        self.unasked = self.unasked.max(ASK_AFTER);
        self.sent.push_back(Sent::Mark(tell));
    }

    /// Whether to ask the client now what it has got; once until it answers.
    pub(super) fn asks(&mut self) -> bool {
        let asks = !self.asked && self.unasked >= ASK_AFTER;
        if asks {
            self.ask();
        }
        asks
    }

    /// Whether anything was written that the client was not asked about; it is asked now.
    pub(super) fn asks_at_last(&mut self) -> bool {
        let asks = !self.asked && self.unasked > 0;
        if asks {
            self.ask();
        }
        asks
    }

    /// The client is asked, whatever it was asked before.
    pub(super) fn ask(&mut self) {
        self.asked = true;
        self.unasked = 0;
    }

    /// The client has so many. Gives what it has that it had not acknowledged before.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<Vec<Item>, TooHigh> {
        self.asked = false;
        let mut news = h.wrapping_sub(self.acknowledged);
        if news > self.stanzas {
            // A number that was right once says nothing new.
            if self.acknowledged.wrapping_sub(h) <= u32::MAX / 2 {
                return Ok(Vec::new());
            }
            return Err(TooHigh { sent: self.count() });
        }
        self.acknowledged = h;
        self.stanzas -= news;
        let mut taken = Vec::with_capacity(news as usize);
        while let Some(first) = self.sent.front() {
            if matches!(first, Sent::Stanza(_)) && news == 0 {
                break;
            }
            match self.sent.pop_front() {
                Some(Sent::Stanza(item)) => {
                    news -= 1;
                    self.bytes = self.bytes.saturating_sub(item.stanza.size());
                    taken.push(item);
                }
                Some(Sent::Mark(tell)) => {
                    // Whoever asked may have gone.
                    let _ = tell.send(());
                }
                None => break,
            }
        }
        if self.sent.is_empty() {
            // It has told all that it could be asked.
            self.unasked = 0;
            // The room alone, for as many as it is asked about, is a third of what an idle session
            // takes.
            self.sent = VecDeque::new();
        }
        Ok(taken)
    }

    /// Takes all that is not acknowledged, to be written again.
    pub(super) fn rewind(&mut self) -> (Vec<Rewound>, usize) {
        self.stanzas = 0;
        self.asked = false;
        self.unasked = 0;
        let sent = std::mem::take(&mut self.sent).into_iter();
        let rewound = sent.map(|sent| match sent {
            Sent::Stanza(item) => Rewound::Stanza(item),
            Sent::Mark(tell) => Rewound::Mark(tell),
        });
        (rewound.collect(), std::mem::take(&mut self.bytes))
    }

    /// The stanzas that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &Item> {
        self.sent.iter().filter_map(|sent| match sent {
            Sent::Stanza(item) => Some(item),
            Sent::Mark(_) => None,
        })
    }
}

/// What goes back into the queue.
pub(super) enum Rewound {
    Stanza(Item),
    Mark(oneshot::Sender<()>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::{MessageType, Stanza};

    fn item(id: &str) -> Item {
        Item::new(Stanza::message(MessageType::Chat).with_id(id), 0)
    }

    fn ids(items: &[Item]) -> Vec<&str> {
        items
            .iter()
            .filter_map(|i| i.stanza.id.as_deref())
            .collect()
    }

    fn window(stanzas: &[&str]) -> Window {
        let mut window = Window::new(None);
        stanzas.iter().for_each(|id| window.written(item(id)));
        window
    }

    #[test]
    fn what_is_acknowledged_leaves_in_order() {
        let mut window = window(&["a", "b", "c"]);
        assert_eq!(ids(&window.acknowledge(2).unwrap()), ["a", "b"]);
        assert_eq!(ids(&window.acknowledge(2).unwrap()), [""; 0]);
        assert_eq!(window.count(), 3);
        assert_eq!(window.unacknowledged().count(), 1);
    }

    #[test]
    fn what_is_all_acknowledged_leaves_no_room_behind() {
        let mut window = window(&["a", "b", "c"]);
        let _ = window.acknowledge(2);
        assert!(window.sent.capacity() > 0);
        let _ = window.acknowledge(3);
        assert_eq!(window.sent.capacity(), 0);
    }

    #[test]
    fn more_than_was_sent_is_too_high_and_less_than_before_is_nothing() {
        let mut window = window(&["a", "b"]);
        assert_eq!(window.acknowledge(3).unwrap_err(), TooHigh { sent: 2 });
        assert_eq!(window.acknowledge(2).unwrap().len(), 2);
        assert_eq!(window.acknowledge(1).unwrap().len(), 0);
        assert_eq!(window.acknowledge(3).unwrap_err(), TooHigh { sent: 2 });
    }

    #[test]
    fn the_count_wraps_as_the_specification_says() {
        let id = StreamId([0; 16]);
        let mut window = Window::kept((id, Duration::ZERO), u32::MAX);
        window.written(item("last"));
        window.written(item("first"));
        assert_eq!(window.count(), 1);
        assert_eq!(ids(&window.acknowledge(0).unwrap()), ["last"]);
        assert_eq!(ids(&window.acknowledge(1).unwrap()), ["first"]);
    }

    #[test]
    fn a_mark_tells_when_all_before_it_is_acknowledged() {
        let mut window = window(&["a", "b"]);
        let (tell, mut told) = oneshot::channel();
        window.mark(tell);
        window.written(item("c"));
        let _ = window.acknowledge(1);
        assert!(told.try_recv().is_err());
        let _ = window.acknowledge(2);
        assert!(told.try_recv().is_ok());
    }

    #[test]
    fn the_client_is_asked_once_until_it_answers() {
        let mut window = window(&[]);
        (0..ASK_AFTER).for_each(|_| window.written(item("x")));
        assert!(window.asks());
        (0..ASK_AFTER).for_each(|_| window.written(item("x")));
        assert!(!window.asks());
        let _ = window.acknowledge(1);
        assert!(window.asks());
    }

    #[test]
    fn what_is_rewound_is_counted_anew_when_written_again() {
        let mut window = window(&["a", "b", "c"]);
        let _ = window.acknowledge(1);
        let (again, bytes) = window.rewind();
        assert_eq!((again.len(), window.bytes(), window.count()), (2, 0, 1));
        assert!(bytes > 0);
    }
}
