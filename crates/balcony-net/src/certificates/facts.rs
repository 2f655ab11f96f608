//! What a certificate says about itself, and the hash of it that channel binding needs.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::AlgorithmIdentifier;

use super::unix_seconds;
use crate::self_signed::MADE_HERE;

/// What a loaded certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The host whose file it is, as configured.
    pub host: String,
    /// The DNS names it is for, in lower case, wildcards as `*.example.org`.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// Issued by itself, so clients must be told to trust it.
    pub self_signed: bool,
    /// Made by this server because the host had none; it is renewed by a (re)load.
    pub made_here: bool,
    /// RFC 5929 §4.1 `tls-server-end-point`; `None` where its signature defines no single hash.
    pub end_point: Option<Vec<u8>>,
}

impl CertificateFacts {
    /// Reads the facts of a certificate in DER; the error is what the parser says.
    pub(super) fn read(host: &str, der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let organizations = certificate.subject().iter_organization();
        let made_here = organizations
            .flat_map(|name| name.as_str())
            .any(|name| name == MADE_HERE);
        let self_signed = certificate.subject() == certificate.issuer();
        Ok(Self {
            host: host.to_owned(),
            names: dns_names(&certificate)?,
            not_after: certificate.validity().not_after.timestamp(),
            self_signed,
            made_here: made_here && self_signed,
            end_point: end_point(&certificate, der),
        })
    }

    /// Whole days until it ends, counted down to 0; negative once it has.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        self.not_after
            .saturating_sub(unix_seconds(now))
            .div_euclid(24 * 3600)
    }

    /// Whether a client that connects to `host` finds its name in the certificate (RFC 6125 §6.4).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = ascii(host);
        let wildcard = super::parent(&host).map(|parent| format!("*.{parent}"));
        self.names
            .iter()
            .any(|name| *name == host || Some(name) == wildcard.as_ref())
    }

    pub(super) fn ends_within(&self, now: SystemTime, time: Duration) -> bool {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.not_after.saturating_sub(unix_seconds(now)) < seconds
    }
}

/// A host's name as TLS and certificates write it: A-labels, lower case.
pub(crate) fn ascii(host: &str) -> String {
    idna::domain_to_ascii(host).unwrap_or_else(|_| host.to_ascii_lowercase())
}

fn dns_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    let names = names
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok(dns.collect())
}

/// Hash functions of RFC 5929 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// RFC 5929 §4.1: the certificate's hash, by the hash function of its signature, but SHA-256
/// instead of MD5 or SHA-1; undefined where the signature uses no hash, or more than one.
fn end_point(certificate: &X509Certificate<'_>, der: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(&certificate.signature_algorithm)? {
        Hash::Sha256 => Sha256::digest(der).to_vec(),
        Hash::Sha384 => Sha384::digest(der).to_vec(),
        Hash::Sha512 => Sha512::digest(der).to_vec(),
    })
}

fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    // RSASSA-PSS names its hash in its parameters, SHA-1 by default (RFC 4055 §3.1).
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm)
    {
        return hash_named(parameters.hash_algorithm_oid());
    }
    hash_named(&algorithm.algorithm)
}

/// The hash function of a signature algorithm or of a hash, by its identifier.
fn hash_named(oid: &Oid<'_>) -> Option<Hash> {
    match oid.to_id_string().as_str() {
        // md5WithRSAEncryption, sha1WithRSAEncryption, ecdsa-with-SHA1; md5, sha1
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1"
        | "1.2.840.113549.2.5" | "1.3.14.3.2.26"
        // sha256WithRSAEncryption, ecdsa-with-SHA256; sha256
        | "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => {
            Some(Hash::Sha256)
        }
        // sha384WithRSAEncryption, ecdsa-with-SHA384; sha384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Some(Hash::Sha384)
        }
        // sha512WithRSAEncryption, ecdsa-with-SHA512; sha512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Some(Hash::Sha512)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(oid: &[u64]) -> Option<Hash> {
        hash_named(&Oid::from(oid).unwrap())
    }

    fn facts(names: &[&str], not_after: i64) -> CertificateFacts {
        CertificateFacts {
            host: "example.org".to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            not_after,
            self_signed: false,
            made_here: false,
            end_point: None,
        }
    }

    #[test]
    fn the_end_point_hash_is_the_signatures_but_never_weaker_than_sha256() {
        assert_eq!(named(&[1, 2, 840, 113549, 1, 1, 4]), Some(Hash::Sha256));
        assert_eq!(named(&[1, 2, 840, 113549, 1, 1, 5]), Some(Hash::Sha256));
        assert_eq!(named(&[1, 2, 840, 10045, 4, 3, 2]), Some(Hash::Sha256));
        assert_eq!(named(&[1, 2, 840, 10045, 4, 3, 3]), Some(Hash::Sha384));
        assert_eq!(named(&[1, 2, 840, 113549, 1, 1, 13]), Some(Hash::Sha512));
    }

    #[test]
    fn ed25519_has_no_end_point_hash() {
        assert_eq!(named(&[1, 3, 101, 112]), None);
    }

    #[test]
    fn days_left_count_down_and_become_negative() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let day = 24 * 3600;
        assert_eq!(facts(&[], 1_000_000 + 10 * day).days_left(now), 10);
        assert_eq!(facts(&[], 1_000_000 + day - 1).days_left(now), 0);
        assert_eq!(facts(&[], 1_000_000 - 1).days_left(now), -1);
        assert!(facts(&[], 1_000_000 + day).ends_within(now, Duration::from_secs(2 * 24 * 3600)));
        assert!(!facts(&[], 1_000_000 + day).ends_within(now, Duration::from_secs(3600)));
    }

    #[test]
    fn a_wildcard_covers_one_label_only() {
        let facts = facts(&["example.org", "*.example.org"], 0);
        assert!(facts.covers("example.org"));
        assert!(facts.covers("Chat.Example.ORG"));
        assert!(!facts.covers("a.chat.example.org"));
        assert!(!facts.covers("example.net"));
    }

    #[test]
    fn names_are_compared_as_a_labels() {
        assert_eq!(ascii("bücher.example"), "xn--bcher-kva.example");
        assert!(facts(&["xn--bcher-kva.example"], 0).covers("bücher.example"));
    }
}
