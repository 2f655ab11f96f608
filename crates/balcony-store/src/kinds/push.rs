use crate::{BoxFuture, Result, Stored};

/// Where an account's notifications go for one client (XEP-0357 §5). There is one for each push
/// service and node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRegistration {
    /// The push service.
    pub jid: String,
    /// Its node for the client; empty when the client named none.
    pub node: String,
    /// The data form that goes with each notification. `None`: the client gave none.
    pub options: Option<Stored>,
    /// The resourcepart of the session that asked for it last.
    pub resource: String,
    /// When that was.
    pub created: i64,
    /// Why nothing goes there any more. `None`: it does.
    pub disabled: Option<String>,
}

/// Reads of push registrations. `account` is a bare JID.
pub trait PushRegistrations: Send + Sync {
    /// All of an account, ordered by service and node; none when there is no such account.
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<PushRegistration>>>;
}
