//! The way out: what is queued for a client, and what the connection takes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balcony_proto::stanza::Stanza;
use balcony_proto::stream::StreamError;
use balcony_store::StreamId;
use tokio::sync::oneshot;

use super::queue::{Item, Outgoing};
use super::window::{Rewound, TooHigh, Window};
use super::{Session, Wake};
use crate::held::{Held, Hold};

/// What waits, and what was written and may have to be written again.
pub(super) struct Queue {
    items: VecDeque<Outgoing>,
    /// Of what waits.
    bytes: usize,
    pub(super) wake: Arc<dyn Wake>,
    /// How many connections the session has had.
    pub(super) attachments: u32,
    /// What waits for the client to be looked at again.
    held: Option<Box<Held>>,
    /// Why its connection is to be closed, when the session goes on.
    interruption: Option<Box<StreamError>>,
    /// Put in force when the client is told that stanzas are counted.
    counting: Option<Box<Window>>,
    /// There while stanzas are counted.
    pub(super) window: Option<Box<Window>>,
}

/// Why a session did not take a stanza. It comes back, so that it is not lost.
#[derive(Debug)]
pub enum Refused {
    /// The session ended.
    Ended(Box<Item>),
    /// More waits than may, or is not acknowledged: the client does not read.
    Full(Box<Item>),
}

/// What a connection is to write now.
#[derive(Debug)]
pub struct Drained {
    /// In this order.
    pub items: VecDeque<Outgoing>,
    /// Whether more is left.
    pub more: bool,
    /// Whether the client acknowledges these stanzas.
    pub counts: bool,
}

impl Queue {
    pub(super) fn new(wake: Arc<dyn Wake>) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            wake,
            attachments: 0,
            held: None,
            interruption: None,
            counting: None,
            window: None,
        }
    }

    fn held(&self) -> usize {
        let window = self.window.as_ref().map_or(0, |window| window.bytes());
        self.bytes + window + self.held.as_ref().map_or(0, |held| held.bytes())
    }

    /// Adds it at the end; answers whom to wake if nothing waited.
    pub(super) fn push(&mut self, outgoing: Outgoing) -> Option<Arc<dyn Wake>> {
        let size = outgoing.size();
        self.push_sized(outgoing, size)
    }

    fn push_sized(&mut self, outgoing: Outgoing, size: usize) -> Option<Arc<dyn Wake>> {
        self.bytes += size;
        let first = self.items.is_empty();
        if self.items.capacity() == 0 {
            // Mostly it stays the only one; of itself the queue would make room for four.
            self.items.reserve_exact(1);
        }
        self.items.push_back(outgoing);
        first.then(|| Arc::clone(&self.wake))
    }

    /// Puts what was held back behind what waits; whether there was anything.
    fn release(&mut self) -> bool {
        let Some(mut held) = self.held.take() else {
            return false;
        };
        for item in held.flush() {
            self.push(Outgoing::Stanza(item));
        }
        true
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Outgoing) -> bool) {
        self.items.retain(keep);
    }

    /// Puts all that was written and not acknowledged before what waits.
    pub(super) fn rewind(&mut self) {
        let Some(window) = &mut self.window else {
            return;
        };
        let (again, bytes) = window.rewind();
        self.bytes += bytes;
        for rewound in again.into_iter().rev() {
            self.items.push_front(match rewound {
                Rewound::Stanza(item) => Outgoing::Stanza(item),
                Rewound::Mark(tell) => Outgoing::Written(tell),
            });
        }
    }

    /// The stanzas that wait, behind those that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = Item> {
        let window = self.window.iter().flat_map(|w| w.unacknowledged());
        let waiting = self.items.iter().filter_map(|outgoing| match outgoing {
            Outgoing::Stanza(item) => Some(item),
            _ => None,
        });
        let held = self.held.iter().flat_map(|held| held.items());
        window.chain(waiting).cloned().chain(held)
    }

    /// Takes the first of what waits, and keeps what must be acknowledged.
    fn take(&mut self) -> Option<Outgoing> {
        let first = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.size());
        if matches!(first, Outgoing::Count(_)) {
            self.window = self.counting.take();
            return Some(first);
        }
        let Some(window) = &mut self.window else {
            return Some(first);
        };
        match first {
            Outgoing::Stanza(item) => {
                window.written(item.clone());
                Some(Outgoing::Stanza(item))
            }
            Outgoing::Written(tell) => {
                window.mark(tell);
                // In its place, so that the client is asked for what somebody waits for.
                match window.asks() {
                    true => Some(Outgoing::Ask),
                    false => self.take(),
                }
            }
            other => Some(other),
        }
    }

    /// The stream's name and the time that its client may be away, if it may resume.
    pub(super) fn resumable(&self) -> Option<(StreamId, Duration)> {
        let window = self.window.as_ref().or(self.counting.as_ref());
        window.and_then(|window| window.resumable)
    }
}

impl Session {
    /// About how many bytes wait to be written or to be acknowledged.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.lock().held()
    }

    /// How a stanza is refused for which there is no room. The first is taken whatever its size.
    fn refusal(
        &self,
        queue: &Queue,
        size: usize,
        limit: usize,
    ) -> Option<fn(Box<Item>) -> Refused> {
        if self.has_ended() {
            return Some(Refused::Ended);
        }
        let held = queue.held();
        (held.saturating_add(size) > limit && held > 0).then_some(Refused::Full)
    }

    /// Queues a stanza for the client.
    ///
    /// # Errors
    /// [`Refused`] gives it back when the session ended or more than `limit` bytes wait.
    pub fn enqueue(&self, item: Item, limit: usize) -> Result<(), Refused> {
        let size = item.stanza.size();
        let mut queue = self.queue.lock();
        if let Some(refused) = self.refusal(&queue, size, limit) {
            return Err(refused(Box::new(item)));
        }
        let release = queue.release();
        let pushed = queue.push_sized(Outgoing::Stanza(item), size);
        let wake = pushed.filter(|_| !release);
        let wake = wake.or_else(|| release.then(|| Arc::clone(&queue.wake)));
        drop(queue);
        if let Some(wake) = wake {
            wake.wake();
        }
        Ok(())
    }

    /// Holds a stanza back until the client is looked at again, or something comes that it needs
    /// now. Answers the one in whose place it is, if there was one.
    ///
    /// # Errors
    /// As [`Session::enqueue`].
    pub fn hold(&self, item: Item, hold: Hold, limit: usize) -> Result<Option<Box<Item>>, Refused> {
        let mut queue = self.queue.lock();
        if let Some(refused) = self.refusal(&queue, item.stanza.size(), limit) {
            return Err(refused(Box::new(item)));
        }
        let pushed = queue.held.get_or_insert_default().push(item, hold);
        let wake = (pushed.full && queue.release()).then(|| Arc::clone(&queue.wake));
        drop(queue);
        if let Some(wake) = wake {
            wake.wake();
        }
        Ok(pushed.replaced)
    }

    /// Notes what the client says about whether somebody looks at it (XEP-0352 §3). What was held
    /// back is written when somebody does.
    pub fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        if active && queue.release() {
            let wake = Arc::clone(&queue.wake);
            drop(queue);
            wake.wake();
        }
    }

    /// Queues something of the stream itself; nothing once the session ended.
    pub fn enqueue_element(&self, outgoing: Outgoing) {
        let mut queue = self.queue.lock();
        if self.has_ended() {
            return;
        }
        // What is said is known when it is written: one of them answers all that asked before.
        let said = matches!(outgoing, Outgoing::Handled)
            && matches!(queue.items.back(), Some(Outgoing::Handled));
        let wake = (!said).then(|| queue.push(outgoing)).flatten();
        drop(queue);
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Resolves when the client has all that is queued now: where stanzas are counted when it has
    /// acknowledged them, else when they are written to the socket. With an error when the session
    /// ended before.
    pub fn written(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.enqueue_element(Outgoing::Written(tell));
        told
    }

    /// From the next stanza on the client's stanzas and ours are counted, and ours kept until they
    /// are acknowledged. `reply` tells the client so. With `resumable` the session outlives its
    /// connection. Nothing of it when the session ended meanwhile: its stream is closed.
    pub fn count(&self, reply: Box<[u8]>, resumable: Option<(StreamId, Duration)>) {
        let mut queue = self.queue.lock();
        if self.has_ended() {
            return;
        }
        self.received.store(0, Ordering::Relaxed);
        self.handled.store(0, Ordering::Relaxed);
        queue.counting = Some(Box::new(Window::new(resumable)));
        let wake = queue.push(Outgoing::Count(reply));
        drop(queue);
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Whether stanzas are counted, or about to be.
    #[must_use]
    pub fn counts(&self) -> bool {
        let queue = self.queue.lock();
        queue.window.is_some() || queue.counting.is_some()
    }

    /// The name of the stream, if its client may resume it.
    #[must_use]
    pub fn stream_id(&self) -> Option<StreamId> {
        Some(self.queue.lock().resumable()?.0)
    }

    /// The client has got so many stanzas. Gives those that it had not acknowledged before.
    ///
    /// # Errors
    /// [`TooHigh`] when it was not sent as many.
    pub fn acknowledge(&self, h: u32) -> Result<Vec<Item>, TooHigh> {
        match &mut self.queue.lock().window {
            Some(window) => window.acknowledge(h),
            None => Ok(Vec::new()),
        }
    }

    /// Asks the client what it has got, if there is something that it was not asked about.
    pub fn ask_at_last(&self) {
        self.ask_if(Window::asks_at_last);
    }

    /// Asks the client what it has got, whatever it was asked before. Answers whether it is one
    /// that can be asked.
    pub fn ask_anyway(&self) -> bool {
        self.ask_if(|window| {
            window.ask();
            true
        })
    }

    fn ask_if(&self, asks: impl FnOnce(&mut Window) -> bool) -> bool {
        let mut queue = self.queue.lock();
        let can = self.is_attached() && !self.has_ended();
        let Some(window) = queue.window.as_mut().filter(|_| can) else {
            return false;
        };
        let wake = match asks(window) {
            true => queue.push(Outgoing::Ask),
            false => None,
        };
        drop(queue);
        if let Some(wake) = wake {
            wake.wake();
        }
        true
    }

    /// Ends the session: what is queued is still written, then the stream is closed.
    /// Only the first call counts.
    pub fn end(&self, error: Option<StreamError>) {
        let mut queue = self.queue.lock();
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        queue.items.push_back(Outgoing::Close(error));
        let wake = Arc::clone(&queue.wake);
        drop(queue);
        wake.wake();
        wake.end();
    }

    /// Closes the session's connection with an error. A session that can be resumed goes on without
    /// one, any other ends.
    pub fn interrupt(&self, error: StreamError) {
        let mut queue = self.queue.lock();
        if queue
            .window
            .as_ref()
            .is_none_or(|window| window.resumable.is_none())
        {
            drop(queue);
            return self.end(Some(error));
        }
        queue.interruption = Some(Box::new(error));
        let wake = Arc::clone(&queue.wake);
        drop(queue);
        if self.is_attached() {
            wake.end();
        }
    }

    /// Why the connection is to be closed, if the session was interrupted.
    #[must_use]
    pub fn interruption(&self) -> Option<StreamError> {
        self.queue.lock().interruption.take().map(|error| *error)
    }

    /// Whether [`Session::end`] was called.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Takes what waits to be written, stanzas whole and not many more bytes than `max`.
    #[must_use]
    pub fn drain(&self, max: usize) -> Drained {
        let mut queue = self.queue.lock();
        let counts = queue.window.is_some();
        if queue.bytes <= max && !counts && queue.counting.is_none() {
            queue.bytes = 0;
            return Drained {
                items: std::mem::take(&mut queue.items),
                more: false,
                counts,
            };
        }
        let mut taken = 0;
        let mut items = VecDeque::new();
        while taken < max
            && counts == queue.window.is_some()
            && let Some(outgoing) = queue.take()
        {
            taken += outgoing.size();
            items.push_back(outgoing);
        }
        if queue.items.is_empty() {
            // Its room is a tenth of what an idle session takes.
            queue.items = VecDeque::new();
        }
        // Nothing follows the end of a stream.
        let goes_on = !self.has_ended();
        if goes_on && queue.window.as_mut().is_some_and(|window| window.asks()) {
            items.push_back(Outgoing::Ask);
        }
        Drained {
            more: !queue.items.is_empty(),
            items,
            counts,
        }
    }

    /// Takes all that the client has not got, when the session is over; who waits for output to be
    /// written learns that it will not be.
    pub(crate) fn leave(&self) -> Vec<Item> {
        let mut queue = self.queue.lock();
        queue.rewind();
        queue.release();
        queue.bytes = 0;
        let mut left = Vec::new();
        for outgoing in std::mem::take(&mut queue.items) {
            match outgoing {
                Outgoing::Stanza(item) => left.push(item),
                Outgoing::Close(error) => queue.items.push_back(Outgoing::Close(error)),
                _ => {}
            }
        }
        left
    }
}

impl Refused {
    /// The stanza.
    #[must_use]
    pub fn into_item(self) -> Item {
        match self {
            Self::Ended(item) | Self::Full(item) => *item,
        }
    }
}

/// A stanza that nobody but its session has a use for.
impl From<Stanza> for Item {
    fn from(stanza: Stanza) -> Self {
        Item::new(stanza, 0).with_fate(super::Fate::Forgotten)
    }
}

#[cfg(test)]
mod tests {
    use balcony_proto::jid::Jid;

    use super::*;

    struct Still;
    impl Wake for Still {
        fn wake(&self) {}
    }

    #[test]
    fn an_idle_way_out_keeps_no_room_whether_or_not_stanzas_are_counted() {
        let jid = Jid::parse("juliet@localhost/balcony").unwrap();
        let session = Session::new(jid, 1, 0, Arc::new(Still));
        let room = || session.queue.lock().items.capacity();
        for counted in [false, true] {
            if counted {
                session.count(Box::default(), None);
            }
            session.enqueue_element(Outgoing::Handled);
            assert!(room() > 0);
            while session.drain(1_000_000).more {
                // It stops where counting begins.
            }
            assert_eq!(room(), 0, "{counted}");
        }
    }
}
