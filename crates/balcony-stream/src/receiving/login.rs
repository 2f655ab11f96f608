//! What may come before login: STARTTLS, authentication, and registration (XEP-0077 §3.1).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::Output;
use super::exchange::Exchange;
use super::negotiation::{Negotiation, Waiting};

impl Negotiation {
    pub(super) fn login_element(&mut self, element: Element) {
        let sasl2_runs = self.runs_sasl2();
        match element.ns() {
            ns::SASL2 => self.sasl2_element(element),
            // XEP-0388 §2.4: the server must disconnect a client that sends anything else during
            // authentication.
            _ if sasl2_runs => self.fail(StreamCondition::PolicyViolation),
            ns::TLS => self.tls_element(&element),
            ns::SASL => self.sasl_element(&element),
            // RFC 6120 §4.9.3.24
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// An authentication by SASL2 is under way, tasks included.
    pub(super) fn runs_sasl2(&self) -> bool {
        self.upgrade.is_some() || self.exchange.as_ref().is_some_and(Exchange::is_sasl2)
    }

    /// A stanza before login: registration if the host allows it, else RFC 6120 §4.9.3.12.
    pub(super) fn login_stanza(&mut self, stanza: Stanza) {
        let request = matches!(stanza.kind, Kind::Iq(IqType::Get | IqType::Set));
        let allowed = self.exchange.is_none()
            && self.upgrade.is_none()
            && !self.needs_tls()
            && self.host.as_ref().is_some_and(|host| {
                host.registration && stanza.to.as_ref().is_none_or(|to| to.as_str() == host.name)
            });
        if !request || !allowed {
            return self.fail(StreamCondition::NotAuthorized);
        }
        // A person may be filling in a form.
        self.registers = true;
        self.waiting = Some(Waiting::PreAuth);
        self.out.push(Output::PreAuth(Box::new(stanza)));
    }

    pub(super) fn pre_auth_answered(&mut self, reply: Option<Box<Stanza>>) {
        match reply {
            Some(reply) => reply.write(self.out.bytes()),
            None => self.fail(StreamCondition::NotAuthorized),
        }
    }

    /// RFC 6120 §6.4.6: the `from` of a protected header must be the account. An anonymous client
    /// cannot know it.
    pub(super) fn contradicts_from(&self, account: &Jid) -> bool {
        self.tls.is_some() && self.from.as_ref().is_some_and(|from| from != account)
    }
}
