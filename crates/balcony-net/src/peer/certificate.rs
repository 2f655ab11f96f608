//! What a peer's certificate proves: RFC 6120 §13.7.2, by the rules for servers in RFC 5280 and
//! RFC 6125, on whichever side of the connection the peer is.

use std::time::SystemTime;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DistinguishedName, RootCertStore};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

mod dane;

use super::names::{self, Name};
use super::roots::Roots;
use crate::certificates::{ascii, unix_seconds};
use crate::dns::Service;

/// A chain is the server's certificate and two or three issuers'. What is beyond costs signatures
/// to check.
const MAX_CHAIN: usize = 10;

/// Names of a certificate that are told to the operator; some have hundreds.
const MAX_NAMES_TOLD: usize = 10;

/// Why a certificate does not prove a domain, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// The peer sent none.
    #[error("it showed no certificate")]
    NoCertificate,
    /// It cannot be parsed.
    #[error("its certificate cannot be read ({0})")]
    Unreadable(String),
    /// It, or one of its issuers', has ended.
    #[error("its certificate has been expired since {0}")]
    Expired(String),
    /// It, or one of its issuers', begins in the future; the clock here may be wrong.
    #[error("its certificate is not valid before {0}; is the clock of this machine right?")]
    NotYetValid(String),
    /// Nobody else vouches for it.
    #[error("its certificate is self-signed")]
    SelfSigned,
    /// The chain is whole, and leads to nobody who is trusted.
    #[error("its certificate was issued by {issuer:?}, which leads to no trusted root")]
    UnknownIssuer {
        /// Who issued the first certificate.
        issuer: String,
    },
    /// The chain breaks off. What is missing is an intermediate certificate, or a root that nobody
    /// here knows, which need not be sent (RFC 8446 §4.4.2): only its owner can tell.
    #[error(
        "its chain of certificates breaks off at {issuer:?}, which is no trusted root and was \
             not sent"
    )]
    MissingIssuer {
        /// Who issued the last certificate.
        issuer: String,
    },
    /// Its extended key usage lacks serverAuth.
    #[error("its certificate is not meant for servers")]
    NotForServers,
    /// Anything else that is wrong with the chain.
    #[error("its certificate's chain is not valid ({0})")]
    BadChain(String),
    /// It is somebody's, but not this domain's.
    #[error("its certificate is for {}, not for {wanted}", told(names))]
    WrongName {
        /// The domain, in A-labels.
        wanted: String,
        /// The names in the certificate, ten at most.
        names: Vec<String>,
    },
    /// RFC 7673: the DNS says, with proof, which certificates are good, and this is another.
    #[error("its certificate matches none of the TLSA records of {host}")]
    NotInDns {
        /// The host that was connected to, in A-labels.
        host: String,
    },
}

fn told(names: &[String]) -> String {
    if names.is_empty() {
        return "no domain at all".to_owned();
    }
    names.join(", ")
}

/// What a certificate says, proven or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificateFacts {
    /// The names that it is for, SRV names as `_xmpp-server.example.org` and XMPP addresses as
    /// `xmpp:example.org`; ten at most.
    pub names: Vec<String>,
    /// Whom it was issued to, as text.
    pub subject: String,
    /// Who issued it, as text.
    pub issuer: String,
    /// When it begins, in seconds since 1970.
    pub not_before: i64,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// Issued by itself.
    pub self_signed: bool,
    /// How many certificates the peer sent, its own included.
    pub chain: usize,
}

/// The chain that a peer showed, its own certificate first; maybe empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerCertificate {
    chain: Vec<CertificateDer<'static>>,
}

impl PeerCertificate {
    /// From the certificates in the order in which they came; at most ten are kept.
    #[must_use]
    pub fn new(chain: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        Self {
            chain: chain.into_iter().take(MAX_CHAIN).collect(),
        }
    }

    /// Whether the peer showed none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// What it says, if there is one that can be read.
    #[must_use]
    pub fn facts(&self) -> Option<PeerCertificateFacts> {
        let (_, leaf) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(PeerCertificateFacts {
            names: texts(&names::of(&leaf)),
            subject: leaf.subject().to_string(),
            issuer: leaf.issuer().to_string(),
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
            self_signed: leaf.subject() == leaf.issuer(),
            chain: self.chain.len(),
        })
    }

    /// Whether the peer is the server of `domain` (a domainpart), as far as the roots vouch for it.
    ///
    /// # Errors
    /// Why not.
    pub fn proves(&self, domain: &str, now: SystemTime, roots: &Roots) -> Result<(), Distrust> {
        self.proves_one_of(&[domain], Service::Server, now, &roots.store)
    }

    /// [`PeerCertificate::proves`] by the rules for clients (RFC 6120 §13.7.1.2.1): an SRV-ID has
    /// to be that of the clients' service, and an XMPP address is none of the names.
    ///
    /// # Errors
    /// Why not.
    pub fn proves_to_clients(
        &self,
        domain: &str,
        now: SystemTime,
        roots: &Roots,
    ) -> Result<(), Distrust> {
        self.proves_one_of(&[domain], Service::Client, now, &roots.store)
    }

    /// Whether the chain leads to one of `roots`, and the certificate is for one of `domains`.
    fn proves_one_of(
        &self,
        domains: &[&str],
        service: Service,
        now: SystemTime,
        roots: &RootCertStore,
    ) -> Result<(), Distrust> {
        let first = self.chain.first().ok_or(Distrust::NoCertificate)?;
        let (_, leaf) = X509Certificate::from_der(first)
            .map_err(|error| Distrust::Unreadable(error.to_string()))?;
        self.chain_to(&leaf, now, roots)?;
        is_for(&leaf, domains, service)
    }

    /// Whether the chain leads to one of `roots`. The rules are those for servers, for incoming
    /// connections too: issuers no longer make certificates with clientAuth, and a server is one
    /// on both sides.
    fn chain_to(
        &self,
        leaf: &X509Certificate<'_>,
        now: SystemTime,
        roots: &RootCertStore,
    ) -> Result<(), Distrust> {
        in_time(leaf, now)?;
        let seconds = u64::try_from(unix_seconds(now)).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let (first, issuers) = self.chain.split_first().ok_or(Distrust::NoCertificate)?;
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let verified = ParsedCertificate::try_from(first).and_then(|first| {
            verify_server_cert_signed_by_trust_anchor(&first, roots, issuers, now, algorithms.all)
        });
        verified.map_err(|error| match distrust(leaf, error) {
            Distrust::UnknownIssuer { issuer } => match breaks_off(leaf, issuers, roots) {
                Some(issuer) => Distrust::MissingIssuer { issuer },
                None => Distrust::UnknownIssuer { issuer },
            },
            other => other,
        })
    }
}

/// Follows the issuers through what was sent. Who issued the last certificate, if that is neither
/// itself nor one of the roots.
fn breaks_off(
    leaf: &X509Certificate<'_>,
    issuers: &[CertificateDer<'_>],
    roots: &RootCertStore,
) -> Option<String> {
    let sent: Vec<X509Certificate<'_>> = issuers
        .iter()
        .filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1))
        .collect();
    let mut last = leaf;
    // As many steps as there are certificates: they may name each other in a circle.
    for _ in 0..sent.len() {
        let Some(next) = sent.iter().find(|next| next.subject() == last.issuer()) else {
            break;
        };
        last = next;
    }
    let (issuer, mut known) = (last.issuer(), sent.iter().chain([leaf]));
    let is_root = |name: &DistinguishedName| name.as_ref() == issuer.as_raw();
    let found = known.any(|one| one.subject() == issuer) || roots.subjects().iter().any(is_root);
    (!found).then(|| issuer.to_string())
}

/// Whether the certificate is for one of these domains.
fn is_for(leaf: &X509Certificate<'_>, domains: &[&str], service: Service) -> Result<(), Distrust> {
    let names = names::of(leaf);
    let wanted: Vec<String> = domains.iter().map(|domain| ascii(domain)).collect();
    let found = |domain: &String| names.iter().any(|name| name.is_for(domain, service));
    if wanted.iter().any(found) {
        return Ok(());
    }
    Err(Distrust::WrongName {
        wanted: wanted.join(" or "),
        names: texts(&names),
    })
}

fn texts(names: &[Name]) -> Vec<String> {
    let told = names.iter().take(MAX_NAMES_TOLD);
    told.map(ToString::to_string).collect()
}

/// Asked first, so that an expired certificate is called that whatever else is wrong with it.
fn in_time(leaf: &X509Certificate<'_>, now: SystemTime) -> Result<(), Distrust> {
    let (now, validity) = (unix_seconds(now), leaf.validity());
    if validity.not_after.timestamp() < now {
        return Err(Distrust::Expired(validity.not_after.to_string()));
    }
    if validity.not_before.timestamp() > now {
        return Err(Distrust::NotYetValid(validity.not_before.to_string()));
    }
    Ok(())
}

/// The library's error in the operator's words.
fn distrust(leaf: &X509Certificate<'_>, error: rustls::Error) -> Distrust {
    use rustls::CertificateError as Fault;
    let rustls::Error::InvalidCertificate(fault) = error else {
        return Distrust::BadChain(error.to_string());
    };
    match fault {
        Fault::ExpiredContext { not_after, .. } => Distrust::Expired(date(not_after)),
        Fault::NotValidYetContext { not_before, .. } => Distrust::NotYetValid(date(not_before)),
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => Distrust::NotForServers,
        Fault::BadEncoding => Distrust::Unreadable(fault.to_string()),
        // Also when it is marked as an issuer's, which the library minds first.
        _ if leaf.subject() == leaf.issuer() => Distrust::SelfSigned,
        Fault::UnknownIssuer => Distrust::UnknownIssuer {
            issuer: leaf.issuer().to_string(),
        },
        other => Distrust::BadChain(other.to_string()),
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let date = ASN1Time::from_timestamp(seconds);
    date.map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests;
