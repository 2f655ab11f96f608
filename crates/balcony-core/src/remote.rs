//! The way to domains that others serve: servers of other domains and external components.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, MessageType, Stanza, StanzaError};
use balcony_store::{RemoteRow, Stored, Write};
use parking_lot::Mutex;

use crate::Core;
use crate::envelope::{Envelope, Origin, Side};
use crate::walk::Accepted;

/// The canonical form of a stanza in a stream whose content namespace is `jabber:client`.
const CANONICAL: u16 = 1;

/// Rows that are read at once after a start.
const PAGE: u32 = 500;

/// A stanza on its way to a domain that is not ours.
#[derive(Debug)]
pub struct Departing {
    /// The stanza; its `from` and `to` are set.
    pub stanza: Stanza,
    /// When the server took it on: microseconds since the Unix epoch, UTC.
    pub received_at: i64,
    /// Its row in the store, which goes by [`Core::arrived`]. `None`: it is not kept.
    pub kept: Option<i64>,
    /// Its sender is not told when it does not arrive: it knows nothing of it.
    pub quiet: bool,
}

/// What is known of a stanza before it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may wait, and is kept until it arrived if it is a message with content.
    Waits,
    /// It is delivered now or not at all.
    Now,
}

/// A domain with which there are streams now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host here.
    pub local: String,
    /// The other domain.
    pub domain: String,
    /// Its streams, one for each.
    pub ways: Vec<Way>,
}

/// In which direction stanzas go over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To this server.
    Incoming,
    /// From this server.
    Outgoing,
    /// Both (XEP-0288).
    Both,
}

/// Whoever brings stanzas to domains that are not ours.
pub trait Remote: Send + Sync + 'static {
    /// Whether it is somebody whose streams end here: a component.
    fn is_ours(&self, core: &Core, domain: &str) -> bool;

    /// Whether the component of this name is connected.
    fn has_component(&self, _name: &str) -> bool {
        false
    }

    /// Whether a stanza would be taken.
    ///
    /// # Errors
    /// What its sender is to be told.
    fn admit(&self, core: &Core, stanza: &Stanza) -> Result<Admitted, StanzaError>;

    /// Takes it. Whoever takes it sees to it that it arrives, or that its sender gets an error.
    fn send(&self, core: &Arc<Core>, departing: Departing);

    /// The servers of others with which there are streams now, but no components.
    fn peers(&self) -> Vec<Peer> {
        Vec::new()
    }
}

/// A server without others: nothing leaves it.
pub struct Nowhere;

impl Remote for Nowhere {
    fn is_ours(&self, _: &Core, _: &str) -> bool {
        false
    }

    fn admit(&self, _: &Core, _: &Stanza) -> Result<Admitted, StanzaError> {
        // RFC 6120 §8.3.3.16
        Err(StanzaError::remote_server_not_found())
    }

    fn send(&self, _: &Arc<Core>, _: Departing) {}
}

/// Ids of rows: they grow, also over a restart, so that the order of the rows is that of time.
#[derive(Default)]
pub(crate) struct RemoteIds {
    last: AtomicI64,
    /// Rows that are not wanted any more.
    arrived: Mutex<Vec<i64>>,
}

impl RemoteIds {
    fn next(&self, received_at: i64) -> i64 {
        let next = |last: i64| Some(received_at.max(last.saturating_add(1)));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_default();
        received_at.max(last.saturating_add(1))
    }

    fn take_arrived(&self) -> Vec<i64> {
        std::mem::take(&mut *self.arrived.lock())
    }
}

impl Core {
    /// Whether stanzas for this domain are handled here: by a host, a service or a component.
    #[must_use]
    pub fn is_ours(&self, domain: &str) -> bool {
        self.serves(domain) || self.service(domain).is_some() || self.remote.is_ours(self, domain)
    }

    /// Whether an address is at no host or service of this server: what is for it departs.
    #[must_use]
    pub fn is_elsewhere(&self, jid: &Jid) -> bool {
        !self.serves(jid.domain()) && self.service(jid.domain()).is_none()
    }

    /// Whether an external component is connected, by the domain of its own.
    #[must_use]
    pub fn has_component(&self, name: &str) -> bool {
        self.remote.has_component(name)
    }

    /// Whether a stanza would leave for its domain, or what its sender is told.
    ///
    /// # Errors
    /// What keeps it here.
    pub fn may_depart(&self, stanza: &Stanza) -> Result<(), StanzaError> {
        self.remote.admit(self, stanza).map(drop)
    }

    /// Takes a stanza that came from another domain or a component. Its `from` is proved and its
    /// `to` is [ours](Core::is_ours). Otherwise as [`Core::accept`].
    pub fn accept_foreign(self: &Arc<Self>, stanza: Stanza, behind: bool) -> Accepted {
        // Whoever proved a domain of ours, or none, is mistaken for nobody of ours.
        if !self.may_be_foreign(&stanza) {
            tracing::error!(from = ?stanza.from, to = ?stanza.to, "no stanza of another domain");
            return Accepted::Done;
        }
        self.accept_from(Origin::Foreign, stanza, behind)
    }

    fn may_be_foreign(&self, stanza: &Stanza) -> bool {
        let from = stanza.from.as_ref();
        stanza.to.is_some() && from.is_some_and(|from| self.is_elsewhere(from))
    }

    /// Hands a stanza over to a domain that others serve, past all stages and at once: for whoever
    /// must keep an order among many recipients. It is not kept. When it cannot leave, its sender
    /// gets the error, behind what is being handled.
    pub fn depart(self: &Arc<Self>, stanza: Stanza) {
        self.depart_so(stanza, false);
    }

    /// The same for what the sender that it names knows nothing of: when it does not arrive, nobody
    /// is told.
    pub fn depart_quietly(self: &Arc<Self>, stanza: Stanza) {
        self.depart_so(stanza, true);
    }

    fn depart_so(self: &Arc<Self>, stanza: Stanza, quiet: bool) {
        let departing = Departing {
            stanza,
            received_at: self.clock.utc_micros(),
            kept: None,
            quiet,
        };
        match self.remote.admit(self, &departing.stanza) {
            Ok(_) => self.remote.send(self, departing),
            Err(error) => self.returned(&departing, &error),
        }
    }

    /// The servers of others with which there are streams now.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.remote.peers()
    }

    /// Stanzas that were kept have arrived. They are forgotten with the next one that is kept, or
    /// when [`Core::forget_arrived`] is called: a sync for each would be half of what a message
    /// costs, and a crash meanwhile costs a repetition.
    pub fn arrived(&self, ids: Vec<i64>) {
        self.remote_ids.arrived.lock().extend(ids);
    }

    /// Forgets what has arrived. To be called about once a second, and before the end. Nobody waits
    /// for it.
    pub fn forget_arrived(&self) {
        self.forget(self.remote_ids.take_arrived());
    }

    fn forget(&self, ids: Vec<i64>) {
        if !ids.is_empty() {
            drop(self.store.commit(Write::RemoteDone { ids }.into()));
        }
    }

    /// Gives a stanza that cannot be brought to its domain back to its sender, behind what is being
    /// handled: whoever sends may hold what the sender needs to take it back.
    pub fn returned(self: &Arc<Self>, departing: &Departing, error: &StanzaError) {
        let answer = departing.stanza.error(error);
        if let Some(answer) = answer.filter(|_| !departing.quiet) {
            let core = Arc::clone(self);
            tokio::spawn(async move {
                if let Some(pending) = core.submit(answer) {
                    pending.await;
                }
            });
        }
        // At once: its sender is told.
        self.forget(departing.kept.into_iter().collect());
    }

    /// Puts all that was kept when the server ended on its way again, in its order. Before
    /// anybody is connected.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore_remote(self: &Arc<Self>) -> Result<usize, balcony_store::Error> {
        let mut restored = 0;
        let mut after = i64::MIN;
        loop {
            let page = self.store.remote().after(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(restored);
            };
            after = last.id;
            self.remote_ids.last.fetch_max(after, Ordering::Relaxed);
            for row in page {
                let Some(departing) = read(row) else {
                    continue;
                };
                restored += 1;
                match self.remote.admit(self, &departing.stanza) {
                    Ok(_) => self.remote.send(self, departing),
                    Err(error) => self.returned(&departing, &error),
                }
            }
        }
    }

    /// Has a message with content kept until it arrived; answers its row.
    pub(crate) fn keep_departing(&self, envelope: &mut Envelope) -> Option<i64> {
        let domain = envelope.to().map(Jid::domain)?.to_owned();
        if !is_worth_keeping(envelope) {
            return None;
        }
        let received_at = envelope.received_at();
        let id = self.remote_ids.next(received_at);
        let row = RemoteRow {
            id,
            domain,
            received_at,
            stanza: Stored {
                format: CANONICAL,
                bytes: envelope.stanza.to_bytes(),
            },
        };
        envelope.writes.push(Write::RemotePush { row });
        let ids = self.remote_ids.take_arrived();
        if !ids.is_empty() {
            envelope.writes.push(Write::RemoteDone { ids });
        }
        Some(id)
    }
}

/// What a person wrote: it is lost for good when nobody keeps it. What the server itself says is
/// said again by the server.
fn is_worth_keeping(envelope: &Envelope) -> bool {
    use MessageType::{Chat, Groupchat, Normal};
    let kind = envelope.stanza.kind;
    let speech = matches!(kind, Kind::Message(Chat | Normal | Groupchat));
    speech
        && envelope.session().is_some()
        && (envelope.is_archived(Side::Sender) || envelope.stanza.body().is_some())
}

fn read(row: RemoteRow) -> Option<Departing> {
    let stanza = match row.stanza.format {
        CANONICAL => Stanza::parse(&row.stanza.bytes),
        _ => None,
    };
    let Some(stanza) = stanza else {
        tracing::error!(
            id = row.id,
            domain = row.domain,
            "a kept stanza cannot be read; it stays in the store"
        );
        return None;
    };
    Some(Departing {
        stanza,
        received_at: row.received_at,
        kept: Some(row.id),
        quiet: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::{Clock, Parts};
    use balcony_proto::ns;
    use balcony_proto::xml::Element;
    use balcony_store::MemoryStore;

    #[test]
    fn ids_grow_whatever_the_clock_says() {
        let ids = RemoteIds::default();
        let given: Vec<i64> = [5, 5, 3, 9].into_iter().map(|at| ids.next(at)).collect();
        assert_eq!(given, [5, 6, 7, 9]);
    }

    /// A message of a client for another domain, as it is committed.
    fn speech(core: &Core, at: i64) -> Envelope {
        let stanza = Stanza::message(MessageType::Chat)
            .with_to(Jid::parse("juliet@mantua.example").unwrap())
            .with_element(Element::new(ns::CLIENT, "body").with_text("Hi"));
        let romeo = Jid::parse("romeo@localhost/orchard").unwrap();
        let bound = core.bind(&romeo.bare(), romeo.resource(), Arc::new(Still));
        Envelope::new(stanza, Origin::Session(bound.unwrap()), at)
    }

    struct Still;

    impl crate::Wake for Still {
        fn wake(&self) {}
    }

    async fn kept(core: &Core) -> Vec<i64> {
        let rows = core.store.remote().after(i64::MIN, PAGE).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    }

    #[tokio::test]
    async fn what_has_arrived_goes_with_the_next_that_is_kept_or_when_it_is_time() {
        let parts = Parts {
            config: Config::parse("", None, &[]).unwrap(),
            store: Arc::new(MemoryStore::new()),
            cluster: Arc::new(balcony_cluster::Local::alone()),
            remote: Arc::new(Nowhere),
            clock: Clock::virtual_at(0),
            modules: &[],
        };
        let core = Core::new(parts).await.unwrap();
        let mut first = speech(&core, 1);
        let row = core.keep_departing(&mut first).unwrap();
        core.store.commit(first.writes).await.unwrap();
        core.arrived(vec![row]);
        assert_eq!(kept(&core).await, [row]);
        let mut second = speech(&core, 2);
        let next = core.keep_departing(&mut second).unwrap();
        core.store.commit(second.writes).await.unwrap();
        assert_eq!(kept(&core).await, [next]);
        core.arrived(vec![next]);
        core.forget_arrived();
        assert!(kept(&core).await.is_empty());
    }
}
