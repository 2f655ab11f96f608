//! What a stranger's server and a stranger's client find of a domain, and what to do about it.
//!
//! It asks the DNS and connects as they do; a server of one's own need not run.

mod probe;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balcony_net::{Certificates, Endpoint, Found, LookupError, PeerTls, Resolver, Roots, Service};

use crate::network;

/// Days before its end at which a certificate should have been renewed: authorities that give
/// certificates for three months renew after two.
const RENEW_DAYS: i64 = 14;

const DNS_ADVICE: &str = "ask again, or another resolver with `--resolver`; when none answers, \
                          the DNS servers of the domain are what is broken";

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The domain.
    pub domain: String,
    /// The DNS server; `None`: that of the system.
    pub resolver: Option<SocketAddr>,
    /// A PEM file of authorities; `None`: those of the system.
    pub trust_roots: Option<PathBuf>,
    /// The domain as which it introduces itself to servers.
    pub from: String,
    /// How long each step may take.
    pub within: Duration,
    /// The time, for certificates.
    pub now: SystemTime,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Works, and could be better.
    Note,
    /// Somebody cannot get through.
    Fault,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub state: State,
    /// What.
    pub what: String,
    /// What to do. `None`: nothing.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn good(what: impl Into<String>) -> Finding {
        Finding {
            state: State::Good,
            what: what.into(),
            advice: None,
        }
    }

    pub(crate) fn note(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            state: State::Note,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }

    pub(crate) fn fault(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            state: State::Fault,
            ..Finding::note(what, advice)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Good => "good ",
            State::Note => "note ",
            State::Fault => "FAULT",
        };
        write!(f, "{state}  {}", self.what)?;
        match &self.advice {
            Some(advice) => write!(f, "\n       → {advice}"),
            None => Ok(()),
        }
    }
}

/// What the probes share.
pub(crate) struct Doctor<'a> {
    pub(crate) options: &'a Options,
    resolver: Resolver,
    pub(crate) tls: PeerTls,
    pub(crate) roots: Roots,
}

/// Looks at a domain.
///
/// # Errors
/// Why nothing can be looked at at all, in words.
pub async fn examine(options: &Options) -> Result<Vec<Finding>, String> {
    let scratch = Scratch::new()?;
    let own = Certificates::load(&scratch.0, std::slice::from_ref(&options.from));
    let own = own.map_err(|errors| errors.to_string())?;
    let roots = match &options.trust_roots {
        Some(path) => Roots::from_pem_file(path),
        None => Roots::system(),
    };
    let roots = roots.map_err(|error| error.to_string())?;
    let doctor = Doctor {
        options,
        resolver: network::resolver(options.resolver.as_slice(), false)?.within(options.within),
        tls: PeerTls::new(Arc::new(own), roots.clone()).map_err(|error| error.to_string())?,
        roots,
    };
    let mut findings = Vec::new();
    for service in [Service::Server, Service::Client] {
        doctor.service(service, &mut findings).await;
    }
    Ok(findings)
}

/// For the reader.
pub(crate) fn whom(service: Service) -> &'static str {
    match service {
        Service::Server => "servers",
        Service::Client => "clients",
    }
}

fn record(service: Service) -> &'static str {
    match service {
        Service::Server => "_xmpp-server._tcp",
        Service::Client => "_xmpp-client._tcp",
    }
}

impl Doctor<'_> {
    async fn service(&self, service: Service, findings: &mut Vec<Finding>) {
        let domain = &self.options.domain;
        let whom = whom(service);
        let lookup = match self.resolver.lookup(domain, service).await {
            Ok(lookup) => lookup,
            Err(LookupError::NotOffered { .. }) => {
                return findings.push(Finding::note(
                    format!("{whom}: DNS says that the service is not offered"),
                    "nothing, if that is on purpose; else replace the record with the target `.`",
                ));
            }
            Err(error) if error.is_temporary() => {
                return findings.push(Finding::fault(format!("{whom}: {error}"), DNS_ADVICE));
            }
            Err(error) => {
                let (record, port) = (record(service), service.default_port());
                let advice = format!(
                    "put `{record}.{domain}. 86400 IN SRV 5 0 {port} xmpp.{domain}.` into DNS, \
                     and an A or AAAA record for xmpp.{domain}"
                );
                return findings.push(Finding::fault(format!("{whom}: {error}"), advice));
            }
        };
        findings.push(match lookup.found {
            Found::Srv => Finding::good(format!("{whom} find {}", told(&lookup.endpoints))),
            Found::Fallback => Finding::note(
                format!(
                    "{whom} find no SRV record and try {}",
                    told(&lookup.endpoints)
                ),
                format!(
                    "add `{}.{domain}`; then the server can be anywhere",
                    record(service)
                ),
            ),
            Found::Address => Finding::good(format!("{whom} go to {}", told(&lookup.endpoints))),
        });
        for endpoint in &lookup.endpoints {
            self.endpoint(service, endpoint, findings).await;
        }
    }

    async fn endpoint(&self, service: Service, endpoint: &Endpoint, findings: &mut Vec<Finding>) {
        let addresses = match self.addresses(&endpoint.host).await {
            Ok(addresses) => addresses,
            Err(error) if error.is_temporary() => {
                return findings.push(Finding::fault(error.to_string(), DNS_ADVICE));
            }
            Err(error) => {
                let advice = format!(
                    "give {} an A or AAAA record of its own; a CNAME is not enough for all",
                    endpoint.host
                );
                return findings.push(Finding::fault(error.to_string(), advice));
            }
        };
        for address in addresses {
            let address = SocketAddr::new(address, endpoint.port);
            self.probe(service, endpoint, address, findings).await;
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        self.resolver.addresses(host).await
    }

    /// What a certificate is worth for the domain.
    pub(crate) fn certificate(
        &self,
        at: &str,
        certificate: &balcony_net::PeerCertificate,
    ) -> Finding {
        let (domain, now) = (&self.options.domain, self.options.now);
        if let Err(distrust) = certificate.proves(domain, now, &self.roots) {
            return Finding::fault(
                format!("{at}: {distrust}"),
                format!("get a certificate for {domain} from an authority, with its whole chain"),
            );
        }
        let days = certificate.facts().map_or(0, |facts| {
            let now = now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            (facts.not_after - i64::try_from(now.as_secs()).unwrap_or(i64::MAX)) / 86_400
        });
        let what = format!("{at}: the certificate is valid for {domain}, {days} days more");
        match days < RENEW_DAYS {
            true => Finding::note(
                what,
                "renew it, and look why that has not happened by itself",
            ),
            false => Finding::good(what),
        }
    }
}

fn told(endpoints: &[Endpoint]) -> String {
    let told = endpoints.iter().map(|endpoint| {
        let tls = if endpoint.direct_tls {
            ", direct TLS"
        } else {
            ""
        };
        format!("{} port {}{tls}", endpoint.host, endpoint.port)
    });
    told.collect::<Vec<_>>().join("; ")
}

/// A folder for the certificate that the doctor shows, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let name = format!("balcony-doctor-{:016x}", u64::from_ne_bytes(random));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is a key that nobody trusts.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
