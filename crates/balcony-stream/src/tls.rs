//! What a machine must know of the TLS connection below it.

use balcony_proto::sasl::ChannelBindings;

/// How the connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In clear; STARTTLS may follow (RFC 6120 §5).
    Plain,
    /// TLS comes first (XEP-0368).
    DirectTls,
}

/// A finished TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct TlsInfo {
    /// TLS 1.3 or later.
    pub version13: bool,
    /// The channel bindings of this connection (RFC 5056).
    pub bindings: ChannelBindings,
    /// The host that the client named in the handshake, if it did.
    pub sni: Option<String>,
    /// The protocol agreed on by ALPN, as `xmpp-client` (XEP-0368 §3), if any.
    pub alpn: Option<String>,
}

impl TlsInfo {
    /// The bindings that are safe to use. On TLS 1.2 `tls-exporter` is unique only with the
    /// extended master secret (RFC 9266 §4.2), which isn't known here, so only
    /// `tls-server-end-point` is left.
    pub(crate) fn into_usable(mut self) -> TlsInfo {
        if !self.version13 {
            self.bindings.exporter = None;
        }
        self
    }
}
