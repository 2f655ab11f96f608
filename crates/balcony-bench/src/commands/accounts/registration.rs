//! XEP-0077 In-Band Registration 2.4, of an account before login (§3.1).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, IqType, Kind, Stanza};
use balcony_proto::xml::{Element, Item, Scanner};
use rustls::{ClientConnection, Stream};

use crate::error::{Error, Result};
use crate::options::{Target, Tls};
use crate::wire::tls::Connector;

/// How long the server may take for one step. Deriving keys takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that waits for each answer: how fast accounts are made is not measured.
struct Registration {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    scanner: Scanner,
    /// Came and not scanned yet.
    input: Vec<u8>,
}

/// Registers one account. False: it exists.
///
/// # Errors
/// [`Error::Refused`] with the server's words.
pub(super) fn register(
    target: &Target,
    address: SocketAddr,
    connector: Option<&Connector>,
    user: &str,
) -> Result<bool> {
    let failed = || Error::io(format!("connecting to {address}"));
    let socket = TcpStream::connect(address).map_err(failed())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed())?;
    let mut stream = Registration {
        socket,
        tls: None,
        scanner: Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN),
        input: Vec::new(),
    };
    if let (Tls::Direct, Some(connector)) = (target.tls, connector) {
        stream.tls = Some(Box::new(connector.connect()?));
    }
    stream.open(&target.domain)?;
    if let (Tls::Starttls, Some(connector)) = (target.tls, connector) {
        stream.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
        stream.nonza("proceed")?;
        stream.tls = Some(Box::new(connector.connect()?));
        stream.open(&target.domain)?;
    }
    let query = Element::new(ns::REGISTER, "query")
        .with_child(Element::new(ns::REGISTER, "username").with_text(user))
        .with_child(Element::new(ns::REGISTER, "password").with_text(&target.password));
    stream.send(
        &Stanza::iq(IqType::Set, "register")
            .with_element(query)
            .to_bytes(),
    )?;
    let answer = stream.stanza()?;
    stream.close();
    let error = answer.stanza_error();
    match (answer.kind, error) {
        (Kind::Iq(IqType::Result), _) => Ok(true),
        // §3.1: "the requested username is already in use".
        (_, Some(error)) if error.condition == Condition::Conflict => Ok(false),
        (_, Some(error)) => {
            let text = error.text.unwrap_or_default();
            let condition = error.condition.as_str();
            Err(Error::Refused(format!("{user}: {condition} {text}")))
        }
        (_, None) => Err(Error::Refused(format!("{user}: no answer to the request"))),
    }
}

impl Registration {
    /// A stream header, and the server's with its features.
    fn open(&mut self, domain: &str) -> Result<()> {
        self.scanner.restart();
        self.input.clear();
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.send(header.as_bytes())?;
        self.nonza("features")
    }

    /// Waits for an element of this name.
    fn nonza(&mut self, name: &str) -> Result<()> {
        loop {
            match self.next()? {
                Item::Nonza(element) if element.name() == name => return Ok(()),
                Item::Open(_) | Item::Whitespace => {}
                other => return Err(Error::Refused(format!("{other:?} in place of {name}"))),
            }
        }
    }

    fn stanza(&mut self) -> Result<Stanza> {
        loop {
            match self.next()? {
                Item::Stanza(stanza) => return Ok(stanza),
                Item::Whitespace => {}
                other => return Err(Error::Refused(format!("{other:?} in place of an answer"))),
            }
        }
    }

    fn next(&mut self) -> Result<Item> {
        let mut more = [0; 4096];
        loop {
            let mut rest = self.input.as_slice();
            let item = self.scanner.next(&mut rest);
            let eaten = self.input.len() - rest.len();
            self.input.drain(..eaten);
            match item {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(error) => return Err(Error::Refused(error.to_string())),
            }
            let count = match &mut self.tls {
                Some(tls) => Stream::new(tls.as_mut(), &mut self.socket).read(&mut more),
                None => self.socket.read(&mut more),
            };
            match count.map_err(Error::io("reading"))? {
                0 => return Err(Error::Refused("the server closed the connection".into())),
                count => self
                    .input
                    .extend_from_slice(more.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Ends the stream, and waits for the server's end of it: a peer was seen to spin for ever over
    /// a TLS connection that was just dropped. Whatever becomes of it, the answer is there.
    fn close(&mut self) {
        if self.send(b"</stream:stream>").is_ok() {
            while !matches!(self.next(), Ok(Item::Close) | Err(_)) {}
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.complete_io(&mut self.socket);
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = match &mut self.tls {
            Some(tls) => {
                let mut stream = Stream::new(tls.as_mut(), &mut self.socket);
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
            None => self.socket.write_all(bytes),
        };
        sent.map_err(Error::io("writing"))
    }
}
