//! Streams that this server opens: one task for each domain, as long as something waits for it.

mod speaker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balcony_core::Core;

use crate::Shared;
use crate::failure::{Failure, Kind};
use crate::peer::Peer;
use crate::reach::{Opened, Secured};
use speaker::Speaker;

/// How far apart two streams to one domain begin at least.
const LEAST: Duration = Duration::from_millis(500);

/// Sees to it that what waits for a domain gets there, until nothing does.
pub(crate) async fn run(shared: Arc<Shared>, core: Arc<Core>, peer: Arc<Peer>) {
    while !shared.is_stopping()
        && let Some(local) = peer.first_or_rest()
    {
        if let Some(pause) = peer.pause(core.clock().uptime()) {
            let patience = peer.patience(&core).unwrap_or(pause);
            rest(&shared, &peer, pause.min(patience)).await;
            if peer.patience(&core).is_some_and(|left| left.is_zero()) {
                // Tried once more before it goes back to who sent it.
                peer.reached();
            }
            continue;
        }
        if let Err(failure) = permitted(&core, &peer) {
            peer.refuse(&shared, &core, &failure);
            continue;
        }
        let began = core.clock().uptime();
        // Boxed, so that a pause does not hold room for a stream.
        let failure = match Box::pin(talk(&shared, &core, &peer, &local)).await {
            Ok(brought) if brought || !peer.has_work() => {
                // Whatever is wanted meanwhile: a server that ends each stream as soon as it is
                // there is not asked for many.
                let lasted = core.clock().uptime().saturating_sub(began);
                pause(&shared, LEAST.saturating_sub(lasted)).await;
                continue;
            }
            Ok(_) => Failure::unreachable("it ends streams before it has taken anything"),
            Err(failure) => failure,
        };
        shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        let alone = failure.kind == Kind::NotBelieved && peer.key.local.is_none();
        let pause = match alone {
            true => peer.set_apart(&shared, &core, &local, &failure),
            false => peer.failed(&shared, &core, &failure, shared.chance()),
        };
        tracing::info!(
            from = &*local, to = &*peer.key.remote, cause = %failure,
            retry_seconds = pause.as_secs(),
            "another server cannot be reached"
        );
    }
}

/// Whether the domain is still spoken with: a reload may have changed that.
fn permitted(core: &Core, peer: &Peer) -> Result<(), Failure> {
    match core.config().federation.allows(&peer.key.remote) {
        true => Ok(()),
        false => Err(Failure::new(Kind::Forbidden, "it is not spoken with")),
    }
}

/// Waits, whatever is wanted.
async fn pause(shared: &Shared, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shared.stopping() => {}
    }
}

/// Waits, unless somebody wants it tried at once.
async fn rest(shared: &Shared, peer: &Peer, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = peer.bell.notified() => {}
        () = shared.stopping() => {}
    }
}

/// Opens a stream and keeps it until it is over. Answers whether it was of use.
async fn talk(
    shared: &Arc<Shared>,
    core: &Arc<Core>,
    peer: &Arc<Peer>,
    local: &str,
) -> Result<bool, Failure> {
    let _place = Place::take(shared, core)?;
    let opened = tokio::select! {
        opened = open(shared, core, peer, local) => opened?,
        () = shared.stopping() => return Ok(true),
    };
    Speaker::new(shared, core, peer, local, opened).run().await
}

/// The place of one stream among all that we open.
struct Place<'s>(&'s Shared);

impl<'s> Place<'s> {
    fn take(shared: &'s Shared, core: &Core) -> Result<Place<'s>, Failure> {
        let others = shared.outgoing.fetch_add(1, Ordering::Relaxed);
        let place = Place(shared);
        if others < core.config().federation.connections as usize {
            return Ok(place);
        }
        let most = "too many streams to other servers (federation.connections)";
        Err(Failure::unreachable(most))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.outgoing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection, encrypted where TLS comes first.
struct Connected {
    opened: Opened,
    secured: Option<Secured>,
}

/// Connects. A server where TLS from the first byte fails is tried once more by STARTTLS.
async fn open(
    shared: &Arc<Shared>,
    core: &Arc<Core>,
    peer: &Arc<Peer>,
    local: &str,
) -> Result<Connected, Failure> {
    let remote = &*peer.key.remote;
    let within = core.config().federation.connect;
    let mut plain_only = false;
    loop {
        let opening = shared.reach.open(remote, plain_only);
        let late = |_| Failure::unreachable("it could not be connected to in time");
        let mut opened = tokio::time::timeout(within, opening)
            .await
            .map_err(late)??;
        if !opened.direct_tls {
            let secured = None;
            return Ok(Connected { opened, secured });
        }
        let socket = std::mem::replace(&mut opened.socket, Box::new(tokio::io::empty()));
        let dane = opened.dane.take();
        let securing = shared.reach.secure_out(socket, local, remote, true, dane);
        match securing.await {
            Ok(secured) => {
                let secured = Some(secured);
                return Ok(Connected { opened, secured });
            }
            Err(cause) if plain_only => return Err(Failure::unreachable(cause)),
            Err(cause) => {
                tracing::info!(to = remote, address = %opened.address, cause, "no direct TLS");
                plain_only = true;
            }
        }
    }
}
