//! Presence of accounts' contacts, for components that may see it (XEP-0356 §7.4).
//!
//! One task at a time looks at what came, in its order, so that nobody's stanzas wait for rosters
//! that have to be read.

use std::collections::VecDeque;
use std::sync::Arc;

use balcony_core::module::{Config, Core, Ctx, Seen};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType, Stanza};
use parking_lot::Mutex;

use super::State;
use super::presence::{PAUSE, SLICE};
use super::shown::Shown;
use crate::components::is_there;
use crate::roster;

/// Bytes of presence that may wait to be looked at: a few seconds' worth on a large server.
const WAITING: usize = 8 << 20;

/// Something to look at.
pub(super) enum Job {
    /// Presence for an account.
    Contact(Stanza),
    /// A component came.
    Connected(Jid),
}

impl Job {
    fn size(&self) -> usize {
        match self {
            Job::Contact(presence) => presence.size(),
            Job::Connected(_) => 0,
        }
    }

    fn is_farewell(&self) -> bool {
        matches!(self, Job::Contact(presence) if is_farewell(presence))
    }
}

fn is_farewell(presence: &Stanza) -> bool {
    presence.kind == Kind::Presence(PresenceType::Unavailable)
}

#[derive(Default)]
pub(super) struct Contacts {
    queue: Mutex<Queue>,
    /// What contacts showed last.
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    bytes: usize,
    /// Somebody works on it.
    works: bool,
}

impl Queue {
    /// False: there is too much already. That somebody goes is missed last.
    fn push(&mut self, job: Job) -> bool {
        let most = if job.is_farewell() {
            2 * WAITING
        } else {
            WAITING
        };
        let bytes = self.bytes + job.size();
        if bytes > most {
            return false;
        }
        self.bytes = bytes;
        self.waiting.push_back(job);
        true
    }

    fn pop(&mut self) -> Option<Job> {
        let job = self.waiting.pop_front();
        self.bytes -= job.as_ref().map_or(0, Job::size);
        self.works = job.is_some();
        job
    }
}

impl Contacts {
    /// Has something looked at, behind what waits.
    pub(super) fn begin(&self, core: &Arc<Core>, job: Job) {
        let mut queue = self.queue.lock();
        if !queue.push(job) {
            tracing::warn!("more presence of contacts than is looked at; a component misses some");
        } else if !std::mem::replace(&mut queue.works, true) {
            tokio::spawn(work(Arc::clone(core)));
        }
    }

    /// Forgets what is no component's concern with this configuration.
    pub(super) fn forget_for_others(&self, config: &Config) {
        self.shown.lock().retain(|component, host| {
            let held = super::held(config, component, host);
            held.is_some_and(|held| held.presence == Seen::Contacts)
        });
    }
}

async fn work(core: Arc<Core>) {
    let next = || core.state::<State>()?.contacts.queue.lock().pop();
    while let Some(job) = next() {
        match job {
            Job::Contact(presence) => {
                core.lend(move |ctx| Box::pin(async move { contact(ctx, presence).await }))
                    .await;
            }
            Job::Connected(component) => replay(&core, &component).await,
        }
    }
}

/// A component that has just come is told of those who are there.
async fn replay(core: &Arc<Core>, component: &Jid) {
    let Some(state) = core.state::<State>() else {
        return;
    };
    let known = state.contacts.shown.lock().of(component);
    for slice in known.chunks(SLICE) {
        if !core.has_component(component.as_str()) {
            return;
        }
        for presence in slice {
            core.depart_quietly(presence.clone().with_to(component.clone()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What somebody shows to an account is for components if the account asked to see it. That they go
/// is for whoever saw them, whatever the account thinks of them by now.
async fn contact(ctx: &mut Ctx<'_>, presence: Stanza) {
    let Some(state) = ctx.state::<State>() else {
        return;
    };
    let (Some(from), Some(account)) = (presence.from.clone(), presence.to.as_ref()) else {
        return;
    };
    let account = account.bare();
    if !is_farewell(&presence) {
        match roster::standing(ctx, &account, &from).await {
            Ok(standing) if standing.is_some_and(roster::Standing::sees_presence) => {}
            Ok(_) => return,
            Err(cause) => return tracing::warn!(%cause, %account, "a component misses presence"),
        }
    }
    let config = ctx.config();
    let host = account.domain();
    let told = super::all_held(&config, host).filter(|(_, h)| h.presence == Seen::Contacts);
    for (component, _) in told {
        let news = state
            .contacts
            .shown
            .lock()
            .is_news(&component, host, &presence);
        if news && is_there(ctx, &component) {
            let presence = presence.clone().with_to(component);
            ctx.core().depart_quietly(presence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_farewells_are_missed_last() {
        let job = |kind, bytes| Job::Contact(Stanza::presence(kind).with_id("x".repeat(bytes)));
        let mut queue = Queue::default();
        assert!(queue.push(job(PresenceType::Available, WAITING - 1_000)));
        assert!(!queue.push(job(PresenceType::Available, 1_000)));
        assert!(queue.push(job(PresenceType::Unavailable, 1_000)));
        assert!(!queue.push(job(PresenceType::Unavailable, WAITING)));
        assert!(queue.pop().is_some() && queue.pop().is_some() && queue.pop().is_none());
        assert_eq!(queue.bytes, 0);
    }
}
