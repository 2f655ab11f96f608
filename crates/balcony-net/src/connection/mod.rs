//! One client socket, plain or TLS: its task reads on its worker, every thread may write.
//!
//! Between stanzas a connection holds no buffer: reading waits for readiness only, and the bytes go
//! through the thread's own buffers ([`crate::scratch`]). One lock covers encryption and the write
//! to the socket, because TLS records must leave in the order of their numbers.

pub(crate) mod handshake;
pub(crate) mod read;
pub(crate) mod write;

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::gate::Permit;
use crate::tls::Tls;
use crate::worker::Worker;
use write::Source;

/// Bounds of one connection, shared by all of a listener.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Bytes that may wait because the kernel does not take them; past this the connection is
    /// aborted with [`Closed::TooMuchPending`]. Default 1 MiB: more than one stanza of the largest
    /// size, and what [`Source::fill`] gives at once.
    pub max_pending: usize,
    /// How long the peer may read nothing while output waits; then the connection is aborted with
    /// [`Closed::WriteTimedOut`]. Default 60 s: longer than a phone is silent while it changes
    /// networks.
    pub write_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_pending: 1024 * 1024,
            write_timeout: Duration::from_secs(60),
        }
    }
}

/// Why nothing more can be read from a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The peer closed its side properly: FIN on a plain connection, close_notify on TLS. Output
    /// still reaches it.
    ByPeer,
    /// The peer's side ended without close_notify: what came last may be cut off (RFC 8446 §6.1).
    Truncated,
    /// [`Connection::abort`] was called.
    Aborted,
    /// The peer took no output for [`ConnectionLimits::write_timeout`].
    WriteTimedOut,
    /// More output waited than [`ConnectionLimits::max_pending`].
    TooMuchPending,
    /// The socket refused a write: the peer has gone.
    WriteFailed,
    /// Encryption failed, or the output source panicked.
    Broken,
}

impl Closed {
    /// The reasons on our side, as kept in [`Connection::ended`]; 0 means open.
    const OURS: [Self; 5] = [
        Self::Aborted,
        Self::WriteTimedOut,
        Self::TooMuchPending,
        Self::WriteFailed,
        Self::Broken,
    ];

    fn to_code(self) -> u8 {
        let position = Self::OURS.iter().position(|&reason| reason == self);
        position
            .and_then(|at| u8::try_from(at).ok())
            .map_or(1, |at| at.saturating_add(1))
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::OURS.get(usize::from(code.checked_sub(1)?)).copied()
    }
}

/// How far the write side is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ending {
    #[default]
    Open,
    /// Once all output is written.
    Asked,
    /// The last bytes (close_notify or an alert on TLS) are written or pending.
    Said,
    /// FIN is sent.
    Closed,
}

/// What becomes of output that the kernel has and the peer has not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It goes on its way.
    Send,
    /// The kernel drops it instead of holding it for minutes for a peer that does not take it.
    Drop,
}

/// How long to wait before looking again whether a peer that reads slowly has taken all: short
/// beside the time-out of closing, and nobody waits for it but the end.
const WRITTEN_YET: Duration = Duration::from_millis(5);

/// What is done under the connection's lock.
#[derive(Default)]
struct Io {
    /// Output as it goes onto the wire that the socket has not taken yet.
    pending: Vec<u8>,
    /// A task waits for the socket to take `pending`; nobody else writes.
    blocked: bool,
    ending: Ending,
    tls: Option<Box<Tls>>,
    source: Option<Arc<dyn Source>>,
}

/// One client connection; see the module's text.
pub struct Connection {
    socket: TcpStream,
    home: Arc<Worker>,
    limits: Arc<ConnectionLimits>,
    io: Mutex<Io>,
    peer: SocketAddr,
    /// On some thread's list of connections with output.
    dirty: AtomicBool,
    /// `io.tls` is set: lets plain connections read without the lock.
    secure: AtomicBool,
    /// TLS has plaintext left over or the peer's close_notify to tell, without the socket.
    untold: AtomicBool,
    /// [`Closed::to_code`] of the reason for which we ended it, or 0.
    ended: AtomicU8,
    /// Gives the place back that the connection takes in its [`crate::Gate`].
    _permit: Option<Permit>,
}

impl Connection {
    /// Takes a connected socket and registers it with `home`, whose task is to read it.
    ///
    /// # Errors
    /// The operating system's, from registering the socket.
    pub fn new(
        stream: std::net::TcpStream,
        peer: SocketAddr,
        home: &Arc<Worker>,
        limits: &Arc<ConnectionLimits>,
        permit: Option<Permit>,
    ) -> io::Result<Arc<Self>> {
        stream.set_nonblocking(true)?;
        let _runtime = home.enter();
        Ok(Arc::new(Self {
            socket: TcpStream::from_std(stream)?,
            home: Arc::clone(home),
            limits: Arc::clone(limits),
            io: Mutex::default(),
            peer,
            dirty: AtomicBool::new(false),
            secure: AtomicBool::new(false),
            untold: AtomicBool::new(false),
            ended: AtomicU8::new(0),
            _permit: permit,
        }))
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The worker whose task reads this connection.
    #[must_use]
    pub fn home(&self) -> &Arc<Worker> {
        &self.home
    }

    /// Whether TLS is in place.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure.load(Ordering::Acquire)
    }

    /// Whether output waits for a peer that does not read. While it does, [`Source::fill`] is not
    /// called.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.io.lock().blocked
    }

    /// Why we ended the connection; `None` while we have not.
    #[must_use]
    pub fn ended(&self) -> Option<Closed> {
        Closed::from_code(self.ended.load(Ordering::Acquire))
    }

    /// Closes at once and forgets what was to be sent; the reader gets [`Closed::Aborted`].
    pub fn abort(&self) {
        self.end(Closed::Aborted);
    }

    /// Writes what is queued and what the source has, then close_notify and FIN; the peer may still
    /// send, so the owner reads on, or calls [`Connection::linger`]. Nothing can be queued after
    /// it.
    pub fn close_after_flush(self: &Arc<Self>) {
        {
            let mut io = self.io.lock();
            if io.ending == Ending::Open {
                io.ending = Ending::Asked;
            }
        }
        self.schedule_flush();
    }

    /// Sees `close_after_flush` through: waits until all is written, then reads and drops what the
    /// peer still sends until it closes; at most for `limit`. Then ends the connection. Without it,
    /// input that arrives meanwhile would make the kernel answer with a reset that can destroy the
    /// last output on its way. Boxed: not for the idle state.
    pub async fn linger(self: &Arc<Self>, limit: Duration) {
        let until_closed = async {
            // A peer that has sent its FIN may still read, so that comes second.
            while !self.is_written() {
                self.flush();
                if !self.is_written() {
                    tokio::time::sleep(WRITTEN_YET).await;
                }
            }
            while let Ok(read::Read::Data(())) = self.read(|_| ()).await {}
        };
        match tokio::time::timeout(limit, Box::pin(until_closed)).await {
            Ok(()) => self.end_with(Closed::Aborted, Rest::Send),
            Err(_) => self.abort(),
        }
    }

    /// Whether the kernel has all output and the FIN behind it, or nothing more can be written.
    fn is_written(&self) -> bool {
        self.ended().is_some() || self.io.lock().ending == Ending::Closed
    }

    /// Ends the connection for `reason`, unless it has ended before.
    fn end(&self, reason: Closed) {
        self.end_with(reason, Rest::Drop);
    }

    fn end_with(&self, reason: Closed, rest: Rest) {
        let open =
            self.ended
                .compare_exchange(0, reason.to_code(), Ordering::AcqRel, Ordering::Acquire);
        if open.is_err() {
            return;
        }
        let socket = SockRef::from(&self.socket);
        if rest == Rest::Drop {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        // Both directions: the reader's task wakes up and finds the end.
        let _ = socket.shutdown(Shutdown::Both);
        let (source, pending) = {
            let mut io = self.io.lock();
            (io.source.take(), std::mem::take(&mut io.pending))
        };
        // Out of the lock: the source may be the last owner of a session that looks at this
        // connection.
        drop((source, pending));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("secure", &self.is_secure())
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<Connection>() <= 320,
            "{} bytes",
            size_of::<Connection>()
        );
    }

    #[test]
    fn every_reason_of_ours_survives_its_code() {
        for reason in Closed::OURS {
            assert_eq!(Closed::from_code(reason.to_code()), Some(reason));
        }
        assert_eq!(Closed::from_code(0), None);
        assert_eq!(Closed::from_code(200), None);
    }
}
