//! The stanzas of one stream whose effects wait for their commit, in their order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use balcony_core::{Committing, Core, Pending, Session};

/// Stanzas of one stream that may be on their way to the disk: what a fast client sends while a
/// slow disk works, and few enough that one client cannot fill the store's queue.
const MAX: usize = 64;

/// Effects, deliveries and the count of what is handled are released in the order of the input
/// (RFC 6120 §10.1).
#[derive(Default)]
pub(super) struct Lane {
    waiting: VecDeque<Step>,
    /// The client asked how much is handled while something was not yet.
    pub(super) owes_answer: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be an allocation for each message that is kept"
)]
enum Step {
    Commits(Committing),
    /// Nothing is left to do, but it may not be counted before what stands in front of it.
    Done,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX
    }

    pub(super) fn push(&mut self, committing: Committing) {
        self.waiting.push_back(Step::Commits(committing));
    }

    /// A stanza is through.
    pub(super) fn done(&mut self, session: &Session) {
        match self.is_empty() {
            true => session.handle(),
            false => self.waiting.push_back(Step::Done),
        }
    }

    /// Ready when there is a first and it can be finished.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.waiting.front_mut() {
            Some(Step::Commits(committing)) => committing.poll_ready(context),
            Some(Step::Done) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    /// Finishes the first, which is ready. What is answered must be awaited before the next.
    #[must_use]
    pub(super) fn finish_first(&mut self, core: &Arc<Core>, session: &Session) -> Option<Pending> {
        let pending = match self.waiting.pop_front()? {
            Step::Commits(committing) => committing.finish(core),
            Step::Done => None,
        };
        session.handle();
        if self.waiting.is_empty() {
            // An idle session holds no buffer.
            self.waiting = VecDeque::new();
            if std::mem::take(&mut self.owes_answer) {
                session.enqueue_element(balcony_core::Outgoing::Handled);
            }
        }
        pending
    }

    /// Finishes all.
    pub(super) async fn drain(&mut self, core: &Arc<Core>, session: &Session) {
        while !self.is_empty() {
            poll_fn(|context| self.poll_ready(context)).await;
            if let Some(pending) = self.finish_first(core, session) {
                pending.await;
            }
        }
    }
}
