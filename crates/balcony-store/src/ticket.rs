use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::{ArchiveId, Error, Result};

/// What a commit gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The ids of the archived messages: one for each
    /// [`Write::ArchivePush`](crate::Write::ArchivePush) of the set, in its order.
    pub archived: SmallVec<[ArchiveId; 2]>,
}

/// The outcome of a commit, to come: `Ok` means durable.
///
/// Dropping it does not cancel the commit.
#[derive(Debug)]
#[must_use = "only a resolved ticket says that the writes are durable"]
pub struct Ticket(State);

#[derive(Debug)]
enum State {
    Done(Result<Committed>),
    Waiting(oneshot::Receiver<Result<Committed>>),
}

/// The other end of a [`Ticket`]. Dropped unused, the ticket resolves with [`Error::Broken`].
#[derive(Debug)]
pub struct Resolve(oneshot::Sender<Result<Committed>>);

impl Ticket {
    /// A ticket whose outcome is known already.
    pub fn done(outcome: Result<Committed>) -> Ticket {
        Ticket(State::Done(outcome))
    }

    /// A ticket and what resolves it: for backends, and for stores wrapped by tests.
    pub fn pending() -> (Resolve, Ticket) {
        let (send, receive) = oneshot::channel();
        (Resolve(send), Ticket(State::Waiting(receive)))
    }

    /// The outcome, if it is there already; for a caller that need not wait then.
    pub fn try_outcome(&mut self) -> Option<Result<Committed>> {
        match &mut self.0 {
            State::Done(outcome) => Some(outcome.clone()),
            State::Waiting(receive) => match receive.try_recv() {
                Ok(outcome) => Some(self.keep(outcome)),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some(self.keep(Err(lost()))),
            },
        }
    }

    fn keep(&mut self, outcome: Result<Committed>) -> Result<Committed> {
        self.0 = State::Done(outcome.clone());
        outcome
    }
}

impl Resolve {
    /// Gives the outcome to whoever still waits.
    pub fn resolve(self, outcome: Result<Committed>) {
        // The receiver may be gone: nobody has to wait for a commit.
        let _ = self.0.send(outcome);
    }
}

impl Future for Ticket {
    type Output = Result<Committed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Committed>> {
        match &mut self.0 {
            State::Done(outcome) => Poll::Ready(outcome.clone()),
            State::Waiting(receive) => match Pin::new(receive).poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(outcome) => Poll::Ready(self.keep(outcome.unwrap_or(Err(lost())))),
            },
        }
    }
}

fn lost() -> Error {
    Error::Broken("the commit was abandoned".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_there_once_resolved_and_stays() {
        let (resolve, mut ticket) = Ticket::pending();
        assert_eq!(ticket.try_outcome(), None);
        resolve.resolve(Err(Error::Full));
        assert_eq!(ticket.try_outcome(), Some(Err(Error::Full)));
        assert_eq!(ticket.try_outcome(), Some(Err(Error::Full)));
    }

    #[tokio::test]
    async fn abandoned_commit_is_never_a_success() {
        let (resolve, ticket) = Ticket::pending();
        drop(resolve);
        assert!(matches!(ticket.await, Err(Error::Broken(_))));
    }
}
