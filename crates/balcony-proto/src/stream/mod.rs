//! What a stream itself says: its header, its features, its errors (RFC 6120 §4).

mod error;
pub mod features;
mod header;

pub use error::{StreamCondition, StreamError};
pub use features::Features;
pub use header::{StreamHeader, write_close, write_open};
