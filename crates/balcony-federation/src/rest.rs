//! A pause in reading, for who sends faster than is allowed.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;

/// The pause, while there is one.
#[derive(Default)]
pub(crate) struct Rest(Option<Pin<Box<Sleep>>>);

impl Rest {
    /// Nothing is read for so long; `None`: reading goes on.
    pub(crate) fn take(&mut self, pause: Option<Duration>) {
        self.0 = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
    }

    /// Whether nothing is to be read.
    pub(crate) fn is_needed(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until it is over; without one, for ever.
    pub(crate) async fn taken(&mut self) {
        match &mut self.0 {
            Some(pause) => pause.await,
            None => std::future::pending().await,
        }
    }

    /// It is over.
    pub(crate) fn over(&mut self) {
        self.0 = None;
    }
}
