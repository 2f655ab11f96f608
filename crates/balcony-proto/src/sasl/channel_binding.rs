//! RFC 5056 channel bindings: what ties an authentication to its TLS channel.

use std::fmt;

/// A kind of channel binding that we can compute.
///
/// `tls-unique` is missing on purpose: TLS 1.3 does not define it (RFC 9266 §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingType {
    /// RFC 9266: keying material exported from this very connection.
    TlsExporter,
    /// RFC 5929 §4: the hash of the server's certificate. Weaker, for a proxy
    /// may hold it, but XEP-0440 §4 has every server offer it.
    TlsServerEndPoint,
}

impl BindingType {
    /// Every type, the stronger first.
    pub const ALL: [BindingType; 2] = [BindingType::TlsExporter, BindingType::TlsServerEndPoint];

    /// The registered name (RFC 5056 §7).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BindingType::TlsExporter => "tls-exporter",
            BindingType::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    /// The type of that name, `None` if we cannot compute it.
    #[must_use]
    pub fn parse(name: &str) -> Option<BindingType> {
        Self::ALL
            .into_iter()
            .find(|binding| binding.as_str() == name)
    }
}

/// The channel bindings of one TLS connection; all `None` without TLS.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266 §2): 32 bytes exported under the label
    /// `EXPORTER-Channel-Binding`. `None` below TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 §4.1): the server certificate hashed
    /// by its signature's hash, SHA-256 in place of MD5 and SHA-1.
    pub server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// The data of that type, `None` if this channel has none.
    #[must_use]
    pub fn get(&self, binding: BindingType) -> Option<&[u8]> {
        match binding {
            BindingType::TlsExporter => self.exporter.as_ref().map(<[u8; 32]>::as_slice),
            BindingType::TlsServerEndPoint => self
                .server_end_point
                .as_deref()
                .filter(|data| !data.is_empty()),
        }
    }

    /// The types that this channel has, the stronger first: what the server
    /// advertises by XEP-0440.
    pub fn types(&self) -> impl Iterator<Item = BindingType> + '_ {
        BindingType::ALL
            .into_iter()
            .filter(|binding| self.get(*binding).is_some())
    }

    /// Whether the channel has no binding at all, so that no -PLUS mechanism may be offered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types().next().is_none()
    }
}

// The exporter's bytes are key material of the connection; they stay out of logs.
impl fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.types().map(BindingType::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_with_data_and_the_stronger_first() {
        let mut bindings = ChannelBindings::default();
        assert!(bindings.is_empty());
        bindings.server_end_point = Some(Vec::new());
        assert!(bindings.is_empty(), "no data is no binding");
        bindings.server_end_point = Some(vec![7; 32]);
        bindings.exporter = Some([9; 32]);
        assert_eq!(bindings.types().collect::<Vec<_>>(), BindingType::ALL);
        assert_eq!(
            bindings.get(BindingType::TlsExporter),
            Some([9; 32].as_slice())
        );
    }

    #[test]
    fn debug_keeps_the_bytes_to_itself() {
        let bindings = ChannelBindings {
            exporter: Some([231; 32]),
            server_end_point: None,
        };
        let shown = format!("{bindings:?}");
        assert!(shown.contains("tls-exporter") && !shown.contains("231"));
    }
}
