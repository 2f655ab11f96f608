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

use crate::failure::{Failure, Kind};
use crate::reach::{Opened, Reach, Secured, Shown, Socket};

/// How long a TLS handshake may take: several times what a bad link between continents needs.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// See the text of the module.
pub struct Network {
    resolver: Resolver,
    tls: Arc<PeerTls>,
}

impl Network {
    /// With these DNS servers, those of the system where there are none, and these authorities,
    /// those of the system where there is no file.
    ///
    /// # Errors
    /// What is wrong with either, in words for an operator.
    pub fn new(
        resolvers: &[SocketAddr],
        dane: bool,
        trust_roots: Option<&Path>,
        certificates: Arc<Certificates>,
    ) -> Result<Network, String> {
        let tls = PeerTls::new(certificates, roots(trust_roots)?);
        Ok(Network {
            resolver: resolver(resolvers, dane)?,
            tls: Arc::new(tls.map_err(|error| error.to_string())?),
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
        let lookup = self.resolver.lookup(remote, Service::Server).await;
        let mut endpoints = lookup.map_err(|error| unfound(&error))?.endpoints;
        if plain_only {
            endpoints.retain(|endpoint| !endpoint.direct_tls);
        }
        if endpoints.is_empty() {
            return Err(Failure::unreachable(
                "TLS from the first byte failed, and it offers nothing else",
            ));
        }
        let connected = connect(&self.resolver, &endpoints, ConnectTimes::default()).await;
        let Connected {
            stream,
            endpoint,
            address,
            ..
        } = connected.map_err(Failure::unreachable)?;
        // RFC 7673 §3.4: an endpoint whose records are forged is not used.
        let dane = self.resolver.dane(&endpoint).await;
        let dane = dane.map_err(|error| {
            Failure::unreachable(format!("its TLSA records cannot be used: {error}"))
        })?;
        Ok(Opened {
            socket: Box::new(stream),
            address,
            direct_tls: endpoint.direct_tls,
            dane,
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

/// # Errors
/// Why there is none.
pub(crate) fn resolver(resolvers: &[SocketAddr], dane: bool) -> Result<Resolver, String> {
    let resolver = match resolvers {
        [] => Resolver::system(),
        [first, ..] => Resolver::at(*first),
    };
    let resolver = resolver.and_then(|resolver| match dane {
        true => resolver.validating(None),
        false => Ok(resolver),
    });
    resolver.map_err(|error| error.to_string())
}

fn roots(file: Option<&Path>) -> Result<Roots, String> {
    let roots = match file {
        Some(path) => Roots::from_pem_file(path),
        None => Roots::system(),
    };
    roots.map_err(|error| error.to_string())
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
    fn proves(&self, domain: &str) -> Result<(), String> {
        let (now, roots) = (SystemTime::now(), self.tls.roots());
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
