//! How a stream is framed on the wire: its header, its features, its errors and its end, for both
//! roles. All that differs on a WebSocket (RFC 7395 §3.3: `<open/>`, `<close/>`, no common root
//! element) passes through this file.

use balcony_proto::stream::{self, Features, StreamError, StreamHeader};

/// RFC 6120 §4.2: the header of our own stream, in its content namespace (§4.8.2).
pub(crate) fn write_header(header: &StreamHeader, content_ns: &'static str, out: &mut Vec<u8>) {
    stream::write_open(header, content_ns, out);
}

/// Whether the peer speaks XMPP 1.0 or later, numbers compared as numbers (RFC 6120 §4.7.5).
pub(crate) fn is_version_1(header: &StreamHeader) -> bool {
    header.version.is_some_and(|(major, _)| major >= 1)
}

/// RFC 6120 §4.3.2.
pub(crate) fn write_features(features: &Features, out: &mut Vec<u8>) {
    features.write(out);
}

/// RFC 6120 §4.9.2.
pub(crate) fn write_error(error: &StreamError, out: &mut Vec<u8>) {
    error.write(out);
}

/// RFC 6120 §4.4.
pub(crate) fn write_close(out: &mut Vec<u8>) {
    stream::write_close(out);
}
