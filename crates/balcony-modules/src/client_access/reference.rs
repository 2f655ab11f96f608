//! The ids by which clients are named to their account.

use balcony_core::module::{Core, stanza_error};
use balcony_proto::stanza::StanzaError;
use balcony_store::secret_or_create;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::OnceCell;

/// Bytes of an id: nobody has so many clients that two would have the same.
const BYTES: usize = 12;

/// What ids are made with, the same over restarts. Read when somebody asks for the first time.
#[derive(Default)]
pub(super) struct Key(OnceCell<Vec<u8>>);

impl Key {
    /// # Errors
    /// What the client is told when the store does not answer.
    pub(super) async fn get(core: &Core) -> Result<&[u8], StanzaError> {
        let key = core.state::<Key>();
        let key = key.ok_or_else(StanzaError::internal_server_error)?;
        let store = core.store();
        let secret = key.0.get_or_try_init(|| async move {
            let mut fresh = vec![0_u8; 32];
            getrandom::fill(&mut fresh).map_err(|_| StanzaError::internal_server_error())?;
            let secret = secret_or_create(&**store, "client-access", fresh).await;
            secret.map_err(|cause| stanza_error(&cause))
        });
        Ok(secret.await?)
    }
}

/// §3.1: an opaque reference. What the client said of itself cannot be read from it, and who does
/// not know the key makes none; the same words always give the same.
pub(super) fn reference(key: &[u8], words: &[&str]) -> String {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any length (RFC 2104 §2)");
    };
    for word in words {
        mac.update(word.as_bytes());
        // In no address and no XML.
        mac.update(&[0]);
    }
    let mac = mac.finalize().into_bytes();
    URL_SAFE_NO_PAD.encode(mac.get(..BYTES).unwrap_or(&mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_depends_on_all_words_and_on_where_they_end() {
        let one = reference(b"key", &["romeo@localhost", "phone"]);
        assert_eq!(one, reference(b"key", &["romeo@localhost", "phone"]));
        assert_eq!(one.len(), 16);
        for other in [
            reference(b"another", &["romeo@localhost", "phone"]),
            reference(b"key", &["juliet@localhost", "phone"]),
            reference(b"key", &["romeo@localhostp", "hone"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
