//! Client to server: one task for each client, from its first byte to its last.
//!
//! [`serve`] is the whole life of a connection: [`negotiate`] up to the bound resource, then
//! [`steady`] until the stream ends. The two are apart because an idle session must hold nothing
//! of its negotiation.

mod answers;
mod link;
mod negotiate;
mod output;
mod rate;
mod steady;

use std::net::IpAddr;
use std::sync::Arc;

use balcony_proto::sasl::Mechanism;
use balcony_stream::Security;

pub use link::{Link, TcpLink};

use crate::instance::Instance;

/// How a session came in: a note on it, for whoever asks about the sessions of an account.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) address: IpAddr,
    pub(crate) encrypted: bool,
    pub(crate) mechanism: Mechanism,
    /// What the client software called itself (XEP-0388 §2.4).
    pub(crate) client: Option<Box<str>>,
}

/// Serves one client until it is gone.
pub async fn serve<L: Link>(instance: Arc<Instance>, link: Arc<L>, security: Security) {
    // Boxed: what the negotiation holds is given back before the session begins.
    let negotiated = Box::pin(negotiate::negotiate(&instance, &link, security)).await;
    if let Some(negotiated) = negotiated {
        steady::run(instance, link, negotiated).await;
    }
}
