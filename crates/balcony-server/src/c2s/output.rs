//! From a session's queue to its connection.

use std::sync::Arc;

use balcony_core::trace::Writer;
use balcony_core::{Core, Outgoing, Session, Wake};
use balcony_net::Source;
use balcony_stream::established;
use tokio::sync::Notify;

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
}

impl Source for Output {
    fn fill(&self, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        let (items, more) = self.session.drain(FLUSH_BYTES);
        for item in items {
            match item {
                Outgoing::Stanza(stanza) => stanza.write(out),
                Outgoing::Close(None) => established::write_close(out),
                Outgoing::Close(Some(error)) => established::write_error(&error, out),
            }
        }
        if self.session.is_traced() {
            let written = out.get(begin..).unwrap_or_default();
            stream_log::show(&self.core, &self.session, Writer::Server, written);
        }
        more
    }
}
