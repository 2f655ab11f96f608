//! Stream features (RFC 6120 §4.3.2), as the receiving entity offers and the initiating reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::ns;
use crate::xml::Element;

/// `<stream:features/>`: the offers in order. Build it with the methods that take values, read
/// it with those that answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    offers: Vec<Element>,
}

impl Features {
    /// No feature: negotiation is over (§4.3.2).
    pub fn new() -> Self {
        Features::default()
    }

    /// With any other feature.
    #[must_use]
    pub fn with(mut self, offer: Element) -> Self {
        self.offers.push(offer);
        self
    }

    /// With STARTTLS (§5.4.1).
    #[must_use]
    pub fn with_starttls(self, required: bool) -> Self {
        let mut starttls = Element::new(ns::TLS, "starttls");
        if required {
            starttls.push(Element::new(ns::TLS, "required"));
        }
        self.with(starttls)
    }

    /// With SASL mechanisms in order of preference (§6.4.1).
    #[must_use]
    pub fn with_mechanisms<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = texts(ns::SASL, "mechanism", names);
        self.with(Element::new(ns::SASL, "mechanisms").with_children(names))
    }

    /// With the channel-binding types that go with the -PLUS mechanisms (XEP-0440 §3).
    #[must_use]
    pub fn with_channel_bindings<'a>(self, types: impl IntoIterator<Item = &'a str>) -> Self {
        let types = types
            .into_iter()
            .map(|name| Element::new(ns::SASL_CB, "channel-binding").with_attr("type", name));
        self.with(Element::new(ns::SASL_CB, "sasl-channel-binding").with_children(types))
    }

    /// With SASL2: mechanisms, and the features that may be negotiated inline (XEP-0388 §2.1).
    #[must_use]
    pub fn with_sasl2<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
        inline: impl IntoIterator<Item = Element>,
    ) -> Self {
        let mut offer = Element::new(ns::SASL2, "authentication").with_children(texts(
            ns::SASL2,
            "mechanism",
            names,
        ));
        let inline = Element::new(ns::SASL2, "inline").with_children(inline);
        if inline.children().next().is_some() {
            offer.push(inline);
        }
        self.with(offer)
    }

    /// With the upgrade tasks of SASL2, which must be there already (XEP-0480 §2.1).
    #[must_use]
    pub fn with_upgrades<'a>(mut self, tasks: impl IntoIterator<Item = &'a str>) -> Self {
        let mut offers = self.offers.iter_mut();
        if let Some(offer) = offers.find(|offer| offer.is(ns::SASL2, "authentication")) {
            texts(ns::SASL_UPGRADE, "upgrade", tasks).for_each(|task| offer.push(task));
        }
        self
    }

    /// With a value that changes with any other feature (XEP-0509 §2.1): a digest of them, which
    /// the document proposes. It must come last.
    #[must_use]
    pub fn with_config_version(self) -> Self {
        let mut rendered = Vec::new();
        self.write(&mut rendered);
        let digest = Sha256::digest(&rendered);
        // 128 bits: nobody gains by two configurations of the same value, and none will meet.
        let value = STANDARD.encode(digest.get(..16).unwrap_or_default());
        let version = Element::new(ns::IAP, "config-version")
            .with_attr("scheme", "opaque")
            .with_attr("value", value);
        self.with(version)
    }

    /// With resource binding (§7.4).
    #[must_use]
    pub fn with_bind(self) -> Self {
        self.with(Element::new(ns::BIND, "bind"))
    }

    /// With the session request that RFC 3921 clients expect, marked as optional.
    #[must_use]
    pub fn with_session(self) -> Self {
        let optional = Element::new(ns::SESSION, "optional");
        self.with(Element::new(ns::SESSION, "session").with_child(optional))
    }

    /// With our limits: bytes of a first-level element, seconds without traffic
    /// (XEP-0478 §3.1). `None`: not said.
    #[must_use]
    pub fn with_limits(self, max_bytes: Option<usize>, idle_seconds: Option<u64>) -> Self {
        let mut limits = Element::new(ns::LIMITS, "limits");
        if let Some(max) = max_bytes {
            limits.push(Element::new(ns::LIMITS, "max-bytes").with_text(&max.to_string()));
        }
        if let Some(idle) = idle_seconds {
            limits.push(Element::new(ns::LIMITS, "idle-seconds").with_text(&idle.to_string()));
        }
        self.with(limits)
    }

    /// All offers.
    pub fn offers(&self) -> &[Element] {
        &self.offers
    }

    /// The offer `name` of `ns`.
    pub fn find(&self, ns: &str, name: &str) -> Option<&Element> {
        self.offers.iter().find(|offer| offer.is(ns, name))
    }

    /// Whether `name` of `ns` is offered.
    pub fn has(&self, ns: &str, name: &str) -> bool {
        self.find(ns, name).is_some()
    }

    /// STARTTLS: `Some(required)` where offered. §5.3.1: the only feature offered is required
    /// even where it does not say so.
    pub fn starttls(&self) -> Option<bool> {
        let offer = self.find(ns::TLS, "starttls")?;
        Some(offer.child(ns::TLS, "required").is_some() || self.offers.len() == 1)
    }

    /// The mechanisms of classic SASL, empty where it is not offered.
    pub fn mechanisms(&self) -> Vec<String> {
        let offer = self.find(ns::SASL, "mechanisms");
        offer
            .map(|offer| listed(offer, "mechanism"))
            .unwrap_or_default()
    }

    /// The mechanisms of SASL2, empty where it is not offered.
    pub fn sasl2_mechanisms(&self) -> Vec<String> {
        let offer = self.find(ns::SASL2, "authentication");
        offer
            .map(|offer| listed(offer, "mechanism"))
            .unwrap_or_default()
    }

    /// What SASL2 allows inline (XEP-0388 §2.1).
    pub fn sasl2_inline(&self) -> Option<&Element> {
        self.find(ns::SASL2, "authentication")?
            .child(ns::SASL2, "inline")
    }

    /// The upgrade tasks of SASL2 (XEP-0480 §2.1).
    pub fn upgrades(&self) -> Vec<String> {
        let offer = self.find(ns::SASL2, "authentication");
        let children = offer.into_iter().flat_map(Element::children);
        let tasks = children.filter(|child| child.is(ns::SASL_UPGRADE, "upgrade"));
        tasks.map(|task| task.text().trim().to_owned()).collect()
    }

    /// The value that changes with any other feature (XEP-0509 §2.1).
    pub fn config_version(&self) -> Option<&str> {
        self.find(ns::IAP, "config-version")?.attr("value")
    }

    /// The channel-binding types (XEP-0440), `None` where they are not announced.
    pub fn channel_bindings(&self) -> Option<Vec<String>> {
        let offer = self.find(ns::SASL_CB, "sasl-channel-binding")?;
        Some(
            offer
                .children()
                .filter_map(|child| child.attr("type").map(str::to_owned))
                .collect(),
        )
    }

    /// Whether resource binding is offered.
    pub fn bind(&self) -> bool {
        self.has(ns::BIND, "bind")
    }

    /// Whether a session request is offered and not optional.
    pub fn session_required(&self) -> bool {
        let offer = self.find(ns::SESSION, "session");
        offer.is_some_and(|offer| offer.child(ns::SESSION, "optional").is_none())
    }

    /// The peer's limit on first-level elements in bytes (XEP-0478 §3.1).
    pub fn max_bytes(&self) -> Option<usize> {
        let limits = self.find(ns::LIMITS, "limits")?;
        limits
            .child_text(ns::LIMITS, "max-bytes")?
            .trim()
            .parse()
            .ok()
    }

    /// The seconds without traffic after which the peer may ask whether anybody is there, or end
    /// the stream (XEP-0478 §3.1).
    pub fn idle_seconds(&self) -> Option<u64> {
        let limits = self.find(ns::LIMITS, "limits")?;
        limits
            .child_text(ns::LIMITS, "idle-seconds")?
            .trim()
            .parse()
            .ok()
    }

    /// Appends `<stream:features>`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.offers.is_empty() {
            return out.extend_from_slice(b"<stream:features/>");
        }
        out.extend_from_slice(b"<stream:features>");
        for offer in &self.offers {
            offer.write("", out);
        }
        out.extend_from_slice(b"</stream:features>");
    }

    /// Reads the element. `None` for any other.
    pub fn parse(element: &Element) -> Option<Self> {
        element.is(ns::STREAMS, "features").then(|| Features {
            offers: element.children().cloned().collect(),
        })
    }
}

fn texts<'a>(
    ns: &'static str,
    name: &'static str,
    values: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = Element> {
    values
        .into_iter()
        .map(move |value| Element::new(ns, name).with_text(value))
}

fn listed(offer: &Element, name: &str) -> Vec<String> {
    let of_name = offer.children().filter(|child| child.is(offer.ns(), name));
    of_name
        .map(|child| child.text().trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_the_wire(features: &Features) -> Features {
        let mut out = Vec::new();
        features.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let inner = text
            .strip_prefix("<stream:features>")
            .and_then(|text| text.strip_suffix("</stream:features>"))
            .unwrap();
        let text = format!("<features xmlns='{}'>{inner}</features>", ns::STREAMS);
        Features::parse(&Element::parse(text.as_bytes(), "").unwrap()).unwrap()
    }

    #[test]
    fn what_is_offered_is_read() {
        let offered = Features::new()
            .with_starttls(false)
            .with_mechanisms(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
            .with_channel_bindings(["tls-exporter"])
            .with_sasl2(["SCRAM-SHA-1"], [Element::new(ns::BIND2, "bind")])
            .with_bind()
            .with_session()
            .with_limits(Some(10_000), Some(1_800));
        let read = through_the_wire(&offered);
        assert_eq!(read, offered);
        assert_eq!(read.starttls(), Some(false));
        assert_eq!(read.mechanisms(), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
        assert_eq!(read.sasl2_mechanisms(), ["SCRAM-SHA-1"]);
        assert!(
            read.sasl2_inline()
                .unwrap()
                .child(ns::BIND2, "bind")
                .is_some()
        );
        assert_eq!(read.channel_bindings().unwrap(), ["tls-exporter"]);
        assert!(read.bind());
        assert!(!read.session_required());
        assert_eq!(read.max_bytes(), Some(10_000));
        assert_eq!(read.idle_seconds(), Some(1_800));
    }

    #[test]
    fn upgrades_stand_in_the_offer_of_sasl2() {
        let tasks = ["UPGR-SCRAM-SHA-256"];
        let read = through_the_wire(
            &Features::new()
                .with_sasl2(["PLAIN"], [])
                .with_upgrades(tasks),
        );
        assert_eq!(read.upgrades(), tasks);
        assert_eq!(read.sasl2_mechanisms(), ["PLAIN"]);
        assert_eq!(Features::new().with_upgrades(tasks), Features::new());
    }

    #[test]
    fn the_config_version_changes_with_any_other_feature_and_with_nothing_else() {
        let version = |features: &Features| {
            let features = through_the_wire(&features.clone().with_config_version());
            features.config_version().unwrap().to_owned()
        };
        let features = Features::new().with_mechanisms(["SCRAM-SHA-256"]);
        assert_eq!(version(&features), version(&features.clone()));
        assert_ne!(version(&features), version(&features.with_bind()));
    }

    #[test]
    fn starttls_alone_is_required_even_when_it_does_not_say_so() {
        let features = through_the_wire(&Features::new().with_starttls(false));
        assert_eq!(features.starttls(), Some(true));
    }
}
