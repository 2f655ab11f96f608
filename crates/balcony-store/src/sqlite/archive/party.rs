//! Numbers for the other parties of messages, so that a filter by one reads the index alone.

use crate::kinds::archive::is_party;

/// Bits of a number that are of the whole JID; those above are of the bare one. With 40 of these,
/// two parties of an archive with ten thousand share theirs once in twenty thousand archives; what
/// is found by a number is compared with the JID itself, so only a count would be wrong.
const RESOURCE_BITS: u32 = 24;
const RESOURCES: u64 = (1 << RESOURCE_BITS) - 1;

/// The number of a bare or full JID. It is kept in the database: it may never change.
pub(super) fn number(peer: &str) -> i64 {
    let bare = peer.split_once('/').map_or(peer, |(bare, _)| bare);
    number_of(hash(bare), hash(peer))
}

fn number_of(bare: u64, whole: u64) -> i64 {
    ((bare & !RESOURCES) | (whole & RESOURCES)).cast_signed()
}

/// FNV-1a, stirred by the last step of MurmurHash3, since the bits at both ends are used.
fn hash(text: &str) -> u64 {
    let mut sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    sum = (sum ^ (sum >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    sum = (sum ^ (sum >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    sum ^ (sum >> 33)
}

/// Whose messages are meant.
pub(super) struct With {
    jid: Option<String>,
    /// The least number that one of them has.
    pub(super) least: i64,
    /// The greatest.
    pub(super) most: i64,
}

impl With {
    pub(super) fn anybody() -> With {
        With {
            jid: None,
            least: i64::MIN,
            most: i64::MAX,
        }
    }

    /// A bare JID stands for its resources too, a full one for itself.
    pub(super) fn jid(jid: &str) -> With {
        let (least, most) = match jid.contains('/') {
            true => (number(jid), number(jid)),
            false => (number_of(hash(jid), 0), number_of(hash(jid), RESOURCES)),
        };
        With {
            jid: Some(jid.to_owned()),
            least,
            most,
        }
    }

    pub(super) fn may_be(&self, number: i64) -> bool {
        (self.least..=self.most).contains(&number)
    }

    pub(super) fn is(&self, peer: &str) -> bool {
        self.jid.as_deref().is_none_or(|jid| is_party(peer, jid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_may_be_whom_it_means() {
        let juliet = With::jid("juliet@x");
        for peer in ["juliet@x", "juliet@x/a", "juliet@x/a/b"] {
            assert!(juliet.may_be(number(peer)) && juliet.is(peer));
            let exactly = With::jid(peer);
            assert!(exactly.may_be(number(peer)) && exactly.is(peer));
            assert!(With::anybody().may_be(number(peer)) && With::anybody().is(peer));
        }
        for peer in ["juliet@xy", "x", "nurse@x", "nurse@x/a"] {
            assert!(!juliet.may_be(number(peer)) && !juliet.is(peer));
        }
        assert!(!With::jid("juliet@x/a").may_be(number("juliet@x/b")));
    }

    /// Rows of a database that was made yesterday must be found.
    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(number("juliet@example.com"), 8_968_275_261_468_986_408);
        assert_eq!(
            number("juliet@example.com/balcony"),
            8_968_275_261_470_425_276
        );
    }
}
