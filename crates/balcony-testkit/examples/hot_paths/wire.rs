//! A connection without a socket, which costs as little as it can, so that what is counted is the
//! server. As over a socket, output is taken behind the tasks that are ready, from one list for all
//! connections, into a buffer that is there already; a client's work is not counted.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use balcony_core::module::BoxFuture;
use balcony_net::{Closed, Read, Source};
use balcony_server::c2s::Link;
use balcony_stream::TlsInfo;
use parking_lot::Mutex;

/// The server's end of a connection.
pub(crate) struct Wire {
    state: Mutex<State>,
    /// It is on the list.
    dirty: AtomicBool,
    flusher: Arc<Flusher>,
}

#[derive(Default)]
struct State {
    /// From the client.
    incoming: Vec<u8>,
    /// To the client.
    outgoing: Vec<u8>,
    source: Option<Arc<dyn Source>>,
    client_closed: bool,
    server_closed: bool,
    server: Option<Waker>,
    client: Option<Waker>,
}

impl State {
    fn wake_client(&mut self) {
        self.client.take().into_iter().for_each(Waker::wake);
    }

    /// Takes what the source has.
    fn fill(&mut self) {
        let Self {
            source, outgoing, ..
        } = self;
        if let Some(source) = source {
            while source.fill(outgoing) {}
            self.wake_client();
        }
    }
}

/// The connections with output.
#[derive(Default)]
pub(crate) struct Flusher {
    listed: Mutex<Vec<Arc<Wire>>>,
    waker: OnceLock<Waker>,
}

impl Flusher {
    /// Flushes what is listed, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut batch = Vec::new();
        poll_fn(|context| {
            self.waker.get_or_init(|| context.waker().clone());
            batch.append(&mut self.listed.lock());
            for wire in batch.drain(..) {
                wire.dirty.store(false, Ordering::Release);
                wire.state.lock().fill();
            }
            Poll::Pending
        })
        .await
    }
}

/// Both ends of a new connection; the client's end says what comes and goes.
pub(crate) fn connection(flusher: &Arc<Flusher>) -> (Arc<Wire>, End) {
    let wire = Arc::new(Wire {
        state: Mutex::default(),
        dirty: AtomicBool::new(false),
        flusher: Arc::clone(flusher),
    });
    (Arc::clone(&wire), End(wire))
}

impl Wire {
    /// Ends what the server sends.
    pub(crate) fn hang_up(&self) {
        let source = {
            let mut state = self.state.lock();
            state.server_closed = true;
            state.wake_client();
            state.source.take()
        };
        // Unlocked: a session that loses its connection may want to say so.
        drop(source);
    }
}

impl Link for Wire {
    fn peer(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn poll_read<R>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        take: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Poll<io::Result<Read<R>>> {
        let mut bytes = {
            let mut state = self.state.lock();
            if state.incoming.is_empty() {
                if state.client_closed {
                    return Poll::Ready(Ok(Read::Closed(Closed::ByPeer)));
                }
                state.server = Some(context.waker().clone());
                return Poll::Pending;
            }
            std::mem::take(&mut state.incoming)
        };
        let Some(take) = take.take() else {
            return Poll::Pending;
        };
        let taken = take(&bytes);
        bytes.clear();
        let mut state = self.state.lock();
        if state.incoming.is_empty() {
            state.incoming = bytes;
        }
        Poll::Ready(Ok(Read::Data(taken)))
    }

    fn write(self: &Arc<Self>, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.outgoing.extend_from_slice(bytes);
        state.wake_client();
    }

    fn start_tls(self: &Arc<Self>, _: Duration) -> BoxFuture<'static, Result<TlsInfo, String>> {
        Box::pin(async { Err("nobody asks for TLS here".to_owned()) })
    }

    fn set_source(self: &Arc<Self>, source: Arc<dyn Source>) {
        self.state.lock().source = Some(source);
        self.wake();
    }

    fn drop_source(self: &Arc<Self>) {
        let source = self.state.lock().source.take();
        drop(source);
    }

    fn wake(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.flusher.listed.lock().push(Arc::clone(self));
            self.flusher
                .waker
                .get()
                .into_iter()
                .for_each(Waker::wake_by_ref);
        }
    }

    fn finish(self: &Arc<Self>, _: Duration) -> BoxFuture<'static, ()> {
        let wire = Arc::clone(self);
        Box::pin(async move {
            {
                let mut state = wire.state.lock();
                state.fill();
                state.server_closed = true;
                state.wake_client();
            }
            poll_fn(|context| {
                let mut state = wire.state.lock();
                if state.client_closed {
                    return Poll::Ready(());
                }
                state.server = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
        })
    }
}

/// The client's end of a connection. Dropping it cuts the connection off.
pub(crate) struct End(Arc<Wire>);

impl End {
    /// Sends bytes; answers whether the server still listens.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.state.lock();
        state.incoming.extend_from_slice(bytes);
        state.server.take().into_iter().for_each(Waker::wake);
        !state.server_closed
    }

    /// Appends what came, at least a byte; answers whether anything did before the end.
    pub(crate) async fn receive(&self, into: &mut Vec<u8>) -> bool {
        poll_fn(|context| {
            let mut state = self.0.state.lock();
            if !state.outgoing.is_empty() {
                into.append(&mut state.outgoing);
                return Poll::Ready(true);
            }
            if state.server_closed {
                return Poll::Ready(false);
            }
            state.client = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends nothing more.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.client_closed = true;
        state.server.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}
