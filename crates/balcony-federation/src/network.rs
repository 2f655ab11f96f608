//! The network as it is: DNS, TCP and TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balcony_core::module::BoxFuture;
use balcony_net::{
    Certificates, ConnectTimes, Connected, Dane, LookupError, PeerCertificate, PeerTls, Resolver,
    Roots, Service, connect,
};
use balcony_proto::sasl::ChannelBindings;
use balcony_stream::TlsInfo;
use tokio::runtime::Handle;

use crate::failure::{Failure, Kind};
use crate::reach::{Opened, Reach, Secured, Shown, Socket};

/// How long a TLS handshake may take: several times what a bad link between continents needs.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// See the text of the module.
pub struct Network {
    /// Or why there is none.
    resolver: Result<Resolver, String>,
    tls: Arc<PeerTls>,
    /// Where DNS lives: its connections outlast the streams, and a worker that stops would wait for
    /// them.
    home: Handle,
}

impl Network {
    /// With these DNS servers, those of the system where there are none, and these authorities,
    /// those of the system where there is no file. DNS will live on the runtime that this is called
    /// on.
    ///
    /// # Errors
    /// What is wrong with what the configuration names, in words for an operator. A system without
    /// DNS or authorities is told in the log: the server is of use without other servers.
    pub fn new(
        resolvers: &[SocketAddr],
        dane: bool,
        trust_roots: Option<&Path>,
        certificates: Arc<Certificates>,
    ) -> Result<Network, String> {
        let tls = PeerTls::new(certificates, roots(trust_roots)?);
        let resolver = resolver(resolvers, dane);
        if let Err(cause) = &resolver {
            tracing::warn!(cause, "other servers cannot be looked up");
        }
        Ok(Network {
            resolver,
            tls: Arc::new(tls.map_err(|error| error.to_string())?),
            home: Handle::current(),
        })
    }

    /// Reads the authorities again.
    ///
    /// # Errors
    /// As [`Network::new`]; those from before stay.
    pub fn reload(&self, trust_roots: Option<&Path>) -> Result<(), String> {
        self.tls.set_roots(roots(trust_roots)?);
        Ok(())
    }

    async fn dial(&self, remote: &str, plain_only: bool) -> Result<Opened, Failure> {
        let resolver = self.resolver.clone().map_err(Failure::unreachable)?;
        let dialing = dial(resolver, remote.to_owned(), plain_only);
        let dialed = self.home.spawn(dialing).await;
        let (stream, opened) = dialed.map_err(Failure::unreachable)??;
        // From here on it belongs to the runtime of the stream.
        let stream = tokio::net::TcpStream::from_std(stream).map_err(Failure::unreachable)?;
        Ok(Opened {
            socket: Box::new(stream),
            ..opened
        })
    }

    fn secured(
        &self,
        secured: balcony_net::Secured<Box<dyn Socket>>,
        dane: Option<Dane>,
    ) -> Secured {
        Secured {
            socket: Box::new(secured.stream),
            info: TlsInfo {
                version13: secured.tls.version13,
                bindings: ChannelBindings::default(),
                sni: secured.tls.sni,
                alpn: secured
                    .tls
                    .alpn
                    .and_then(|name| String::from_utf8(name).ok()),
            },
            shown: Arc::new(Certificate {
                certificate: secured.certificate,
                tls: Arc::clone(&self.tls),
                dane,
            }),
        }
    }
}

/// A connection, and where it goes; its socket is not in there yet.
async fn dial(
    resolver: Resolver,
    remote: String,
    plain_only: bool,
) -> Result<(std::net::TcpStream, Opened), Failure> {
    let lookup = resolver.lookup(&remote, Service::Server).await;
    let mut endpoints = lookup.map_err(|error| unfound(&error))?.endpoints;
    if plain_only {
        endpoints.retain(|endpoint| !endpoint.direct_tls);
    }
    if endpoints.is_empty() {
        return Err(Failure::unreachable(
            "TLS from the first byte failed, and it offers nothing else",
        ));
    }
    let connected = connect(&resolver, &endpoints, ConnectTimes::default()).await;
    let Connected {
        stream,
        endpoint,
        address,
        ..
    } = connected.map_err(Failure::unreachable)?;
    // RFC 7673 §3.4: an endpoint whose records are forged is not used.
    let dane = resolver.dane(&endpoint).await;
    let dane = dane.map_err(|error| {
        Failure::unreachable(format!("its TLSA records cannot be used: {error}"))
    })?;
    let stream = stream.into_std().map_err(Failure::unreachable)?;
    let opened = Opened {
        socket: Box::new(tokio::io::empty()),
        address,
        direct_tls: endpoint.direct_tls,
        dane,
    };
    Ok((stream, opened))
}

/// # Errors
/// Why there is none.
pub(crate) fn resolver(resolvers: &[SocketAddr], dane: bool) -> Result<Resolver, String> {
    let resolver = match resolvers {
        [] => Resolver::system(),
        servers => Resolver::at(servers),
    };
    let resolver = resolver.and_then(|resolver| match dane {
        true => resolver.validating(None),
        false => Ok(resolver),
    });
    resolver.map_err(|error| error.to_string())
}

fn roots(file: Option<&Path>) -> Result<Roots, String> {
    match file {
        Some(path) => Roots::from_pem_file(path).map_err(|error| error.to_string()),
        None => Ok(Roots::system().unwrap_or_else(|error| {
            tracing::warn!(%error, "no certificate of another server is valid");
            Roots::none()
        })),
    }
}

fn unfound(error: &LookupError) -> Failure {
    let kind = match error.is_temporary() {
        true => Kind::Unreachable,
        false => Kind::NotFound,
    };
    Failure::new(kind, error)
}

/// A certificate chain, judged when it is asked.
struct Certificate {
    certificate: PeerCertificate,
    tls: Arc<PeerTls>,
    dane: Option<Dane>,
}

impl Shown for Certificate {
    fn proves(&self, domain: &str, now: SystemTime) -> Result<(), String> {
        let roots = self.tls.roots();
        let proved = match &self.dane {
            Some(dane) => self.certificate.proves_with(domain, dane, now, &roots),
            None => self.certificate.proves(domain, now, &roots),
        };
        proved.map_err(|distrust| distrust.to_string())
    }
}

impl Reach for Network {
    fn open<'a>(
        &'a self,
        remote: &'a str,
        plain_only: bool,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(self.dial(remote, plain_only))
    }

    fn secure_out<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        local: &'a str,
        remote: &'a str,
        direct: bool,
        dane: Option<Dane>,
    ) -> BoxFuture<'a, Result<Secured, String>> {
        Box::pin(async move {
            let direct = direct.then_some(Service::Server);
            let handshake = self.tls.connect(socket, local, remote, direct, HANDSHAKE);
            let secured = handshake.await.map_err(|error| error.to_string())?;
            Ok(self.secured(secured, dane))
        })
    }

    fn secure_in<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        to: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Secured, String>> {
        Box::pin(async move {
            let handshake = self.tls.accept(socket, to, HANDSHAKE).await;
            Ok(self.secured(handshake.map_err(|error| error.to_string())?, None))
        })
    }
}
