//! What one stream carries to the other side: it takes from the queue of the domain, writes, and
//! keeps what is not acknowledged (XEP-0198 §4), so that it goes out again over another stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use balcony_core::Core;
use balcony_core::remote::Departing;

use crate::Shared;
use crate::facts::Live;
use crate::peer::Peer;
use crate::queue::Carrier;
use crate::wire::Wire;

/// Stanzas that may be written and not acknowledged: what a peer takes in a round trip of a fifth
/// of a second at a thousand a second, five times over. More would be sent twice after a cut.
const WINDOW: usize = 1_000;

/// See the text of the module.
pub(crate) struct Cargo {
    shared: Arc<Shared>,
    core: Arc<Core>,
    peer: Arc<Peer>,
    carrier: Carrier,
    /// Our domains whose stanzas go over this stream.
    locals: Vec<Box<str>>,
    /// Written, and not known to have arrived; the first `uncounted` before stanzas were counted.
    window: VecDeque<(Box<str>, Departing)>,
    uncounted: usize,
    counts: bool,
}

impl Cargo {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        peer: &Arc<Peer>,
        carrier: Carrier,
    ) -> Cargo {
        Cargo {
            shared: Arc::clone(shared),
            core: Arc::clone(core),
            peer: Arc::clone(peer),
            carrier,
            locals: Vec::new(),
            window: VecDeque::new(),
            uncounted: 0,
            counts: false,
        }
    }

    /// From now on this stream carries what our domain sends, unless another does.
    pub(crate) fn carry(&mut self, local: &str) {
        if !self.carries(local) && self.peer.hand(local, &self.carrier) {
            self.locals.push(local.into());
        }
    }

    pub(crate) fn carries(&self, local: &str) -> bool {
        self.locals.iter().any(|own| **own == *local)
    }

    /// From the next stanza on the other side acknowledges.
    pub(crate) fn count(&mut self) {
        if !std::mem::replace(&mut self.counts, true) {
            self.uncounted = self.window.len();
        }
    }

    /// Writes as much of what waits as may be on its way; answers how many stanzas.
    pub(crate) fn load(&mut self, wire: &mut Wire, live: &Live) -> usize {
        let mut loaded = 0;
        for local in &self.locals {
            while !wire.is_full()
                && self.window.len() < WINDOW
                && let Some(departing) = self.peer.take(local)
            {
                departing.stanza.write(wire.out());
                self.window.push_back((local.clone(), departing));
                loaded += 1;
            }
        }
        if !self.counts {
            self.uncounted = self.window.len();
        }
        if loaded > 0 {
            live.sent(loaded as u64, self.core.clock().uptime());
        }
        loaded
    }

    /// All that was loaded is written to the socket: of what is not acknowledged no more is ever
    /// known. Answers how many stanzas that are.
    pub(crate) fn written(&mut self) -> usize {
        let uncounted = std::mem::take(&mut self.uncounted);
        self.arrived(uncounted)
    }

    /// The other side has handled so many more; answers how many of them were of this cargo.
    pub(crate) fn acknowledged(&mut self, stanzas: usize) -> usize {
        self.arrived(stanzas)
    }

    /// Whether something is written that is not known to have arrived.
    pub(crate) fn is_loaded(&self) -> bool {
        !self.window.is_empty()
    }

    /// Whether the other side acknowledges.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether the other side is to be asked what it has.
    pub(crate) fn waits(&self) -> bool {
        self.counts && self.window.len() > self.uncounted
    }

    fn arrived(&mut self, stanzas: usize) -> usize {
        let mut bytes = 0;
        let mut kept = Vec::new();
        let stanzas = stanzas.min(self.window.len());
        for (_, departing) in self.window.drain(..stanzas) {
            bytes += departing.stanza.size();
            kept.extend(departing.kept);
        }
        let delivered = &self.shared.counters.delivered;
        delivered.fetch_add(stanzas as u64, Ordering::Relaxed);
        self.peer.settle(&self.shared, bytes);
        if !kept.is_empty() {
            self.core.arrived(kept);
        }
        stanzas
    }
}

impl Drop for Cargo {
    fn drop(&mut self) {
        let back = std::mem::take(&mut self.window).into();
        let (shared, core) = (&self.shared, &self.core);
        self.peer.release(shared, core, self.carrier.id, back);
    }
}
