//! XEP-0484 Fast Authentication Streamlining Tokens 0.2.0 and XEP-0509 Instant Authentication
//! Pipelining 0.2.0 from the client's side.

use std::fmt;

use balcony_proto::ns;
use balcony_proto::sasl::{Mechanism, ht};
use balcony_proto::stream::Features;
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;

use super::Failure;
use super::negotiation::Negotiation;

/// What logs in without the password; to be kept as secret as that (§4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct FastToken {
    /// The only mechanism that it is good for.
    pub mechanism: Mechanism,
    /// What both sides know.
    pub secret: String,
    /// Until when it is good, in microseconds since the Unix epoch. `None`: the server gave no
    /// time that can be read.
    pub expires: Option<i64>,
}

impl fmt::Debug for FastToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastToken")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Negotiation {
    /// The token, where the server takes it on this channel.
    pub(super) fn usable_token(&self, features: &Features) -> Option<FastToken> {
        let offered = self.offered_fast(features);
        let token = self.token_at_hand()?;
        offered.contains(&token.mechanism).then_some(token)
    }

    /// The token, whatever the server may say.
    pub(super) fn token_at_hand(&self) -> Option<FastToken> {
        let token = self.config.token.clone()?;
        let usable = self.config.sasl2 && self.has_id() && !self.token_refused;
        let bound = self.ht_binding(token.mechanism).is_some();
        (usable && bound).then_some(token)
    }

    /// What the mechanism binds to. `None`: nothing that is there, as without TLS.
    pub(super) fn ht_binding(&self, mechanism: Mechanism) -> Option<Vec<u8>> {
        let bindings = &self.tls.as_ref()?.bindings;
        ht::binding(mechanism, bindings).map(<[u8]>::to_vec)
    }

    /// `<request-token/>` (§3.2), for the strongest mechanism that both sides can use.
    pub(super) fn token_wish(&mut self, features: &Features) -> Option<Element> {
        let wanted = self.config.request_token && self.has_id();
        let mechanism = *self.offered_fast(features).first().filter(|_| wanted)?;
        self.token_for = Some(mechanism);
        let name = mechanism.as_str();
        Some(Element::new(ns::FAST, "request-token").with_attr("mechanism", name))
    }

    /// §4.1: without an id there are no tokens.
    fn has_id(&self) -> bool {
        let agent = self.config.user_agent.as_ref();
        agent.is_some_and(|agent| agent.id.is_some())
    }

    fn offered_fast(&self, features: &Features) -> Vec<Mechanism> {
        let inline = features.sasl2_inline();
        let Some(fast) = inline.and_then(|inline| inline.child(ns::FAST, "fast")) else {
            return Vec::new();
        };
        let names: Vec<String> = fast.children().map(Element::text).collect();
        let offered = |known: &Mechanism| names.iter().any(|name| name.trim() == known.as_str());
        let possible = |known: &Mechanism| self.ht_binding(*known).is_some();
        let all = Mechanism::FAST.into_iter();
        all.filter(|known| offered(known) && possible(known))
            .collect()
    }

    /// Notes `<token/>` (§3.3); whether it was one.
    pub(super) fn token_given(&mut self, element: &Element) -> bool {
        if !element.is(ns::FAST, "token") {
            return false;
        }
        if let Some((mechanism, secret)) = self.token_for.zip(element.attr("token")) {
            self.token = Some(FastToken {
                mechanism,
                secret: secret.to_owned(),
                expires: element.attr("expiry").and_then(date_time::parse),
            });
        }
        true
    }

    /// XEP-0509 §2.2: the login goes out with the header, by what is known from an earlier stream.
    pub(super) fn pipeline(&mut self) {
        let version = self.config.pipelined.clone();
        if let Some((version, token)) = version.zip(self.token_at_hand()) {
            let version = Element::new(ns::IAP, "config-version")
                .with_attr("scheme", "opaque")
                .with_attr("value", version);
            let resume = self.resume_wish();
            self.authenticate_by(token, true, resume, Some(version));
        }
    }

    /// The token is no good, or the server has changed: once more by what the features say
    /// (XEP-0484 §4.1, XEP-0509 §2.2).
    pub(super) fn token_failed(&mut self, failure: &Element) {
        let mismatch = failure.child(ns::IAP, "config-version-mismatch").is_some();
        self.token_refused |= !mismatch;
        let features = std::mem::take(&mut self.features);
        if features.offers().is_empty() {
            return self.fail(Failure::Protocol("it refuses before it offers anything"));
        }
        self.authenticate(&features);
    }
}
