//! What a client's stream needs of its connection: a socket in the server, memory in tests.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use balcony_core::module::BoxFuture;
use balcony_net::{Connection, Read, Source};
use balcony_proto::sasl::ChannelBindings;
use balcony_stream::TlsInfo;
use rustls::ServerConfig;

/// A client's connection. Only one task reads; anybody writes, by way of the session's queue.
pub trait Link: Send + Sync + Sized + 'static {
    /// The peer's address, for limits per address.
    fn peer(&self) -> IpAddr;

    /// Hands bytes to `take` when they come. Holds no buffer while it waits.
    fn poll_read<R>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        take: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Poll<io::Result<Read<R>>>;

    /// Queues bytes ahead of the session's: for the negotiation.
    fn write(self: &Arc<Self>, bytes: &[u8]);

    /// Runs the TLS handshake behind what is queued.
    ///
    /// # Errors
    /// What went wrong, in words for the log. The connection is closed then.
    fn start_tls(self: &Arc<Self>, within: Duration)
    -> BoxFuture<'static, Result<TlsInfo, String>>;

    /// From now on output comes from the session.
    fn set_source(self: &Arc<Self>, source: Arc<dyn Source>);

    /// Output comes from the session no more.
    fn drop_source(self: &Arc<Self>);

    /// The session has output.
    fn wake(self: &Arc<Self>);

    /// Writes what is left, then closes; waits for the peer's end at most for `within`.
    fn finish(self: &Arc<Self>, within: Duration) -> BoxFuture<'static, ()>;
}

/// Waits for bytes and hands them to `take`.
pub(super) async fn read<L: Link, R>(
    link: &Arc<L>,
    take: impl FnOnce(&[u8]) -> R,
) -> io::Result<Read<R>> {
    let mut take = Some(take);
    poll_fn(|context| link.poll_read(context, &mut take)).await
}

/// A TCP connection with what its handshake needs.
pub struct TcpLink {
    connection: Arc<Connection>,
    tls: Arc<ServerConfig>,
}

impl TcpLink {
    /// A link over an accepted connection.
    #[must_use]
    pub fn new(connection: Arc<Connection>, tls: Arc<ServerConfig>) -> Arc<Self> {
        Arc::new(Self { connection, tls })
    }
}

impl Link for TcpLink {
    fn peer(&self) -> IpAddr {
        self.connection.peer().ip()
    }

    fn poll_read<R>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        take: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Poll<io::Result<Read<R>>> {
        self.connection.poll_read(context, take)
    }

    fn write(self: &Arc<Self>, bytes: &[u8]) {
        self.connection.queue(bytes);
    }

    fn start_tls(
        self: &Arc<Self>,
        within: Duration,
    ) -> BoxFuture<'static, Result<TlsInfo, String>> {
        let handshake = self.connection.accept_tls(Arc::clone(&self.tls), within);
        Box::pin(async move {
            let facts = handshake.await.map_err(|error| error.to_string())?;
            Ok(TlsInfo {
                version13: facts.version13,
                bindings: ChannelBindings {
                    exporter: facts.exporter,
                    server_end_point: facts.server_end_point,
                },
                sni: facts.sni,
                alpn: facts.alpn.and_then(|name| String::from_utf8(name).ok()),
            })
        })
    }

    fn set_source(self: &Arc<Self>, source: Arc<dyn Source>) {
        self.connection.set_source(source);
    }

    fn drop_source(self: &Arc<Self>) {
        drop(self.connection.take_source());
    }

    fn wake(self: &Arc<Self>) {
        self.connection.schedule_flush();
    }

    fn finish(self: &Arc<Self>, within: Duration) -> BoxFuture<'static, ()> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            connection.close_after_flush();
            connection.linger(within).await;
        })
    }
}
