//! What one stream carries to the other side: it takes from the queue of the domain, writes, and
//! keeps what is not acknowledged (XEP-0198 §4), so that it goes out again over another stream.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
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
    /// Those that it would carry, and another stream does.
    wishes: Vec<Box<str>>,
    /// Something arrived there by this stream.
    brought: bool,
    window: Window<(Box<str>, Departing)>,
}

/// What is written and not known to have arrived.
#[derive(Debug)]
struct Window<T> {
    sent: VecDeque<T>,
    /// How many of the first were written before stanzas were counted.
    uncounted: usize,
    counts: bool,
}

impl<T> Window<T> {
    fn new() -> Self {
        Window {
            sent: VecDeque::new(),
            uncounted: 0,
            counts: false,
        }
    }

    fn push(&mut self, sent: T) {
        self.sent.push_back(sent);
        if !self.counts {
            self.uncounted = self.sent.len();
        }
    }

    /// Whether an answer to `<r/>` would tell something.
    fn waits(&self) -> bool {
        self.counts && self.sent.len() > self.uncounted
    }

    /// What the socket took and nobody will acknowledge.
    fn written(&mut self) -> Drain<'_, T> {
        let uncounted = std::mem::take(&mut self.uncounted);
        self.first(uncounted)
    }

    /// So many more of what is counted, and all that was written before it.
    fn acknowledged(&mut self, stanzas: usize) -> Drain<'_, T> {
        let uncounted = std::mem::take(&mut self.uncounted);
        self.first(uncounted.saturating_add(stanzas))
    }

    fn first(&mut self, stanzas: usize) -> Drain<'_, T> {
        let stanzas = stanzas.min(self.sent.len());
        self.sent.drain(..stanzas)
    }
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
            wishes: Vec::new(),
            brought: false,
            window: Window::new(),
        }
    }

    /// From now on this stream carries what our domain sends, or from when on no other does.
    pub(crate) fn carry(&mut self, local: &str) {
        let knows = |list: &[Box<str>]| list.iter().any(|own| **own == *local);
        if knows(&self.locals) || knows(&self.wishes) {
            return;
        }
        self.wishes.push(local.into());
        self.look();
    }

    /// Takes over what another stream carried and does no longer.
    fn look(&mut self) {
        let (peer, carrier) = (&self.peer, &self.carrier);
        let ours = self
            .wishes
            .extract_if(.., |local| peer.hand(local, carrier));
        self.locals.extend(ours);
    }

    /// Whether it was of use.
    pub(crate) fn has_brought(&self) -> bool {
        self.brought
    }

    /// From the next stanza on the other side acknowledges.
    pub(crate) fn count(&mut self) {
        self.window.counts = true;
    }

    /// Writes as much of what waits as may be on its way; answers how many stanzas.
    pub(crate) fn load(&mut self, wire: &mut Wire, live: &Live) -> usize {
        let mut loaded = 0;
        self.look();
        for local in &self.locals {
            while !wire.is_full()
                && self.window.sent.len() < WINDOW
                && let Some(departing) = self.peer.take(local)
            {
                departing.stanza.write(wire.out());
                self.window.push((local.clone(), departing));
                loaded += 1;
            }
        }
        if loaded > 0 {
            live.sent(loaded as u64, self.core.clock().uptime());
        }
        loaded
    }

    /// All that was loaded is written to the socket: of what is not acknowledged no more is ever
    /// known.
    pub(crate) fn written(&mut self) {
        let arrived = self.window.written().map(|(_, sent)| sent).collect();
        self.arrived(arrived);
    }

    /// The other side has handled so many more.
    pub(crate) fn acknowledged(&mut self, stanzas: usize) {
        let arrived = self.window.acknowledged(stanzas);
        let arrived = arrived.map(|(_, sent)| sent).collect();
        self.arrived(arrived);
    }

    /// Whether something is written that is not known to have arrived.
    pub(crate) fn is_loaded(&self) -> bool {
        !self.window.sent.is_empty()
    }

    /// Whether the other side acknowledges.
    pub(crate) fn counts(&self) -> bool {
        self.window.counts
    }

    /// Whether the other side is to be asked what it has.
    pub(crate) fn waits(&self) -> bool {
        self.window.waits()
    }

    fn arrived(&mut self, arrived: Vec<Departing>) {
        if arrived.is_empty() {
            return;
        }
        self.brought = true;
        let delivered = &self.shared.counters.delivered;
        delivered.fetch_add(arrived.len() as u64, Ordering::Relaxed);
        let bytes = arrived.iter().map(|d| d.stanza.size()).sum();
        self.peer.arrived(&self.shared, bytes);
        let kept: Vec<_> = arrived.into_iter().filter_map(|d| d.kept).collect();
        if !kept.is_empty() {
            self.core.arrived(kept);
        }
    }
}

impl Drop for Cargo {
    fn drop(&mut self) {
        let back = std::mem::take(&mut self.window.sent).into();
        let (shared, core) = (&self.shared, &self.core);
        self.peer.release(shared, core, self.carrier.id, back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_has_arrived_when_it_is_written() {
        let mut window = Window::new();
        window.push(1);
        assert!(!window.waits());
        window.counts = true;
        window.push(2);
        assert!(window.waits());
        assert_eq!(window.written().collect::<Vec<_>>(), [1]);
        assert_eq!(window.written().count(), 0);
        assert_eq!(window.acknowledged(1).collect::<Vec<_>>(), [2]);
    }

    /// An answer may come before it is told that the socket took all.
    #[test]
    fn an_answer_speaks_for_what_was_written_before_stanzas_were_counted() {
        let mut window = Window::new();
        window.push(1);
        window.counts = true;
        window.push(2);
        window.push(3);
        assert_eq!(window.acknowledged(1).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(window.written().count(), 0);
        assert_eq!(window.sent, [3]);
        // More than there is comes from a peer that cannot count.
        assert_eq!(window.acknowledged(7).collect::<Vec<_>>(), [3]);
    }
}
