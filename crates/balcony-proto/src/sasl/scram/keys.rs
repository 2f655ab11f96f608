//! RFC 5802 §3: from passwords to the keys that either side keeps.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::super::{HashKind, PasswordError, prepare_password};

/// Length of the salt of new accounts, in bytes: 128 bits, so that no two
/// accounts share one. The salt of [`fake_keys`] is as long.
pub const SALT_BYTES: usize = 16;

/// What the server keeps of a password (RFC 5802 §3). It cannot be turned
/// back, and whoever steals it must still guess the password to log in.
#[derive(Clone)]
pub struct ScramKeys {
    /// Hash function of the mechanism that the keys serve.
    pub hash: HashKind,
    /// Salt, random for each account.
    pub salt: Box<[u8]>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// `StoredKey`: verifies the client.
    pub stored_key: Box<[u8]>,
    /// `ServerKey`: proves the server to the client.
    pub server_key: Box<[u8]>,
}

impl ScramKeys {
    /// Derives the keys of a password, which is prepared by SASLprep. Takes
    /// milliseconds by design; not for a thread that serves streams.
    ///
    /// # Errors
    /// [`PasswordError`] when the string cannot be a password.
    pub fn derive(
        hash: HashKind,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, PasswordError> {
        let keys = ClientKeys::derive(hash, password, salt, iterations)?;
        Ok(ScramKeys {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: keys.stored_key().into(),
            server_key: keys.server_key,
        })
    }

    /// The keys that follow from a `SaltedPassword`, which a client has made itself (XEP-0480 §3).
    /// `None` unless that is as long as a digest.
    #[must_use]
    pub fn from_salted(
        hash: HashKind,
        salted: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Option<ScramKeys> {
        if salted.len() != hash.digest_bytes() {
            return None;
        }
        let client_key = hmac(hash, salted, &[b"Client Key"]);
        Some(ScramKeys {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: super::hash(hash, &client_key).into(),
            server_key: hmac(hash, salted, &[b"Server Key"]).into(),
        })
    }

    /// Whether this is the password. Costs as much as [`ScramKeys::derive`],
    /// right or wrong, real keys or [`fake_keys`]; the keys are compared in
    /// constant time.
    #[must_use]
    pub fn verify_password(&self, password: &str) -> bool {
        match ScramKeys::derive(self.hash, password, &self.salt, self.iterations) {
            Ok(keys) => keys.stored_key.ct_eq(&self.stored_key).into(),
            Err(_) => false,
        }
    }
}

/// Compares the keys in constant time.
impl PartialEq for ScramKeys {
    fn eq(&self, other: &ScramKeys) -> bool {
        let keys: Choice =
            self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key);
        self.hash == other.hash
            && self.iterations == other.iterations
            && self.salt == other.salt
            && keys.into()
    }
}

impl Eq for ScramKeys {}

// The keys stay out of logs.
impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// Keys for a user that does not exist, so that the answer to a stranger's
/// guess looks, and lasts, like that to a wrong password (RFC 5802 §9).
///
/// The same `secret`, user, hash and iterations give the same keys, for a salt that
/// changes would tell. `secret` is the server's own, at least 128 bits and
/// kept for long; `user` the enforced bare JID; `iterations` what new accounts get.
/// No password fits, short of one that breaks the hash.
#[must_use]
pub fn fake_keys(secret: &[u8], user: &str, hash: HashKind, iterations: u32) -> ScramKeys {
    let expand = |label: &str, length: usize| -> Box<[u8]> {
        let name = hash.as_str();
        // With the count, as a new count comes with a new salt where there is an account.
        let parts = [
            label.as_bytes(),
            name.as_bytes(),
            &iterations.to_be_bytes(),
            user.as_bytes(),
        ];
        let mut bytes = hmac(HashKind::Sha512, secret, &parts);
        bytes.truncate(length);
        bytes.into()
    };
    ScramKeys {
        hash,
        salt: expand("fake salt\0", SALT_BYTES),
        iterations,
        stored_key: expand("fake stored key\0", hash.digest_bytes()),
        server_key: expand("fake server key\0", hash.digest_bytes()),
    }
}

/// A number that is always the same for a user that does not exist and otherwise random: which of
/// the iteration counts in use it shows. See [`fake_keys`].
#[must_use]
pub fn fake_share(secret: &[u8], user: &str, hash: HashKind) -> u64 {
    let name = hash.as_str();
    let parts = [b"fake share\0", name.as_bytes(), user.as_bytes()];
    let digest = hmac(HashKind::Sha512, secret, &parts);
    let mut bytes = [0; 8];
    bytes
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    u64::from_be_bytes(bytes)
}

/// What a client may keep in place of the password, to spare itself the
/// derivation at its next login (RFC 5802 §5.1, `i`). Worth the password on
/// this server: to be guarded like it.
#[derive(Clone)]
pub struct ClientKeys {
    /// Hash function of the mechanism that the keys serve.
    pub hash: HashKind,
    /// The salt that the server sent.
    pub salt: Box<[u8]>,
    /// Rounds of PBKDF2 that the server asked for.
    pub iterations: u32,
    /// `ClientKey`: proves the client to the server.
    pub client_key: Box<[u8]>,
    /// `ServerKey`: verifies the server.
    pub server_key: Box<[u8]>,
}

impl ClientKeys {
    /// Derives the keys of a password, which is prepared by SASLprep.
    ///
    /// # Errors
    /// [`PasswordError`] when the string cannot be a password.
    pub fn derive(
        hash: HashKind,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ClientKeys, PasswordError> {
        let salted = salted_password(hash, &prepare_password(password)?, salt, iterations);
        Ok(ClientKeys {
            hash,
            salt: salt.into(),
            iterations,
            client_key: hmac(hash, &salted, &[b"Client Key"]).into(),
            server_key: hmac(hash, &salted, &[b"Server Key"]).into(),
        })
    }

    /// `StoredKey`, the hash of `ClientKey`.
    pub(super) fn stored_key(&self) -> Vec<u8> {
        super::hash(self.hash, &self.client_key)
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// `SaltedPassword` (RFC 5802 §3), by which a client lets its server make keys for another hash
/// (XEP-0480 §3). Worth the password on that server. Takes milliseconds by design.
///
/// # Errors
/// [`PasswordError`] when the string cannot be a password.
pub fn salt_password(
    hash: HashKind,
    password: &str,
    salt: &[u8],
    iterations: u32,
) -> Result<Vec<u8>, PasswordError> {
    let password = prepare_password(password)?;
    Ok(salted_password(hash, &password, salt, iterations))
}

/// RFC 5802 §2.2, `Hi`: PBKDF2 with HMAC, one block long.
fn salted_password(hash: HashKind, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut out = vec![0; hash.digest_bytes()];
    let password = password.as_bytes();
    match hash {
        HashKind::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut out),
        HashKind::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
        HashKind::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
    }
    out
}

/// RFC 5802 §2.2, `H`.
pub(in crate::sasl) fn hash(kind: HashKind, data: &[u8]) -> Vec<u8> {
    match kind {
        HashKind::Sha1 => Sha1::digest(data).to_vec(),
        HashKind::Sha256 => Sha256::digest(data).to_vec(),
        HashKind::Sha512 => Sha512::digest(data).to_vec(),
    }
}

/// RFC 5802 §2.2, `HMAC`, over the parts one after the other.
pub(in crate::sasl) fn hmac(kind: HashKind, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match kind {
        HashKind::Sha1 => mac::<Hmac<Sha1>>(key, parts),
        HashKind::Sha256 => mac::<Hmac<Sha256>>(key, parts),
        HashKind::Sha512 => mac::<Hmac<Sha512>>(key, parts),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any length (RFC 2104 §2)");
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// RFC 5802 §2.2, `XOR`, of two digests of one hash.
pub(super) fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(l, r)| l ^ r).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few, for the tests' time; the strength is not under test.
    const ITERATIONS: u32 = 3;

    #[test]
    fn only_the_password_verifies() {
        for hash in HashKind::ALL {
            let keys = ScramKeys::derive(hash, "pencil", b"salt", ITERATIONS).unwrap();
            assert!(keys.verify_password("pencil"));
            for wrong in ["Pencil", "pencil ", "penci", ""] {
                assert!(!keys.verify_password(wrong), "{wrong:?}");
            }
        }
    }

    #[test]
    fn spellings_that_saslprep_unites_are_one_password() {
        let keys = ScramKeys::derive(HashKind::Sha256, "\u{2168}", b"salt", ITERATIONS).unwrap();
        assert!(keys.verify_password("IX"));
    }

    #[test]
    fn keys_from_a_salted_password_are_those_of_the_password() {
        for hash in HashKind::ALL {
            let keys = ScramKeys::derive(hash, "pencil", b"salt", ITERATIONS).unwrap();
            let salted = salt_password(hash, "pencil", b"salt", ITERATIONS).unwrap();
            let made = ScramKeys::from_salted(hash, &salted, b"salt", ITERATIONS);
            assert_eq!(made, Some(keys));
            assert_eq!(ScramKeys::from_salted(hash, &salted[1..], b"salt", 1), None);
        }
    }

    #[test]
    fn fake_keys_are_stable_and_look_like_real_ones() {
        for hash in HashKind::ALL {
            let fake = fake_keys(b"secret", "tybalt@localhost", hash, ITERATIONS);
            let real = ScramKeys::derive(hash, "x", &[0; SALT_BYTES], ITERATIONS).unwrap();
            assert_eq!(
                fake,
                fake_keys(b"secret", "tybalt@localhost", hash, ITERATIONS)
            );
            assert_eq!(fake.salt.len(), real.salt.len());
            assert_eq!(fake.stored_key.len(), real.stored_key.len());
            assert_eq!(fake.server_key.len(), real.server_key.len());
            assert_ne!(fake.stored_key, fake.server_key);
            assert!(!fake.verify_password("x"));
        }
    }

    #[test]
    fn fake_keys_differ_by_secret_user_and_hash() {
        let salt = |secret: &[u8], user, hash| fake_keys(secret, user, hash, ITERATIONS).salt;
        let one = salt(b"secret", "tybalt@localhost", HashKind::Sha256);
        assert_ne!(one, salt(b"other", "tybalt@localhost", HashKind::Sha256));
        assert_ne!(one, salt(b"secret", "paris@localhost", HashKind::Sha256));
        assert_ne!(one, salt(b"secret", "tybalt@localhost", HashKind::Sha1));
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = ScramKeys::derive(HashKind::Sha1, "pencil", b"salt", ITERATIONS).unwrap();
        let shown = format!("{keys:?}");
        assert!(shown.contains("Sha1") && !shown.contains("key"));
    }
}
