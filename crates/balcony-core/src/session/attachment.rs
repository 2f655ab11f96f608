//! A session and its connections, of which it may have several one after the other, and none for
//! a while (XEP-0198 §5).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balcony_store::StreamId;

use super::output::Queue;
use super::queue::{Item, Outgoing};
use super::window::Window;
use super::{Session, Wake};

/// A connection's hold on a session: it alone reads for it, until this is dropped.
pub struct Attachment {
    session: Arc<Session>,
    number: u32,
}

impl Attachment {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Which of the session's connections this is.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether another connection wants the session.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.session.queue.lock().attachments != self.number
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.session.reading.add_permits(1);
    }
}

/// A session that can be resumed, as it is kept over a restart.
#[derive(Debug)]
pub struct Picture {
    /// The stream's name.
    pub id: StreamId,
    /// For how long its client may be away.
    pub max: Duration,
    /// How many of the client's stanzas are handled.
    pub handled: u32,
    /// How many of ours the client has acknowledged.
    pub acknowledged: u32,
    /// What came after these, in order.
    pub unacknowledged: Vec<Item>,
}

impl Session {
    /// The first connection's hold on a new session.
    ///
    /// Answers `None` when there was another, which does not happen to a session that was just
    /// bound.
    #[must_use]
    pub fn attach(self: &Arc<Self>) -> Option<Attachment> {
        self.reading.try_acquire().ok()?.forget();
        let mut queue = self.queue.lock();
        queue.attachments += 1;
        Some(Attachment {
            session: Arc::clone(self),
            number: queue.attachments,
        })
    }

    /// Takes the session from the connection that has it, if one does, and waits until that one is
    /// through with what it has read: nothing is handled twice. `wake` is told of output from then
    /// on. The session may have ended meanwhile, which whoever has it then must see to.
    ///
    /// Of several who ask at once the last one has it in the end; each of the others finds that it
    /// [is replaced](Attachment::is_replaced).
    pub async fn take_over(self: &Arc<Self>, wake: Arc<dyn Wake>) -> Option<Attachment> {
        let (number, before) = {
            let mut queue = self.queue.lock();
            queue.attachments += 1;
            (queue.attachments, Arc::clone(&queue.wake))
        };
        before.end();
        self.reading.acquire().await.ok()?.forget();
        let attachment = Attachment {
            session: Arc::clone(self),
            number,
        };
        let mut queue = self.queue.lock();
        if queue.attachments == number {
            queue.wake = wake;
        }
        drop(queue);
        Some(attachment)
    }

    /// The client has so many of our stanzas and gets the others again. Gives those that it had not
    /// acknowledged before.
    ///
    /// # Errors
    /// [`TooHigh`](super::TooHigh) when it was not sent as many; nothing is changed then.
    pub(crate) fn resume(&self, h: u32) -> Result<Vec<Item>, super::TooHigh> {
        let mut queue = self.queue.lock();
        let Some(window) = &mut queue.window else {
            return Err(super::TooHigh { sent: 0 });
        };
        let taken = window.acknowledge(h)?;
        queue.rewind();
        self.attached.store(true, Ordering::Relaxed);
        Ok(taken)
    }

    /// The connection `number` writes no more. A session that can be resumed waits from now on,
    /// any other ends.
    pub fn lose_connection(&self, number: u32) {
        let queue = self.queue.lock();
        if queue.attachments != number {
            return;
        }
        self.attached.store(false, Ordering::Relaxed);
        let resumable = queue.window.as_ref().is_some_and(|w| w.resumable.is_some());
        if resumable && !self.has_ended() {
            return;
        }
        drop(queue);
        self.end(None);
        self.queue.lock().forget_waiting();
    }

    /// Who is told of output and of the end while no connection is.
    pub(crate) fn park(&self, number: u32, wake: Arc<dyn Wake>) {
        let mut queue = self.queue.lock();
        if queue.attachments == number {
            self.attached.store(false, Ordering::Relaxed);
            queue.wake = wake;
        }
    }

    /// Ends the session unless another connection than `number` wants it. Answers whether it is
    /// over and nobody else sees to that.
    pub(crate) fn expire(&self, number: u32) -> bool {
        if self.queue.lock().attachments != number {
            return false;
        }
        // Who takes it over after this finds it ended.
        self.end(None);
        true
    }

    /// For how long the client may be away. `None`: it cannot resume.
    #[must_use]
    pub fn resumable_for(&self) -> Option<Duration> {
        // The client knows of it only once it was written.
        let queue = self.queue.lock();
        Some(queue.window.as_ref()?.resumable?.1)
    }

    /// What is to be kept of it over a restart; `None` when it cannot be resumed.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        let queue = self.queue.lock();
        let window = queue.window.as_ref()?;
        let (id, max) = window.resumable?;
        Some(Picture {
            id,
            max,
            handled: self.handled(),
            acknowledged: window.acknowledged(),
            unacknowledged: queue.unacknowledged().collect(),
        })
    }

    /// Makes the session what it was when the picture was taken.
    pub(crate) fn restore(&self, picture: Picture) {
        let mut queue = self.queue.lock();
        let resumable = (picture.id, picture.max);
        let mut window = Window::kept(resumable, picture.acknowledged);
        // The client may have got any of them and says so when it resumes; the rest is sent again.
        for item in picture.unacknowledged {
            window.written(item);
        }
        queue.window = Some(Box::new(window));
        self.received.store(picture.handled, Ordering::Relaxed);
        self.handled.store(picture.handled, Ordering::Relaxed);
        self.attached.store(false, Ordering::Relaxed);
    }

    /// Counts a stanza of the client; answers how many came with it.
    pub fn receive(&self) -> u32 {
        self.received
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
    }

    /// How many of the client's stanzas came, the last one included.
    #[must_use]
    pub fn received(&self) -> u32 {
        self.received.load(Ordering::Relaxed)
    }

    /// One more of the client's stanzas is handled: its effects are durable, or it got its error.
    pub fn handle(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of the client's stanzas are handled, modulo 2^32.
    #[must_use]
    pub fn handled(&self) -> u32 {
        self.handled.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// Who waits for output learns that it will not be written.
    fn forget_waiting(&mut self) {
        self.retain(|outgoing| !matches!(outgoing, Outgoing::Written(_)));
    }
}
