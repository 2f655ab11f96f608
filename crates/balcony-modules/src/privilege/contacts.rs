//! Presence of accounts' contacts, for components that may see it (XEP-0356 §7.4).
//!
//! One task at a time looks at what came, in its order, so that nobody's stanzas wait for rosters
//! that have to be read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use balcony_core::module::{Config, Core, Ctx, Seen};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Kind, PresenceType, Stanza};
use parking_lot::Mutex;

use super::State;
use crate::components::is_there;
use crate::roster;

/// Presence that may wait to be looked at: a few seconds' worth on a large server, 5 MB.
const WAITING: usize = 10_000;

/// Contacts of other servers that are remembered for one component: about 50 MB. Of more, a
/// component hears as often as they are told to accounts, and not when it comes late.
const SHOWN: usize = 100_000;

/// Something to look at.
pub(super) enum Job {
    /// Presence for an account.
    Contact(Stanza),
    /// A component came.
    Connected(Jid),
}

#[derive(Default)]
pub(super) struct Contacts {
    queue: Mutex<Queue>,
    /// By component, what contacts showed last.
    shown: Mutex<HashMap<Jid, HashMap<Jid, Stanza>>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Somebody works on it.
    works: bool,
}

impl Contacts {
    /// Has something looked at, behind what waits.
    pub(super) fn begin(&self, core: &Arc<Core>, job: Job) {
        let mut queue = self.queue.lock();
        if queue.waiting.len() >= WAITING {
            tracing::warn!("more presence of contacts than is looked at; a component misses some");
            return;
        }
        queue.waiting.push_back(job);
        if std::mem::replace(&mut queue.works, true) {
            return;
        }
        tokio::spawn(work(Arc::clone(core)));
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        let next = queue.waiting.pop_front();
        queue.works = next.is_some();
        next
    }

    /// Forgets what is no component's concern with this configuration.
    pub(super) fn forget_for_others(&self, config: &Config) {
        let sees = |component: &Jid| {
            let mut all = config.privileges.iter();
            all.any(|h| h.presence == Seen::Contacts && h.component == component.as_str())
        };
        self.shown.lock().retain(|component, _| sees(component));
    }

    /// Whether a component has not heard this yet.
    fn is_news(&self, component: &Jid, presence: &Stanza) -> bool {
        let Some(from) = &presence.from else {
            return false;
        };
        let mut shown = self.shown.lock();
        let shown = shown.entry(component.clone()).or_default();
        if presence.kind != Kind::Presence(PresenceType::Available) {
            return shown.remove(from).is_some();
        }
        let presence = presence.clone().with_to(None);
        let known = shown.get(from);
        if known.is_some_and(|known| known.to_bytes() == presence.to_bytes()) {
            return false;
        }
        if known.is_some() || shown.len() < SHOWN {
            shown.insert(from.clone(), presence);
        }
        true
    }

    fn shown_to(&self, component: &Jid) -> Vec<Stanza> {
        let shown = self.shown.lock();
        let shown = shown.get(component).into_iter();
        shown.flat_map(HashMap::values).cloned().collect()
    }
}

async fn work(core: Arc<Core>) {
    while let Some(job) = core
        .state::<State>()
        .and_then(|state| state.contacts.next())
    {
        core.lend(move |ctx| Box::pin(async move { look(ctx, job).await }))
            .await;
    }
}

async fn look(ctx: &mut Ctx<'_>, job: Job) {
    let Some(state) = ctx.state::<State>() else {
        return;
    };
    match job {
        Job::Contact(presence) => contact(ctx, &state.contacts, presence).await,
        Job::Connected(component) => {
            for presence in state.contacts.shown_to(&component) {
                tell(ctx, &component, presence);
            }
        }
    }
}

/// What somebody shows to an account is for components if the account asked to see it.
async fn contact(ctx: &mut Ctx<'_>, contacts: &Contacts, presence: Stanza) {
    let (Some(from), Some(account)) = (presence.from.clone(), presence.to.as_ref()) else {
        return;
    };
    let account = account.bare();
    match roster::standing(ctx, &account, &from).await {
        Ok(standing) if standing.is_some_and(roster::Standing::sees_presence) => {}
        Ok(_) => return,
        Err(cause) => return tracing::warn!(%cause, %account, "a component misses presence"),
    }
    let config = ctx.config();
    let all = config.privileges.iter();
    let told = all.filter(|h| h.presence == Seen::Contacts && h.is_for(account.domain()));
    for component in told.filter_map(super::name) {
        if contacts.is_news(&component, &presence) {
            tell(ctx, &component, presence.clone());
        }
    }
}

fn tell(ctx: &Ctx<'_>, component: &Jid, presence: Stanza) {
    if is_there(ctx, component) {
        ctx.core().depart(presence.with_to(component.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(kind: PresenceType, to: &str) -> Stanza {
        let jid = |text| Jid::parse(text).unwrap();
        Stanza::presence(kind)
            .with_from(jid("romeo@mantua.example/orchard"))
            .with_to(jid(to))
    }

    /// §8 point 2
    #[test]
    fn what_several_accounts_are_told_is_told_once() {
        use PresenceType::{Available, Unavailable};
        let contacts = Contacts::default();
        let component = Jid::parse("gate.localhost").unwrap();
        let news = |kind, to| contacts.is_news(&component, &presence(kind, to));
        assert!(news(Available, "juliet@localhost"));
        assert!(!news(Available, "nurse@localhost"));
        assert_eq!(contacts.shown_to(&component).len(), 1);
        assert!(news(Unavailable, "juliet@localhost"));
        assert!(!news(Unavailable, "nurse@localhost"));
        assert!(contacts.shown_to(&component).is_empty());
        assert!(news(Available, "nurse@localhost"));
    }
}
