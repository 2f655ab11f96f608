//! Several servers in one process that reach each other without a stream: what leaves one comes in
//! at the other as from a stream that has proved its domain, in its order.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Weak};

use balcony_core::lane::{Counts, Lane};
use balcony_core::remote::{Admitted, Departing, Peer, Remote, Way};
use balcony_core::{Accepted, Core};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, Stanza, StanzaError};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// All servers that know of each other.
pub struct Network {
    members: Mutex<Vec<Weak<Core>>>,
    roads: Mutex<HashMap<(usize, usize), UnboundedSender<Departing>>>,
    /// The domains that cannot be reached, and reach nobody.
    down: watch::Sender<Vec<String>>,
}

/// The way of one server to all others.
pub struct Neighbour {
    network: Arc<Network>,
    own: usize,
}

impl Network {
    /// One without servers.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            members: Mutex::default(),
            roads: Mutex::default(),
            down: watch::Sender::default(),
        })
    }

    /// The way for the server that [joins](Network::join) next.
    #[must_use]
    pub fn next(self: &Arc<Self>) -> Arc<Neighbour> {
        Arc::new(Neighbour {
            network: Arc::clone(self),
            own: self.members.lock().len(),
        })
    }

    /// Makes a server known to the others.
    pub fn join(&self, core: &Arc<Core>) {
        self.members.lock().push(Arc::downgrade(core));
    }

    /// Cuts the server of a host off from all others, or brings it back. What is kept waits, what
    /// is not goes back to its sender.
    pub fn cut_off(&self, host: &str, off: bool) {
        self.down.send_modify(|down| {
            down.retain(|one| one != host);
            if off {
                down.push(host.to_owned());
            }
        });
    }

    fn find(&self, domain: &str) -> Option<(usize, Arc<Core>)> {
        let members = self.members.lock();
        let cores = members.iter().map(Weak::upgrade).enumerate();
        let mut found = cores.filter_map(|(at, core)| Some((at, core?)));
        found.find(|(_, core)| core.is_ours(domain))
    }

    /// The first host of a server.
    fn host(&self, at: usize) -> String {
        let core = self.members.lock().get(at).and_then(Weak::upgrade);
        let hosts = core.map(|core| core.hosts()).unwrap_or_default();
        let first = hosts.first().map(|host| host.name().to_owned());
        first.unwrap_or_default()
    }

    fn is_open(down: &[String], ends: [&Core; 2]) -> bool {
        let reaches = |core: &Core| !down.iter().any(|host| core.is_ours(host));
        ends.into_iter().all(reaches)
    }
}

impl Remote for Neighbour {
    fn is_ours(&self, _: &Core, _: &str) -> bool {
        false
    }

    fn admit(&self, _: &Core, stanza: &Stanza) -> Result<Admitted, StanzaError> {
        let domain = stanza.to.as_ref().map(Jid::domain).unwrap_or_default();
        match (self.network.find(domain), stanza.kind) {
            // RFC 6120 §8.3.3.16
            (None, _) => Err(StanzaError::remote_server_not_found()),
            (Some(_), Kind::Message(_)) => Ok(Admitted::Waits),
            (Some(_), _) => Ok(Admitted::Now),
        }
    }

    fn send(&self, core: &Arc<Core>, departing: Departing) {
        let to = departing.stanza.to.as_ref();
        let domain = to.map(Jid::domain).unwrap_or_default();
        let network = &self.network;
        let Some((at, other)) = network.find(domain) else {
            return core.returned(&departing, &StanzaError::remote_server_not_found());
        };
        let open = Network::is_open(&network.down.borrow(), [core, &other]);
        if !open && departing.kept.is_none() {
            // RFC 6120 §8.3.3.17
            return core.returned(&departing, &StanzaError::remote_server_timeout());
        }
        let mut roads = network.roads.lock();
        let road = roads.entry((self.own, at)).or_insert_with(|| {
            let (road, queue) = unbounded_channel();
            let down = network.down.subscribe();
            tokio::spawn(carry(Arc::clone(core), other, queue, down));
            road
        });
        // Nobody is at the other end only when the runtime ends.
        let _ = road.send(departing);
    }

    /// A road is an outgoing stream here and an incoming one there.
    fn peers(&self) -> Vec<Peer> {
        let network = &self.network;
        let roads: Vec<(usize, usize)> = network.roads.lock().keys().copied().collect();
        let mut peers: Vec<Peer> = Vec::new();
        for (from, to) in roads {
            let (other, way) = match self.own {
                own if own == from => (to, Way::Outgoing),
                own if own == to => (from, Way::Incoming),
                _ => continue,
            };
            let (local, domain) = (network.host(self.own), network.host(other));
            match peers.iter_mut().find(|peer| peer.domain == domain) {
                Some(peer) => peer.ways.push(way),
                None => peers.push(Peer {
                    local,
                    domain,
                    ways: vec![way],
                }),
            }
        }
        peers.iter_mut().for_each(|peer| peer.ways.sort_unstable());
        peers
    }
}

/// What was handed over, in its order: the rows of what is kept.
struct Handed<'c> {
    from: &'c Core,
    kept: Mutex<VecDeque<Option<i64>>>,
}

impl Counts for Handed<'_> {
    fn one_handled(&self) {
        if let Some(id) = self.kept.lock().pop_front().flatten() {
            self.from.arrived(vec![id]);
        }
    }

    fn tell_handled(&self) {}
}

/// Brings what comes out of the queue of one server to another, as a stream would.
async fn carry(
    from: Arc<Core>,
    to: Arc<Core>,
    mut queue: UnboundedReceiver<Departing>,
    mut down: watch::Receiver<Vec<String>>,
) {
    let handed = Handed {
        from: &from,
        kept: Mutex::default(),
    };
    let mut lane = Lane::default();
    loop {
        let ready = poll_fn(|context| lane.poll_ready(context, &handed));
        let next = tokio::select! {
            biased;
            () = ready => None,
            next = queue.recv() => Some(next),
        };
        match next {
            None => lane.finish_first(&to, &handed),
            Some(None) => return,
            Some(Some(departing)) => {
                let open = |down: &Vec<String>| Network::is_open(down, [&from, &to]);
                if down.wait_for(open).await.is_err() {
                    return;
                }
                hand_over((&from, &to), departing, &mut lane, &handed).await;
            }
        }
    }
}

async fn hand_over(
    (from, to): (&Core, &Arc<Core>),
    departing: Departing,
    lane: &mut Lane,
    handed: &Handed<'_>,
) {
    let Some(stanza) = as_on_a_stream((from, to), &departing.stanza) else {
        return;
    };
    if lane.is_full() || !matches!(stanza.kind, Kind::Message(_)) {
        lane.drain(to, handed).await;
    }
    handed.kept.lock().push_back(departing.kept);
    match to.accept_foreign(stanza, !lane.is_empty()) {
        Accepted::Done => lane.done(handed),
        Accepted::Commits(committing) => lane.push(committing),
        Accepted::Waits(pending) => {
            lane.drain(to, handed).await;
            pending.await;
            handed.one_handled();
        }
    }
}

/// The stanza as it comes out at the other end. `None`: its sender is of another domain that has
/// nothing to do with either, so a stream would not have taken it (RFC 6120 §8.1.2.2). A sender of
/// the domain that is spoken to is left to the server, which must not believe it either.
fn as_on_a_stream((from, to): (&Core, &Core), stanza: &Stanza) -> Option<Stanza> {
    let sender = stanza.from.as_ref()?;
    let taken = [from, to].iter().any(|core| core.is_ours(sender.domain()));
    taken.then(|| Stanza::parse(&stanza.to_bytes())).flatten()
}
