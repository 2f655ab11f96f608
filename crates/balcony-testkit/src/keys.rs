//! SCRAM keys, derived once for all tests of a process: PBKDF2 is slow on purpose.

use std::collections::HashMap;
use std::sync::LazyLock;

use balcony_proto::sasl::scram::ClientKeys;
use balcony_proto::sasl::{HashKind, ScramKeys};
use balcony_store::{HashName, ScramKey};
use parking_lot::Mutex;

/// The least that clients go along with (RFC 7677 §4).
const ITERATIONS: u32 = 4096;
const SALT: &[u8] = b"verona's orchard";

static ACCOUNTS: LazyLock<Mutex<HashMap<String, Vec<ScramKey>>>> = LazyLock::new(Mutex::default);
static CLIENTS: LazyLock<Mutex<HashMap<String, ClientKeys>>> = LazyLock::new(Mutex::default);

/// What an account with this password stores.
///
/// # Errors
/// The string cannot be a password.
pub(crate) fn of_account(password: &str) -> Result<Vec<ScramKey>, String> {
    let mut known = ACCOUNTS.lock();
    if let Some(keys) = known.get(password) {
        return Ok(keys.clone());
    }
    let keys: Vec<ScramKey> = HashKind::ALL
        .into_iter()
        .map(|kind| derive(kind, name(kind), password))
        .collect::<Result<_, _>>()?;
    known.insert(password.to_owned(), keys.clone());
    Ok(keys)
}

/// What the store calls a hash.
pub(crate) fn name(hash: HashKind) -> HashName {
    match hash {
        HashKind::Sha1 => HashName::Sha1,
        HashKind::Sha256 => HashName::Sha256,
        HashKind::Sha512 => HashName::Sha512,
    }
}

fn derive(kind: HashKind, hash: HashName, password: &str) -> Result<ScramKey, String> {
    let keys =
        ScramKeys::derive(kind, password, SALT, ITERATIONS).map_err(|error| error.to_string())?;
    Ok(ScramKey {
        hash,
        salt: keys.salt,
        iterations: keys.iterations,
        stored_key: keys.stored_key,
        server_key: keys.server_key,
    })
}

/// What a client with this password kept from its last login.
pub(crate) fn of_client(password: &str) -> Option<ClientKeys> {
    CLIENTS.lock().get(password).cloned()
}

/// Keeps it.
pub(crate) fn keep_client(password: &str, keys: ClientKeys) {
    CLIENTS.lock().insert(password.to_owned(), keys);
}
