//! Client to server: one task for each client, from its first byte to its last.
//!
//! [`serve`] is the whole life of a connection: [`negotiate`] up to the bound resource, then
//! [`steady`] until the stream ends. The two are apart because an idle session must hold nothing
//! of its negotiation.

mod answers;
mod link;
mod managed;
mod negotiate;
mod output;
mod steady;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::BoxFuture;
use balcony_net::Read;
use balcony_proto::sasl::Mechanism;
use balcony_stream::{Security, TlsInfo};

use link::read;
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
///
/// Each phase is boxed, so that none holds room for another: a stranger that says nothing costs
/// neither a negotiation nor a session, and an idle session holds nothing of its login. All of it
/// is boxed once more, because a task takes twice the room of its future.
pub fn serve<L: Link>(
    instance: Arc<Instance>,
    link: Arc<L>,
    security: Security,
) -> BoxFuture<'static, ()> {
    Box::pin(live(instance, link, security))
}

async fn live<L: Link>(instance: Arc<Instance>, link: Arc<L>, security: Security) {
    if let Some(session) = Box::pin(begin(instance, link, security)).await {
        session.await;
    }
}

/// Brings a client up to its bound resource. What follows is for the caller to run.
async fn begin<L: Link>(
    instance: Arc<Instance>,
    link: Arc<L>,
    security: Security,
) -> Option<BoxFuture<'static, ()>> {
    let Some(stranger) = instance.admit_stranger() else {
        tracing::warn!(peer = %link.peer(), "too many connections that are not logged in");
        return None;
    };
    let opening = Box::pin(open(&instance, &link, security)).await?;
    let negotiated = Box::pin(negotiate::negotiate(&instance, &link, opening)).await?;
    drop(stranger);
    Some(Box::pin(steady::run(instance, link, negotiated)))
}

/// What a connection begins with.
enum Opening {
    /// The first bytes; none when the time was over before any came.
    Plain { began: Duration, first: Vec<u8> },
    /// A TLS handshake (XEP-0368).
    Tls { began: Duration, tls: TlsInfo },
}

/// Waits until the peer says something; `None` when it left, or is told to.
async fn open<L: Link>(instance: &Instance, link: &Arc<L>, security: Security) -> Option<Opening> {
    let began = instance.core.clock().uptime();
    let timeouts = instance.core.config().limits.timeouts;
    if security == Security::DirectTls {
        let tls = tokio::select! {
            biased;
            tls = link.start_tls(timeouts.tls_handshake) => tls,
            () = instance.stopping() => return None,
        };
        return match tls {
            Ok(tls) => Some(Opening::Tls { began, tls }),
            Err(cause) => {
                tracing::debug!(peer = %link.peer(), cause, "no TLS");
                None
            }
        };
    }
    tokio::select! {
        biased;
        first = read(link, <[u8]>::to_vec) => match first {
            Ok(Read::Data(first)) => Some(Opening::Plain { began, first }),
            Ok(Read::Closed(_)) | Err(_) => None,
        },
        // Whoever said nothing in all that time gets an empty stream with the reason
        // (RFC 6120 §4.9.3.4), by the machine that is then made.
        () = tokio::time::sleep(timeouts.negotiation) => {
            Some(Opening::Plain { began, first: Vec::new() })
        }
        () = instance.stopping() => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F>(_: &dyn Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// What a connection's future holds is there for each of a hundred thousand of them.
    #[test]
    fn futures_that_idle_are_small() {
        let all = size(&|instance, link, security| live::<TcpLink>(instance, link, security));
        assert!(all <= 64, "every connection costs {all} bytes");
        let begin = size(&|instance, link, security| begin::<TcpLink>(instance, link, security));
        assert!(begin <= 128, "a stranger costs {begin} bytes more");
        let idle = size(&|instance, link, stream| steady::run::<TcpLink>(instance, link, stream));
        assert!(idle <= 448, "an idle session costs {idle} bytes");
    }
}
