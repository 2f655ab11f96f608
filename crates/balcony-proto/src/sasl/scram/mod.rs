//! RFC 5802 SCRAM with SHA-1, SHA-256 (RFC 7677) and SHA-512, and their -PLUS
//! variants, for both roles.
//!
//! Each side is a machine of three steps that is fed the peer's messages. Out
//! of turn it refuses; after a refusal it stays refused.

mod client;
mod keys;
mod message;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use client::{Client, ClientError, Login, MAX_ITERATIONS, MIN_ITERATIONS, Secret};
pub use keys::{ClientKeys, SALT_BYTES, ScramKeys, fake_keys, fake_share, salt_password};
pub(super) use keys::{hash, hmac};
pub use server::{NeedKeys, Server};

/// Bytes of randomness for a [`Nonce`]: 144 bits, of which base64 makes 24
/// characters without padding.
pub const NONCE_BYTES: usize = 18;

/// One side's part of the nonce (RFC 5802 §5.1, `r`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// Makes printable text of fresh random bytes; the caller has them from
    /// the operating system, and uses them once.
    #[must_use]
    pub fn from_random(bytes: &[u8; NONCE_BYTES]) -> Nonce {
        Nonce(STANDARD.encode(bytes).into())
    }

    /// Takes the text as it is, for replaying a known exchange; `None` if it
    /// is no nonce.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Nonce> {
        message::is_nonce(text).then(|| Nonce(text.into()))
    }

    /// The text that goes into the message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 5802 §3: what both sides sign.
fn auth_message(client_first_bare: &str, server_first: &str, without_proof: &str) -> String {
    [client_first_bare, server_first, without_proof].join(",")
}

/// RFC 5802 §7, `cbind-input`, in the base64 of the attribute `c`.
fn channel_binding(gs2_header: &str, data: Option<&[u8]>) -> String {
    let mut input = gs2_header.as_bytes().to_vec();
    input.extend_from_slice(data.unwrap_or_default());
    STANDARD.encode(input)
}

#[cfg(test)]
mod tests;
