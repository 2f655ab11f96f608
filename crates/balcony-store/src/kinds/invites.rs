use crate::{BoxFuture, Result};

/// An invitation to register on a host. Only a hash of its token is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The host that it is good for.
    pub host: String,
    /// Bare JID of who made it; `None`: the operator. It goes when that account is deleted.
    pub created_by: Option<String>,
    /// From then on it is not accepted.
    pub expires_at: i64,
    /// How many accounts may still be created with it; 0: used up, kept until it expires.
    pub uses: u32,
}

/// Reads of invitations.
pub trait Invites: Send + Sync {
    /// The invitation with this hash of its token, expired or not.
    fn get(&self, token_hash: &[u8]) -> BoxFuture<'_, Result<Option<Invite>>>;
}
