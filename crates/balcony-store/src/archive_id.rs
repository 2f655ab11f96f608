//! Public ids of archived messages: a keyed permutation of archive and sequence.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::ArchiveId;

/// The name of the key among the secrets of the server.
pub(crate) const SECRET: &str = "archive";

/// Makes ids that nobody can guess or compare, and reads them back.
#[derive(Clone)]
pub(crate) struct ArchiveKey(Aes128);

impl ArchiveKey {
    pub(crate) fn new(key: &[u8; 16]) -> ArchiveKey {
        ArchiveKey(Aes128::new(&Array::from(*key)))
    }

    /// The id of the message `seq` in the archive of the account `number`.
    pub(crate) fn id(&self, number: i64, seq: i64) -> ArchiveId {
        let clear = (u128::from(number.cast_unsigned()) << 64) | u128::from(seq.cast_unsigned());
        let mut block = Array::from(clear.to_be_bytes());
        self.0.encrypt_block(&mut block);
        ArchiveId(u128::from_be_bytes(block.into()))
    }

    /// Which message an id stands for in the archive of this account; `None`: it is of another, or
    /// made up.
    pub(crate) fn seq(&self, number: i64, id: ArchiveId) -> Option<i64> {
        let mut block = Array::from(id.0.to_be_bytes());
        self.0.decrypt_block(&mut block);
        let clear = u128::from_be_bytes(block.into());
        let [of, seq] = [clear >> 64, clear & u128::from(u64::MAX)];
        let of = u64::try_from(of).ok()?.cast_signed();
        let seq = u64::try_from(seq).ok()?.cast_signed();
        (of == number && seq > 0).then_some(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_for_its_own_account_only() {
        let key = ArchiveKey::new(&[7; 16]);
        let id = key.id(3, 41);
        assert_eq!(key.seq(3, id), Some(41));
        assert_eq!(key.seq(4, id), None);
        assert_eq!(key.seq(3, ArchiveId(id.0 ^ 1)), None);
        assert_eq!(ArchiveKey::new(&[8; 16]).seq(3, id), None);
        assert_ne!(key.id(3, 42).0 - id.0, 1, "neighbours are not alike");
    }
}
