//! The mechanisms we speak and their registered names.

use std::fmt;

use super::BindingType;

/// The hash function of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashKind {
    /// RFC 5802; 20 bytes.
    Sha1,
    /// RFC 7677; 32 bytes.
    Sha256,
    /// draft-melnikov-scram-sha-512; 64 bytes.
    Sha512,
}

impl HashKind {
    /// Every hash, the strongest first.
    pub const ALL: [HashKind; 3] = [HashKind::Sha512, HashKind::Sha256, HashKind::Sha1];

    /// The registered name of the hash function, as in the mechanism's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            HashKind::Sha1 => "SHA-1",
            HashKind::Sha256 => "SHA-256",
            HashKind::Sha512 => "SHA-512",
        }
    }

    /// The hash of that name, `None` if we have no such hash.
    #[must_use]
    pub fn parse(name: &str) -> Option<HashKind> {
        Self::ALL.into_iter().find(|hash| hash.as_str() == name)
    }

    /// Length of a digest in bytes.
    #[must_use]
    pub const fn digest_bytes(self) -> usize {
        match self {
            HashKind::Sha1 => 20,
            HashKind::Sha256 => 32,
            HashKind::Sha512 => 64,
        }
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// SCRAM-SHA-1 bound to the TLS channel (RFC 5802 §6).
    ScramSha1Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-256 bound to the TLS channel.
    ScramSha256Plus,
    /// SCRAM-SHA-512 (draft-melnikov-scram-sha-512).
    ScramSha512,
    /// SCRAM-SHA-512 bound to the TLS channel.
    ScramSha512Plus,
    /// PLAIN (RFC 4616).
    Plain,
    /// ANONYMOUS (RFC 4505).
    Anonymous,
    /// EXTERNAL (RFC 4422 appendix A).
    External,
    /// HT with SHA-256 (draft-schmaus-kitten-sasl-ht), bound by `tls-exporter`.
    HtSha256Expr,
    /// HT with SHA-256, bound by `tls-server-end-point`.
    HtSha256Endp,
    /// HT with SHA-256, not bound to the channel.
    HtSha256None,
}

impl Mechanism {
    /// Every mechanism for the list of mechanisms, in the order in which a client with all it needs
    /// prefers them: bound before unbound (XEP-0440 §5), then the stronger hash.
    pub const ALL: [Mechanism; 9] = [
        Mechanism::External,
        Mechanism::ScramSha512Plus,
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha512,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
        Mechanism::Anonymous,
    ];

    /// The mechanisms by token in the order in which a client prefers them. They stand in no list
    /// of mechanisms but that of XEP-0484.
    pub const FAST: [Mechanism; 3] = [
        Mechanism::HtSha256Expr,
        Mechanism::HtSha256Endp,
        Mechanism::HtSha256None,
    ];

    /// The registered name (RFC 4422 §3.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
            Mechanism::Plain => "PLAIN",
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::External => "EXTERNAL",
            Mechanism::HtSha256Expr => "HT-SHA-256-EXPR",
            Mechanism::HtSha256Endp => "HT-SHA-256-ENDP",
            Mechanism::HtSha256None => "HT-SHA-256-NONE",
        }
    }

    /// The mechanism of that name, `None` if we do not speak it. Names are
    /// upper-case by their grammar (RFC 4422 §3.1), so letters must match.
    #[must_use]
    pub fn parse(name: &str) -> Option<Mechanism> {
        let mut all = Self::ALL.into_iter().chain(Self::FAST);
        all.find(|mechanism| mechanism.as_str() == name)
    }

    /// The SCRAM mechanism with that hash, bound to the channel or not.
    #[must_use]
    pub const fn scram(hash: HashKind, plus: bool) -> Mechanism {
        match (hash, plus) {
            (HashKind::Sha1, false) => Mechanism::ScramSha1,
            (HashKind::Sha1, true) => Mechanism::ScramSha1Plus,
            (HashKind::Sha256, false) => Mechanism::ScramSha256,
            (HashKind::Sha256, true) => Mechanism::ScramSha256Plus,
            (HashKind::Sha512, false) => Mechanism::ScramSha512,
            (HashKind::Sha512, true) => Mechanism::ScramSha512Plus,
        }
    }

    /// Whether it authenticates by a token of XEP-0484 instead of a password.
    #[must_use]
    pub const fn is_fast(self) -> bool {
        matches!(
            self,
            Mechanism::HtSha256Expr | Mechanism::HtSha256Endp | Mechanism::HtSha256None
        )
    }

    /// What an HT mechanism binds to; `None` for the others, and for the one that doesn't.
    #[must_use]
    pub const fn binding(self) -> Option<BindingType> {
        match self {
            Mechanism::HtSha256Expr => Some(BindingType::TlsExporter),
            Mechanism::HtSha256Endp => Some(BindingType::TlsServerEndPoint),
            _ => None,
        }
    }

    /// Whether the mechanism is the `-PLUS` variant, which binds to the TLS channel.
    #[must_use]
    pub const fn is_plus(self) -> bool {
        matches!(
            self,
            Mechanism::ScramSha1Plus | Mechanism::ScramSha256Plus | Mechanism::ScramSha512Plus
        )
    }

    /// The hash of a SCRAM mechanism; `None` for the others.
    #[must_use]
    pub const fn hash(self) -> Option<HashKind> {
        match self {
            Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => Some(HashKind::Sha1),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => Some(HashKind::Sha256),
            Mechanism::ScramSha512 | Mechanism::ScramSha512Plus => Some(HashKind::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mechanism_is_found_by_its_name() {
        for mechanism in Mechanism::ALL.into_iter().chain(Mechanism::FAST) {
            assert_eq!(mechanism.is_fast(), mechanism.as_str().starts_with("HT-"));
            assert_eq!(Mechanism::parse(mechanism.as_str()), Some(mechanism));
            assert!(mechanism.as_str().len() <= 20, "RFC 4422 §3.1");
        }
        assert_eq!(Mechanism::parse("plain"), None);
        assert_eq!(Mechanism::parse("CRAM-MD5"), None);
    }

    #[test]
    fn scram_names_hash_and_binding() {
        for hash in HashKind::ALL {
            assert_eq!(HashKind::parse(hash.as_str()), Some(hash));
            for plus in [false, true] {
                let mechanism = Mechanism::scram(hash, plus);
                assert_eq!(mechanism.hash(), Some(hash));
                assert_eq!(mechanism.is_plus(), plus);
                assert_eq!(mechanism.as_str().ends_with("-PLUS"), plus);
                assert!(mechanism.as_str().contains(hash.as_str()));
            }
        }
    }
}
