//! RFC 6120 §5 STARTTLS.

use balcony_proto::ns;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::Output;
use super::negotiation::{Negotiation, Phase};

impl Negotiation {
    /// Nothing but STARTTLS is possible: encryption is required and absent.
    pub(super) fn needs_tls(&self) -> bool {
        let host = self.host.as_ref().is_some_and(|host| host.tls_required);
        self.tls.is_none() && (host || self.settings.tls_required)
    }

    pub(super) fn offers_starttls(&self) -> bool {
        // XEP-0368 §2: STARTTLS is not used over TLS. RFC 6120 §5.3.4: nor after SASL.
        self.tls.is_none() && self.account.is_none() && self.settings.starttls
    }

    /// An element of the TLS namespace.
    pub(super) fn tls_element(&mut self, element: &Element) {
        if element.name() != "starttls" {
            return self.fail(StreamCondition::UnsupportedStanzaType);
        }
        self.exchange = None;
        if !self.offers_starttls() {
            // RFC 6120 §5.4.2.2: a failure closes the stream and the connection.
            self.write(&Element::new(ns::TLS, "failure"));
            return self.close();
        }
        self.write(&Element::new(ns::TLS, "proceed"));
        self.out.push(Output::StartTls);
        self.scanner.restart();
        self.await_handshake();
        debug_assert_eq!(self.phase, Phase::Handshake);
    }
}
