//! The relay's server: a read from a sender, a write to each of its receivers.

use std::collections::HashMap;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};

use super::{HELLO_BYTES, WELCOME};
use crate::error::{Error, Result};
use crate::wire::tls;
use crate::wire::{Drained, Link, READ_BYTES};

const LISTENER: Token = Token(usize::MAX);
const EVENTS: usize = 1024;

/// A connection and what it is.
struct Peer {
    link: Link,
    role: Role,
}

enum Role {
    /// What came of its hello.
    Unknown(Vec<u8>),
    Sender(usize),
    Receiver,
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    /// Whoever connects is welcome before it has said what it is.
    greets: bool,
    peers: Vec<Option<Peer>>,
    /// Receivers by the number of their sender.
    receivers: HashMap<usize, Vec<usize>>,
    raw: Vec<u8>,
    input: Vec<u8>,
}

/// Serves until the process is killed.
///
/// # Errors
/// [`Error::Io`] when it cannot listen.
pub(super) fn serve(address: SocketAddr, tls: bool, greets: bool) -> Result<()> {
    let failed = || Error::io("listening");
    let mut listener = TcpListener::bind(address).map_err(failed())?;
    let poll = Poll::new().map_err(failed())?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)
        .map_err(failed())?;
    println!("{}", listener.local_addr().map_err(failed())?);
    std::io::stdout().flush().map_err(failed())?;
    let mut relay = Relay {
        poll,
        listener,
        tls: tls.then(tls::relay_config).transpose()?,
        greets,
        peers: Vec::new(),
        receivers: HashMap::new(),
        raw: vec![0; READ_BYTES],
        input: vec![0; READ_BYTES],
    };
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match relay.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(Error::io("polling"))?,
        }
        for event in &events {
            match event.token() {
                LISTENER => relay.accept()?,
                Token(number) => relay.wake(number),
            }
        }
    }
}

impl Relay {
    fn accept(&mut self) -> Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Error::io("accepting")(error)),
            };
            // One write a copy is the case that is measured: none may wait for another.
            socket
                .set_nodelay(true)
                .map_err(Error::io("setting up a socket"))?;
            let token = Token(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut socket, token, interest);
            registered.map_err(Error::io("watching a socket"))?;
            let mut link = Link::over(socket);
            if let Some(config) = &self.tls {
                link.encrypt(ServerConnection::new(config.clone())?.into());
            }
            if self.greets {
                // It waits for the end of the handshake, and goes out in one write with the ticket.
                link.out().extend_from_slice(WELCOME);
            }
            self.peers.push(Some(Peer {
                link,
                role: Role::Unknown(Vec::new()),
            }));
        }
    }

    /// A connection that fails is dropped; its sender or receivers notice what is missing.
    fn wake(&mut self, number: usize) {
        loop {
            let Some(Some(peer)) = self.peers.get_mut(number) else {
                return;
            };
            let flushed = if peer.link.is_behind() {
                peer.link.flush()
            } else {
                Ok(())
            };
            let read = flushed.and_then(|()| peer.link.read(&mut self.raw, &mut self.input));
            let Ok((count, drained)) = read else {
                return self.drop_peer(number);
            };
            if count > 0 {
                self.take(number, count);
            }
            match drained {
                Drained::More => {}
                Drained::Empty => return,
                Drained::Eof => return self.drop_peer(number),
            }
        }
    }

    fn drop_peer(&mut self, number: usize) {
        if let Some(peer) = self.peers.get_mut(number) {
            *peer = None;
        }
    }

    fn take(&mut self, number: usize, count: usize) {
        let Some(Some(peer)) = self.peers.get_mut(number) else {
            return;
        };
        let bytes = self.input.get(..count).unwrap_or_default();
        match &mut peer.role {
            Role::Receiver => {}
            Role::Sender(pair) => {
                for receiver in self.receivers.get(pair).into_iter().flatten() {
                    if let Some(Some(peer)) = self.peers.get_mut(*receiver) {
                        peer.link.out().extend_from_slice(bytes);
                        // A socket that fails is found when it is read.
                        let _ = peer.link.flush();
                    }
                }
            }
            Role::Unknown(hello) => {
                hello.extend_from_slice(bytes);
                if hello.len() < HELLO_BYTES {
                    return;
                }
                let (role, pair) = read_hello(hello);
                if matches!(role, Role::Receiver) {
                    self.receivers.entry(pair).or_default().push(number);
                }
                peer.role = role;
                peer.link.out().extend_from_slice(WELCOME);
                let _ = peer.link.flush();
            }
        }
    }
}

/// `S` or `R`, and the number of the pair.
fn read_hello(hello: &[u8]) -> (Role, usize) {
    let text = String::from_utf8_lossy(hello);
    let pair = text
        .get(1..)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(usize::MAX);
    match text.starts_with('S') {
        true => (Role::Sender(pair), pair),
        false => (Role::Receiver, pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_says_role_and_pair() {
        assert!(matches!(read_hello(b"S0000012"), (Role::Sender(12), 12)));
        assert!(matches!(read_hello(b"R0000012"), (Role::Receiver, 12)));
    }
}
