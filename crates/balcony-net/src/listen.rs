//! Listening sockets, each with a thread that accepts: a storm of new connections must not hold up
//! those that are there.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::SocketFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::connection::{Connection, ConnectionLimits};
use crate::gate::{Gate, Permit};
use crate::worker::{Worker, Workers};

/// Connections that the kernel keeps until they are accepted: all clients of a server that was
/// restarted come back within a second. The system's own limit (`net.core.somaxconn`) is 4096 as
/// well.
const BACKLOG: i32 = 4096;

/// How long nothing is accepted after the system had no descriptor or memory left. Trying again at
/// once would only burn a processor; a tenth of a second is not noticed by who waits.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

/// A bound socket, so that every address can be bound before rights are dropped or anything starts.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds and listens. Port 0 takes any that is free. An IPv6 address takes IPv6 only, so that
    /// `[::]` and `0.0.0.0` can stand side by side.
    ///
    /// # Errors
    /// The system's: the address is in use, is not ours, or needs more rights.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = bind_socket(address).and_then(|socket| {
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        });
        bound.map_err(|error| ListenError { address, error })
    }

    /// The address that it is bound to, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts accepting: each connection that `gate` admits goes to the next worker, which runs
    /// what `serve` makes for it. That future must not hold more than it needs while idle.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub fn serve<S, F>(
        self,
        gate: Arc<Gate>,
        workers: Arc<Workers>,
        limits: ConnectionLimits,
        serve: S,
    ) -> io::Result<Listening>
    where
        S: Fn(Arc<Connection>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let limits = Arc::new(limits);
        self.accept(
            gate,
            workers,
            move |stream, peer, worker, permit| match Connection::new(
                stream,
                peer,
                worker,
                &limits,
                Some(permit),
            ) {
                Ok(connection) => worker.spawn(serve(connection)),
                Err(error) => tracing::warn!(%peer, %error, "cannot register a connection"),
            },
        )
    }

    /// The same for whoever needs the socket itself: `take` gets it, not blocking, with the worker
    /// that it is for and its place in the gate.
    ///
    /// # Errors
    /// As [`Listener::serve`].
    pub fn accept(
        self,
        gate: Arc<Gate>,
        workers: Arc<Workers>,
        take: impl Fn(TcpStream, SocketAddr, &Arc<Worker>, Permit) + Send + 'static,
    ) -> io::Result<Listening> {
        let hand_over = move |stream: TcpStream, peer: SocketAddr| {
            let permit = match gate.admit(peer.ip()) {
                Ok(permit) => permit,
                // Closed without a word: an answer would cost more than the refusal saves.
                Err(reason) => return tracing::debug!(%peer, ?reason, "connection refused"),
            };
            let Some(worker) = workers.next() else { return };
            take(stream, peer, worker, permit);
        };
        let open = Arc::new(Open {
            socket: self.socket,
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&open);
        let thread = std::thread::Builder::new()
            .name(format!("accept-{}", self.address.port()))
            .spawn(move || accept_all(&shared, self.address, hand_over))?;
        Ok(Listening {
            address: self.address,
            open,
            thread: Some(thread),
        })
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Lets a restarted server listen while old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit both on Linux. Output is gathered before it is written, so Nagle's
    // algorithm could only delay it; keepalive at last finds peers that vanished without a word.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the limit on open descriptors to what the system allows, and returns it.
///
/// # Errors
/// The system's; the limit is then as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// What a listener and its thread share.
#[derive(Debug)]
struct Open {
    socket: TcpListener,
    closed: AtomicBool,
}

/// A listener in use; closed when it is dropped.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    open: Arc<Open>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// The address that it is bound to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and closes the socket; connections that were accepted go on.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.open.closed.store(true, Ordering::Release);
        // Ends the accept that the thread waits in.
        let _ = SockRef::from(&self.open.socket).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept_all(open: &Open, address: SocketAddr, hand_over: impl Fn(TcpStream, SocketAddr)) {
    while !open.closed.load(Ordering::Acquire) {
        match accept(&open.socket) {
            Ok((stream, peer)) => hand_over(stream, peer),
            Err(_) if open.closed.load(Ordering::Acquire) => return,
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                tracing::error!(%address, %error, "cannot accept connections; trying again soon");
                std::thread::sleep(BACK_OFF);
            }
        }
    }
}

/// One system call: the socket comes non-blocking and is not inherited by child processes.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (descriptor, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let stream = TcpStream::from(descriptor);
    let peer = match peer.map(SocketAddr::try_from) {
        Some(Ok(peer)) => peer,
        _ => stream.peer_addr()?,
    };
    Ok((stream, peer))
}

/// Errors of the one connection that was to be accepted (accept(2), "Error handling"), not of the
/// system as a whole.
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, NotConnected, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | PermissionDenied
            | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_an_error_that_names_it() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(first.address()).unwrap_err();
        assert!(
            error.to_string().contains(&first.address().to_string()),
            "{error}"
        );
    }

    #[test]
    fn accepted_sockets_inherit_what_the_listener_was_set_to() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(listener.address()).unwrap();
        let (stream, peer) = accept(&listener.socket).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[test]
    fn the_descriptor_limit_is_as_high_as_it_may_be() {
        let allowed = raise_descriptor_limit().unwrap();
        assert_eq!(
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            allowed
        );
    }

    #[test]
    fn lack_of_descriptors_is_not_the_peers_fault() {
        assert!(!is_peers_fault(&io::Error::from_raw_os_error(24)));
        assert!(is_peers_fault(&io::Error::from_raw_os_error(103)));
    }
}
