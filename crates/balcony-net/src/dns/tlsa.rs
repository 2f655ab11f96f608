//! RFC 6698 and RFC 7673: what the DNS says about the certificate of an endpoint, used only where
//! DNSSEC proves it.

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::error::Failure;
use super::{Answers, Endpoint, LookupError, Resolver};

/// Certificates and keys that one endpoint may have: an old and a new one of several kinds. Each is
/// compared with a whole chain.
const MAX_RECORDS: usize = 32;

/// One TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// Certificate usage: PKIX-TA (0), PKIX-EE (1), DANE-TA (2), DANE-EE (3).
    pub usage: u8,
    /// The whole certificate (0) or its public key (1).
    pub selector: u8,
    /// As it is (0), by SHA-256 (1), by SHA-512 (2).
    pub matching: u8,
    /// What it is to match.
    pub data: Vec<u8>,
}

/// What DNSSEC proves about an endpoint: that the domain names its host, and which certificates
/// the host may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dane {
    /// The target of the SRV record, in A-labels.
    pub host: String,
    /// Empty if there are none, or none that are proven; at most 32.
    pub records: Vec<Tlsa>,
}

impl Resolver {
    /// The TLSA records of an endpoint. `None` if DNSSEC did not prove the endpoint, or the
    /// resolver does not validate: then the certificate has to be proven without DANE.
    ///
    /// # Errors
    /// The answer is forged, or nobody answers: RFC 7673 §3.4, the endpoint must not be used.
    pub async fn dane(&self, endpoint: &Endpoint) -> Result<Option<Dane>, LookupError> {
        let (Some(resolver), true) = (&self.validating, endpoint.validated) else {
            return Ok(None);
        };
        // RFC 7673 §3.2 asks only where the host's address is proven too, to spare questions that
        // lead nowhere. The answer to this question tells the same.
        let host = &endpoint.host;
        let name = format!("_{}._tcp.{host}.", endpoint.port);
        let name = Name::from_ascii(name).map_err(|_| LookupError::BadDomain {
            domain: host.clone(),
        })?;
        let asked = tokio::time::timeout(self.total, resolver.lookup(name, RecordType::TLSA)).await;
        let records = match asked {
            Ok(Ok(lookup)) => usable(&Answers::new(&lookup, RecordType::TLSA)),
            Ok(Err(error)) if is_insecure(&error) => Vec::new(),
            Ok(Err(error)) => match Failure::new(&error, host) {
                Failure::NoName | Failure::NoRecords => Vec::new(),
                Failure::Other(error) => return Err(error),
            },
            Err(_) => {
                return Err(LookupError::TimedOut {
                    domain: host.clone(),
                });
            }
        };
        Ok(Some(Dane {
            host: host.clone(),
            records,
        }))
    }
}

/// RFC 6698 §4.1: records that are not proven count as none.
fn usable(answers: &Answers) -> Vec<Tlsa> {
    if !answers.validated {
        return Vec::new();
    }
    let records = answers.data.iter().filter_map(|data| match data {
        RData::TLSA(record) => Some(Tlsa {
            usage: record.cert_usage.into(),
            selector: record.selector.into(),
            matching: record.matching.into(),
            data: record.cert_data.clone(),
        }),
        _ => None,
    });
    records.take(MAX_RECORDS).collect()
}

/// It is proven that nothing there is signed.
fn is_insecure(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(DnsError::Nsec {
            proof: Proof::Insecure,
            ..
        })
    )
}
