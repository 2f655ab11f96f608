//! A connected resource (RFC 6120 §7): who it is, how it shows itself, what waits to be written.
//!
//! A session lives as long as its stream, which may be longer than its connection: a client that
//! was cut off may come back with another and resume (XEP-0198 §5). Meanwhile it is detached.

mod attachment;
mod client;
mod output;
mod queue;
mod window;

use std::sync::atomic::{AtomicBool, AtomicI8, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::notes::Notes;
use output::Queue;

pub use attachment::{Attachment, Picture};
pub use client::SessionClient;
pub use output::{Drained, Refused};
pub use queue::{Copies, Fate, Item, Outgoing};
pub use window::TooHigh;

/// How a session tells its connection that there is something to write.
///
/// Called without any lock held, from any thread; it must not block.
pub trait Wake: Send + Sync {
    /// Output waits in the session's queue.
    fn wake(&self);

    /// The session was ended: its connection must be closed once the queue is written.
    fn end(&self) {}
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
    /// Everybody was told of its end.
    buried: AtomicBool,
    /// The session that had the full JID before.
    before: Mutex<Weak<Session>>,
    /// Uptime in seconds when the resource was bound.
    bound_at: u32,
    /// Uptime in seconds when the client last sent something.
    last_active: AtomicU32,
    /// The beginning of the silence in which the client was asked whether it is still there.
    asked_since: AtomicU32,
    /// The last presence that was broadcast (RFC 6121 §4.4.2).
    presence: Mutex<Option<Stanza>>,
    queue: Mutex<Queue>,
    notes: Mutex<Notes>,
    client: Mutex<Option<Arc<SessionClient>>>,
    /// A connection writes what is queued. Changed with the queue locked, read without.
    attached: AtomicBool,
    /// Somebody looks at the client (XEP-0352 §3).
    active: AtomicBool,
    /// How many of the client's stanzas came, modulo 2^32, since it was counted.
    received: AtomicU32,
    /// How many of these are handled for good (XEP-0198 §4).
    handled: AtomicU32,
    /// One connection at a time reads for the session.
    reading: Semaphore,
}

impl Session {
    pub(crate) fn new(jid: Jid, id: u64, now_seconds: u32, wake: Arc<dyn Wake>) -> Arc<Self> {
        let account = jid.bare();
        Arc::new(Self {
            jid,
            account,
            id,
            shown: AtomicU8::new(Shown::Connected as u8),
            priority: AtomicI8::new(0),
            traced: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            buried: AtomicBool::new(false),
            before: Mutex::default(),
            bound_at: now_seconds,
            last_active: AtomicU32::new(now_seconds),
            asked_since: AtomicU32::new(u32::MAX),
            presence: Mutex::default(),
            queue: Mutex::new(Queue::new(wake)),
            notes: Mutex::default(),
            client: Mutex::default(),
            attached: AtomicBool::new(true),
            active: AtomicBool::new(true),
            received: AtomicU32::new(0),
            handled: AtomicU32::new(0),
            reading: Semaphore::new(1),
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

    /// It has the full JID of another one, which is about to end.
    pub(crate) fn succeed(&self, before: &Arc<Session>) {
        *self.before.lock() = Arc::downgrade(before);
    }

    /// The session that had the full JID before, as long as somebody still sees to its end.
    pub(crate) fn before(&self) -> Option<Arc<Session>> {
        self.before.lock().upgrade()
    }

    /// Makes the session available with this presence, which carries its full JID as `from`.
    /// Answers whether it was available before.
    ///
    /// Those that had the full JID before are available no more, though their connections may take
    /// a while to close: who hears of this session has nothing to hear of their ends.
    pub fn show(&self, presence: Stanza, priority: i8) -> bool {
        let mut before = self.before();
        while let Some(session) = before {
            session.hide();
            before = session.before();
        }
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

    /// Notes that the client is asked whether it is still there, in the silence that began at this
    /// uptime in seconds. Answers whether it was not asked in that one before.
    pub fn note_asked(&self, since: u32) -> bool {
        self.asked_since.swap(since, Ordering::Relaxed) != since
    }

    /// Uptime in seconds, as of the coarse clock, when the resource was bound.
    #[must_use]
    pub fn bound_at(&self) -> u32 {
        self.bound_at
    }

    /// Whether a connection writes what is queued; else it waits until the client resumes.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }

    /// Whether the client says that somebody looks at it (XEP-0352 §3); it does until it says
    /// otherwise.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Notes that the client sent something.
    pub fn touch(&self, now_seconds: u32) {
        self.last_active.store(now_seconds, Ordering::Relaxed);
    }

    /// Whether nobody was told of its end yet; whoever asks first tells them.
    pub(crate) fn bury(&self) -> bool {
        !self.buried.swap(true, Ordering::Relaxed)
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
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, #{})", self.jid, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    use balcony_proto::stanza::MessageType;

    fn chat() -> Item {
        Item::new(Stanza::message(MessageType::Chat), 0)
    }

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
            Session::new(jid, 1, 0, Arc::new(Count(wakes.clone()))),
            wakes,
        )
    }

    #[test]
    fn one_wake_up_covers_all_that_is_queued_until_it_is_drained() {
        let (session, wakes) = session();
        for _ in 0..3 {
            session.enqueue(chat(), 10_000).unwrap();
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(session.drain(1_000_000).items.len(), 3);
        session.enqueue(chat(), 10_000).unwrap();
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_full_queue_gives_the_stanza_back_but_takes_one_of_any_size() {
        let (session, _) = session();
        session.enqueue(chat(), 1).unwrap();
        let again = session.enqueue(chat(), 1);
        assert!(matches!(again, Err(Refused::Full(_))));
    }

    #[test]
    fn the_client_is_asked_once_about_what_was_written() {
        let (session, _) = session();
        let written = || Vec::from(session.drain(1_000_000).items);
        assert!(!session.ask_anyway(), "it counts nothing");
        session.count(Box::default(), None);
        drop(written());
        session.enqueue(chat(), 10_000).unwrap();
        drop(written());
        session.ask_at_last();
        session.ask_at_last();
        assert!(matches!(written()[..], [Outgoing::Ask]));
        drop(session.acknowledge(1).unwrap());
        session.ask_at_last();
        assert!(written().is_empty());
        // Nor about what it told without being asked.
        session.enqueue(chat(), 10_000).unwrap();
        drop(written());
        drop(session.acknowledge(2).unwrap());
        session.ask_at_last();
        assert!(written().is_empty());
        assert!(session.ask_anyway());
        assert!(matches!(written()[..], [Outgoing::Ask]));
    }

    #[test]
    fn an_ended_session_is_asked_nothing() {
        let (session, _) = session();
        session.count(Box::default(), None);
        drop(session.drain(1_000_000));
        // As many as it is asked after.
        for _ in 0..32 {
            session.enqueue(chat(), 100_000).unwrap();
        }
        session.end(None);
        assert!(!session.ask_anyway());
        let items = Vec::from(session.drain(1_000_000).items);
        assert!(matches!(items.last(), Some(Outgoing::Close(None))));
    }

    #[test]
    fn one_answer_is_enough_for_all_who_asked_without_reading() {
        let (session, _) = session();
        for _ in 0..3 {
            session.enqueue_element(Outgoing::Handled);
        }
        session.enqueue(chat(), 10_000).unwrap();
        session.enqueue_element(Outgoing::Handled);
        assert_eq!(session.drain(1_000_000).items.len(), 3);
    }

    #[tokio::test]
    async fn who_waits_for_output_learns_that_the_connection_is_gone() {
        let (session, _) = session();
        let before = session.written();
        session.lose_connection(0);
        assert!(before.await.is_err());
        assert!(session.written().await.is_err());
    }

    #[test]
    fn an_ended_session_takes_nothing_more() {
        let (session, _) = session();
        session.end(None);
        session.end(None);
        assert_eq!(
            session.drain(1_000_000).items.len(),
            1,
            "the stream is closed once"
        );
        let late = session.enqueue(chat(), 10_000);
        assert!(matches!(late, Err(Refused::Ended(_))));
    }
}
