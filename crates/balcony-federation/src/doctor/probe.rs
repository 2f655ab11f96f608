//! One address of a domain's server: does it answer, and what does it say.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use balcony_net::{Dane, LookupError, Service};
use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stream::{self, Features, StreamError, StreamHeader};
use balcony_proto::xml::{Element, Item, Scanner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::certificate::Judged;
use super::offers::offers;
use super::{Doctor, Finding, whom};

const SERVER_ADVICE: &str = "look into the log of that server";

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
    /// TLS at once (XEP-0368).
    pub(super) direct_tls: bool,
    /// What DNSSEC proves of certificates there. `None`: nothing.
    pub(super) vouched: Option<&'a Result<Dane, LookupError>>,
}

impl Doctor<'_> {
    pub(super) async fn probe(&self, place: Place<'_>, findings: &mut Vec<Finding>) {
        let within = self.options.within;
        let Place {
            service, address, ..
        } = place;
        let at = format!("{} at {address}", whom(service));
        let socket = match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return findings.push(unconnected(&at, address.port(), &error)),
            Err(_) => {
                return findings.push(Finding::fault(
                    format!("{at}: no answer"),
                    format!("let the firewall pass TCP port {}", address.port()),
                ));
            }
        };
        let mut talk = Talk {
            socket,
            scanner: Scanner::new(content(service), Limits::AFTER_LOGIN),
            held: Vec::new(),
            within,
        };
        if !place.direct_tls
            && let Err(finding) = self.start_tls(service, &at, &mut talk).await
        {
            return findings.push(finding);
        }
        self.encrypted(place, &at, talk.socket, findings).await;
    }

    async fn start_tls(
        &self,
        service: Service,
        at: &str,
        talk: &mut Talk<TcpStream>,
    ) -> Result<(), Finding> {
        let fault = |what: String| Finding::fault(format!("{at}: {what}"), SERVER_ADVICE);
        let features = self.open(service, talk).await.map_err(fault)?;
        if features.starttls().is_none() {
            let advice = "give it a certificate; without TLS others refuse to talk with it";
            return Err(Finding::fault(format!("{at}: it offers no TLS"), advice));
        }
        let mut bytes = Vec::new();
        Element::new(ns::TLS, "starttls").write(content(service), &mut bytes);
        talk.send(&bytes).await.map_err(fault)?;
        loop {
            match talk.next().await.map_err(fault)? {
                Item::Whitespace => {}
                Item::Nonza(element) if element.is(ns::TLS, "proceed") => return Ok(()),
                _ => return Err(fault("it offers TLS and refuses it".to_owned())),
            }
        }
    }

    async fn encrypted(
        &self,
        place: Place<'_>,
        at: &str,
        socket: TcpStream,
        findings: &mut Vec<Finding>,
    ) {
        let Doctor { options, tls, .. } = self;
        let (service, domain) = (place.service, &options.domain);
        let direct = place.direct_tls.then_some(service);
        let shaking = tls.connect(socket, &options.from, domain, direct, options.within);
        let secured = match shaking.await {
            Ok(secured) => secured,
            Err(error) => {
                let advice = "look whether the port is the right one, and TLS 1.2 or 1.3 is on";
                return findings.push(Finding::fault(format!("{at}: {error}"), advice));
            }
        };
        let version = if secured.tls.version13 { "1.3" } else { "1.2" };
        findings.push(Finding::good(format!("{at}: TLS {version}")));
        if place.direct_tls {
            findings.extend(without_alpn(at, service, secured.tls.alpn.as_deref()));
        }
        findings.extend(place.vouched.and_then(|vouched| forged(at, vouched)));
        let dane = place.vouched.and_then(|vouched| vouched.as_ref().ok());
        let (certificate, now) = (&secured.certificate, options.now);
        let judged = Judged::new(certificate, domain, service, dane, now, &self.roots);
        findings.push(judged.finding(at, domain, service));
        let mut talk = Talk {
            socket: secured.stream,
            scanner: Scanner::new(content(service), Limits::AFTER_LOGIN),
            held: Vec::new(),
            within: options.within,
        };
        findings.push(match self.open(service, &mut talk).await {
            Ok(features) => offers(service, at, &features),
            Err(what) => Finding::fault(format!("{at}: {what}"), SERVER_ADVICE),
        });
    }

    /// Opens a stream; its features. A server that only sends white space is not waited for.
    async fn open<S>(&self, service: Service, talk: &mut Talk<S>) -> Result<Features, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let opened = timeout(self.options.within, self.open_at_last(service, talk)).await;
        opened.unwrap_or_else(|_| Err("it says nothing".to_owned()))
    }

    async fn open_at_last<S>(
        &self,
        service: Service,
        talk: &mut Talk<S>,
    ) -> Result<Features, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let header = StreamHeader {
            to: Some(self.options.domain.clone()),
            from: (service == Service::Server).then(|| self.options.from.clone()),
            version: Some((1, 0)),
            dialback: service == Service::Server,
            ..StreamHeader::default()
        };
        let mut bytes = Vec::new();
        stream::write_open(&header, content(service), &mut bytes);
        talk.send(&bytes).await?;
        loop {
            match talk.next().await? {
                Item::Open(_) | Item::Whitespace => {}
                Item::Nonza(element) => {
                    if let Some(error) = StreamError::parse(&element) {
                        return Err(refused(&error, &self.options.domain));
                    }
                    return Features::parse(&element).ok_or_else(|| "no stream features".into());
                }
                _ => return Err("it does not speak XMPP".to_owned()),
            }
        }
    }
}

/// XEP-0368 §3: direct TLS goes with an ALPN name, and a server may do without.
fn without_alpn(at: &str, service: Service, agreed: Option<&[u8]>) -> Option<Finding> {
    let name = match service {
        Service::Server => "xmpp-server",
        Service::Client => "xmpp-client",
    };
    agreed.is_none().then(|| {
        Finding::note(
            format!("{at}: direct TLS without agreeing on ALPN `{name}`"),
            format!(
                "let the server, or the proxy before it, know the ALPN name `{name}`; a port that \
                 has other services too needs it"
            ),
        )
    })
}

/// RFC 7673 §3.4: an endpoint whose TLSA records cannot be had, or are forged, is not used.
fn forged(at: &str, vouched: &Result<Dane, LookupError>) -> Option<Finding> {
    let error = vouched.as_ref().err()?;
    Some(Finding::fault(
        format!("{at}: servers that check DANE do not connect: {error}"),
        "look whether the zone is signed as it should be, and its TLSA records with it",
    ))
}

/// Whether this machine has no way there: one without IPv6 says it of every AAAA.
pub(super) fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable
    )
}

/// Why there is no connection.
fn unconnected(at: &str, port: u16, error: &io::Error) -> Finding {
    let what = format!("{at}: {error}");
    match is_out_of_reach(error) {
        true => Finding::note(
            what,
            "this machine has no way there, so it cannot tell; look from another one",
        ),
        false => Finding::fault(
            what,
            format!(
                "is the server running, listening on an address that is not loopback, and port \
                 {port} open in the firewall?"
            ),
        ),
    }
}

fn content(service: Service) -> &'static str {
    match service {
        Service::Server => ns::SERVER,
        Service::Client => ns::CLIENT,
    }
}

fn refused(error: &StreamError, domain: &str) -> String {
    match error.condition.as_str() {
        "host-unknown" => format!("it does not know {domain}; is there a [[host]] of that name?"),
        condition => format!("it ends the stream with {condition}"),
    }
}

/// A stream under way.
struct Talk<S> {
    socket: S,
    scanner: Scanner,
    held: Vec<u8>,
    within: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = timeout(self.within, async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not read".to_owned()),
        }
    }

    async fn next(&mut self) -> Result<Item, String> {
        let within = self.within;
        let next = timeout(within, self.read()).await;
        next.unwrap_or_else(|_| Err("it says nothing".to_owned()))
    }

    async fn read(&mut self) -> Result<Item, String> {
        loop {
            let held = std::mem::take(&mut self.held);
            let mut rest = held.as_slice();
            let item = self.scanner.next(&mut rest);
            self.held = rest.to_vec();
            if let Some(item) = item.map_err(|error| error.to_string())? {
                return Ok(item);
            }
            let read = self.socket.read_buf(&mut self.held).await;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("it closed the connection".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn what_this_machine_cannot_reach_is_no_fault_of_the_server() {
        let state = |kind: ErrorKind| unconnected("servers", 5269, &kind.into()).state;
        assert_eq!(state(ErrorKind::NetworkUnreachable), State::Note);
        assert_eq!(state(ErrorKind::ConnectionRefused), State::Fault);
    }

    #[test]
    fn records_that_cannot_be_had_keep_those_away_who_ask_for_them() {
        let host = || "host.example".to_owned();
        let sound = Dane {
            host: host(),
            records: Vec::new(),
        };
        assert_eq!(forged("servers", &Ok(sound)), None);
        let failed = LookupError::ServerFailed {
            domain: host(),
            detail: "bogus".to_owned(),
        };
        let finding = forged("servers", &Err(failed)).unwrap();
        assert_eq!(finding.state, State::Fault);
    }

    #[test]
    fn direct_tls_without_alpn_is_worth_a_note() {
        let of = |agreed| without_alpn("clients", Service::Client, agreed);
        assert_eq!(of(Some(&b"xmpp-client"[..])), None);
        let note = of(None).unwrap();
        assert_eq!(note.state, State::Note);
        assert!(note.what.contains("xmpp-client"), "{note}");
    }
}
