//! One address of a domain's server: does it answer, and what does it say.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use balcony_net::{Endpoint, Service};
use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::stream::{self, Features, StreamError, StreamHeader};
use balcony_proto::xml::{Element, Item, Scanner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Doctor, Finding, whom};

const SERVER_ADVICE: &str = "look into the log of that server";

impl Doctor<'_> {
    pub(super) async fn probe(
        &self,
        service: Service,
        endpoint: &Endpoint,
        address: SocketAddr,
        findings: &mut Vec<Finding>,
    ) {
        let within = self.options.within;
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
        if !endpoint.direct_tls
            && let Err(finding) = self.start_tls(service, &at, &mut talk).await
        {
            return findings.push(finding);
        }
        self.encrypted(service, endpoint, &at, talk.socket, findings)
            .await;
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
        service: Service,
        endpoint: &Endpoint,
        at: &str,
        socket: TcpStream,
        findings: &mut Vec<Finding>,
    ) {
        let Doctor { options, tls, .. } = self;
        // The name of ALPN that is at hand is that of servers (XEP-0368 §3).
        let alpn = endpoint.direct_tls && service == Service::Server;
        let shaking = tls.connect(socket, &options.from, &options.domain, alpn, options.within);
        let secured = match shaking.await {
            Ok(secured) => secured,
            Err(error) => {
                let advice = "look whether the port is the right one, and TLS 1.2 or 1.3 is on";
                return findings.push(Finding::fault(format!("{at}: {error}"), advice));
            }
        };
        let version = if secured.tls.version13 { "1.3" } else { "1.2" };
        findings.push(Finding::good(format!("{at}: TLS {version}")));
        findings.push(self.certificate(at, &secured.certificate));
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

/// Why there is no connection.
fn unconnected(at: &str, port: u16, error: &io::Error) -> Finding {
    let what = format!("{at}: {error}");
    match error.kind() {
        // A machine without IPv6 says it of every AAAA.
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Finding::note(
            what,
            "this machine has no way there, so it cannot tell; look from another one",
        ),
        _ => Finding::fault(
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

fn offers(service: Service, at: &str, features: &Features) -> Finding {
    let mut mechanisms = features.mechanisms();
    if service == Service::Client {
        mechanisms.extend(features.sasl2_mechanisms());
        mechanisms.sort_unstable();
        mechanisms.dedup();
        let listed = mechanisms.join(", ");
        return match mechanisms.iter().any(|name| name.starts_with("SCRAM-")) {
            true => Finding::good(format!("{at}: clients log in by {listed}")),
            false => Finding::note(
                format!("{at}: no SCRAM among the mechanisms ({listed})"),
                "offer SCRAM, so that passwords need not be sent",
            ),
        };
    }
    let external = mechanisms.iter().any(|name| name == "EXTERNAL");
    let dialback = features.has(ns::DIALBACK_FEATURE, "dialback");
    match (external, dialback) {
        (true, true) => Finding::good(format!("{at}: takes certificates and dialback")),
        (true, false) => Finding::good(format!("{at}: takes certificates")),
        // The doctor's own certificate is nobody's, so EXTERNAL is not offered to it.
        (false, true) => Finding::good(format!(
            "{at}: takes dialback; whether certificates too, only a trusted one would tell"
        )),
        (false, false) => Finding::note(
            format!("{at}: offers nothing to a stranger without a trusted certificate"),
            "that is as it should be where certificates are required",
        ),
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
    fn a_client_may_log_in_by_either_profile_of_sasl() {
        let sasl2 = Element::new(ns::SASL2, "authentication")
            .with_child(Element::new(ns::SASL2, "mechanism").with_text("SCRAM-SHA-256"));
        let features = Element::new(ns::STREAMS, "features").with_child(sasl2);
        let features = Features::parse(&features).unwrap();
        let offer = offers(Service::Client, "clients", &features);
        assert_eq!(offer.state, State::Good);
    }
}
