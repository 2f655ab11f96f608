//! XEP-0474 SASL SCRAM Downgrade Protection 0.5.0: a hash over what the server
//! offered, under the signatures of SCRAM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::scram::hash;
use super::{HashKind, Mechanism};

/// XEP-0474 §5.1: between the items of one list. XML cannot carry it, so no name holds it.
const BETWEEN_ITEMS: &str = "\u{1e}";

/// XEP-0474 §5.1: between the two lists.
const BETWEEN_LISTS: &str = "\u{1f}";

/// What the server offered in the stream features, in the words it used.
///
/// With classic SASL and XEP-0388 side by side, the list of the one that the
/// client uses (XEP-0474 §5.1, note). The token mechanisms of XEP-0484 stand in
/// their own element and do not belong here.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Names of the mechanisms, in any order.
    pub mechanisms: &'a [&'a str],
    /// Names of the channel binding types, in any order; `None` when the
    /// features had no XEP-0440 element at all.
    pub channel_bindings: Option<&'a [&'a str]>,
}

impl Offer<'_> {
    /// Whether any mechanism on offer binds to the channel.
    #[must_use]
    pub fn has_plus(&self) -> bool {
        self.mechanisms
            .iter()
            .any(|name| Mechanism::parse(name).is_some_and(Mechanism::is_plus))
    }

    /// The value of the attribute `h`: base64 of the hash (XEP-0474 §5.1).
    #[must_use]
    pub(super) fn digest(&self, kind: HashKind) -> String {
        let mut text = joined(self.mechanisms);
        if let Some(types) = self.channel_bindings {
            text.push_str(BETWEEN_LISTS);
            text.push_str(&joined(types));
        }
        STANDARD.encode(hash(kind, text.as_bytes()))
    }
}

/// Sorted by "i;octet" (RFC 4790 §9.3): by bytes, as Rust compares strings.
fn joined(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.join(BETWEEN_ITEMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_xep_0474_has_its_hash() {
        // XEP-0474 §5.3.
        let offer = Offer {
            mechanisms: &["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
            channel_bindings: Some(&["tls-server-end-point", "tls-exporter"]),
        };
        assert_eq!(offer.digest(HashKind::Sha1), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn no_list_of_bindings_differs_from_an_empty_one() {
        let without = Offer {
            mechanisms: &["PLAIN"],
            channel_bindings: None,
        };
        let empty = Offer {
            mechanisms: &["PLAIN"],
            channel_bindings: Some(&[]),
        };
        assert_ne!(
            without.digest(HashKind::Sha256),
            empty.digest(HashKind::Sha256)
        );
    }

    #[test]
    fn plus_is_seen_among_unknown_names() {
        let offer = |mechanisms| {
            Offer {
                mechanisms,
                channel_bindings: None,
            }
            .has_plus()
        };
        assert!(offer(&["X-OAUTH2", "SCRAM-SHA-256-PLUS"]));
        assert!(!offer(&["X-OAUTH2", "SCRAM-SHA-256"]));
    }
}
