//! Stream features (RFC 6120 §4.3.2): what is offered at each stage.

use balcony_proto::ns;
use balcony_proto::sasl::{BindingType, ChannelBindings, Mechanism};
use balcony_proto::stream::Features;
use balcony_proto::xml::Element;

use super::negotiation::Negotiation;
use super::upgrade;
use crate::framing;
use crate::settings::HostFacts;

impl Negotiation {
    /// The mechanisms of this stream, strongest first (RFC 6120 §6.3.3). What is not in here is
    /// refused.
    pub(super) fn offered(&self) -> Vec<Mechanism> {
        let Some(host) = self.host.as_ref().filter(|_| !self.needs_tls()) else {
            return Vec::new();
        };
        let usable = |mechanism: &Mechanism| match mechanism {
            // RFC 6120 §13.8.3: never in clear, whatever the host says.
            Mechanism::Plain => self.tls.is_some(),
            // Nothing here vouches for a client's certificate.
            Mechanism::External => false,
            other => !other.is_plus() || !self.bindings().is_empty(),
        };
        let named = Mechanism::ALL
            .into_iter()
            .filter(|known| host.mechanisms.contains(known));
        named.filter(usable).collect()
    }

    /// The channel bindings of this stream; none in clear.
    pub(super) fn bindings(&self) -> ChannelBindings {
        self.tls
            .as_ref()
            .map(|tls| tls.bindings.clone())
            .unwrap_or_default()
    }

    /// SASL2 MUST only be offered after TLS negotiation (XEP-0388 §3).
    pub(super) fn offers_sasl2(&self) -> bool {
        self.tls.is_some() && self.host.as_ref().is_some_and(|host| host.sasl2)
    }

    /// Writes the features before login.
    pub(super) fn write_login_features(&mut self) {
        let mut features = self.login_features();
        if self.offers_sasl2() && !self.offered().is_empty() {
            features = features.with_config_version();
        }
        self.config_version = features.config_version().map(str::to_owned);
        framing::write_features(&features, self.out.bytes());
    }

    /// Writes the features after login; `bind` unless a resource is bound. Without that of stream
    /// management where it is `managed` already: there is one attempt to enable it (XEP-0198 §3),
    /// and who is offered it makes another.
    pub(super) fn write_final_features(&mut self, bind: bool, managed: bool) {
        let mut features = Features::new();
        if bind {
            // RFC 6120 §7.4. Clients of RFC 3921 look for the session; it does nothing, so it is
            // optional.
            features = features.with_bind().with_session();
        }
        let further = self
            .host
            .iter()
            .flat_map(|host| host.features_after_login.iter())
            .filter(|feature| !(managed && feature.is(ns::SM, "sm")))
            .cloned();
        features = further.fold(features, Features::with);
        features = self.with_limits(features, self.settings.after_login.stanza_bytes);
        framing::write_features(&features, self.out.bytes());
    }

    fn login_features(&self) -> Features {
        let mut features = Features::new();
        if self.offers_starttls() {
            features = features.with_starttls(self.needs_tls());
        }
        // RFC 6120 §5.3.1: nothing beside STARTTLS where it is mandatory.
        let Some(host) = self.host.as_ref().filter(|_| !self.needs_tls()) else {
            return features;
        };
        features = self.with_sasl(features, host);
        if host.registration {
            features = features.with(Element::new(ns::REGISTER_FEATURE, "register"));
        }
        features = host
            .features_before_login
            .iter()
            .cloned()
            .fold(features, Features::with);
        self.with_limits(features, self.settings.before_login.stanza_bytes)
    }

    fn with_sasl(&self, features: Features, host: &HostFacts) -> Features {
        let offered = self.offered();
        if offered.is_empty() {
            return features;
        }
        let names = || offered.iter().map(|known| known.as_str());
        let mut features = features.with_mechanisms(names());
        if self.offers_sasl2() {
            let fast = self.fast_feature();
            let tasks = host.upgrades.iter().map(|hash| upgrade::task(*hash));
            features = features
                .with_sasl2(names(), inline(host).chain(fast))
                .with_upgrades(tasks);
        }
        // XEP-0440 §3 rule 5: types without a mechanism that binds look like an attack.
        if offered.iter().any(|known| known.is_plus()) {
            let bindings = self.bindings();
            features = features.with_channel_bindings(bindings.types().map(BindingType::as_str));
        }
        features
    }

    /// XEP-0478 §3.1.
    fn with_limits(&self, features: Features, bytes: usize) -> Features {
        features.with_limits(Some(bytes), self.settings.idle_seconds)
    }
}

/// What SASL2 allows inline (XEP-0388 §2.1): Bind 2 with what it allows inline (XEP-0386 §3.1), and
/// the owner's.
fn inline(host: &HostFacts) -> impl Iterator<Item = Element> {
    let mut bind = Element::new(ns::BIND2, "bind");
    if !host.bind_inline.is_empty() {
        let feature =
            |var: &String| Element::new(ns::BIND2, "feature").with_attr("var", var.clone());
        let features = host.bind_inline.iter().map(feature);
        bind.push(Element::new(ns::BIND2, "inline").with_children(features));
    }
    std::iter::once(bind).chain(host.inline.iter().cloned())
}
