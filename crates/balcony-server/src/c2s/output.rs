//! From a session's queue to its connection.

use std::sync::Arc;

use balcony_core::trace::Writer;
use balcony_core::{Core, Item, Outgoing, Session, Wake};
use balcony_net::Source;
use balcony_stream::{established, management};
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
    core: Arc<Core>,
    session: Arc<Session>,
    /// Which of the session's connections it is.
    number: u32,
    /// What the last call gave, until the next says that it was written. There is hardly ever any.
    unwritten: Mutex<Option<Box<Unwritten>>>,
}

#[derive(Default)]
struct Unwritten {
    tell: Vec<oneshot::Sender<()>>,
    /// Only where the client does not acknowledge.
    items: Vec<Item>,
}

impl Output {
    pub(super) fn new(core: Arc<Core>, session: Arc<Session>, number: u32) -> Arc<Self> {
        Arc::new(Self {
            core,
            session,
            number,
            unwritten: Mutex::default(),
        })
    }

    /// Tells who waited for what the last call gave: a connection asks for more only when the
    /// socket has taken all of it.
    fn tell(&self) {
        let Some(unwritten) = self.unwritten.lock().take() else {
            return;
        };
        let Unwritten { tell, items } = *unwritten;
        self.core.taken(&self.session, &items);
        for waiting in tell {
            // Whoever asked may have gone.
            let _ = waiting.send(());
        }
    }

    /// Writes a stanza; whether somebody wants to know when the socket has it.
    fn write(item: &Item, counts: bool, out: &mut Vec<u8>) -> bool {
        item.stanza.write(out);
        if counts {
            return false;
        }
        item.written();
        item.archived.is_some()
    }
}

/// The connection lets go of its source when it ends.
impl Drop for Output {
    fn drop(&mut self) {
        self.session.lose_connection(self.number);
    }
}

impl Source for Output {
    fn fill(&self, out: &mut Vec<u8>) -> bool {
        self.tell();
        let begin = out.len();
        let mut unwritten = Unwritten::default();
        let drained = self.session.drain(FLUSH_BYTES);
        for outgoing in drained.items {
            match outgoing {
                Outgoing::Stanza(item) => {
                    if Self::write(&item, drained.counts, out) {
                        unwritten.items.push(item);
                    }
                }
                Outgoing::Element(bytes) | Outgoing::Count(bytes) => out.extend_from_slice(&bytes),
                Outgoing::Handled => management::write_answer(self.session.handled(), out),
                Outgoing::Ask => management::write_request(out),
                Outgoing::Written(tell) => unwritten.tell.push(tell),
                Outgoing::Close(None) => established::write_close(out),
                Outgoing::Close(Some(error)) => established::write_error(&error, out),
            }
        }
        if self.session.is_traced() {
            let written = out.get(begin..).unwrap_or_default();
            stream_log::show(&self.core, &self.session, Writer::Server, written);
        }
        let waits = !unwritten.tell.is_empty() || !unwritten.items.is_empty();
        if waits {
            *self.unwritten.lock() = Some(Box::new(unwritten));
        }
        drained.more || waits
    }
}
