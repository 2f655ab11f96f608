//! Connections that are lost, and their successors.

use std::net::{Shutdown, SocketAddr};

use balcony_stream::initiating::Initiating;

use super::engine::Engine;
use super::session::{Session, Stage};
use crate::error::{Error, Result};

impl Engine {
    /// Ends a stream in order. When the server has ended it as well, [`Load::failed`] says so.
    ///
    /// [`Load::failed`]: super::engine::Load::failed
    pub(crate) fn leave(&mut self, session: usize) {
        // XEP-0198 §4: otherwise the server has to keep what came last for the next login.
        self.acknowledge_all(session);
        self.send(session, b"</stream:stream>");
    }

    /// A session loses its connection without a word on the stream. `silent`: not even its server
    /// is told that nobody is there any more, as when a phone leaves its network.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn cut(&mut self, session: usize, silent: bool) -> Result<()> {
        let Some(found) = self.sessions.get_mut(session) else {
            return Ok(());
        };
        found.stage = Stage::Closed;
        found.silent = silent;
        let socket = &mut found.link.socket;
        let forgotten = self.poll.registry().deregister(socket);
        forgotten.map_err(Error::io("leaving a socket"))?;
        if !silent {
            // The server may have ended it before.
            let _ = socket.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    /// Connects again for a session that was [cut](Engine::cut).
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub(crate) fn reconnect(
        &mut self,
        session: usize,
        address: SocketAddr,
        stream: Initiating,
        tls_first: bool,
    ) -> Result<()> {
        let link = self.link(address, session, tls_first)?;
        if let Some(found) = self.sessions.get_mut(session) {
            // Dropped, it would tell the server.
            self.former.extend(found.again(link, stream));
            found.outputs(self.connector.as_ref())?;
        }
        Ok(())
    }

    /// Puts another session in the place of one that is over, of which nothing is kept. So many
    /// sessions that follow one another take the memory of one.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub(crate) fn replace(
        &mut self,
        session: usize,
        address: SocketAddr,
        who: String,
        stream: Option<Initiating>,
        tls_first: bool,
    ) -> Result<()> {
        let link = self.link(address, session, tls_first)?;
        let mut next = Session::new(link, who, stream);
        next.outputs(self.connector.as_ref())?;
        if let Some(found) = self.sessions.get_mut(session) {
            *found = next;
        }
        Ok(())
    }

    /// Drops the connections that sessions had before they were [cut](Engine::cut).
    pub(crate) fn forget_former(&mut self) {
        self.former.clear();
    }
}
