//! With which servers there are streams, for whoever tells others of it (XEP-0485).

use balcony_core::remote::{Peer, Way};

use crate::facts::{Direction, Known};

impl Known {
    /// The way of a stream that was opened in this direction.
    fn way(&self, direction: Direction) -> Way {
        match direction {
            _ if self.bidirectional => Way::Both,
            Direction::Incoming => Way::Incoming,
            Direction::Outgoing => Way::Outgoing,
        }
    }
}

/// Adds what a stream is about.
pub(crate) fn add(peers: &mut Vec<Peer>, direction: Direction, known: &Known) {
    let way = known.way(direction);
    for local in &known.locals {
        for domain in &known.remotes {
            let same = |peer: &&mut Peer| peer.local == *local && peer.domain == *domain;
            match peers.iter_mut().find(same) {
                Some(peer) => peer.ways.push(way),
                None => peers.push(Peer {
                    local: local.clone(),
                    domain: domain.clone(),
                    ways: vec![way],
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_the_same_domains_are_one_peer() {
        let known = |bidirectional| Known {
            locals: vec!["localhost".to_owned()],
            remotes: vec!["mantua.example".to_owned()],
            bidirectional,
            ..Known::default()
        };
        let mut peers = Vec::new();
        add(&mut peers, Direction::Outgoing, &known(false));
        add(&mut peers, Direction::Incoming, &known(false));
        add(&mut peers, Direction::Incoming, &known(true));
        // Nothing is proved yet.
        add(&mut peers, Direction::Incoming, &Known::default());
        let expected = Peer {
            local: "localhost".to_owned(),
            domain: "mantua.example".to_owned(),
            ways: vec![Way::Outgoing, Way::Incoming, Way::Both],
        };
        assert_eq!(peers, [expected]);
    }
}
