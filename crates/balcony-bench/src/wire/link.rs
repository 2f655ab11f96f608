//! One socket, in clear or under TLS, that never blocks.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::TcpStream;
use rustls::Connection;

use super::tls::Connector;
use crate::error::{Error, Result};

/// Bytes that one read takes at most. Two buffers of this size serve all sockets.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A connection, and what still has to be written to it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: TcpStream,
    tls: Option<Box<Connection>>,
    /// Plaintext that is not written yet.
    out: Vec<u8>,
    /// How much of `out` the socket has taken.
    taken: usize,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing more for now.
    Empty,
    /// There may be more: read again.
    More,
    /// The peer sends no more.
    Eof,
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn connect(address: SocketAddr) -> Result<Link> {
        let failed = || Error::io(format!("connecting to {address}"));
        let socket = TcpStream::connect(address).map_err(failed())?;
        // Otherwise a stanza would wait for the acknowledgement of the segment before it, which the
        // other side's kernel may hold back for 40 ms: a time that is nobody's work.
        socket.set_nodelay(true).map_err(failed())?;
        Ok(Link::over(socket))
    }

    /// On a socket that stands, or begins to.
    pub(crate) fn over(socket: TcpStream) -> Link {
        Link {
            socket,
            tls: None,
            out: Vec::new(),
            taken: 0,
        }
    }

    /// From here on everything is encrypted.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub(crate) fn start_tls(&mut self, connector: &Connector) -> Result<()> {
        self.encrypt(connector.connect()?.into());
        Ok(())
    }

    pub(crate) fn encrypt(&mut self, connection: Connection) {
        self.tls = Some(Box::new(connection));
    }

    pub(crate) fn tls(&self) -> Option<&Connection> {
        self.tls.as_deref()
    }

    /// Whether the handshake is still going on.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(|tls| tls.is_handshaking())
    }

    /// What is to be written; [`Link::flush`] writes it.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether the socket was too full to take everything.
    pub(crate) fn is_behind(&self) -> bool {
        !self.out.is_empty() || self.tls().is_some_and(|tls| tls.wants_write())
    }

    /// Reads once from the socket into `input`, as plaintext, and says how many bytes there are.
    /// `raw` is scratch space. Both have [`READ_BYTES`].
    ///
    /// # Errors
    /// Those of the socket; a fault of TLS is `InvalidData`.
    pub(crate) fn read(
        &mut self,
        raw: &mut [u8],
        input: &mut [u8],
    ) -> io::Result<(usize, Drained)> {
        let Some(tls) = &mut self.tls else {
            let (count, drained) = read_once(&mut self.socket, input)?;
            return Ok((count, drained));
        };
        // Half of it: a record of up to 16 KiB may be held from before, and all must fit into
        // `input`.
        let half = raw.len() / 2;
        let space = raw.get_mut(..half).unwrap_or_default();
        let (count, drained) = read_once(&mut self.socket, space)?;
        let mut rest = space.get(..count).unwrap_or_default();
        let mut filled = 0;
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            tls.process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            filled += drain(tls, input.get_mut(filled..).unwrap_or_default())?;
        }
        if tls.wants_write() {
            self.flush()?;
        }
        Ok((filled, drained))
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            if !self.out.is_empty() && !tls.is_handshaking() {
                tls.writer().write_all(&self.out)?;
                self.out.clear();
            }
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if is_later(&error) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        while let Some(rest) = self.out.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.taken = 0;
        Ok(())
    }
}

fn drain(tls: &mut Connection, mut space: &mut [u8]) -> io::Result<usize> {
    let before = space.len();
    loop {
        match tls.reader().read(space) {
            Ok(0) => break,
            Ok(count) => space = space.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // No close_notify: XMPP has its own end of a stream (RFC 6120 §4.4).
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(before - space.len())
}

/// A short read has emptied the socket: the next bytes give a new edge, so that the read that would
/// find nothing is spared.
fn read_once(socket: &mut TcpStream, space: &mut [u8]) -> io::Result<(usize, Drained)> {
    loop {
        match socket.read(space) {
            Ok(0) => return Ok((0, Drained::Eof)),
            Ok(count) if count < space.len() => return Ok((count, Drained::Empty)),
            Ok(count) => return Ok((count, Drained::More)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_later(&error) => return Ok((0, Drained::Empty)),
            Err(error) => return Err(error),
        }
    }
}

/// `NotConnected`: written to before the connection stood.
fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected
    )
}
