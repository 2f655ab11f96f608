//! Unpredictable bytes, passed in so that the machines stay pure and a test or a simulation can
//! repeat itself.

use std::fmt;
use std::sync::Arc;

use balcony_proto::sasl::scram::{NONCE_BYTES, Nonce, SALT_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 128 bits: a stream ID "MUST be both unpredictable and non-repeating" (RFC 6120 §4.7.3),
/// and tokens of fewer bits were guessed elsewhere.
const TOKEN_BYTES: usize = 16;

/// A source of unpredictable bytes. The server gives the operating system's, a test a counter.
/// Cloning it shares the source.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Random {
    /// `fill` must overwrite the whole slice with bytes that a peer cannot predict.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Random {
        Random(Arc::new(fill))
    }

    /// 22 characters of the URL-safe alphabet that carry 128 bits: fit for a stream ID and a
    /// resourcepart.
    pub fn token(&self) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        (self.0)(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Fills the slice.
    pub fn fill(&self, bytes: &mut [u8]) {
        (self.0)(bytes);
    }

    /// 43 characters of the URL-safe alphabet that carry 256 bits: a token's secret, as long as the
    /// key of its HMAC may be. 128 bits are the least (draft-schmaus-kitten-sasl-ht-09 §5).
    pub(crate) fn secret(&self) -> String {
        let mut bytes = [0; 2 * TOKEN_BYTES];
        (self.0)(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The salt of new SCRAM keys.
    pub(crate) fn salt(&self) -> [u8; SALT_BYTES] {
        let mut bytes = [0; SALT_BYTES];
        (self.0)(&mut bytes);
        bytes
    }

    /// One side's nonce of a SCRAM exchange.
    pub(crate) fn nonce(&self) -> Nonce {
        let mut bytes = [0; NONCE_BYTES];
        (self.0)(&mut bytes);
        Nonce::from_random(&bytes)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_all_its_bits_in_characters_that_xml_and_scram_allow() {
        let token = Random::new(|bytes| bytes.fill(0xff)).token();
        assert_eq!(token, "_____________________w");
    }
}
