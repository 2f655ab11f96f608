//! Why a domain's servers cannot be found.

use hickory_resolver::net::{DnsError, NetError};

/// Why a domain's servers cannot be found, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// It cannot be a name in the DNS.
    #[error("{domain:?} cannot be a domain name; check how it is spelled")]
    BadDomain {
        /// As it was asked for.
        domain: String,
    },
    /// NXDOMAIN for the domain itself.
    #[error("the domain {domain} does not exist; check how it is spelled")]
    NoSuchDomain {
        /// The domain, in A-labels.
        domain: String,
    },
    /// RFC 2782: its SRV records name the root.
    #[error(
        "{domain} declares that it has no such service (its SRV record's target is \".\"); \
             only its operator can change that"
    )]
    NotOffered {
        /// The domain, in A-labels.
        domain: String,
    },
    /// It exists, but leads nowhere.
    #[error("{domain} has neither a usable SRV record nor an address; its operator has to add one")]
    NoAddress {
        /// The domain or host, in A-labels.
        domain: String,
    },
    /// SERVFAIL, REFUSED and their like.
    #[error(
        "the DNS servers could not answer for {domain} ({detail}); its DNS is broken, or the \
             resolver cannot reach it: try again later, or another resolver"
    )]
    ServerFailed {
        /// The domain or host, in A-labels.
        domain: String,
        /// What came instead of an answer.
        detail: String,
    },
    /// Nothing came in time.
    #[error(
        "no DNS server answered in time for {domain}; check the resolver (/etc/resolv.conf or \
             the config's `resolver`) and the network"
    )]
    TimedOut {
        /// The domain or host, in A-labels.
        domain: String,
    },
    /// The resolver that is configured cannot be talked to.
    #[error(
        "cannot talk to the DNS resolver about {domain} ({detail}); check /etc/resolv.conf or \
             the config's `resolver`"
    )]
    NoResolver {
        /// The domain or host, in A-labels.
        domain: String,
        /// What the system said.
        detail: String,
    },
}

impl LookupError {
    /// Whether asking again later may help. If not, the stanza error is `remote-server-not-found`
    /// (RFC 6120 §8.3.3.16), otherwise `remote-server-timeout` (§8.3.3.17).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::ServerFailed { .. } | Self::TimedOut { .. } | Self::NoResolver { .. }
        )
    }
}

/// What the library's error means for one question.
pub(super) enum Failure {
    /// No such name.
    NoName,
    /// The name exists, without records of this kind.
    NoRecords,
    /// Not known.
    Other(LookupError),
}

impl Failure {
    pub(super) fn new(error: &NetError, domain: &str) -> Self {
        if error.is_nx_domain() {
            return Self::NoName;
        }
        let domain = domain.to_owned();
        Self::Other(match error {
            NetError::Dns(DnsError::NoRecordsFound(_)) => return Self::NoRecords,
            NetError::Timeout => LookupError::TimedOut { domain },
            NetError::Dns(DnsError::ResponseCode(code)) => LookupError::ServerFailed {
                domain,
                detail: code.to_str().to_owned(),
            },
            NetError::Io(error) => LookupError::NoResolver {
                domain,
                detail: error.to_string(),
            },
            NetError::NoConnections => LookupError::NoResolver {
                domain,
                detail: error.to_string(),
            },
            other => LookupError::ServerFailed {
                domain,
                detail: other.to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asking_again_may_help_is_told_from_what_it_cannot() {
        let domain = || "example.org".to_owned();
        let temporary = [
            LookupError::TimedOut { domain: domain() },
            LookupError::ServerFailed {
                domain: domain(),
                detail: String::new(),
            },
        ];
        let lasting = [
            LookupError::NoSuchDomain { domain: domain() },
            LookupError::NotOffered { domain: domain() },
            LookupError::NoAddress { domain: domain() },
            LookupError::BadDomain { domain: domain() },
        ];
        assert!(temporary.iter().all(LookupError::is_temporary));
        assert!(!lasting.iter().any(LookupError::is_temporary));
    }
}
