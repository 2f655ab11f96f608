//! A connection between servers, before and after TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection between servers. Not split: whoever reads also writes.
#[derive(Debug)]
pub enum PeerStream<S = TcpStream> {
    /// Before TLS.
    Plain(S),
    /// We connected.
    Outgoing(Box<client::TlsStream<S>>),
    /// We were connected to.
    Incoming(Box<server::TlsStream<S>>),
}

impl<S> PeerStream<S> {
    /// The socket, for a TLS handshake; `None` if there is TLS already.
    #[must_use]
    pub fn into_plain(self) -> Option<S> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Outgoing(_) | Self::Incoming(_) => None,
        }
    }
}

/// Calls a method of whichever it is.
macro_rules! delegate {
    ($stream:expr, $method:ident $(, $argument:expr)*) => {
        match $stream.get_mut() {
            Self::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Self::Outgoing(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Self::Incoming(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PeerStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, poll_read, context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PeerStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown, context)
    }
}
