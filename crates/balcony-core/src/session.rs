//! A connected resource (RFC 6120 §7): who it is, how it shows itself, what waits to be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI8, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_proto::stream::StreamError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::notes::Notes;

/// How a session tells its connection that there is something to write.
///
/// Called without any lock held, from any thread; it must not block.
pub trait Wake: Send + Sync {
    /// Output waits in the session's queue.
    fn wake(&self);

    /// The session was ended: its connection must be closed once the queue is written.
    fn end(&self) {}
}

/// What a connection takes from its session's queue.
#[derive(Debug)]
pub enum Outgoing {
    /// A stanza for the client.
    Stanza(Stanza),
    /// A message that other sessions have as well.
    Shared(Stanza, Arc<Copies>),
    /// A stanza that is kept elsewhere until it is written: nothing is lost if it never is.
    Kept(Stanza),
    /// To be told when all that stands before it is written to the socket.
    Written(oneshot::Sender<()>),
    /// The last thing: close the stream, with an error if there is one.
    Close(Option<StreamError>),
}

impl Outgoing {
    fn size(&self) -> usize {
        match self {
            Self::Stanza(stanza) | Self::Kept(stanza) | Self::Shared(stanza, _) => stanza.size(),
            Self::Written(_) | Self::Close(_) => 0,
        }
    }
}

/// A message that went to several sessions, of which it is enough if one writes it.
#[derive(Debug)]
pub struct Copies {
    /// Sessions that may still write it.
    hopeful: AtomicUsize,
    written: AtomicBool,
}

impl Copies {
    /// As many sessions get the message.
    #[must_use]
    pub fn new(sessions: usize) -> Arc<Self> {
        Arc::new(Self {
            hopeful: AtomicUsize::new(sessions),
            written: AtomicBool::new(false),
        })
    }

    /// One session writes it.
    pub fn note_written(&self) {
        self.written.store(true, Ordering::Release);
    }

    /// One session will not write it. Answers whether nobody did or will, so that it must be
    /// looked after.
    #[must_use]
    pub fn give_up(&self) -> bool {
        self.hopeful.fetch_sub(1, Ordering::AcqRel) == 1 && !self.written.load(Ordering::Acquire)
    }
}

/// Where a session stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Shown {
    /// Bound, and no initial presence sent yet (RFC 6121 §4.2).
    Connected = 0,
    /// Initial presence was sent.
    Available = 1,
}

/// A connected resource. Cheap to hold: an idle one has no queue and no buffers.
pub struct Session {
    jid: Jid,
    account: Jid,
    /// Unique in this process, so that a replaced session is told from its successor.
    id: u64,
    shown: AtomicU8,
    priority: AtomicI8,
    traced: AtomicBool,
    /// Set with the queue locked, read without.
    ended: AtomicBool,
    /// Uptime in seconds when the resource was bound.
    bound_at: u32,
    /// Uptime in seconds when the client last sent something.
    last_active: AtomicU32,
    /// The last presence that was broadcast (RFC 6121 §4.4.2).
    presence: Mutex<Option<Stanza>>,
    queue: Mutex<Queue>,
    notes: Mutex<Notes>,
    wake: Box<dyn Wake>,
}

#[derive(Default)]
struct Queue {
    items: Vec<Outgoing>,
    bytes: usize,
}

/// Why a session did not take a stanza. The stanza comes back, so that it is not lost.
#[derive(Debug)]
pub enum Refused {
    /// The session ended.
    Ended(Box<Stanza>),
    /// The queue is over its bound in bytes: the client does not read.
    Full(Box<Stanza>),
}

impl Session {
    pub(crate) fn new(jid: Jid, id: u64, now_seconds: u32, wake: Box<dyn Wake>) -> Arc<Self> {
        let account = jid.bare();
        Arc::new(Self {
            jid,
            account,
            id,
            shown: AtomicU8::new(Shown::Connected as u8),
            priority: AtomicI8::new(0),
            traced: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bound_at: now_seconds,
            last_active: AtomicU32::new(now_seconds),
            presence: Mutex::default(),
            queue: Mutex::default(),
            notes: Mutex::default(),
            wake,
        })
    }

    /// The full JID.
    #[must_use]
    pub fn jid(&self) -> &Jid {
        &self.jid
    }

    /// The bare JID.
    #[must_use]
    pub fn account(&self) -> &Jid {
        &self.account
    }

    /// Unique among the sessions of this process, also past ones.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether initial presence was sent: an available resource (RFC 6121 §4.2).
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shown.load(Ordering::Relaxed) == Shown::Available as u8
    }

    /// The presence priority, from -128 to 127 (RFC 6121 §4.7.2.3). Meaningful while available.
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.priority.load(Ordering::Relaxed)
    }

    /// The presence that was last broadcast, while available.
    #[must_use]
    pub fn presence(&self) -> Option<Stanza> {
        self.presence.lock().clone()
    }

    /// Makes the session available with this presence, which carries its full JID as `from`.
    /// Answers whether it was available before.
    pub fn show(&self, presence: Stanza, priority: i8) -> bool {
        *self.presence.lock() = Some(presence);
        self.priority.store(priority, Ordering::Relaxed);
        self.shown.swap(Shown::Available as u8, Ordering::Relaxed) == Shown::Available as u8
    }

    /// Makes the session unavailable. Answers whether it was available before.
    pub fn hide(&self) -> bool {
        *self.presence.lock() = None;
        self.shown.swap(Shown::Connected as u8, Ordering::Relaxed) == Shown::Available as u8
    }

    /// Reads or changes the notes that modules keep on the session.
    pub fn notes<R>(&self, look: impl FnOnce(&mut Notes) -> R) -> R {
        look(&mut self.notes.lock())
    }

    /// Uptime in seconds, as of the coarse clock, when the client last sent something.
    #[must_use]
    pub fn last_active(&self) -> u32 {
        self.last_active.load(Ordering::Relaxed)
    }

    /// Uptime in seconds, as of the coarse clock, when the resource was bound.
    #[must_use]
    pub fn bound_at(&self) -> u32 {
        self.bound_at
    }

    /// About how many bytes wait to be written.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Whether a connection writes what is queued; else it waits until the client resumes.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        true
    }

    /// Whether the client says that somebody looks at it (XEP-0352 §3); it does until it says
    /// otherwise.
    #[must_use]
    pub fn is_active(&self) -> bool {
        true
    }

    /// Notes that the client sent something.
    pub fn touch(&self, now_seconds: u32) {
        self.last_active.store(now_seconds, Ordering::Relaxed);
    }

    /// Whether an operator watches this session's streams.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    /// Switches the stream log of this session.
    pub fn set_traced(&self, on: bool) {
        self.traced.store(on, Ordering::Relaxed);
    }

    /// Queues a stanza for the client.
    ///
    /// # Errors
    /// [`Refused`] gives the stanza back when the session ended or more than `limit` bytes wait.
    pub fn enqueue(&self, stanza: Stanza, limit: usize) -> Result<(), Refused> {
        self.put(stanza, limit, Outgoing::Stanza)
    }

    /// Queues a stanza that is kept elsewhere until [`Session::written`] answers.
    ///
    /// # Errors
    /// As [`Session::enqueue`].
    pub fn enqueue_kept(&self, stanza: Stanza, limit: usize) -> Result<(), Refused> {
        self.put(stanza, limit, Outgoing::Kept)
    }

    /// Queues a message that other sessions get as well.
    ///
    /// # Errors
    /// As [`Session::enqueue`].
    pub fn enqueue_shared(
        &self,
        stanza: Stanza,
        copies: &Arc<Copies>,
        limit: usize,
    ) -> Result<(), Refused> {
        let copies = Arc::clone(copies);
        self.put(stanza, limit, |stanza| Outgoing::Shared(stanza, copies))
    }

    fn put(
        &self,
        stanza: Stanza,
        limit: usize,
        make: impl FnOnce(Stanza) -> Outgoing,
    ) -> Result<(), Refused> {
        let mut queue = self.queue.lock();
        if self.has_ended() {
            return Err(Refused::Ended(Box::new(stanza)));
        }
        let size = stanza.size();
        if queue.bytes.saturating_add(size) > limit && !queue.items.is_empty() {
            return Err(Refused::Full(Box::new(stanza)));
        }
        queue.bytes += size;
        let first = queue.items.is_empty();
        queue.items.push(make(stanza));
        drop(queue);
        if first {
            self.wake.wake();
        }
        Ok(())
    }

    /// Resolves when all that is queued now is written to the socket; with an error when the
    /// session ended before.
    pub fn written(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        let mut queue = self.queue.lock();
        if !self.has_ended() {
            queue.items.push(Outgoing::Written(tell));
        }
        drop(queue);
        self.wake.wake();
        told
    }

    /// Ends the session: what is queued is still written, then the stream is closed.
    /// Only the first call counts.
    pub fn end(&self, error: Option<StreamError>) {
        let mut queue = self.queue.lock();
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        queue.items.push(Outgoing::Close(error));
        drop(queue);
        self.wake.wake();
        self.wake.end();
    }

    /// The connection is gone: the session ends, and who waits for output to be written learns
    /// that it will not be.
    pub fn lose_connection(&self) {
        self.end(None);
        let mut queue = self.queue.lock();
        queue
            .items
            .retain(|item| !matches!(item, Outgoing::Written(_)));
    }

    /// Whether [`Session::end`] was called.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Takes what waits to be written, stanzas whole and not many more bytes than `max`; tells
    /// whether more is left.
    #[must_use]
    pub fn drain(&self, max: usize) -> (Vec<Outgoing>, bool) {
        let mut queue = self.queue.lock();
        if queue.bytes <= max {
            queue.bytes = 0;
            return (std::mem::take(&mut queue.items), false);
        }
        let mut taken = 0;
        let mut count = 0;
        for item in &queue.items {
            if taken >= max {
                break;
            }
            count += 1;
            taken += item.size();
        }
        queue.bytes = queue.bytes.saturating_sub(taken);
        let items = queue.items.drain(..count).collect();
        (items, !queue.items.is_empty())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, #{})", self.jid, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::MessageType;

    struct Count(Arc<AtomicUsize>);
    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn session() -> (Arc<Session>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let jid = Jid::parse("juliet@localhost/balcony").unwrap();
        (
            Session::new(jid, 1, 0, Box::new(Count(wakes.clone()))),
            wakes,
        )
    }

    #[test]
    fn one_wake_up_covers_all_that_is_queued_until_it_is_drained() {
        let (session, wakes) = session();
        for _ in 0..3 {
            session
                .enqueue(Stanza::message(MessageType::Chat), 10_000)
                .unwrap();
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(session.drain(1_000_000).0.len(), 3);
        session
            .enqueue(Stanza::message(MessageType::Chat), 10_000)
            .unwrap();
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_full_queue_gives_the_stanza_back_but_takes_one_of_any_size() {
        let (session, _) = session();
        session
            .enqueue(Stanza::message(MessageType::Chat), 1)
            .unwrap();
        let again = session.enqueue(Stanza::message(MessageType::Chat), 1);
        assert!(matches!(again, Err(Refused::Full(_))));
    }

    #[tokio::test]
    async fn who_waits_for_output_learns_that_the_connection_is_gone() {
        let (session, _) = session();
        let before = session.written();
        session.lose_connection();
        assert!(before.await.is_err());
        assert!(session.written().await.is_err());
    }

    #[test]
    fn a_shared_message_is_looked_after_by_the_last_who_gives_up() {
        let lost = Copies::new(2);
        assert!(!lost.give_up());
        assert!(lost.give_up());
        let read = Copies::new(2);
        read.note_written();
        assert!(!read.give_up());
        assert!(!read.give_up());
    }

    #[test]
    fn an_ended_session_takes_nothing_more() {
        let (session, _) = session();
        session.end(None);
        session.end(None);
        assert_eq!(
            session.drain(1_000_000).0.len(),
            1,
            "the stream is closed once"
        );
        let late = session.enqueue(Stanza::message(MessageType::Chat), 10_000);
        assert!(matches!(late, Err(Refused::Ended(_))));
    }
}
