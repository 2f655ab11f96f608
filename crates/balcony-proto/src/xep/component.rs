//! XEP-0114 Jabber Component Protocol 1.6: the handshake.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// §3: the text of `<handshake/>` on the stream with this id.
#[must_use]
pub fn handshake(stream_id: &str, secret: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(stream_id.as_bytes());
    hash.update(secret.as_bytes());
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it is the right one, in a time that does not tell how much of it is.
#[must_use]
pub fn is_handshake(text: &str, stream_id: &str, secret: &str) -> bool {
    let ours = handshake(stream_id, secret);
    ours.as_bytes().ct_eq(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_a_digest_in_lower_case() {
        // §3, whose secret is this.
        let text = handshake("3BF96D32", "test");
        assert_eq!(text, "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
        assert!(is_handshake(&text, "3BF96D32", "test"));
        assert!(!is_handshake(&text.to_uppercase(), "3BF96D32", "test"));
        assert!(!is_handshake("", "3BF96D32", "test"));
    }
}
