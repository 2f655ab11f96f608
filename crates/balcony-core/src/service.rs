//! Services: domains of this server on which no accounts live, like those of rooms (XEP-0045).
//!
//! What comes for such a domain, or for an address at it, is the service's own: of the stages it
//! passes `Stage::Sending` alone. What the service records is committed as with any other stanza,
//! in the order of the line of the addressed bare JID.

use crate::Core;
use crate::config::Config;
use crate::context::Ctx;
use crate::envelope::Envelope;
use crate::module::{Flow, ModuleSpec, WaitingHook};
use balcony_proto::map::Map;

/// A service that a module provides.
pub struct Service {
    /// What it is, for people: the name under which the host lists it (XEP-0030 §4).
    pub title: &'static str,
    /// Its domains with this configuration, as prepared domainparts. None of them is a host.
    pub domains: fn(&Config) -> &[String],
    /// Takes what came, iq included. What it adds to the write set is committed before
    /// [`Service::committed`]. `None`: it has to wait for something, [`Service::wait`] does it.
    pub take: fn(&mut Ctx<'_>, &mut Envelope) -> Option<Flow>,
    /// The same, waiting. It may commit by itself, and answers [`Flow::Handled`] then.
    pub wait: WaitingHook,
    /// Delivers what was committed. It must not wait, so that all who get it get it in the order
    /// of the commits.
    pub committed: fn(&mut Ctx<'_>, &mut Envelope),
}

/// The services by domain.
pub(crate) type Services = Map<Box<str>, &'static Service>;

/// Makes the table of services from a configuration, which has checked the names.
pub(crate) fn services(config: &Config, modules: &'static [&'static ModuleSpec]) -> Services {
    let provided = modules.iter().filter_map(|module| module.service.as_ref());
    let named = provided.flat_map(|service| {
        let domains = (service.domains)(config).iter();
        domains.map(move |domain| (Box::from(domain.as_str()), service))
    });
    named.collect()
}

impl Core {
    pub(crate) fn service(&self, domain: &str) -> Option<&'static Service> {
        self.services.load().get(domain).copied()
    }

    /// All services of this server, with their domains, by name.
    #[must_use]
    pub fn services(&self) -> Vec<(String, &'static Service)> {
        let services = self.services.load();
        let named = services.iter();
        let mut named: Vec<_> = named
            .map(|(domain, service)| (domain.to_string(), *service))
            .collect();
        named.sort_by(|(one, _), (two, _)| one.cmp(two));
        named
    }
}
