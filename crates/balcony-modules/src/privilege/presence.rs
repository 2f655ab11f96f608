//! Whose presence a component gets (XEP-0356 §7).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Config, Core, Ctx, Envelope, Flow, Seen, Session};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType};

use super::State;
use super::contacts::Job;
use crate::components::is_there;
use crate::presence;

/// Sessions that a component that has just connected is told of between two pauses: with those of
/// [`PAUSE`] some 10,000 a second, 3 MB, which a component reads while others are served.
pub(super) const SLICE: usize = 200;
/// See [`SLICE`].
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// Presence that comes to an account: what its contacts show is copied to components, and no
/// account learns that there are any (§2).
pub(super) fn arriving(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let config = ctx.config();
    if config.privileges.is_empty() {
        return Flow::Continue;
    }
    let (Some(from), Some(to)) = (envelope.from(), envelope.to()) else {
        return Flow::Continue;
    };
    match envelope.stanza.kind {
        Kind::Presence(PresenceType::Error) if is_shown(&config, from, to.domain()) => {
            Flow::Drop("a component did not want what its privilege gives it")
        }
        Kind::Presence(PresenceType::Available | PresenceType::Unavailable)
            if concerns(&config, from, to.domain()) =>
        {
            if let Some(state) = ctx.state::<State>() {
                let presence = envelope.stanza.clone();
                state.contacts.begin(ctx.core(), Job::Contact(presence));
            }
            Flow::Continue
        }
        _ => Flow::Continue,
    }
}

pub(super) fn is_shown(config: &Config, component: &Jid, host: &str) -> bool {
    super::held(config, component, host).is_some_and(|held| held.presence >= Seen::Accounts)
}

/// Whether a component is to know of what somebody shows to the accounts of a host. It is told of
/// accounts of its own hosts when they come and go, and not once more as contacts (§8 point 2).
fn concerns(config: &Config, contact: &Jid, host: &str) -> bool {
    let own = config.host(contact.domain()).is_some();
    let mut all = super::all_held(config, host);
    all.any(|(component, held)| {
        let knows = || is_shown(config, &component, contact.domain());
        held.presence == Seen::Contacts && !(own && knows())
    })
}

/// §8 point 1: a component that comes late, or may see more than before, is told of who is there.
pub(super) fn connected(ctx: &mut Ctx<'_>, component: &Jid) {
    let config = ctx.config();
    let mine = config
        .privileges
        .iter()
        .filter(|held| held.component == component.as_str());
    let most = mine.map(|held| held.presence).max();
    let (Some(most), Some(state)) = (most, ctx.state::<State>()) else {
        return;
    };
    if most >= Seen::Accounts {
        tokio::spawn(tell_of_accounts(Arc::clone(ctx.core()), component.clone()));
    }
    if most == Seen::Contacts {
        let job = Job::Connected(component.clone());
        state.contacts.begin(ctx.core(), job);
    }
}

async fn tell_of_accounts(core: Arc<Core>, component: Jid) {
    let mut sessions = Vec::new();
    core.sessions().each(|session| {
        if session.is_available() {
            sessions.push(Arc::clone(session));
        }
    });
    for slice in sessions.chunks(SLICE) {
        let (slice, to) = (slice.to_vec(), component.clone());
        let there = core.lend(move |ctx| Box::pin(async move { tell(ctx, &slice, &to).await }));
        if !there.await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells of these; answers whether the component is there still.
async fn tell(ctx: &mut Ctx<'_>, sessions: &[Arc<Session>], component: &Jid) -> bool {
    let config = ctx.config();
    for session in sessions {
        if !is_there(ctx, component) {
            return false;
        }
        if is_shown(&config, component, session.account().domain()) {
            presence::tell(ctx, session, component).await;
        }
    }
    true
}
