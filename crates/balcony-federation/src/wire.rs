//! Both directions of one connection in one task: bytes are read while others wait to be written,
//! so two servers that both write a lot never wait for each other.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::reach::Socket;

/// Bytes that are read at once: a TLS record.
const READ: usize = 16 * 1024;

/// Bytes that wait to be written before no more stanzas are taken from the queues.
const BACKLOG: usize = 64 * 1024;

/// Bytes of answers that may wait to be written: some 2,000 acknowledgements. Whoever asks for more
/// does not read them.
const ANSWERS: usize = 64 * 1024;

/// What happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// So many bytes came: [`Wire::read`] has them.
    Read(usize),
    /// The kernel has all that was to be written.
    Written,
    /// The peer sends nothing more.
    Eof,
}

/// A connection with what waits to be written to it.
pub(crate) struct Wire {
    /// `None` while the TLS handshake has it.
    socket: Option<Box<dyn Socket>>,
    buffer: Box<[u8]>,
    out: Vec<u8>,
    /// Of `out`.
    written: usize,
    /// Bytes of answers that were added while no more stanzas were.
    answers: usize,
    /// Something was written since the last time that all was.
    unflushed: bool,
}

impl Wire {
    pub(crate) fn new(socket: Box<dyn Socket>) -> Wire {
        Wire {
            socket: Some(socket),
            buffer: vec![0; READ].into(),
            out: Vec::new(),
            written: 0,
            answers: 0,
            unflushed: false,
        }
    }

    /// Writes what answers the peer; false when it asks for so much that it cannot be reading.
    #[must_use]
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> bool {
        self.out().extend_from_slice(bytes);
        self.answers += bytes.len();
        self.waits() < BACKLOG || self.answers <= ANSWERS
    }

    fn waits(&self) -> usize {
        self.out.len() - self.written
    }

    /// Where to write bytes for the peer.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.unflushed = true;
        &mut self.out
    }

    /// Whether so much waits that no more should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.waits() >= BACKLOG
    }

    /// What came last.
    pub(crate) fn read(&self, count: usize) -> &[u8] {
        self.buffer.get(..count).unwrap_or_default()
    }

    /// Waits for something to happen. Without `reads` nothing is taken from the peer.
    pub(crate) async fn happen(&mut self, reads: bool) -> io::Result<Happened> {
        poll_fn(|context| self.poll_happen(context, reads)).await
    }

    pub(crate) fn poll_happen(
        &mut self,
        context: &mut Context<'_>,
        reads: bool,
    ) -> Poll<io::Result<Happened>> {
        if self.unflushed
            && let Poll::Ready(done) = self.poll_flush(context)
        {
            return Poll::Ready(done.map(|()| Happened::Written));
        }
        if !reads {
            return Poll::Pending;
        }
        let Some(socket) = &mut self.socket else {
            return Poll::Pending;
        };
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(socket).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(match buffer.filled().len() {
            0 => Happened::Eof,
            count => Happened::Read(count),
        }))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = &mut self.socket else {
            return Poll::Pending;
        };
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *socket).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            if self.out.len() - self.written < BACKLOG {
                self.answers = 0;
            }
        }
        ready!(Pin::new(&mut *socket).poll_flush(context))?;
        self.out.clear();
        // A burst is over; a quiet stream holds no buffer for the next one.
        self.out.shrink_to(READ);
        self.written = 0;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Gives the socket away for a TLS handshake, when all that was to be sent in clear is sent.
    pub(crate) async fn take_socket(&mut self) -> io::Result<Box<dyn Socket>> {
        if self.unflushed {
            poll_fn(|context| self.poll_flush(context)).await?;
        }
        self.socket
            .take()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Goes on with this one.
    pub(crate) fn put_socket(&mut self, socket: Box<dyn Socket>) {
        self.socket = Some(socket);
    }

    /// Writes what is left and closes; reads and drops what still comes, so that the peer gets all
    /// of it. At most for `within`.
    pub(crate) async fn finish(mut self, within: Duration) {
        let close = async {
            if self.unflushed {
                poll_fn(|context| self.poll_flush(context)).await?;
            }
            if let Some(socket) = &mut self.socket {
                socket.shutdown().await?;
            }
            while !matches!(self.happen(true).await?, Happened::Eof) {}
            io::Result::Ok(())
        };
        // Whatever becomes of it, the connection is over.
        let _ = tokio::time::timeout(within, close).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6120 §4.9.3.17
    #[tokio::test]
    async fn answers_do_not_pile_up_for_who_does_not_read() {
        let (ours, theirs) = tokio::io::duplex(1_000);
        let mut wire = Wire::new(Box::new(ours));
        wire.out().resize(BACKLOG, b'x');
        let answers = |wire: &mut Wire| (0..5_000).take_while(|_| wire.answer(&[b'a'; 32])).count();
        assert_eq!(answers(&mut wire), ANSWERS / 32);
        // They are as many as they like for who reads.
        let mut reader = Wire::new(Box::new(theirs));
        while wire.waits() > 0 {
            tokio::select! {
                biased;
                _ = reader.happen(true) => {}
                _ = wire.happen(false) => {}
            }
        }
        assert!(wire.answer(b"a"));
    }

    #[tokio::test]
    async fn both_sides_write_more_than_the_connection_holds_and_neither_waits() {
        let (one, two) = tokio::io::duplex(100);
        let talk = |socket| async move {
            let mut wire = Wire::new(Box::new(socket));
            wire.out().resize(100_000, b'x');
            let (mut read, mut written) = (0, false);
            while read < 100_000 || !written {
                match wire.happen(true).await.unwrap() {
                    Happened::Read(count) => read += wire.read(count).len(),
                    Happened::Written => written = true,
                    Happened::Eof => panic!("too early"),
                }
            }
            wire
        };
        let (_one, _two) = tokio::join!(talk(one), talk(two));
    }
}
