//! One stream that this server opened, from its header to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::Core;
use balcony_core::config::Require;
use balcony_net::Dane;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::Security;
use balcony_stream::s2s::{Answer, Input, Options, Outgoing, OutgoingOutput as Output, Pair, Question};

use super::Connected;
use crate::Shared;
use crate::arrivals::Arrivals;
use crate::cargo::Cargo;
use crate::facts::Direction;
use crate::failure::{Failure, Kind};
use crate::peer::{Peer, Verification};
use crate::queue::Carrier;
use crate::reach::{Secured, Shown};
use crate::wire::{Happened, Wire};
use crate::Listed;

/// How long the other side may take to acknowledge, or to read: then the connection is dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

pub(super) struct Speaker {
    shared: Arc<Shared>,
    core: Arc<Core>,
    peer: Arc<Peer>,
    machine: Outgoing,
    wire: Wire,
    cargo: Cargo,
    arrivals: Arrivals,
    listed: Listed,
    shown: Option<Arc<dyn Shown>>,
    dane: Option<Dane>,
    address: SocketAddr,
    /// The handshake that comes before anything else, done by whoever connected.
    secured: Option<Secured>,
    /// Verifications that the other side has not answered yet.
    asked: Vec<Verification>,
}
