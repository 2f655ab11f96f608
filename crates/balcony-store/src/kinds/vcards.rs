use crate::{BoxFuture, Result, Stored};

/// A vCard (XEP-0054).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VCard {
    /// The vCard element.
    pub payload: Stored,
    /// SHA-1 of the photo's decoded bytes, for presence (XEP-0153 §2, XEP-0398); `None`: no photo.
    pub photo_sha1: Option<[u8; 20]>,
}

/// Reads of vCards. `account` is a bare JID.
pub trait VCards: Send + Sync {
    /// The whole vCard.
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<VCard>>>;
    /// The hash of its photo, without reading the vCard. `None`: no vCard or no photo.
    fn photo(&self, account: &str) -> BoxFuture<'_, Result<Option<[u8; 20]>>>;
}
