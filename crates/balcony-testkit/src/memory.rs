//! A connection in memory: the server's end is a [`Link`], the client's end an [`End`].
//!
//! TLS is pretended: when both ends want it, both are told of the same handshake, and not a byte
//! changes. Bytes that were sent ahead of it make it fail, as they would a real one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use balcony_core::module::BoxFuture;
use balcony_net::{Closed, Read, Source};
use balcony_proto::sasl::ChannelBindings;
use balcony_server::c2s::Link;
use balcony_stream::TlsInfo;
use parking_lot::Mutex;

/// The server's end of a connection in memory.
pub struct MemoryLink {
    peer: IpAddr,
    state: Mutex<State>,
}

/// The client's end. Dropping it cuts the connection off.
pub struct End(Arc<MemoryLink>);

#[derive(Default)]
struct State {
    /// From the client.
    incoming: VecDeque<u8>,
    /// To the client.
    outgoing: Vec<u8>,
    source: Option<Arc<dyn Source>>,
    /// The client sends nothing more.
    client_closed: bool,
    /// The server sends nothing more.
    server_closed: bool,
    /// The client takes nothing, as if the buffers of both sides were full.
    stopped: bool,
    client_wants_tls: bool,
    /// The client sent something in clear ahead of its handshake.
    spoilt: bool,
    server_wants_tls: bool,
    /// Whoever waits for a change. Few wait on one connection, and they all look again.
    waiting: Vec<Waker>,
}

impl State {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn pull(&mut self) {
        let Some(source) = self.source.clone().filter(|_| !self.stopped) else {
            return;
        };
        while source.fill(&mut self.outgoing) {}
        self.wake();
    }
}

/// What both ends of a pretended handshake learn.
fn handshake() -> TlsInfo {
    TlsInfo {
        version13: true,
        bindings: ChannelBindings {
            exporter: Some([7; 32]),
            server_end_point: Some(vec![9; 32]),
        },
        ..TlsInfo::default()
    }
}

/// A connection from `peer`.
#[must_use]
pub fn connection(peer: IpAddr) -> (Arc<MemoryLink>, End) {
    let link = Arc::new(MemoryLink {
        peer,
        state: Mutex::default(),
    });
    (Arc::clone(&link), End(link))
}

impl MemoryLink {
    /// Waits until `done` gives something.
    async fn until<R>(&self, mut done: impl FnMut(&mut State) -> Option<R>) -> R {
        poll_fn(|context| {
            let mut state = self.state.lock();
            match done(&mut state) {
                Some(result) => Poll::Ready(result),
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        state.wake();
        result
    }

    /// Ends what the server sends. A server that drops a connection calls it.
    pub fn hang_up(&self) {
        let source = self.change(|state| {
            state.server_closed = true;
            state.source.take()
        });
        // Unlocked: a session that loses its connection may want to say so.
        drop(source);
    }
}

impl Link for MemoryLink {
    fn peer(&self) -> IpAddr {
        self.peer
    }

    fn poll_read<R>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        take: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Poll<io::Result<Read<R>>> {
        let bytes = {
            let mut state = self.state.lock();
            if state.incoming.is_empty() {
                if state.client_closed {
                    return Poll::Ready(Ok(Read::Closed(Closed::ByPeer)));
                }
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            std::mem::take(&mut state.incoming)
        };
        let Some(take) = take.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(Read::Data(take(&Vec::from(bytes)))))
    }

    fn write(self: &Arc<Self>, bytes: &[u8]) {
        self.change(|state| state.outgoing.extend_from_slice(bytes));
    }

    fn start_tls(
        self: &Arc<Self>,
        within: Duration,
    ) -> BoxFuture<'static, Result<TlsInfo, String>> {
        let link = Arc::clone(self);
        Box::pin(async move {
            link.change(|state| state.server_wants_tls = true);
            let agreed = link.until(|state| {
                // What comes behind the client's handshake is encrypted.
                let in_clear = !state.incoming.is_empty() && !state.client_wants_tls;
                if in_clear || state.spoilt {
                    return Some(Err("bytes in clear where a handshake should be".to_owned()));
                }
                if state.client_closed {
                    return Some(Err("the client is gone".to_owned()));
                }
                state.client_wants_tls.then(|| Ok(handshake()))
            });
            let agreed = tokio::time::timeout(within, agreed).await;
            agreed.unwrap_or_else(|_| Err("no handshake in time".to_owned()))
        })
    }

    fn set_source(self: &Arc<Self>, source: Arc<dyn Source>) {
        let mut state = self.state.lock();
        state.source = Some(source);
        state.pull();
    }

    fn drop_source(self: &Arc<Self>) {
        self.change(|state| state.source = None);
    }

    fn wake(self: &Arc<Self>) {
        self.state.lock().pull();
    }

    fn finish(self: &Arc<Self>, within: Duration) -> BoxFuture<'static, ()> {
        let link = Arc::clone(self);
        Box::pin(async move {
            link.change(|state| {
                state.pull();
                state.server_closed = true;
            });
            let gone = link.until(|state| state.client_closed.then_some(()));
            // Whoever does not close its side has had its time.
            let _ = tokio::time::timeout(within, gone).await;
        })
    }
}

impl End {
    /// Sends bytes. Answers whether the server still listens.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.0.change(|state| {
            let open = !state.server_closed && !state.client_closed;
            if open {
                state.incoming.extend(bytes);
            }
            open
        })
    }

    /// What came, at least a byte; `None` when nothing more will come.
    pub async fn receive(&self) -> Option<Vec<u8>> {
        let came = self.0.until(|state| {
            if !state.outgoing.is_empty() && !state.stopped {
                return Some(Some(std::mem::take(&mut state.outgoing)));
            }
            state.server_closed.then_some(None)
        });
        came.await
    }

    /// The client's part of a handshake; `None` when there was none.
    pub async fn start_tls(&self) -> Option<TlsInfo> {
        self.0.change(|state| {
            state.client_wants_tls = true;
            state.spoilt = !state.incoming.is_empty();
        });
        self.0
            .until(|state| {
                if state.server_closed {
                    return Some(None);
                }
                state.server_wants_tls.then(|| Some(handshake()))
            })
            .await
    }

    /// Takes nothing any more, until told to take again.
    pub fn stop_reading(&self, stop: bool) {
        let mut state = self.0.state.lock();
        state.stopped = stop;
        state.pull();
    }

    /// Sends nothing more; what comes can still be read.
    pub fn close(&self) {
        self.0.change(|state| state.client_closed = true);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}
