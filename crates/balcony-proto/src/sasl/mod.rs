//! SASL (RFC 4422) as XMPP uses it (RFC 6120 §6): mechanisms of both roles.
//!
//! Everything here is pure: bytes come in and go out, randomness is passed in,
//! and no clock is read. What carries the bytes, classic SASL or XEP-0388, is
//! the stream's affair.

pub mod anonymous;
mod channel_binding;
mod downgrade;
mod encoding;
mod error;
pub mod external;
pub mod ht;
mod mechanism;
pub mod plain;
mod saslprep;
pub mod scram;

pub use channel_binding::{BindingType, ChannelBindings};
pub use downgrade::Offer;
pub use encoding::{decode, encode};
pub use error::SaslError;
pub use mechanism::{HashKind, Mechanism};
pub use saslprep::{PasswordError, prepare_password};
pub use scram::{ScramKeys, fake_keys, fake_share};

/// Longest SASL message in bytes that is looked at. In base64 it just exceeds
/// what a stream takes before login, so a longer one cannot be honest.
pub const MAX_MESSAGE_BYTES: usize = 8192;

/// Longest username in bytes: that of a localpart (RFC 7622 §3.3).
pub const MAX_USER_BYTES: usize = crate::jid::MAX_PART_BYTES;

/// Longest authorization identity in bytes: that of a JID (RFC 7622 §3.1).
pub const MAX_AUTHZID_BYTES: usize = crate::jid::MAX_JID_BYTES;

/// Longest password in bytes, before and after preparation. RFC 4616 §2 asks
/// for 255 at least; a bound keeps a stranger from buying hashing by the megabyte.
pub const MAX_PASSWORD_BYTES: usize = 1023;
