//! Reading: wait without a buffer, read into the thread's buffer, decrypt in place, hand over.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Closed, Connection, Ending, Io};
use crate::scratch;
use crate::tls::RecordError;

/// What [`Connection::read`] came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<R> {
    /// Bytes came, and this is what the closure made of them.
    Data(R),
    /// Nothing more will come.
    Closed(Closed),
}

/// What one read from the socket gave.
enum Got {
    /// So many bytes.
    Bytes(usize),
    /// The peer's FIN, or our own shutdown.
    End,
    /// Nothing: readiness was stale.
    Nothing,
}

impl Connection {
    /// Waits for bytes and hands all that came with one read to `f`, as plaintext and never empty.
    /// `f` runs without the connection's lock and may write to any connection.
    ///
    /// Only one task may read. The future holds no buffer; dropping it loses nothing.
    ///
    /// # Errors
    /// The socket's (the peer reset the connection), or `InvalidData` when the peer broke TLS: then
    /// the alert was sent and the write side closed.
    pub fn read<'a, R: 'a>(
        self: &'a Arc<Self>,
        f: impl FnOnce(&[u8]) -> R + 'a,
    ) -> impl Future<Output = io::Result<Read<R>>> + 'a {
        let mut f = Some(f);
        poll_fn(move |context| self.poll_read(context, &mut f))
    }

    /// [`Connection::read`] for who polls by hand. `f` is taken when bytes came.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn poll_read<R>(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        f: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> Poll<io::Result<Read<R>>> {
        loop {
            if let Some(reason) = self.ended() {
                return Poll::Ready(Ok(Read::Closed(reason)));
            }
            let secure = self.secure.load(Ordering::Acquire);
            if self.untold.load(Ordering::Acquire)
                && let Some(result) = self.read_without_socket(f)
            {
                return Poll::Ready(Ok(result));
            }
            if let Err(error) = ready!(self.socket.poll_read_ready(context)) {
                return Poll::Ready(Err(error));
            }
            let result = if secure {
                self.read_tls(f)
            } else {
                self.read_plain(f)
            };
            match result {
                Ok(None) => {}
                // The end that our own shutdown made is told with its reason.
                Ok(Some(Read::Closed(reason))) => {
                    return Poll::Ready(Ok(Read::Closed(self.ended().unwrap_or(reason))));
                }
                Ok(Some(data)) => return Poll::Ready(Ok(data)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn read_plain<R>(
        &self,
        f: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> io::Result<Option<Read<R>>> {
        scratch::with_read(&[], |buffer, _| match read_socket(&self.socket, buffer)? {
            Got::Bytes(count) => Ok(deliver(buffer.get(..count).unwrap_or_default(), f)),
            Got::End => Ok(Some(Read::Closed(Closed::ByPeer))),
            Got::Nothing => Ok(None),
        })
    }

    /// What a TLS connection has to say before the socket is asked: plaintext that came with the
    /// end of the handshake, or the peer's close_notify.
    fn read_without_socket<R>(&self, f: &mut Option<impl FnOnce(&[u8]) -> R>) -> Option<Read<R>> {
        let (unread, peer_closed) = {
            let mut io = self.io.lock();
            let tls = io.tls.as_mut()?;
            (tls.take_unread(), tls.peer_closed())
        };
        // The close stands behind the plaintext, and is told as often as somebody asks.
        self.untold.store(peer_closed, Ordering::Release);
        if !unread.is_empty() {
            return deliver(&unread, f);
        }
        peer_closed.then_some(Read::Closed(Closed::ByPeer))
    }

    fn read_tls<R>(
        self: &Arc<Self>,
        f: &mut Option<impl FnOnce(&[u8]) -> R>,
    ) -> io::Result<Option<Read<R>>> {
        scratch::with(&scratch::RECEIVED, |plain| {
            let (received, answered) = {
                let mut io = self.io.lock();
                let received = receive_tls(&mut io, &self.socket, plain);
                if io.tls.as_ref().is_some_and(|tls| tls.peer_closed()) {
                    self.untold.store(true, Ordering::Release);
                }
                (received, !io.pending.is_empty() && !io.blocked)
            };
            if answered {
                self.schedule_flush();
            }
            match received? {
                Got::End => Ok(Some(Read::Closed(Closed::Truncated))),
                Got::Bytes(_) => Ok(deliver(plain, f)),
                Got::Nothing => Ok(None),
            }
        })
    }

    /// For the handshake: appends what comes to `input`; 0 bytes when the peer has closed.
    pub(super) async fn read_raw(&self, input: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            let got = scratch::with_read(&[], |buffer, _| {
                let got = read_socket(&self.socket, buffer)?;
                if let Got::Bytes(count) = got {
                    input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                io::Result::Ok(got)
            })?;
            match got {
                Got::Bytes(count) => return Ok(count),
                Got::End => return Ok(0),
                Got::Nothing => {}
            }
        }
    }
}

/// Hands `plain` over, if there is any: a record that is not whole yet, or one that carries none,
/// gives nothing to deliver and the reader waits on.
fn deliver<R>(plain: &[u8], f: &mut Option<impl FnOnce(&[u8]) -> R>) -> Option<Read<R>> {
    if plain.is_empty() {
        return None;
    }
    f.take().map(|f| Read::Data(f(plain)))
}

/// Reads behind the tail of last time and decrypts; runs under the connection's lock, because
/// rustls may answer and its records are numbered.
fn receive_tls(io: &mut Io, socket: &TcpStream, plain: &mut Vec<u8>) -> io::Result<Got> {
    let Io {
        tls: Some(tls),
        pending,
        ending,
        ..
    } = io
    else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    let tail = tls.take_tail();
    scratch::with_read(&tail, |buffer, filled| {
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let count = match read_socket(socket, free)? {
            Got::Bytes(count) => count,
            // The tail of a peer that has gone is of no use; a stale readiness must not lose it.
            Got::End => return Ok(Got::End),
            Got::Nothing => 0,
        };
        let input = buffer
            .get_mut(..filled.saturating_add(count))
            .unwrap_or_default();
        tls.receive(input, plain, pending).map_err(|error| {
            tls.alert(pending);
            // Nothing can follow the alert.
            *ending = Ending::Said;
            invalid_data(error)
        })?;
        Ok(if count == 0 {
            Got::Nothing
        } else {
            Got::Bytes(count)
        })
    })
}

fn invalid_data(error: RecordError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// One read. A buffer that was not filled shows that the socket is empty, so readiness is cleared
/// without the second read that would say so; epoll reports what comes after it.
fn read_socket(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<Got> {
    let mut got = Got::Nothing;
    let read = socket.try_io(Interest::READABLE, || {
        let length = buffer.len();
        let (_, count) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
        got = if count == 0 {
            Got::End
        } else {
            Got::Bytes(count)
        };
        // Told to tokio as "would block", which is what clears the readiness.
        if count < length && count > 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    match read {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Err(error)
        }
        _ => Ok(got),
    }
}
