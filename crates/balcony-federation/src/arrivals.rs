//! What one stream brings: stanzas go to the core in their order, and are counted when they are
//! handled (XEP-0198 §4).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use balcony_core::bucket::Bucket;
use balcony_core::config::Rate;
use balcony_core::lane::{Counts, Lane};
use balcony_core::{Accepted, Core, Pending};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{BadStanza, Kind, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};

/// See the text of the module.
pub(crate) struct Arrivals {
    core: Arc<Core>,
    lane: Lane,
    /// What must wait until the lane is empty; nothing behind it is looked at.
    held: Option<Held>,
    bucket: Bucket,
    handled: Handled,
}

/// What waits for the lane.
enum Held {
    /// Not begun yet.
    Stanza(Box<Stanza>),
    /// Its handling waits for something.
    Handling(Pending),
}

/// What is handled and not told yet.
#[derive(Default)]
struct Handled {
    stanzas: AtomicU32,
    /// The peer asked before.
    asked: AtomicBool,
}

impl Counts for Handled {
    fn one_handled(&self) {
        self.stanzas.fetch_add(1, Ordering::Relaxed);
    }

    fn tell_handled(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
}

impl Arrivals {
    pub(crate) fn new(core: &Arc<Core>) -> Arrivals {
        Arrivals {
            core: Arc::clone(core),
            lane: Lane::default(),
            held: None,
            bucket: Bucket::new(core.clock().uptime()),
            handled: Handled::default(),
        }
    }

    /// Whether another stanza may be taken.
    pub(crate) fn is_open(&self) -> bool {
        self.held.is_none() && !self.lane.is_full()
    }

    /// Takes a stanza of an authenticated domain.
    ///
    /// # Errors
    /// It is for a domain that is not served here: the peer takes us for somebody else.
    pub(crate) fn take(&mut self, stanza: Stanza) -> Result<(), StreamError> {
        let ours = stanza.to.as_ref().map(|to| self.core.is_ours(to.domain()));
        match ours {
            Some(true) => {}
            // RFC 6120 §8.1.1.2, §4.9.3.7
            None => return Err(StreamError::new(StreamCondition::ImproperAddressing)),
            Some(false) => return Err(StreamError::new(StreamCondition::HostUnknown)),
        }
        self.take_any(stanza);
        Ok(())
    }

    /// Takes a stanza for whatever domain.
    pub(crate) fn take_any(&mut self, stanza: Stanza) {
        // What comes behind messages that are being committed may be accepted meanwhile if it is a
        // message too; what other stanzas do is not held back till the commit.
        if self.lane.is_empty() || matches!(stanza.kind, Kind::Message(_)) {
            self.handle(stanza);
        } else {
            self.held = Some(Held::Stanza(Box::new(stanza)));
        }
    }

    fn handle(&mut self, stanza: Stanza) {
        let behind = !self.lane.is_empty();
        match self.core.accept_foreign(stanza, behind) {
            Accepted::Done => self.lane.done(&self.handled),
            Accepted::Commits(committing) => self.lane.push(committing),
            Accepted::Waits(pending) => self.held = Some(Held::Handling(pending)),
        }
    }

    /// RFC 6120 §8.3.1: a stanza that cannot be routed as it is gets an error, when it says from
    /// whom it is. Another server gets none in the name of those who are not here.
    pub(crate) fn refuse(&mut self, bad: &BadStanza) {
        let from = bad.from.as_deref().and_then(|from| Jid::parse(from).ok());
        if let (Some(mut answer), Some(from)) = (bad.answer(), from)
            && let Some(by) = &answer.from
            && (self.core.is_ours(by.domain()) || self.core.is_ours(from.domain()))
        {
            answer.to = Some(from);
            if let Some(pending) = self.core.submit(answer) {
                tokio::spawn(pending);
            }
        }
        self.lane.done(&self.handled);
    }

    /// Goes on with what waits. Ready when something was handled.
    pub(crate) fn poll_on(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut moved = false;
        loop {
            if self.lane.poll_ready(context, &self.handled).is_ready() {
                self.lane.finish_first(&self.core, &self.handled);
                moved = true;
                continue;
            }
            match &mut self.held {
                Some(Held::Stanza(_)) if self.lane.is_empty() => {
                    if let Some(Held::Stanza(stanza)) = self.held.take() {
                        self.handle(*stanza);
                        moved = true;
                    }
                }
                Some(Held::Handling(pending)) if self.lane.is_empty() => {
                    if pending.as_mut().poll(context).is_pending() {
                        break;
                    }
                    self.held = None;
                    self.handled.one_handled();
                    moved = true;
                }
                _ => break,
            }
        }
        match moved || self.handled.stanzas.load(Ordering::Relaxed) > 0 {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// How many stanzas were handled since the last call, and whether the peer waits to hear of it.
    pub(crate) fn settle(&mut self) -> (u32, bool) {
        let stanzas = self.handled.stanzas.swap(0, Ordering::Relaxed);
        (stanzas, self.handled.asked.swap(false, Ordering::Relaxed))
    }

    /// The peer asked what is handled.
    pub(crate) fn asked(&mut self) {
        self.lane.owe_answer();
    }

    /// How long to read nothing after so many bytes.
    pub(crate) fn too_fast(&mut self, bytes: usize, rate: Rate) -> Option<Duration> {
        self.bucket.take(bytes, rate, self.core.clock().uptime())
    }

    /// Does all that was taken.
    pub(crate) async fn finish(mut self) {
        while self.held.is_some() || !self.lane.is_empty() {
            poll_fn(|context| self.poll_on(context)).await;
            self.settle();
        }
    }
}
