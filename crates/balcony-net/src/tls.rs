//! The record layer of one TLS server connection over rustls' unbuffered interface: bytes in, bytes
//! out.
//!
//! All output is appended to the caller's buffer in the order of its record numbers, so the caller
//! must hold one lock from here until the bytes are queued for the socket.

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, ServerConfig};

/// The largest plaintext of one record (RFC 8446 §5.1).
const RECORD_PLAINTEXT: usize = 16 * 1024;
/// Header, explicit nonce, authentication tag and content type of one record, rounded up.
const RECORD_OVERHEAD: usize = 40;
/// Input that may wait for the rest of a record, or of a handshake message. A record is at most
/// 16,384 + 2,048 + 5 bytes (RFC 5246 §6.2.3), and no handshake message of a client without a
/// certificate comes near that.
pub(crate) const MAX_INCOMPLETE: usize = RECORD_PLAINTEXT + 2_048 + 5;
/// An alert or close_notify record, encrypted.
const ALERT_BYTES: usize = 64;

/// What can go wrong once the connection is encrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The peer broke the protocol.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The peer sent the beginning of a record or message that never ends.
    #[error("an incomplete TLS message is longer than any that is allowed")]
    TooLong,
    /// The keys are used up, or both sides have closed.
    #[error("the TLS connection cannot encrypt any more")]
    CannotEncrypt,
    /// An error was reported before.
    #[error("the TLS connection has failed before")]
    Failed,
}

/// One established or handshaking TLS connection.
pub(crate) struct Tls {
    connection: UnbufferedServerConnection,
    /// Input that is not whole yet. rustls remembers positions in it, and panics when it is called
    /// with anything else, even when only to write: so every call gets the tail.
    tail: Vec<u8>,
    /// Plaintext that came in together with the end of the handshake.
    unread: Vec<u8>,
    peer_closed: bool,
    failed: bool,
}

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            tail: Vec::new(),
            unread: Vec::new(),
            peer_closed: false,
            failed: false,
        })
    }

    /// What rustls knows of the connection.
    pub(crate) fn state(&self) -> &CommonState {
        &self.connection
    }

    /// The peer said that it sends nothing more (RFC 8446 §6.1).
    pub(crate) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    pub(crate) fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// Takes `input`, which begins with the tail of last time: plaintext is appended to `plain`,
    /// what the protocol answers to `wire`, and the incomplete rest becomes the new tail.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        if self.failed {
            return Err(RecordError::Failed);
        }
        let mut used = 0;
        let result = self.process(input, &mut used, plain, wire);
        let rest = input.get(used..).unwrap_or_default();
        // Exactly as long as needed: the tail is the only buffer that a connection may hold.
        self.tail = rest.into();
        let result = match result {
            Ok(()) if rest.len() > MAX_INCOMPLETE => Err(RecordError::TooLong),
            result => result,
        };
        self.failed = result.is_err();
        result
    }

    /// [`Tls::receive`] during the handshake: plaintext is kept until [`Tls::take_unread`].
    pub(crate) fn receive_handshake(
        &mut self,
        input: &mut [u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let mut unread = self.take_unread();
        let result = self.receive(input, &mut unread, wire);
        self.unread = unread;
        result
    }

    /// Decrypts all whole records of `input` and adds to `used` how many bytes they took.
    fn process(
        &mut self,
        input: &mut [u8],
        used: &mut usize,
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let mut more = true;
        while more {
            let rest = input.get_mut(*used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(rest);
            *used = used.saturating_add(discard);
            more = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        *used = used.saturating_add(record.discard);
                        plain.extend_from_slice(record.payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(data) => encode(data, wire).map(|()| true)?,
                ConnectionState::TransmitTlsData(transmit) => {
                    transmit.done();
                    true
                }
                ConnectionState::PeerClosed => {
                    self.peer_closed = true;
                    true
                }
                // Early data is not offered; the other states wait for input or have nothing to
                // say.
                _ => false,
            };
        }
        Ok(())
    }

    /// Encrypts `plain` onto the end of `wire`.
    pub(crate) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), RecordError> {
        if plain.is_empty() {
            return Ok(());
        }
        let records = plain.len().div_ceil(RECORD_PLAINTEXT);
        let room = records
            .saturating_mul(RECORD_OVERHEAD)
            .saturating_add(plain.len());
        self.write(wire, room, |traffic, out| traffic.encrypt(plain, out))
    }

    /// Appends the close_notify alert, after which nothing may be sent.
    pub(crate) fn close_notify(&mut self, wire: &mut Vec<u8>) -> Result<(), RecordError> {
        self.write(wire, ALERT_BYTES, |traffic, out| {
            traffic.queue_close_notify(out)
        })
    }

    /// After an error: appends the alert that tells the peer, if there is one. Nothing else is
    /// asked of rustls any more, which would go on with the input that it has just refused.
    pub(crate) fn alert(&mut self, wire: &mut Vec<u8>) {
        let mut tail = self.take_tail();
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut tail);
            let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                return;
            };
            if encode(data, wire).is_err() {
                return;
            }
        }
    }

    /// Brings the connection into the state that writes, then writes with `f`.
    fn write(
        &mut self,
        wire: &mut Vec<u8>,
        room: usize,
        f: impl Fn(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), RecordError> {
        if self.failed {
            return Err(RecordError::Failed);
        }
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.tail);
            let written = match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    Some(append(wire, room, |out| f(&mut traffic, out)))
                }
                ConnectionState::EncodeTlsData(data) => encode(data, wire).map(|()| None)?,
                ConnectionState::TransmitTlsData(transmit) => {
                    transmit.done();
                    None
                }
                ConnectionState::PeerClosed => {
                    self.peer_closed = true;
                    None
                }
                // Both sides closed, or a plaintext record that nobody read: neither can write.
                _ => Some(Err(RecordError::CannotEncrypt)),
            };
            self.tail.drain(..discard.min(self.tail.len()));
            if let Some(written) = written {
                return written;
            }
        }
    }
}

/// Writes a handshake message, alert or ticket that rustls has ready.
fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    wire: &mut Vec<u8>,
) -> Result<(), RecordError> {
    append(wire, 0, |out| {
        data.encode(out).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => EncryptError::InsufficientSize(size),
            EncodeError::AlreadyEncoded => EncryptError::EncryptExhausted,
        })
    })
}

/// Appends what `f` writes, with `room` bytes at first and as many as it asks for after that.
fn append(
    wire: &mut Vec<u8>,
    room: usize,
    mut f: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), RecordError> {
    let start = wire.len();
    let mut room = room;
    // Twice: a queued key update needs room that the caller did not reckon with.
    for _ in 0..2 {
        wire.resize(start.saturating_add(room), 0);
        match f(wire.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                wire.truncate(start.saturating_add(written));
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(EncryptError::EncryptExhausted) => break,
        }
    }
    wire.truncate(start);
    Err(RecordError::CannotEncrypt)
}
