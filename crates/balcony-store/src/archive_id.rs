//! Public ids of archived messages: their place, behind a key.
//!
//! XEP-0359 §6 and XEP-0313 §3 want ids that nobody can guess, and a query by id wants the place
//! that an id stands for. One block of AES-128 gives both without an index: the ids of all messages
//! are a permutation of their places that only the key undoes.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::ArchiveId;

/// The name of the secret that holds the key.
pub(crate) const KEY: &str = "archive-ids";

/// Makes ids of places and finds the places of ids.
pub(crate) struct ArchiveIds(Aes128);

impl ArchiveIds {
    pub(crate) fn new(key: [u8; 16]) -> ArchiveIds {
        ArchiveIds(Aes128::new(&key.into()))
    }

    /// The id of a message: of the archive with this number, at this place.
    pub(crate) fn id(&self, archive: i64, seq: i64) -> ArchiveId {
        let place = (u128::from(archive.cast_unsigned()) << 64) | u128::from(seq.cast_unsigned());
        let mut block = place.to_be_bytes().into();
        self.0.encrypt_block(&mut block);
        ArchiveId(u128::from_be_bytes(block.into()))
    }

    /// The place in the archive with this number. `None`: the id is of another archive, or nobody
    /// ever made it.
    pub(crate) fn seq(&self, archive: i64, id: ArchiveId) -> Option<i64> {
        let mut block = id.0.to_be_bytes().into();
        self.0.decrypt_block(&mut block);
        let place = u128::from_be_bytes(block.into());
        let (of, seq) = ((place >> 64) as u64, place as u64);
        (of == archive.cast_unsigned()).then_some(seq.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_in_its_own_archive_only() {
        let ids = ArchiveIds::new([7; 16]);
        for (archive, seq) in [(1, 1), (1, 2), (2, 1), (i64::MAX, i64::MAX)] {
            let id = ids.id(archive, seq);
            assert_eq!(ids.seq(archive, id), Some(seq));
            assert_eq!(ids.seq(archive - 1, id), None);
            assert_eq!(ArchiveIds::new([8; 16]).seq(archive, id), None);
        }
    }

    #[test]
    fn neighbours_have_nothing_in_common() {
        let ids = ArchiveIds::new([7; 16]);
        let (one, next) = (ids.id(1, 1).0, ids.id(1, 2).0);
        assert!((one ^ next).count_ones() > 30, "{one:x} {next:x}");
    }

    /// Ids are kept by clients: what they mean may never change.
    #[test]
    fn ids_are_those_of_aes() {
        // FIPS 197, Appendix C.1.
        let key = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
        let ids = ArchiveIds::new(key);
        let id = ids.id(
            0x0011_2233_4455_6677,
            0x8899_aabb_ccdd_eeff_u64.cast_signed(),
        );
        assert_eq!(id.to_string(), "69c4e0d86a7b0430d8cdb78070b4c55a");
    }
}
