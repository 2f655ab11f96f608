//! One stream: first its negotiation, then whatever the load makes of it.

use std::time::{Duration, Instant};

use balcony_proto::ns;
use balcony_stream::initiating::{self, Initiating, Input, Output};

use super::link::Link;
use super::management::{Former, Management};
use super::tls::{self, Connector};
use crate::error::{Error, Result};

/// A connection and its stream.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) stage: Stage,
    /// Without XMPP: for the relay.
    pub(super) bare: bool,
    /// Who it is, for messages to the person.
    pub(super) who: String,
    /// Its connection is left open, so that the server does not learn that nobody is there.
    pub(super) silent: bool,
    /// The beginning of an element whose end has not come.
    pub(super) held: Vec<u8>,
    /// What the last login left for the next one.
    pub(super) login: Former,
    /// Where it was enabled. It outlives the connection.
    pub(super) management: Option<Management>,
    /// The machine knows that the handshake is done.
    told: bool,
    began: Instant,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Boxed: it goes when the stream stands.
    Negotiating(Box<Initiating>),
    /// A bare connection under its TLS handshake.
    Handshaking,
    Ready,
    Closed,
}

/// A stream that stands.
#[derive(Debug)]
pub(crate) struct Bound {
    /// What was negotiated; `None` on a bare connection.
    pub(crate) stream: Option<Box<initiating::Bound>>,
    /// From the first packet of the connection until now.
    pub(crate) took: Duration,
}

impl Session {
    pub(super) fn new(link: Link, who: String, stream: Option<Initiating>) -> Session {
        Session {
            link,
            bare: stream.is_none(),
            stage: match stream {
                Some(stream) => Stage::Negotiating(Box::new(stream)),
                None => Stage::Handshaking,
            },
            who,
            silent: false,
            held: Vec::new(),
            login: Former::default(),
            management: None,
            told: false,
            began: Instant::now(),
        }
    }

    /// A new connection and stream in place of the former ones; what is known of the stream
    /// outlives them. The former connection, where it has to stay open.
    pub(super) fn again(&mut self, link: Link, stream: Initiating) -> Option<Link> {
        self.stage = Stage::Negotiating(Box::new(stream));
        self.held.clear();
        self.told = false;
        self.began = Instant::now();
        let former = std::mem::replace(&mut self.link, link);
        std::mem::take(&mut self.silent).then_some(former)
    }

    /// Takes what came while the stream does not stand yet. The bytes that follow the negotiation
    /// are appended to `held`.
    ///
    /// # Errors
    /// [`Error::Login`].
    pub(super) fn negotiate(
        &mut self,
        bytes: &[u8],
        connector: Option<&Connector>,
    ) -> Result<Option<Bound>> {
        if matches!(self.stage, Stage::Handshaking) {
            self.held.extend_from_slice(bytes);
            return Ok((!self.link.is_handshaking()).then(|| self.stands(None)));
        }
        let handshaken = self.link.tls().is_some() && !self.link.is_handshaking();
        let Stage::Negotiating(stream) = &mut self.stage else {
            return Ok(None);
        };
        if handshaken && !self.told {
            self.told = true;
            let info = self.link.tls().map(tls::info).unwrap_or_default();
            stream.handle(Input::TlsReady(info), self.began.elapsed());
        }
        if !bytes.is_empty() {
            stream.handle(Input::Bytes(bytes), self.began.elapsed());
        }
        self.outputs(connector)
    }

    /// Does what the machine wants.
    ///
    /// # Errors
    /// [`Error::Login`].
    pub(super) fn outputs(&mut self, connector: Option<&Connector>) -> Result<Option<Bound>> {
        let mut bound = None;
        while let Stage::Negotiating(stream) = &mut self.stage {
            match stream.poll() {
                Some(Output::Write(bytes)) => self.link.out().extend_from_slice(&bytes),
                Some(Output::StartTls) => {
                    // <starttls/> itself is gone: its answer has come.
                    let connector = connector.ok_or_else(|| Error::Usage("TLS is off".into()))?;
                    self.link.start_tls(connector)?;
                }
                Some(Output::Bound(now)) => bound = Some(now),
                Some(Output::Failed(failure)) => {
                    let who = self.who.clone();
                    return Err(Error::Login { who, failure });
                }
                Some(_) => {}
                None => break,
            }
        }
        let Some(bound) = bound else { return Ok(None) };
        if let Stage::Negotiating(stream) = std::mem::replace(&mut self.stage, Stage::Ready) {
            // The light cutter takes over from the strict scanner, which is between two elements.
            self.held = stream.into_established().1;
        }
        Ok(Some(self.stands(Some(bound))))
    }

    /// The server sends no more; an error unless the stream is in use.
    pub(super) fn eof(&mut self) -> Error {
        if let Stage::Negotiating(stream) = &mut self.stage {
            stream.handle(Input::Eof, self.began.elapsed());
            if let Err(error) = self.outputs(None) {
                return error;
            }
        }
        Error::Closed {
            who: self.who.clone(),
            text: String::new(),
        }
    }

    fn stands(&mut self, stream: Option<Box<initiating::Bound>>) -> Bound {
        self.stage = Stage::Ready;
        let took = self.began.elapsed();
        Bound { stream, took }
    }
}

impl Bound {
    /// Whether client state indication (XEP-0352) is offered.
    pub(crate) fn has_csi(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|stream| stream.features.has(ns::CSI, "csi"))
    }
}
