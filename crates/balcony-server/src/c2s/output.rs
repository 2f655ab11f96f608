//! From a session's queue to its connection.

use std::sync::Arc;

use balcony_core::trace::Writer;
use balcony_core::{Core, Outgoing, Session, Wake};
use balcony_net::Source;
use balcony_stream::established;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::link::Link;
use crate::stream_log;

/// Bytes that one flush takes from the queue: as much as a socket's buffer takes at once.
const FLUSH_BYTES: usize = 64 * 1024;

/// Tells a session's connection of output, and its task of the end.
pub(super) struct Bell<L> {
    pub(super) link: Arc<L>,
    pub(super) ending: Arc<Notify>,
}

impl<L: Link> Wake for Bell<L> {
    fn wake(&self) {
        self.link.wake();
    }

    fn end(&self) {
        self.ending.notify_one();
    }
}

/// What the connection takes its output from.
pub(super) struct Output {
    pub(super) core: Arc<Core>,
    pub(super) session: Arc<Session>,
    /// To be told at the next call: what came before is written then.
    pub(super) written: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Output {
    pub(super) fn new(core: Arc<Core>, session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self {
            core,
            session,
            written: Mutex::default(),
        })
    }

    /// Tells who waited for what the last call gave: a connection asks for more only when the
    /// socket has taken all of it.
    fn tell(&self) {
        for waiting in std::mem::take(&mut *self.written.lock()) {
            // Whoever asked may have gone.
            let _ = waiting.send(());
        }
    }
}

/// The connection lets go of its source when it ends.
impl Drop for Output {
    fn drop(&mut self) {
        self.session.lose_connection();
    }
}

impl Source for Output {
    fn fill(&self, out: &mut Vec<u8>) -> bool {
        self.tell();
        let begin = out.len();
        let mut waiting = Vec::new();
        let (items, more) = self.session.drain(FLUSH_BYTES);
        for item in items {
            match item {
                Outgoing::Stanza(stanza) | Outgoing::Kept(stanza) => stanza.write(out),
                Outgoing::Shared(stanza, copies) => {
                    copies.note_written();
                    stanza.write(out);
                }
                Outgoing::Written(tell) => waiting.push(tell),
                Outgoing::Close(None) => established::write_close(out),
                Outgoing::Close(Some(error)) => established::write_error(&error, out),
            }
        }
        if self.session.is_traced() {
            let written = out.get(begin..).unwrap_or_default();
            stream_log::show(&self.core, &self.session, Writer::Server, written);
        }
        let more = more || !waiting.is_empty();
        if !waiting.is_empty() {
            *self.written.lock() = waiting;
        }
        more
    }
}
