//! Certificates per host: `<host>.crt` (chain, PEM) and `<host>.key` in one directory.
//!
//! A load either succeeds for all hosts or changes nothing. Every load that changes a certificate
//! makes a new TLS configuration with new ticket keys: a resumed connection is bound to the
//! certificate of its first handshake (RFC 5929 §4), so tickets must not outlive it.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::exporter::ExporterLog;
use crate::self_signed;

mod facts;

pub use facts::CertificateFacts;
pub(crate) use facts::ascii;

/// XEP-0368 §4: the ALPN name of a client's stream.
const ALPN: &[u8] = b"xmpp-client";

/// One ticket for each connection: a client that comes back needs no more, and rustls' two cost
/// twice.
const TICKETS: usize = 1;

/// A certificate of our own that ends within this time is made anew: a week leaves room for a
/// server that is seldom reloaded.
const RENEW_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why a host's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A name that cannot be a file's.
    #[error(
        "{host:?} cannot be the name of a certificate file; correct the host's name in the config"
    )]
    BadHostName {
        /// The name as configured.
        host: String,
    },
    /// A file or the directory could not be read or written.
    #[error(
        "cannot {action} {}: {error}; check the path and the rights of the server's user",
        path.display()
    )]
    File {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// One of the pair is missing.
    #[error("{} is there but {} is not; put it beside it, or remove the first to have a \
         self-signed pair made", present.display(), missing.display())]
    Missing {
        /// The file that exists.
        present: PathBuf,
        /// The file that does not.
        missing: PathBuf,
    },
    /// The file is not PEM, or has nothing of the kind in it.
    #[error("{} holds no {wanted} in PEM form ({detail}); replace it by one that begins with \
         -----BEGIN", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
        /// The parser's words.
        detail: String,
    },
    /// The first certificate in the file cannot be understood.
    #[error(
        "{} holds a certificate that cannot be read ({detail}); ask its issuer for a new one",
        path.display()
    )]
    BadCertificate {
        /// Which file.
        path: PathBuf,
        /// The parser's words.
        detail: String,
    },
    /// The key is of a kind that TLS here cannot use.
    #[error("{} holds a key that cannot be used ({detail}); use ECDSA P-256 or P-384, Ed25519, or \
         RSA of 2048 bits or more", path.display())]
    BadKey {
        /// Which file.
        path: PathBuf,
        /// The library's words.
        detail: String,
    },
    /// Certificate and key are not a pair.
    #[error("the key in {} does not belong to the first certificate in {}; put the pair there, \
         the host's own certificate before its issuers'", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The chain's file.
        certificate: PathBuf,
    },
    /// A self-signed certificate could not be made.
    #[error(
        "cannot make a self-signed certificate for {host}: {detail}; put {host}.crt and \
             {host}.key into the directory"
    )]
    NotMade {
        /// For which host.
        host: String,
        /// The library's words.
        detail: String,
    },
    /// TLS itself could not be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
    /// There is no host to have a certificate for.
    #[error(
        "no host is configured, so there is no certificate to use; add a [[host]] to the config"
    )]
    NoHosts,
}

/// Everything that is wrong with the certificates, one line each.
#[derive(Debug)]
pub struct LoadErrors(pub Vec<CertificateError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

impl From<CertificateError> for LoadErrors {
    fn from(error: CertificateError) -> Self {
        Self(vec![error])
    }
}

/// One host's chain and key.
#[derive(Debug)]
struct Entry {
    key: Arc<CertifiedKey>,
    facts: CertificateFacts,
}

/// What one load gave.
struct Loaded {
    config: Arc<ServerConfig>,
    entries: Vec<Arc<Entry>>,
    resolver: Arc<Resolver>,
}

/// The certificates of all hosts, and the TLS configuration that serves them.
pub struct Certificates {
    directory: PathBuf,
    current: ArcSwap<Loaded>,
    /// Reloads come one after the other.
    reloading: Mutex<()>,
}

impl Certificates {
    /// Loads the certificates of `hosts` from `directory`, which is made if it is missing. A host
    /// without files gets a self-signed certificate, unless one of another host covers its name.
    /// The first host's certificate serves clients that name no host, or one that is not known.
    /// Files of a subdomain of a host, such as a room service, are used for that subdomain.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(directory: impl Into<PathBuf>, hosts: &[String]) -> Result<Self, LoadErrors> {
        let directory = directory.into();
        let loaded = load_all(&directory, hosts, None)?;
        Ok(Self {
            directory,
            current: ArcSwap::from_pointee(loaded),
            reloading: Mutex::new(()),
        })
    }

    /// Loads again, for these hosts. Handshakes from now on use what was loaded; connections that
    /// are established keep theirs. Reads files: not for a worker's thread.
    ///
    /// # Errors
    /// Everything that is wrong; then nothing has changed.
    pub fn reload(&self, hosts: &[String]) -> Result<(), LoadErrors> {
        let _one_at_a_time = self.reloading.lock();
        let loaded = load_all(&self.directory, hosts, Some(&self.current.load()))?;
        self.current.store(Arc::new(loaded));
        Ok(())
    }

    /// The configuration for the next handshake.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The certificate of a domain of ours: its own, one that covers it, that of the host above it,
    /// or the first host's.
    pub(crate) fn key(&self, domain: &str) -> Arc<CertifiedKey> {
        let loaded = self.current.load();
        Arc::clone(&loaded.resolver.find(Some(&ascii(domain))).key)
    }

    /// What the loaded certificates say, in the order of the hosts; subdomains with files of their
    /// own follow.
    #[must_use]
    pub fn facts(&self) -> Vec<CertificateFacts> {
        self.current
            .load()
            .entries
            .iter()
            .map(|entry| entry.facts.clone())
            .collect()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

fn load_all(
    directory: &Path,
    hosts: &[String],
    before: Option<&Loaded>,
) -> Result<Loaded, LoadErrors> {
    self_signed::make_directory(directory)?;
    let mut errors = Vec::new();
    let mut found: Vec<Option<Arc<Entry>>> = Vec::new();
    for host in hosts {
        let entry = load_host(directory, host).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        found.push(entry.map(Arc::new));
    }
    if !errors.is_empty() {
        return Err(LoadErrors(errors));
    }
    // Only now is it known whether another host's certificate covers a host that has none.
    let mut entries = Vec::new();
    for (host, entry) in hosts.iter().zip(&found) {
        match entry {
            Some(entry) => entries.push(Arc::clone(entry)),
            None if found.iter().flatten().any(|entry| entry.facts.covers(host)) => {}
            None => match make(directory, host) {
                Ok(entry) => entries.push(Arc::new(entry)),
                Err(error) => errors.push(error),
            },
        }
    }
    if !errors.is_empty() {
        return Err(LoadErrors(errors));
    }
    entries.extend(load_subdomains(directory, hosts));
    let resolver = Resolver::new(&entries).ok_or(CertificateError::NoHosts)?;
    let resolver = Arc::new(resolver);
    let config = configure(&entries, Arc::clone(&resolver), before)?;
    Ok(Loaded {
        config: Arc::new(config),
        entries,
        resolver,
    })
}

/// The pairs of subdomains of the hosts. Nothing demands them, so what is wrong with one is no
/// reason not to start: it is logged, and the subdomain uses its host's certificate.
fn load_subdomains(directory: &Path, hosts: &[String]) -> Vec<Arc<Entry>> {
    let hosts: Vec<String> = hosts.iter().map(|host| ascii(host)).collect();
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        name.strip_suffix(".crt").map(str::to_owned)
    });
    let mut subdomains: Vec<String> = names
        .filter(|name| {
            let name = ascii(name);
            let below = |host: &String| {
                let rest = name.strip_suffix(host.as_str());
                rest.is_some_and(|rest| rest.ends_with('.'))
            };
            !hosts.contains(&name) && hosts.iter().any(below)
        })
        .collect();
    subdomains.sort();
    let mut entries = Vec::new();
    for name in subdomains {
        match load_host(directory, &name) {
            Ok(entry) => entries.extend(entry.map(Arc::new)),
            Err(error) => tracing::warn!(%name, %error, "a subdomain's certificate is not used"),
        }
    }
    entries
}

/// The files of a host; `None` if it has none, or a self-made pair that has run out.
fn load_host(directory: &Path, host: &str) -> Result<Option<Entry>, CertificateError> {
    let (certificate, key) = self_signed::paths(directory, host)?;
    match (certificate.exists(), key.exists()) {
        (false, false) => Ok(None),
        (true, false) => Err(CertificateError::Missing {
            present: certificate,
            missing: key,
        }),
        (false, true) => Err(CertificateError::Missing {
            present: key,
            missing: certificate,
        }),
        (true, true) => {
            let entry = load_pair(host, &certificate, &key)?;
            let ends = entry.facts.ends_within(SystemTime::now(), RENEW_BEFORE);
            Ok(Some(entry).filter(|entry| !(entry.facts.made_here && ends)))
        }
    }
}

fn load_pair(host: &str, certificate: &Path, key: &Path) -> Result<Entry, CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| pem_error(certificate, "certificate", error))?;
    let Some(first) = chain.first() else {
        return Err(pem_error(
            certificate,
            "certificate",
            pem::Error::NoItemsFound,
        ));
    };
    let facts =
        CertificateFacts::read(host, first).map_err(|detail| CertificateError::BadCertificate {
            path: certificate.to_path_buf(),
            detail,
        })?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| pem_error(key, "private key", error))?;
    let pair = CertifiedKey::from_der(chain, private, &ring::default_provider());
    let pair = pair.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
            key: key.to_path_buf(),
            certificate: certificate.to_path_buf(),
        },
        other => CertificateError::BadKey {
            path: key.to_path_buf(),
            detail: other.to_string(),
        },
    })?;
    if facts.ends_within(SystemTime::now(), Duration::ZERO) {
        tracing::warn!(host, file = %certificate.display(), "the certificate has expired; clients \
             will refuse it");
    }
    Ok(Entry {
        key: Arc::new(pair),
        facts,
    })
}

fn pem_error(path: &Path, wanted: &'static str, error: pem::Error) -> CertificateError {
    match error {
        pem::Error::Io(error) => CertificateError::File {
            action: "read",
            path: path.to_path_buf(),
            error,
        },
        other => CertificateError::NotPem {
            path: path.to_path_buf(),
            wanted,
            detail: other.to_string(),
        },
    }
}

/// Makes a self-signed pair for a host and loads it.
fn make(directory: &Path, host: &str) -> Result<Entry, CertificateError> {
    self_signed::make(directory, host, SystemTime::now())?;
    let (certificate, key) = self_signed::paths(directory, host)?;
    tracing::info!(host, file = %certificate.display(), "made a self-signed certificate");
    load_pair(host, &certificate, &key)
}

/// The TLS configuration for these certificates. The ticket keys of `before` stay if no certificate
/// has changed, so that a reload does not cost every client a full handshake.
fn configure(
    entries: &[Arc<Entry>],
    resolver: Arc<Resolver>,
    before: Option<&Loaded>,
) -> Result<ServerConfig, CertificateError> {
    // TLS 1.3 and 1.2, the suites and groups that rustls deems safe.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // XEP-0368 §3: a client that sends ALPN must name us; one that sends none is taken too.
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = TICKETS;
    // Tickets carry all state, so a client that never comes back costs no memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.key_log = Arc::new(ExporterLog);
    let unchanged = before.filter(|before| {
        before
            .entries
            .iter()
            .map(|entry| &entry.key.cert)
            .eq(entries.iter().map(|entry| &entry.key.cert))
    });
    config.ticketer = match unchanged {
        Some(before) => Arc::clone(&before.config.ticketer),
        None => ring::Ticketer::new().map_err(CertificateError::Setup)?,
    };
    Ok(config)
}

/// What the resolver chose, for the handshake that asked it.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) end_point: Option<Vec<u8>>,
    pub(crate) sni: Option<String>,
}

thread_local! {
    static CHOSEN: Cell<Option<Chosen>> = const { Cell::new(None) };
}

/// Runs `f`, which advances a handshake, and returns which certificate it chose, if it came to
/// that. An unbuffered connection can tell neither that nor the client's SNI afterwards.
pub(crate) fn observe<R>(f: impl FnOnce() -> R) -> (R, Option<Chosen>) {
    CHOSEN.set(None);
    let result = f();
    (result, CHOSEN.take())
}

/// Finds the certificate for the name that a client gives.
#[derive(Debug)]
struct Resolver {
    /// Host names, then the names in the certificates, wildcards as `*.parent`; all in lower-case
    /// ASCII.
    names: HashMap<String, Arc<Entry>>,
    default: Arc<Entry>,
}

impl Resolver {
    fn new(entries: &[Arc<Entry>]) -> Option<Self> {
        let mut names = HashMap::new();
        for entry in entries {
            names.insert(facts::ascii(&entry.facts.host), Arc::clone(entry));
        }
        for entry in entries {
            for name in &entry.facts.names {
                names
                    .entry(name.clone())
                    .or_insert_with(|| Arc::clone(entry));
            }
        }
        Some(Self {
            names,
            default: Arc::clone(entries.first()?),
        })
    }

    /// The host's own certificate, one with its name or wildcard, its nearest parent's, or the
    /// default.
    fn find(&self, sni: Option<&str>) -> &Arc<Entry> {
        let Some(name) = sni.map(str::to_ascii_lowercase) else {
            return &self.default;
        };
        if let Some(entry) = self.names.get(&name) {
            return entry;
        }
        let mut parents = std::iter::successors(parent(&name), |name| parent(name));
        let wildcard = parents.clone().next().map(|parent| format!("*.{parent}"));
        wildcard
            .and_then(|wildcard| self.names.get(&wildcard))
            .or_else(|| parents.find_map(|parent| self.names.get(parent)))
            .unwrap_or(&self.default)
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let sni = hello.server_name();
        let entry = self.find(sni);
        CHOSEN.set(Some(Chosen {
            end_point: entry.facts.end_point.clone(),
            sni: sni.map(str::to_owned),
        }));
        Some(Arc::clone(&entry.key))
    }
}

/// Seconds since 1970, as certificates count; negative before.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds)
        }
    }
}

#[cfg(test)]
mod tests;
