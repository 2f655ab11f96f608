//! What discovery says of delegated namespaces: what their components say (XEP-0355 §7.2).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balcony_core::module::{Config, Core, Ctx, Delegation};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza};
use balcony_proto::xep::data_form::DataForm;
use balcony_proto::xep::disco::Info;
use balcony_proto::xml::Element;
use parking_lot::RwLock;

use crate::components::is_there;

/// How long a component may take to say what it has.
const WITHIN: Duration = Duration::from_secs(30);

/// Whom discovery asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Nest {
    /// A host (§7.2.1).
    Host,
    /// An account (§7.2.2).
    Account,
}

impl Nest {
    fn node(self, namespace: &str) -> String {
        match self {
            Nest::Host => format!("{}::{namespace}", ns::DELEGATION),
            Nest::Account => format!("{}:bare:{namespace}", ns::DELEGATION),
        }
    }
}

type Key = (String, Nest, String);

/// What the components have said: it stays when one goes, as its delegation does.
#[derive(Default)]
pub(crate) struct Nested {
    /// By component, whom it is about, and namespace.
    told: RwLock<HashMap<Key, Info>>,
    /// Counts the changes.
    version: AtomicU64,
}

impl Nested {
    /// Differs after each change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn learn(&self, key: Key, info: Info) {
        self.told.write().insert(key, info);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Puts what components say in the place of what the server says of what is delegated on a
    /// host; also where only requests with some attributes are (§7.2.1).
    pub(crate) fn nest(&self, config: &Config, host: &str, nest: Nest, mut info: Info) -> Info {
        let told = self.told.read();
        for held in named(config).filter(|held| held.is_for(host)) {
            let namespace = held.namespace.as_str();
            info.features.retain(|var| !is_of(var, namespace));
            info.forms.retain(|form| !is_about(form, namespace));
            if namespace == ns::PUBSUB {
                // The identity that says the same as these features (XEP-0163 §6).
                info.identities
                    .retain(|identity| identity.category != "pubsub");
            }
            let key = (held.component.clone(), nest, held.namespace.clone());
            if let Some(more) = told.get(&key) {
                add(&mut info, more);
            }
        }
        info
    }
}

fn add(info: &mut Info, more: &Info) {
    for identity in &more.identities {
        let known = info.identities.iter().any(|other| {
            other.category == identity.category
                && other.kind == identity.kind
                && other.lang == identity.lang
        });
        if !known {
            info.identities.push(identity.clone());
        }
    }
    for var in &more.features {
        if !info.features.contains(var) {
            info.features.push(var.clone());
        }
    }
    info.forms.extend(more.forms.iter().cloned());
}

/// Delegations of namespaces, without those of nodes.
fn named(config: &Config) -> impl Iterator<Item = &Delegation> {
    let all = config.delegations.iter();
    all.filter(|held| !held.namespace.starts_with(ns::DELEGATION))
}

/// Whether a feature is of a namespace: it, or it with something behind a `#`.
fn is_of(var: &str, namespace: &str) -> bool {
    let rest = var.strip_prefix(namespace);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}

/// §7.2.3
fn is_about(form: &DataForm, namespace: &str) -> bool {
    let name = form.form_type_name();
    name.is_some_and(|name| is_of(name, namespace))
}

/// Asks all components that are there.
pub(super) fn ask_all(ctx: &Ctx<'_>) {
    let config = ctx.config();
    let names = config.components.iter();
    let components = names.filter_map(|c| Jid::from_parts(None, &c.name, None).ok());
    for component in components.filter(|component| is_there(ctx, component)) {
        ask(ctx, &component);
    }
}

/// Asks a component what it has of what is delegated to it, once for many who ask (§9 point 2).
pub(super) fn ask(ctx: &Ctx<'_>, component: &Jid) {
    let config = ctx.config();
    let held = named(&config).filter(|held| held.component == component.as_str());
    for held in held {
        let Some(host) = config.hosts.iter().find(|host| held.is_for(&host.name)) else {
            continue;
        };
        let Ok(from) = Jid::from_parts(None, &host.name, None) else {
            continue;
        };
        for nest in [Nest::Host, Nest::Account] {
            let node = nest.node(&held.namespace);
            let query = Element::new(ns::DISCO_INFO, "query").with_attr("node", node);
            let iq = Stanza::iq(IqType::Get, "")
                .with_from(from.clone())
                .with_to(component.clone())
                .with_element(query);
            let key = (held.component.clone(), nest, held.namespace.clone());
            tokio::spawn(learn(Arc::clone(ctx.core()), iq, key));
        }
    }
}

async fn learn(core: Arc<Core>, iq: Stanza, key: Key) {
    let told = core.request(iq, WITHIN).await.ok();
    let told = told.filter(|told| told.kind == Kind::Iq(IqType::Result));
    let query = told
        .as_ref()
        .and_then(|told| told.payload.find(ns::DISCO_INFO, "query"));
    match (query, core.state::<super::State>()) {
        (Some(query), Some(state)) => state.nested.learn(key, Info::parse(&query.element())),
        _ => tracing::info!(
            component = key.0,
            namespace = key.2,
            "a component does not say what it has of a namespace that is delegated to it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::xep::disco::Identity;

    #[test]
    fn what_a_component_says_takes_the_place_of_what_the_server_says() {
        let text = "[[component]]\nname = 'gate.localhost'\nsecret = 's'\n\
                    [[delegation]]\ncomponent = 'gate.localhost'\n\
                    namespace = 'http://jabber.org/protocol/pubsub'\n";
        let config = Config::parse(text, None, &[]).unwrap();
        let server = Info::of(Identity::new("account", "registered"))
            .with_feature("http://jabber.org/protocol/pubsub#auto-create")
            .with_feature("http://jabber.org/protocol/pubsub-other")
            .with_feature(ns::PING);
        let nested = Nested::default();
        let before = nested.nest(&config, "localhost", Nest::Account, server.clone());
        assert_eq!(before.features.len(), 3 - 1);
        let told = Info::of(Identity::new("pubsub", "pep")).with_feature(ns::PUBSUB);
        let key = ("gate.localhost".into(), Nest::Account, ns::PUBSUB.into());
        nested.learn(key, told);
        let after = nested.nest(&config, "localhost", Nest::Account, server.clone());
        assert!(after.supports(ns::PUBSUB) && after.supports(ns::PING));
        assert!(!after.supports("http://jabber.org/protocol/pubsub#auto-create"));
        assert_eq!(after.identities.len(), 2);
        let host = nested.nest(&config, "localhost", Nest::Host, server);
        assert!(!host.supports(ns::PUBSUB));
    }
}
