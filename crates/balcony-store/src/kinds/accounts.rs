use std::fmt;

use crate::{BoxFuture, Result};

/// A hash function of a SCRAM mechanism, by the name that the mechanism has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashName {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl HashName {
    /// All of them, the weakest first.
    pub const ALL: [HashName; 3] = [HashName::Sha1, HashName::Sha256, HashName::Sha512];

    /// The name in the IANA registry of hash functions, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            HashName::Sha1 => "SHA-1",
            HashName::Sha256 => "SHA-256",
            HashName::Sha512 => "SHA-512",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(name: &str) -> Option<HashName> {
        HashName::ALL.into_iter().find(|hash| hash.as_str() == name)
    }
}

/// What the server keeps of a password for one hash (RFC 5802 §3). The password itself is never
/// stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKey {
    /// The hash function.
    pub hash: HashName,
    /// The salt.
    pub salt: Box<[u8]>,
    /// The iteration count of PBKDF2.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: Box<[u8]>,
    /// ServerKey.
    pub server_key: Box<[u8]>,
}

/// Tells the hash only: keys do not belong in a log.
impl fmt::Debug for ScramKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramKey({})", self.hash.as_str())
    }
}

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whether it may log in.
    pub enabled: bool,
    /// When it was created.
    pub created: i64,
    /// One key for each hash, ordered by hash name; empty for an account without a password.
    pub keys: Vec<ScramKey>,
}

/// What a login needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Whether the account may log in.
    pub enabled: bool,
    /// The key for the hash that was asked for; `None` when none is stored for it.
    pub key: Option<ScramKey>,
}

/// One line of the list of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEntry {
    /// The localpart.
    pub user: String,
    /// Whether it may log in.
    pub enabled: bool,
    /// When it was created.
    pub created: i64,
}

/// Keys that many accounts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The hash function.
    pub hash: HashName,
    /// The iteration count of PBKDF2.
    pub iterations: u32,
    /// How many accounts, of those looked at.
    pub accounts: u64,
}

/// Reads of accounts. `host` and `user` are a domainpart that is served and a localpart.
pub trait Accounts: Send + Sync {
    /// The account with all its keys.
    fn get(&self, host: &str, user: &str) -> BoxFuture<'_, Result<Option<Account>>>;
    /// What a login by `hash` needs, in one read. `None`: no such account.
    fn keys(
        &self,
        host: &str,
        user: &str,
        hash: HashName,
    ) -> BoxFuture<'_, Result<Option<Credentials>>>;
    /// How many accounts of a host have keys of which hash and iteration count, ordered by both:
    /// of all accounts where there are few, of about a thousand where there are many.
    fn iterations(&self, host: &str) -> BoxFuture<'_, Result<Vec<KeyCount>>>;
    /// Whether the account exists, enabled or not.
    fn exists(&self, host: &str, user: &str) -> BoxFuture<'_, Result<bool>>;
    /// Up to `limit` accounts of a host, ordered by localpart bytewise, those after `after`.
    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<AccountEntry>>>;
    /// How many accounts a host has.
    fn count(&self, host: &str) -> BoxFuture<'_, Result<u64>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_is_read_back_by_its_name() {
        for hash in HashName::ALL {
            assert_eq!(HashName::parse(hash.as_str()), Some(hash));
        }
        assert_eq!(HashName::parse("MD5"), None);
    }

    #[test]
    fn keys_do_not_reach_a_log() {
        let key = ScramKey {
            hash: HashName::Sha256,
            salt: [1; 4].into(),
            iterations: 4096,
            stored_key: [2; 32].into(),
            server_key: [3; 32].into(),
        };
        assert_eq!(format!("{key:?}"), "ScramKey(SHA-256)");
    }
}
