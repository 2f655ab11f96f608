use crate::{BoxFuture, Error, Result, Store, Write, WriteSet};

/// Reads of keys that belong to the server itself, like the one for the salts of unknown users.
pub trait Secrets: Send + Sync {
    /// The secret with this name.
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;
}

/// The secret with this name, which is `fresh` if there was none. Whoever comes first decides:
/// all who ask at once, on any instance, get the same bytes.
///
/// # Errors
/// What the read or the commit gave.
pub async fn secret_or_create(store: &dyn Store, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>> {
    if let Some(value) = store.secrets().get(name).await? {
        return Ok(value);
    }
    let write = Write::SecretCreate {
        name: name.to_owned(),
        value: fresh.clone(),
    };
    match store.commit(WriteSet::from(write)).await {
        Ok(_) => Ok(fresh),
        Err(Error::Conflict(_)) => store.secrets().get(name).await?.ok_or(Error::NotFound),
        Err(error) => Err(error),
    }
}
