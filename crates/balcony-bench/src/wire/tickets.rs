//! What resumes TLS sessions (RFC 8446 §2.2).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// The tickets of all connections to one server, in one heap: each resumes one session, and whose
/// it was does not matter to TLS. There are one or two for each handshake of a run, so they need no
/// bound.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    heap: Mutex<Vec<Tls13ClientSessionValue>>,
    /// Until then they are only kept: who comes first has none of its own.
    used: AtomicBool,
}

impl Tickets {
    /// From now on they are used.
    pub(super) fn use_them(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.heap().len()
    }

    fn heap(&self) -> MutexGuard<'_, Vec<Tls13ClientSessionValue>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TLS 1.2 is not spoken here, and the group that the client offers first is one that every server
/// takes.
impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.heap().push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let used = self.used.load(Ordering::Relaxed);
        used.then(|| self.heap().pop()).flatten()
    }
}
