//! The scripted end of a connection, wherever the server is.

use balcony_stream::TlsInfo;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::tcp::TcpWire;
use crate::memory::End;
use crate::roads::{self, Opener};

/// A connection to a server.
pub(super) enum Wire {
    Memory(End),
    /// Between servers, with the domains that the end here proves by its certificate, and who
    /// opened it.
    Server(DuplexStream, String, Opener),
    Tcp(Box<TcpWire>),
}

impl Wire {
    /// Answers whether the server still listens.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        match self {
            Wire::Memory(end) => end.send(bytes),
            Wire::Server(end, ..) => end.write_all(bytes).await.is_ok(),
            Wire::Tcp(wire) => wire.send(bytes).await,
        }
    }

    /// `None` when nothing more will come. May be given up at any time without a loss.
    pub(super) async fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Wire::Memory(end) => end.receive().await,
            Wire::Server(end, ..) => {
                let mut bytes = Vec::new();
                let read = end.read_buf(&mut bytes).await;
                read.is_ok_and(|count| count > 0).then_some(bytes)
            }
            Wire::Tcp(wire) => wire.receive().await,
        }
    }

    pub(super) async fn start_tls(&mut self) -> Option<TlsInfo> {
        match self {
            Wire::Memory(end) => end.start_tls().await,
            Wire::Server(end, proves, opener) => {
                let shaken = roads::shake(end, proves, *opener).await;
                shaken.ok().map(|_| TlsInfo::default())
            }
            Wire::Tcp(wire) => wire.start_tls().await,
        }
    }

    pub(super) fn stop_reading(&self, stop: bool) {
        // Over TCP it is enough that nobody reads.
        if let Wire::Memory(end) = self {
            end.stop_reading(stop);
        }
    }

    /// Sends nothing more.
    pub(super) async fn close(&mut self) {
        match self {
            Wire::Memory(end) => end.close(),
            Wire::Server(end, ..) => {
                let _ = end.shutdown().await;
            }
            Wire::Tcp(wire) => wire.close().await,
        }
    }
}
