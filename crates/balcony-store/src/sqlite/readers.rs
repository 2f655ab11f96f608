//! Threads that read: each with a connection of its own, beside the writer and never waiting for
//! it (WAL).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Result};

/// How many reads may be queued; later ones wait for a place where their caller can be cancelled.
const MAX_QUEUED: usize = 1_024;

type Read = Box<dyn FnOnce(&mut Connection) + Send>;

/// The queue that the reading threads share.
pub(super) struct Readers {
    places: Arc<Semaphore>,
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Read, OwnedSemaphorePermit)>,
    closed: bool,
}

impl Readers {
    pub(super) fn new() -> Readers {
        Readers {
            places: Arc::new(Semaphore::new(MAX_QUEUED)),
            state: Mutex::default(),
            filled: Condvar::new(),
        }
    }

    /// Has one of the threads run `read`, and waits for what it gives.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.enqueue(
            Box::new(move |conn| {
                // Nobody waits any more when the caller was cancelled.
                if !answer.is_closed() {
                    let _ = answer.send(read(conn));
                }
            }),
            place,
        )?;
        let abandoned = || Error::Broken("the read was abandoned".to_owned());
        answered.await.map_err(|_| abandoned())?
    }

    fn enqueue(&self, read: Read, place: OwnedSemaphorePermit) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        state.queue.push_back((read, place));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// One thread's work; returns when the store is closed and the queue is empty.
    pub(super) fn run(&self, mut conn: Connection) {
        while let Some((read, place)) = self.take() {
            let done = catch_unwind(AssertUnwindSafe(|| read(&mut conn)));
            drop(place);
            if done.is_err() {
                tracing::error!("a read panicked");
            }
        }
    }

    fn take(&self) -> Option<(Read, OwnedSemaphorePermit)> {
        let mut state = self.state.lock();
        loop {
            if let Some(read) = state.queue.pop_front() {
                return Some(read);
            }
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
    }

    pub(super) fn close(&self) {
        self.places.close();
        self.state.lock().closed = true;
        self.filled.notify_all();
    }
}
