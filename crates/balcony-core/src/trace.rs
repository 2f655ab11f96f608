//! The stream log of single accounts, switched on while somebody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use balcony_proto::map::Map;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Who wrote a piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The client wrote it.
    Client,
    /// The server wrote it.
    Server,
}

/// A piece of a stream as it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Microseconds since the Unix epoch, UTC.
    pub utc_micros: i64,
    /// The full JID of the session, or the bare one before a resource is bound.
    pub session: String,
    /// Who wrote it.
    pub writer: Writer,
    /// The XML, with secrets blanked.
    pub xml: String,
}

/// A watcher that does not keep up misses pieces rather than slow the server down.
const WATCHER_PIECES: usize = 1_024;

type Watchers = Vec<mpsc::Sender<Arc<Piece>>>;

/// The watchers by account. While nobody watches, asking costs one atomic read.
#[derive(Default)]
pub struct Traces {
    watched: AtomicUsize,
    watchers: Mutex<Map<Box<str>, Watchers>>,
}

impl Traces {
    /// Starts to watch the streams of an account, until the receiver is dropped.
    pub fn watch(&self, account: &str) -> mpsc::Receiver<Arc<Piece>> {
        let (sender, receiver) = mpsc::channel(WATCHER_PIECES);
        let mut watchers = self.watchers.lock();
        watchers.entry(account.into()).or_default().push(sender);
        self.watched.store(watchers.len(), Ordering::Relaxed);
        receiver
    }

    /// Whether somebody watches this account.
    #[must_use]
    pub fn watches(&self, account: &str) -> bool {
        self.watched.load(Ordering::Relaxed) > 0 && self.watchers.lock().contains_key(account)
    }

    /// Shows a piece to all who watch the account. Answers `false` when nobody does any more.
    pub fn show(&self, account: &str, piece: Piece) -> bool {
        let mut watchers = self.watchers.lock();
        let Some(list) = watchers.get_mut(account) else {
            return false;
        };
        let piece = Arc::new(piece);
        list.retain(|watcher| {
            !matches!(
                watcher.try_send(Arc::clone(&piece)),
                Err(mpsc::error::TrySendError::Closed(_))
            )
        });
        let watched = !list.is_empty();
        if !watched {
            watchers.remove(account);
        }
        self.watched.store(watchers.len(), Ordering::Relaxed);
        watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece() -> Piece {
        Piece {
            utc_micros: 0,
            session: "juliet@localhost/balcony".into(),
            writer: Writer::Client,
            xml: "<presence/>".into(),
        }
    }

    #[test]
    fn a_watcher_sees_its_account_only_and_until_it_goes() {
        let traces = Traces::default();
        let mut watcher = traces.watch("juliet@localhost");
        assert!(!traces.watches("romeo@localhost"));
        assert!(traces.show("juliet@localhost", piece()));
        assert_eq!(
            watcher.try_recv().map(|piece| piece.writer),
            Ok(Writer::Client)
        );
        drop(watcher);
        assert!(!traces.show("juliet@localhost", piece()));
        assert!(!traces.watches("juliet@localhost"));
    }
}
