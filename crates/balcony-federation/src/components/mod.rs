//! XEP-0114 Jabber Component Protocol 1.6: external components, and what waits for them.

mod connection;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use balcony_core::Core;
use balcony_core::config::{self, Config, Secret};
use balcony_core::remote::{Admitted, Departing};
use balcony_proto::stanza::{Stanza, StanzaError};
use balcony_proto::stream::{StreamCondition, StreamError};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use connection::serve;

/// The component whose domain this is.
pub(crate) fn owner<'c>(config: &'c Config, domain: &str) -> Option<&'c config::Component> {
    config
        .components
        .iter()
        .find(|component| component.has(domain))
}

/// The components that are connected, by name.
#[derive(Default)]
pub(crate) struct Components {
    attached: Mutex<HashMap<String, Proved>>,
}

/// One that is connected.
struct Proved {
    attached: Arc<Attached>,
    /// By which it is.
    secret: Secret,
}

/// What waits for a component that is connected.
#[derive(Default)]
pub(crate) struct Attached {
    queue: Mutex<Queue>,
    /// Rings when there is something to write, or the connection is to end.
    bell: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Departing>,
    bytes: usize,
    /// Why the connection is to end.
    end: Option<StreamError>,
}

impl Components {
    /// Whether the component of this name is connected.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attached.lock().contains_key(name)
    }

    /// Whether a stanza would be taken.
    pub(crate) fn admit(
        &self,
        component: &config::Component,
        stanza: &Stanza,
    ) -> Result<Admitted, StanzaError> {
        let attached = self.attached.lock();
        let Some(Proved { attached, .. }) = attached.get(&component.name) else {
            // RFC 6120 §8.3.3.19: it is not there now.
            return Err(StanzaError::service_unavailable());
        };
        let mut queue = attached.queue.lock();
        if queue.bytes > 0 && queue.bytes + stanza.size() > component.queue {
            // RFC 6120 §4.9.3.17: it does not read.
            queue.end = Some(StreamError::new(StreamCondition::ResourceConstraint));
            attached.bell.notify_one();
            return Err(StanzaError::resource_constraint());
        }
        Ok(Admitted::Now)
    }

    pub(crate) fn send(&self, core: &Arc<Core>, name: &str, departing: Departing) {
        let attached = self.attached.lock();
        // Under the lock: what is pushed after `detach` has looked would be lost.
        if let Some(proved) = attached.get(name) {
            return proved.attached.push(departing);
        }
        drop(attached);
        core.returned(&departing, &StanzaError::service_unavailable());
    }

    /// A component is there. False when one of that name is already.
    fn attach(&self, name: &str, component: &Arc<Attached>, secret: Secret) -> bool {
        let mut attached = self.attached.lock();
        if attached.contains_key(name) {
            return false;
        }
        let attached_as = Proved {
            attached: Arc::clone(component),
            secret,
        };
        attached.insert(name.to_owned(), attached_as);
        true
    }

    /// Closes the streams of components that a new configuration does not have, or has by another
    /// secret.
    pub(crate) fn enforce(&self, config: &Config) {
        for (name, proved) in &*self.attached.lock() {
            let mut all = config.components.iter();
            let stays = all.any(|c| c.name == *name && c.secret == proved.secret);
            if !stays {
                let error = StreamError::new(StreamCondition::NotAuthorized);
                proved
                    .attached
                    .end(error.with_text("the configuration changed"));
            }
        }
    }

    /// It is gone; what it did not get goes back to whoever sent it.
    fn detach(&self, core: &Arc<Core>, name: &str) {
        let gone = self.attached.lock().remove(name);
        let Some(gone) = gone else { return };
        let left = std::mem::take(&mut gone.attached.queue.lock().waiting);
        let error = StanzaError::service_unavailable();
        left.iter()
            .for_each(|departing| core.returned(departing, &error));
    }
}

impl Attached {
    fn push(&self, departing: Departing) {
        let mut queue = self.queue.lock();
        queue.bytes += departing.stanza.size();
        queue.waiting.push_back(departing);
        drop(queue);
        self.bell.notify_one();
    }

    fn pop(&self) -> Option<Stanza> {
        let mut queue = self.queue.lock();
        let first = queue.waiting.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(first.stanza.size());
        Some(first.stanza)
    }

    fn end(&self, error: StreamError) {
        self.queue.lock().end = Some(error);
        self.bell.notify_one();
    }

    fn take_end(&self) -> Option<StreamError> {
        self.queue.lock().end.take()
    }
}
