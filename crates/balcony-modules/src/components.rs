//! What external components are told when they connect, and when the configuration changes what
//! holds for them (XEP-0355 §4.2, XEP-0356 §4.2).

use std::collections::HashMap;
use std::sync::Arc;

use balcony_core::module::{Config, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{MessageType, Stanza};
use balcony_proto::xml::Element;
use parking_lot::Mutex;

/// What a component is told for one host; nothing is granted when it has no children.
pub(crate) type Notice = fn(&Config, component: &Jid, host: &str) -> Element;

/// What components were told last.
pub(crate) struct Notices {
    make: Notice,
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
    pub(crate) fn new(make: Notice) -> Notices {
        Notices {
            make,
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
    /// called every now and then; answers whether it is another one.
    pub(crate) fn look(&self, ctx: &mut Ctx<'_>) -> bool {
        let config = ctx.config();
        let mut told = self.told.lock();
        let before = told.config.replace(Arc::clone(&config));
        let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &config)) else {
            return false;
        };
        let mut components: Vec<Jid> = told.notices.keys().map(|(jid, _)| jid.clone()).collect();
        let named = config.components.iter();
        components.extend(named.filter_map(|c| Jid::from_parts(None, &c.name, None).ok()));
        components.sort_unstable_by(|one, two| one.as_str().cmp(two.as_str()));
        components.dedup();
        components.retain(|component| is_there(ctx, component));
        for component in &components {
            for host in before.hosts.iter().chain(&config.hosts) {
                self.tell(ctx, &mut told, &config, component, &host.name);
            }
        }
        true
    }

    /// Tells a component what holds for a host, unless it knows.
    fn tell(
        &self,
        ctx: &mut Ctx<'_>,
        told: &mut Told,
        config: &Config,
        component: &Jid,
        host: &str,
    ) {
        let Ok(from) = Jid::from_parts(None, host, None) else {
            return;
        };
        let notice = (self.make)(config, component, host);
        let key = (component.clone(), Box::from(host));
        let nothing = notice.children().next().is_none();
        let known = told.notices.get(&key);
        if known == Some(&notice) || (known.is_none() && nothing) {
            return;
        }
        told.notices.insert(key, notice.clone());
        let message = Stanza::message(MessageType::Normal)
            .with_from(from)
            .with_to(component.clone())
            .with_element(notice);
        ctx.core().depart(message);
    }
}

/// Whether a component is connected.
pub(crate) fn is_there(ctx: &Ctx<'_>, component: &Jid) -> bool {
    ctx.core().has_component(component.as_str())
}
