//! One client of a conversation: its connection and what has come for it.

use std::time::Duration;

use balcony_proto::ns;
use balcony_proto::xml::Element;
use tokio::time::timeout;

use super::login::{self, LoggedIn, Refusal, ends_stream};
use super::wire::Wire;
use crate::reader::{Piece, Reader};
use crate::script::Client;

/// Ids that no script would use.
const PING_ID: &str = "conversation-ping";

/// A client of a conversation.
#[derive(Default)]
pub(super) struct Speaker {
    wire: Option<Wire>,
    reader: Reader,
    logged_in: bool,
    /// It got in by a token.
    pub(super) by_token: bool,
    pings: usize,
    /// Pieces that came before the answer to a ping.
    inbox: std::collections::VecDeque<Piece>,
    pub(super) features: Option<Element>,
}

/// As long as servers give a client for it, or longer.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Whether a scripted server says something behind which the other side begins a new stream
/// (RFC 6120 §5.4.3.3, §6.4.6).
fn restarts(bytes: &[u8]) -> bool {
    let begins = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    begins(b"<proceed ") || begins(b"<success ")
}

async fn handshake(wire: &mut Wire) -> bool {
    matches!(timeout(HANDSHAKE, wire.start_tls()).await, Ok(Some(_)))
}

impl Speaker {
    pub(super) fn is_connected(&self) -> bool {
        self.wire.is_some()
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.wire.is_some() && self.logged_in
    }

    /// Opens a raw stream's connection.
    pub(super) async fn connect(&mut self, mut wire: Wire, direct_tls: bool) -> Result<(), String> {
        if direct_tls && !handshake(&mut wire).await {
            return Err("the TLS handshake failed".into());
        }
        *self = Speaker {
            wire: Some(wire),
            ..Speaker::default()
        };
        Ok(())
    }

    /// Logs in; answers the full JID.
    pub(super) async fn log_in(
        &mut self,
        client: &Client,
        mut wire: Wire,
    ) -> Result<String, Refusal> {
        let LoggedIn {
            bound,
            features,
            reader,
        } = login::log_in(client, &mut wire).await?;
        *self = Speaker {
            wire: Some(wire),
            reader,
            logged_in: true,
            by_token: bound.mechanism.is_fast(),
            features,
            ..Speaker::default()
        };
        Ok(bound.jid.to_string())
    }

    fn wire(&mut self) -> Result<&mut Wire, String> {
        let gone = || "is not connected".to_owned();
        self.wire.as_mut().ok_or_else(gone)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        if matches!(self.wire, Some(Wire::Server(..))) && restarts(bytes) {
            self.reader.restart();
        }
        match self.wire()?.send(bytes).await {
            true => Ok(()),
            false => Err("the server has closed the connection".into()),
        }
    }

    pub(super) async fn start_tls(&mut self) -> Result<(), String> {
        let done = handshake(self.wire()?).await;
        done.then_some(()).ok_or("the TLS handshake failed".into())
    }

    pub(super) fn stop_reading(&mut self, stop: bool) -> Result<(), String> {
        self.wire()?.stop_reading(stop);
        Ok(())
    }

    /// What comes next within this time; `None`: nothing. `Some(None)`: the connection ended.
    pub(super) async fn next(&mut self, within: Duration) -> Result<Option<Option<Piece>>, String> {
        match self.inbox.pop_front() {
            Some(piece) => Ok(Some(Some(piece))),
            None => self.read(within).await,
        }
    }

    async fn read(&mut self, within: Duration) -> Result<Option<Option<Piece>>, String> {
        loop {
            if let Some(piece) = self.reader.next_piece() {
                if matches!(&piece, Piece::Element(element) if ends_stream(element)) {
                    self.reader.restart();
                }
                return Ok(Some(Some(piece)));
            }
            let wire = self.wire()?;
            match timeout(within, wire.receive()).await {
                Ok(Some(bytes)) => self.reader.feed(&bytes)?,
                Ok(None) => return Ok(Some(None)),
                Err(_) => return Ok(None),
            }
        }
    }

    pub(super) fn put_back(&mut self, piece: Piece) {
        self.inbox.push_front(piece);
    }

    /// Waits until the server has handled all that was sent, by asking it something.
    pub(super) async fn catch_up(&mut self, within: Duration) -> Result<(), String> {
        self.pings += 1;
        let id = format!("{PING_ID}-{}", self.pings);
        let ping = format!("<iq type='get' id='{id}'><ping xmlns='{}'/></iq>", ns::PING);
        if !self.wire()?.send(ping.as_bytes()).await {
            return Ok(());
        }
        loop {
            match self.read(within).await? {
                Some(Some(Piece::Element(iq))) if iq.attr("id") == Some(&id) => return Ok(()),
                Some(Some(Piece::Close)) => {
                    self.inbox.push_back(Piece::Close);
                    return Ok(());
                }
                Some(Some(piece)) => self.inbox.push_back(piece),
                Some(None) | None => return Ok(()),
            }
        }
    }

    /// Closes our side and waits for the server's.
    pub(super) async fn leave(&mut self, within: Duration) -> Result<(), String> {
        let wire = self.wire()?;
        wire.close().await;
        let gone = timeout(within, async { while wire.receive().await.is_some() {} }).await;
        self.wire = None;
        gone.map_err(|_| "the server does not close the connection".to_owned())
    }

    pub(super) fn cut_off(&mut self) {
        self.wire = None;
    }
}
