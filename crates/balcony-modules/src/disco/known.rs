//! What hosts and accounts answer, made once for a configuration.

use std::sync::Arc;

use balcony_core::module::{Config, Ctx, Feature, ModuleSpec};
use balcony_proto::map::Map;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::caps::Caps;
use balcony_proto::xep::disco::{Identity, Info};
use parking_lot::RwLock;

use super::contact;
use crate::delegation::{self, Nest, Nested};
use crate::{caps, pubsub};

/// What people call the software.
pub(crate) const SOFTWARE: &str = "Balcony";

/// What is known of an entity.
pub(crate) struct Known {
    /// Its answer to `disco#info` as a value.
    pub(crate) info: Info,
    /// The same as a payload, which is shared by all who ask.
    pub(super) answer: Payload,
    /// The hash of it.
    pub(crate) caps: Caps,
}

impl Known {
    fn new(info: Info) -> Arc<Self> {
        Arc::new(Self {
            answer: Payload::from_element(&info.to_element()),
            caps: Caps::of(&info, caps::NODE),
            info,
        })
    }
}

/// The answers that hold for one configuration.
struct Answers {
    /// Kept, so that no other configuration can be taken for this one by its address.
    config: Arc<Config>,
    /// What components said of what is delegated to them (XEP-0355 §7.2).
    nested: u64,
    /// Of each host, it and its accounts.
    hosts: Map<Box<str>, (Arc<Known>, Arc<Known>)>,
}

/// The state of the module: the answers for the configuration that was in force last.
#[derive(Default)]
pub(super) struct Discos(RwLock<Option<Arc<Answers>>>);

/// What a host answers.
///
/// # Errors
/// `item-not-found` for a host that is not served (any more).
pub(crate) fn host_known(ctx: &Ctx<'_>, host: &str) -> Result<Arc<Known>, StanzaError> {
    let answers = answers(ctx)?;
    let known = answers.hosts.get(host);
    let (host, _) = known.ok_or_else(StanzaError::item_not_found)?;
    Ok(Arc::clone(host))
}

/// What all accounts of a host answer.
pub(super) fn account_known(ctx: &Ctx<'_>, host: &str) -> Result<Arc<Known>, StanzaError> {
    let answers = answers(ctx)?;
    let known = answers.hosts.get(host);
    let (_, account) = known.ok_or_else(StanzaError::item_not_found)?;
    Ok(Arc::clone(account))
}

fn answers(ctx: &Ctx<'_>) -> Result<Arc<Answers>, StanzaError> {
    let discos: &Discos = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let config = ctx.config();
    let nested = delegation::nested(ctx);
    let version = nested.map_or(0, Nested::version);
    if let Some(answers) = &*discos.0.read()
        && Arc::ptr_eq(&answers.config, &config)
        && answers.nested == version
    {
        return Ok(Arc::clone(answers));
    }
    let mut answers = make(config, ctx.modules(), nested);
    // From before it was made: what came meanwhile makes it anew.
    answers.nested = version;
    let answers = Arc::new(answers);
    *discos.0.write() = Some(Arc::clone(&answers));
    Ok(answers)
}

fn make(config: Arc<Config>, modules: &[&'static ModuleSpec], nested: Option<&Nested>) -> Answers {
    let nest = |info, host: &str, whom| match nested {
        Some(nested) => nested.nest(&config, host, whom, info),
        None => info,
    };
    let host = |name: &str| {
        let identity = Identity::new("server", "im").named(SOFTWARE);
        let mut info = with_features(Info::of(identity), &config, modules, |feature| feature.host);
        info.forms.extend(contact::form(&config, name));
        Known::new(nest(info, name, Nest::Host))
    };
    // §3.1: the first identity of an account.
    let identity = Identity::new("account", "registered");
    let mut account = with_features(Info::of(identity), &config, modules, |feature| {
        feature.account
    });
    account.identities.push(pubsub::identity());
    let account = |name: &str| Known::new(nest(account.clone(), name, Nest::Account));
    let names = config.hosts.iter().map(|entry| entry.name.as_str());
    let hosts = names.map(|name| (Box::from(name), (host(name), account(name))));
    let hosts = hosts.collect();
    Answers {
        hosts,
        nested: 0,
        config,
    }
}

fn with_features(
    info: Info,
    config: &Config,
    modules: &[&ModuleSpec],
    has: fn(&Feature) -> bool,
) -> Info {
    let features = modules.iter().flat_map(|module| module.features);
    features
        .filter(|feature| has(feature) && feature.when.is_none_or(|when| when(config)))
        .fold(info, |info, feature| info.with_feature(feature.var))
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::ns;
    use balcony_proto::xep::caps::verification;

    #[test]
    fn hosts_and_accounts_have_the_features_that_modules_declare() {
        static MODULE: ModuleSpec = ModuleSpec {
            features: &[Feature::host(ns::VERSION), Feature::both(ns::PING)],
            ..ModuleSpec::NOTHING
        };
        let sections = [
            super::super::MODULE.config,
            crate::server_info::MODULE.config,
        ]
        .concat();
        let config = Config::parse("", None, &sections).unwrap();
        let answers = make(Arc::new(config), &[&super::super::MODULE, &MODULE], None);
        let (host, account) = answers.hosts.get("localhost").unwrap();
        assert!(host.info.supports(ns::VERSION) && host.info.supports(ns::PING));
        assert!(account.info.supports(ns::PING));
        assert!(!account.info.supports(ns::VERSION));
        let told = Info::parse(&host.answer.first().unwrap().element());
        assert_eq!(
            verification(&told),
            host.caps.ver,
            "the hash is of what is told"
        );
    }
}
