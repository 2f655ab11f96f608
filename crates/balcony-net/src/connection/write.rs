//! Writing: the calling thread takes the output, encrypts it and gives it to the kernel.
//!
//! Only what the kernel does not take stays with the connection. Then a task on the home worker
//! waits for room, and until it has written everything nobody takes more from the source.

use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::Interest;

use super::{Closed, Connection, Ending, Io};
use crate::{scratch, worker};

/// Where a connection takes its output from once somebody is logged in: the session's queue.
pub trait Source: Send + Sync {
    /// Appends queued plaintext to `out`, whole stanzas and not much more than 64 KiB at once;
    /// returns whether more remains.
    ///
    /// Called under the connection's lock, from any thread, never by two at a time: it must not
    /// call the connection back, except for [`Connection::schedule_flush`].
    fn fill(&self, out: &mut Vec<u8>) -> bool;
}

/// How often one flush goes back to a source that has more, before others get their turn.
const ROUNDS: usize = 4;

/// What one round of a flush came to.
enum Round {
    /// All that there was is written.
    Done,
    /// The source has more.
    More,
    /// The socket takes no more now; a task must wait for it.
    Blocked,
    Failed(Closed),
}

impl Connection {
    /// From now on output comes from `source`, behind what is queued.
    pub fn set_source(self: &Arc<Self>, source: Arc<dyn Source>) {
        let _dropped_outside_of_the_lock = {
            let mut io = self.io.lock();
            // Looked at under the lock, which `end` takes after it has set it: no source stays
            // behind.
            if self.ended().is_none() {
                io.source.replace(source)
            } else {
                Some(source)
            }
        };
        self.schedule_flush();
    }

    /// Detaches the source, for a session that outlives its connection.
    pub fn take_source(&self) -> Option<Arc<dyn Source>> {
        self.io.lock().source.take()
    }

    /// Queues plaintext ahead of what the source gives: for the negotiation and for the stream's
    /// end. Nothing is queued once the connection is closing.
    pub fn queue(self: &Arc<Self>, plain: &[u8]) {
        match self.enqueue(plain) {
            Ok(()) => self.schedule_flush(),
            Err(reason) => self.end(reason),
        }
    }

    fn enqueue(&self, plain: &[u8]) -> Result<(), Closed> {
        let mut io = self.io.lock();
        if io.ending != Ending::Open || self.ended().is_some() {
            return Ok(());
        }
        let Io { tls, pending, .. } = &mut *io;
        match tls {
            Some(tls) => tls.seal(plain, pending).map_err(|_| Closed::Broken)?,
            None => pending.extend_from_slice(plain),
        }
        if pending.len() > self.limits.max_pending {
            return Err(Closed::TooMuchPending);
        }
        Ok(())
    }

    /// Queues bytes as they are, around TLS: for the handshake.
    pub(super) fn queue_wire(self: &Arc<Self>, wire: &[u8]) {
        self.io.lock().pending.extend_from_slice(wire);
        self.schedule_flush();
    }

    /// Has the connection flushed soon by the calling worker, after the tasks that are ready now,
    /// so that what several of them send to it leaves in one write. From a thread that is no worker
    /// it goes to the home worker. Cheap when it is already waiting to be flushed.
    pub fn schedule_flush(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            worker::schedule(self);
        }
    }

    /// Writes now, on the calling thread, without waiting for the peer. A panic in the source ends
    /// this connection, not the caller: that is some other session's task, or the worker's flusher.
    pub fn flush(self: &Arc<Self>) {
        if catch_unwind(AssertUnwindSafe(|| self.flush_rounds())).is_err() {
            tracing::error!(peer = %self.peer, "a panic while writing; the connection is closed");
            self.end(Closed::Broken);
        }
    }

    fn flush_rounds(self: &Arc<Self>) {
        // Before the source is asked: what is queued after it schedules the next flush. A swap, so
        // that what was queued before the flag was last set is seen below.
        self.dirty.swap(false, Ordering::AcqRel);
        for _ in 0..ROUNDS {
            match self.flush_round() {
                Round::Done => return,
                Round::More => {}
                Round::Blocked => return self.wait_for_room(),
                Round::Failed(reason) => return self.end(reason),
            }
        }
        self.schedule_flush();
    }

    fn flush_round(&self) -> Round {
        let mut io = self.io.lock();
        if io.blocked || io.ending == Ending::Closed || self.ended().is_some() {
            return Round::Done;
        }
        let sent = scratch::with(&scratch::SENDING, |plain| {
            let more = io.ending != Ending::Said
                && io.source.as_ref().is_some_and(|source| source.fill(plain));
            let last = io.ending == Ending::Asked && !more;
            self.send(&mut io, plain, last).map(|()| more)
        });
        match sent {
            Err(reason) => Round::Failed(reason),
            Ok(_) if io.blocked => Round::Blocked,
            Ok(true) => Round::More,
            Ok(false) => self.finish(&mut io),
        }
    }

    /// Puts `plain` behind what is pending, encrypts, and writes as much as the socket takes.
    fn send(&self, io: &mut Io, plain: &[u8], last: bool) -> Result<(), Closed> {
        if last {
            io.ending = Ending::Said;
        }
        if io.pending.is_empty() && io.tls.is_none() {
            return self.write_from(io, plain);
        }
        if io.pending.is_empty() {
            return scratch::with(&scratch::WIRE, |wire| {
                seal(io, plain, wire, last)?;
                self.write_from(io, wire)
            });
        }
        let mut wire = std::mem::take(&mut io.pending);
        seal(io, plain, &mut wire, last)?;
        self.write_from(io, &wire)
    }

    /// Writes once; what is left over becomes pending.
    fn write_from(&self, io: &mut Io, wire: &[u8]) -> Result<(), Closed> {
        if wire.is_empty() {
            return Ok(());
        }
        let written = self.write_socket(wire).map_err(|_| Closed::WriteFailed)?;
        if let Some(rest) = wire.get(written..).filter(|rest| !rest.is_empty()) {
            io.pending = rest.to_vec();
            io.blocked = true;
        }
        Ok(())
    }

    /// One write; 0 when the socket takes nothing now.
    fn write_socket(&self, wire: &[u8]) -> io::Result<usize> {
        loop {
            // NOSIGNAL: a peer that has gone is an error, not a SIGPIPE.
            match rustix::net::send(&self.socket, wire, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                result => return Ok(result?),
            }
        }
    }

    /// Everything is written: closes the write side if that was asked for.
    fn finish(&self, io: &mut Io) -> Round {
        if io.ending == Ending::Said {
            io.ending = Ending::Closed;
            if SockRef::from(&self.socket)
                .shutdown(Shutdown::Write)
                .is_err()
            {
                return Round::Failed(Closed::WriteFailed);
            }
        }
        Round::Done
    }

    /// Starts the task that waits until the peer reads again. It lives only as long as output
    /// waits.
    fn wait_for_room(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        self.home
            .spawn(async move { connection.write_pending().await });
    }

    async fn write_pending(self: Arc<Self>) {
        loop {
            let room = tokio::time::timeout(self.limits.write_timeout, self.socket.writable());
            match room.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.end(Closed::WriteFailed),
                Err(_) => return self.end(Closed::WriteTimedOut),
            }
            match self.write_some() {
                Round::Blocked => {}
                Round::Failed(reason) => return self.end(reason),
                Round::Done | Round::More => return self.flush(),
            }
        }
    }

    /// Writes what is pending once the socket has room.
    fn write_some(&self) -> Round {
        let mut io = self.io.lock();
        let pending = &mut io.pending;
        let wrote = self.socket.try_io(Interest::WRITABLE, || {
            let written = self.write_socket(pending)?;
            pending.drain(..written);
            // Told to tokio as "would block", so that it waits for room before the next write.
            if pending.is_empty() {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        match wrote {
            Ok(()) => {
                io.pending = Vec::new();
                io.blocked = false;
                Round::Done
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Round::Blocked,
            Err(_) => Round::Failed(Closed::WriteFailed),
        }
    }
}

fn seal(io: &mut Io, plain: &[u8], wire: &mut Vec<u8>, last: bool) -> Result<(), Closed> {
    let Some(tls) = io.tls.as_mut() else {
        wire.extend_from_slice(plain);
        return Ok(());
    };
    tls.seal(plain, wire).map_err(|_| Closed::Broken)?;
    if last {
        // RFC 6120 §4.4: a party that closes the stream sends close_notify before the TCP
        // connection goes.
        tls.close_notify(wire).map_err(|_| Closed::Broken)?;
    }
    Ok(())
}
