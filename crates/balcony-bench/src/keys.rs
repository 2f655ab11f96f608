//! What earlier logins derived from passwords, so that the cost of that stays out of the
//! measurements.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use balcony_proto::sasl::HashKind;
use balcony_proto::sasl::scram::ClientKeys;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// SCRAM keys by localpart.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: HashMap<String, ClientKeys>,
    changed: bool,
}

/// One account in the file.
#[derive(Serialize, Deserialize)]
struct Row {
    hash: String,
    salt: String,
    iterations: u32,
    client_key: String,
    server_key: String,
}

impl Keys {
    /// From a file that [`Keys::save`] wrote; none when it does not exist.
    ///
    /// # Errors
    /// [`Error::Usage`] when it holds something else.
    pub(crate) fn load(path: Option<&Path>) -> Result<Keys> {
        let Some(text) = path.and_then(|path| fs::read(path).ok()) else {
            return Ok(Keys::default());
        };
        let bad = || Error::Usage("the file of --keys holds something else".into());
        let rows: HashMap<String, Row> = serde_json::from_slice(&text).map_err(|_| bad())?;
        let keys = rows
            .into_iter()
            .map(|(user, row)| Some((user, row.read()?)));
        Ok(Keys {
            keys: keys.collect::<Option<_>>().ok_or_else(bad)?,
            changed: false,
        })
    }

    /// Writes them where a file is named and something changed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn save(&mut self, path: Option<&Path>) -> Result<()> {
        let Some(path) = path.filter(|_| self.changed) else {
            return Ok(());
        };
        let rows = self.keys.iter().map(|(user, keys)| (user, Row::new(keys)));
        let rows: HashMap<&String, Row> = rows.collect();
        let text = serde_json::to_vec(&rows).unwrap_or_default();
        self.changed = false;
        fs::write(path, text).map_err(Error::io(path.display().to_string()))
    }

    pub(crate) fn get(&self, user: &str) -> Option<ClientKeys> {
        self.keys.get(user).cloned()
    }

    pub(crate) fn put(&mut self, user: &str, keys: ClientKeys) {
        let old = self.keys.get(user);
        if old.is_some_and(|old| old.hash == keys.hash && old.client_key == keys.client_key) {
            return;
        }
        self.keys.insert(user.to_owned(), keys);
        self.changed = true;
    }
}

impl Row {
    fn new(keys: &ClientKeys) -> Row {
        Row {
            hash: keys.hash.as_str().to_owned(),
            salt: STANDARD.encode(&keys.salt),
            iterations: keys.iterations,
            client_key: STANDARD.encode(&keys.client_key),
            server_key: STANDARD.encode(&keys.server_key),
        }
    }

    fn read(&self) -> Option<ClientKeys> {
        let bytes = |text: &str| Some(STANDARD.decode(text).ok()?.into_boxed_slice());
        Some(ClientKeys {
            hash: HashKind::parse(&self.hash)?,
            salt: bytes(&self.salt)?,
            iterations: self.iterations,
            client_key: bytes(&self.client_key)?,
            server_key: bytes(&self.server_key)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_as_the_same_keys() {
        let keys = ClientKeys::derive(HashKind::Sha1, "call me but love", b"salt", 4096).unwrap();
        let read = Row::new(&keys).read().unwrap();
        assert_eq!(read.client_key, keys.client_key);
        assert_eq!(read.iterations, 4096);
        assert_eq!(read.hash, keys.hash);
    }
}
