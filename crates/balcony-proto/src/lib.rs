//! XMPP's values and codecs: XML as RFC 6120 §11 restricts it, stanzas, stream headers and
//! errors, addresses, SASL and the payloads of extensions. No I/O, no clock, no async.

pub mod jid;
pub mod limits;
pub mod map;
pub mod ns;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod xep;
pub mod xml;

pub use jid::Jid;
