//! What external components are told when they connect, and when the configuration changes what
//! holds for them (XEP-0355 §4.2, XEP-0356 §4.2); and how much of what they began may wait.

use std::collections::HashMap;
use std::sync::Arc;

use balcony_core::module::{Config, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{MessageType, Stanza};
use balcony_proto::xml::Element;
use parking_lot::Mutex;

/// What a component is told for one host. `None`: there is nothing.
pub(crate) type Notice = fn(&Config, component: &Jid, host: &str) -> Option<Element>;

/// What components were told last.
pub(crate) struct Notices {
    make: Notice,
    /// What a component is told when there is nothing any more.
    nothing: fn() -> Element,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// With this configuration.
    config: Option<Arc<Config>>,
    /// By component and host.
    notices: HashMap<(Jid, Box<str>), Element>,
}

impl Notices {
    pub(crate) fn new(make: Notice, nothing: fn() -> Element) -> Notices {
        Notices {
            make,
            nothing,
            told: Mutex::default(),
        }
    }

    /// A component is there, which was told nothing yet.
    pub(crate) fn connected(&self, ctx: &mut Ctx<'_>, component: &Jid) {
        let mut told = self.told.lock();
        told.notices.retain(|(known, _), _| known != component);
        let config = ctx.config();
        for host in &config.hosts {
            self.tell(ctx, &mut told, &config, component, &host.name);
        }
    }

    /// Tells components what changed, when the configuration is not the one of the last call. To be
    /// called every now and then; answers who was told something. `None`: it is the same one.
    pub(crate) fn look(&self, ctx: &mut Ctx<'_>) -> Option<Vec<Jid>> {
        let config = ctx.config();
        let mut told = self.told.lock();
        let before = told.config.replace(Arc::clone(&config));
        let before = before.filter(|before| !Arc::ptr_eq(before, &config))?;
        let mut components: Vec<Jid> = told.notices.keys().map(|(jid, _)| jid.clone()).collect();
        let named = config.components.iter();
        components.extend(named.filter_map(|c| Jid::from_parts(None, &c.name, None).ok()));
        components.sort_unstable_by(|one, two| one.as_str().cmp(two.as_str()));
        components.dedup();
        components.retain(|component| is_there(ctx, component));
        components.retain(|component| {
            let mut news = false;
            for host in before.hosts.iter().chain(&config.hosts) {
                news |= self.tell(ctx, &mut told, &config, component, &host.name);
            }
            news
        });
        Some(components)
    }

    /// Tells a component what holds for a host, unless it knows. Answers whether it was told.
    fn tell(
        &self,
        ctx: &mut Ctx<'_>,
        told: &mut Told,
        config: &Config,
        component: &Jid,
        host: &str,
    ) -> bool {
        let Ok(from) = Jid::from_parts(None, host, None) else {
            return false;
        };
        let key = (component.clone(), Box::from(host));
        let known = told.notices.get(&key);
        let notice = match (self.make)(config, component, host) {
            Some(notice) => notice,
            None if known.is_none() => return false,
            None => (self.nothing)(),
        };
        if known == Some(&notice) {
            return false;
        }
        told.notices.insert(key, notice.clone());
        let message = Stanza::message(MessageType::Normal)
            .with_from(from)
            .with_to(component.clone())
            .with_element(notice);
        ctx.core().depart_quietly(message);
        true
    }
}

/// How many requests wait that components answer or have asked, by whose they are.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<Box<str>, u32>>>);

/// The place of one such request, as long as it waits.
pub(crate) struct Place {
    waiting: Waiting,
    whose: Box<str>,
}

impl Waiting {
    /// `None`: of whomever it is, as many wait as may.
    pub(crate) fn begin(&self, whose: &str, most: u32) -> Option<Place> {
        let mut waiting = self.0.lock();
        let count = waiting.entry(whose.into()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            waiting: self.clone(),
            whose: whose.into(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock();
        if let Some(count) = waiting.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.whose);
            }
        }
    }
}

/// Whether a component is connected.
pub(crate) fn is_there(ctx: &Ctx<'_>, component: &Jid) -> bool {
    ctx.core().has_component(component.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_for_each_and_leaves_nothing_behind() {
        let waiting = Waiting::default();
        let begin = || waiting.begin("juliet@localhost", 2);
        let places = [begin(), begin()];
        assert!(places.iter().all(Option::is_some) && begin().is_none());
        assert!(waiting.begin("romeo@localhost", 2).is_some());
        drop(places);
        assert!(waiting.0.lock().is_empty());
        assert!(begin().is_some());
    }
}
