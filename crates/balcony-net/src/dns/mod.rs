//! RFC 6120 §3.2 and XEP-0368 §3: from a domain to the hosts and ports of its servers.
//!
//! Names go into the DNS as A-labels. Everything that an answer can make grow is bounded: a zone's
//! owner writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

mod addresses;
mod error;
mod order;
mod records;
mod tlsa;

pub use error::LookupError;
pub use records::SrvRecords;
pub use tlsa::{Dane, Tlsa};

use error::Failure;
use order::{Merged, Record};

/// More servers than anybody names for one domain; the rest, in the order of preference, is left
/// out.
const MAX_ENDPOINTS: usize = 16;

/// One question and its answer. A resolver that is near answers within milliseconds, one that has
/// to ask half the world within seconds.
const QUERY_TIME: Duration = Duration::from_secs(3);

/// A datagram may be lost, hardly two.
const ATTEMPTS: usize = 2;

/// All questions for one domain together: stanzas wait meanwhile.
const TOTAL_TIME: Duration = Duration::from_secs(10);

/// Answers that are remembered: those of a busy server's peers, about 1 kB each.
const CACHE: u64 = 4_096;

/// How long it is believed that something does not exist. Zones often say a day, and an operator
/// who has just added a record does not want to wait for that.
const NEGATIVE_TIME: Duration = Duration::from_secs(300);

/// Which of a domain's services is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Servers for servers: `xmpp-server`, port 5269.
    Server,
    /// Servers for clients: `xmpp-client`, port 5222.
    Client,
}

impl Service {
    /// RFC 6120 §3.2.2: the port where there is no SRV record.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Server => 5269,
            Self::Client => 5222,
        }
    }

    /// The service's name in the DNS; the one without direct TLS is also that of SRV-IDs.
    #[must_use]
    pub fn label(self, direct_tls: bool) -> &'static str {
        match (self, direct_tls) {
            (Self::Server, false) => "_xmpp-server",
            (Self::Server, true) => "_xmpps-server",
            (Self::Client, false) => "_xmpp-client",
            (Self::Client, true) => "_xmpps-client",
        }
    }
}

/// A place where the service may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host's name in A-labels, or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// TLS at once (XEP-0368), instead of STARTTLS.
    pub direct_tls: bool,
    /// RFC 2782: endpoints of the same number are one group. 0 where there is no SRV record.
    pub priority: u16,
    /// DNSSEC proves that this is the domain's server; false unless the resolver validates.
    pub validated: bool,
}

/// How the endpoints were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By SRV records.
    Srv,
    /// There are no SRV records, so it is the domain itself at the default port.
    Fallback,
    /// The domain is an IP address.
    Address,
}

/// Where a domain's service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// In the order in which they are to be tried; at least one, at most 16.
    pub endpoints: Vec<Endpoint>,
    /// How they were found.
    pub found: Found,
}

/// Why there can be no resolver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolverError {
    /// The system names no DNS server.
    #[error(
        "cannot read which DNS servers the system uses ({0}); correct /etc/resolv.conf, or set \
             `resolver` in the config"
    )]
    System(String),
    /// The library refused.
    #[error("cannot set up DNS: {0}")]
    Setup(String),
    /// The file with the keys of the DNS root.
    #[error("cannot use {} as DNSSEC trust anchors: {detail}", path.display())]
    Anchors {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// Asks the DNS; remembers answers as long as they say. Cheap to clone: clones share the memory.
#[derive(Clone)]
pub struct Resolver {
    config: ResolverConfig,
    options: ResolverOpts,
    plain: TokioResolver,
    validating: Option<TokioResolver>,
    total: Duration,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("servers", &self.config.name_servers())
            .field("validating", &self.validating.is_some())
            .finish_non_exhaustive()
    }
}

impl Resolver {
    /// The system's DNS servers (`/etc/resolv.conf`) and `/etc/hosts`. Reads files.
    ///
    /// # Errors
    /// The file is missing or names no server.
    pub fn system() -> Result<Self, ResolverError> {
        let (config, options) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|error| ResolverError::System(error.to_string()))?;
        // The search list is for people who type names; a domainpart is always whole.
        let config = ResolverConfig::from_name_servers(config.name_servers().to_vec());
        Self::with(config, options)
    }

    /// The DNS servers at these addresses, by UDP and TCP: another where one does not answer.
    /// `/etc/hosts` is honoured too. Reads files.
    ///
    /// # Errors
    /// The library's.
    pub fn at(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let server = |server: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
                way.port = server.port();
                way
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        };
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        Self::with(config, ResolverOpts::default())
    }

    fn with(config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, ResolverError> {
        options.timeout = options.timeout.min(QUERY_TIME);
        options.attempts = options.attempts.min(ATTEMPTS);
        options.cache_size = CACHE;
        options.negative_max_ttl = Some(NEGATIVE_TIME);
        let plain = build(&config, &options, None)?;
        Ok(Self {
            config,
            options,
            plain,
            validating: None,
            total: TOTAL_TIME,
        })
    }

    /// The same, which also validates by DNSSEC, so that TLSA records can be used (RFC 7673).
    /// `anchors` is a file of DNSKEY records in zone format; `None` uses the root's keys as they
    /// were published. What cannot be validated is used as if there were no DNSSEC.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn validating(mut self, anchors: Option<&Path>) -> Result<Self, ResolverError> {
        let anchors = match anchors {
            None => TrustAnchors::default(),
            Some(path) => {
                TrustAnchors::from_file(path).map_err(|error| ResolverError::Anchors {
                    path: path.to_path_buf(),
                    detail: error.to_string(),
                })?
            }
        };
        self.validating = Some(build(&self.config, &self.options, Some(Arc::new(anchors)))?);
        Ok(self)
    }

    /// The same, with another bound for all questions about one name together. Default 10 s.
    #[must_use]
    pub fn within(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Where the service of a domain is. `domain` is a domainpart, with U-labels or A-labels, or an
    /// IP address (IPv6 in brackets or not).
    ///
    /// # Errors
    /// Why there is no way to it; [`LookupError::is_temporary`] tells whether to try again.
    pub async fn lookup(&self, domain: &str, service: Service) -> Result<Lookup, LookupError> {
        if let Some(address) = literal(domain) {
            let host = address.to_string();
            return Ok(Lookup {
                endpoints: vec![at_default_port(host, service)],
                found: Found::Address,
            });
        }
        let domain = ascii(domain)?;
        let found = tokio::time::timeout(self.total, self.look_up(&domain, service)).await;
        found.unwrap_or(Err(LookupError::TimedOut { domain }))
    }

    async fn look_up(&self, domain: &str, service: Service) -> Result<Lookup, LookupError> {
        let (direct, starttls) = tokio::join!(
            self.srv(domain, service, true),
            self.srv(domain, service, false)
        );
        match order::merge(direct, starttls) {
            Merged::Records(records) => Ok(Lookup {
                endpoints: order::order(records, MAX_ENDPOINTS, order::random)
                    .into_iter()
                    .map(endpoint)
                    .collect(),
                found: Found::Srv,
            }),
            Merged::NotOffered => Err(LookupError::NotOffered {
                domain: domain.to_owned(),
            }),
            Merged::Failed(error) => Err(error),
            Merged::Nothing => {
                // Only now it matters whether the domain exists. The answer is remembered for
                // whoever connects.
                self.ask_addresses(domain).await?;
                Ok(Lookup {
                    endpoints: vec![at_default_port(domain.to_owned(), service)],
                    found: Found::Fallback,
                })
            }
        }
    }

    /// The SRV records of one service; empty if there are none.
    async fn srv(
        &self,
        domain: &str,
        service: Service,
        direct_tls: bool,
    ) -> Result<Vec<Record>, LookupError> {
        let question = format!("{}._tcp.{domain}.", service.label(direct_tls));
        let answers = match self.ask(&question, RecordType::SRV, domain).await {
            Ok(answers) => answers,
            Err(Failure::NoName | Failure::NoRecords) => return Ok(Vec::new()),
            Err(Failure::Other(error)) => return Err(error),
        };
        let records = answers.data.into_iter().filter_map(|data| match data {
            RData::SRV(srv) => Some(Record {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: host_name(&srv.target),
                direct_tls,
                validated: answers.validated,
            }),
            _ => None,
        });
        Ok(records.collect())
    }

    /// One question. `about` is the name that errors are to give.
    async fn ask(&self, name: &str, kind: RecordType, about: &str) -> Result<Answers, Failure> {
        let bad = |_| {
            Failure::Other(LookupError::BadDomain {
                domain: about.to_owned(),
            })
        };
        let name = Name::from_ascii(name).map_err(bad)?;
        if let Some(validating) = &self.validating {
            match validating.lookup(name.clone(), kind).await {
                Ok(lookup) => return Ok(Answers::new(&lookup, kind)),
                // DEVIATION: RFC 7673 §3.1 gives the connection up where validation fails. Many
                // resolvers drop the signatures, which looks the same; so the answer counts as not
                // validated, DANE proves nothing by it, and the certificate has to be good by other
                // means, as for a domain without DNSSEC.
                Err(error) => tracing::debug!(%name, %error, "not validated by DNSSEC"),
            }
        }
        match self.plain.lookup(name, kind).await {
            Ok(lookup) => Ok(Answers {
                validated: false,
                ..Answers::new(&lookup, kind)
            }),
            Err(error) => Err(Failure::new(&error, about)),
        }
    }
}

/// The records of the kind that was asked for.
struct Answers {
    data: Vec<RData>,
    /// Every one of them, and every alias on the way, is proven by DNSSEC (RFC 7673 §3.1).
    validated: bool,
}

impl Answers {
    fn new(lookup: &hickory_resolver::lookup::Lookup, kind: RecordType) -> Self {
        let signature = |kind: RecordType| kind == RecordType::RRSIG;
        let answers = lookup.answers().iter();
        let mut unsigned = answers
            .clone()
            .filter(|record| !signature(record.record_type()))
            .filter(|record| !record.proof.is_secure());
        let validated = unsigned.next().is_none();
        let data = answers
            .filter(|record| record.record_type() == kind)
            .map(|record| record.data.clone())
            .collect();
        Self { data, validated }
    }
}

fn build(
    config: &ResolverConfig,
    options: &ResolverOpts,
    anchors: Option<Arc<TrustAnchors>>,
) -> Result<TokioResolver, ResolverError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder =
        TokioResolver::builder_with_config(config.clone(), provider).with_options(options.clone());
    if let Some(anchors) = anchors {
        builder = builder.with_trust_anchor(anchors);
    }
    builder
        .build()
        .map_err(|error| ResolverError::Setup(error.to_string()))
}

fn endpoint(record: Record) -> Endpoint {
    Endpoint {
        host: record.target,
        port: record.port,
        direct_tls: record.direct_tls,
        priority: record.priority,
        validated: record.validated,
    }
}

fn at_default_port(host: String, service: Service) -> Endpoint {
    Endpoint {
        host,
        port: service.default_port(),
        direct_tls: false,
        priority: 0,
        validated: false,
    }
}

/// RFC 7622 §3.2: a domainpart may be an IP address, an IPv6 one in brackets.
fn literal(domain: &str) -> Option<IpAddr> {
    let bare = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(domain);
    bare.parse().ok()
}

/// The domain as the DNS knows it (RFC 5891 §5.5), without the dot at the end.
fn ascii(domain: &str) -> Result<String, LookupError> {
    // Without what would be more than a name in the text that the DNS library reads.
    let strict = idna::AsciiDenyList::URL;
    let bare = domain.trim_end_matches('.').as_bytes();
    let ascii = idna::domain_to_ascii_cow(bare, strict).unwrap_or_default();
    if ascii.is_empty() {
        return Err(LookupError::BadDomain {
            domain: domain.to_owned(),
        });
    }
    Ok(ascii.into_owned())
}

/// Empty for the root.
fn host_name(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    while text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names() {
        assert_eq!(literal("192.0.2.1"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(literal("[2001:db8::1]"), literal("2001:db8::1"));
        assert!(literal("[2001:db8::1]").is_some());
        assert_eq!(literal("example.org"), None);
    }

    #[test]
    fn the_dns_is_asked_in_a_labels() {
        assert_eq!(ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii("Example.ORG.").unwrap(), "example.org");
        assert!(ascii("").is_err());
        assert!(ascii(".").is_err());
        assert!(ascii("a\\046b.example").is_err());
    }

    #[test]
    fn the_root_is_an_empty_host() {
        assert_eq!(host_name(&Name::root()), "");
        assert_eq!(
            host_name(&Name::from_ascii("XMPP.example.org.").unwrap()),
            "xmpp.example.org"
        );
    }
}
