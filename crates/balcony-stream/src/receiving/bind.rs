//! RFC 6120 §7 resource binding.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{BadStanza, IqType, Kind, Stanza, StanzaError, StanzaName};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::negotiation::{Negotiation, Phase, Waiting};
use super::question::{BindAnswer, BindRequest, Question};
use super::{Bound, Output};

impl Negotiation {
    /// A stanza between authentication and binding.
    pub(super) fn bind_stanza(&mut self, stanza: Stanza) {
        let bind = match stanza.kind {
            Kind::Iq(IqType::Set) => stanza
                .payload
                .find(ns::BIND, "bind")
                .map(|bind| bind.element()),
            _ => None,
        };
        let (Some(bind), Some(id)) = (bind, stanza.id.clone()) else {
            return self.too_early(&stanza);
        };
        let wish = bind
            .child_text(ns::BIND, "resource")
            .filter(|wish| !wish.is_empty());
        match self.bind_request(wish) {
            Some(request) => self.ask(Waiting::Bind(id), Question::Bind(Box::new(request))),
            // RFC 6120 §7.7.2.1
            None => self.bind_failed(id, &StanzaError::bad_request()),
        }
    }

    /// `None` if the wish is no resourcepart (RFC 7622 §3.4).
    fn bind_request(&self, wish: Option<String>) -> Option<BindRequest> {
        let known = self.account.as_ref()?;
        let requested = wish.is_some();
        // RFC 6120 §7.6: what the server makes MUST be random.
        let resource = wish.unwrap_or_else(|| self.random.token());
        let jid = known.account.with_resource(&resource).ok()?;
        Some(BindRequest {
            account: known.account.clone(),
            resource: jid.resource()?.to_string(),
            requested,
            mechanism: known.mechanism,
            bind2: false,
            client: known.client.clone(),
            inline: Vec::new(),
            authenticate: Vec::new(),
        })
    }

    /// A stanza whose header is wrong; if it was to bind, that failed.
    pub(super) fn bind_bad_stanza(&mut self, bad: &BadStanza) {
        match bad.answer().filter(|_| bad.name == StanzaName::Iq) {
            Some(answer) => {
                answer.write(self.out.bytes());
                self.count_bind_failure();
            }
            None => self.fail(StreamCondition::NotAuthorized),
        }
    }

    /// RFC 6120 §7.1: stanzas for the server or the account could be served before binding, but no
    /// client needs it; all others end the stream.
    fn too_early(&mut self, stanza: &Stanza) {
        let ours = stanza.to.as_ref().is_none_or(|to| {
            let host = self
                .host
                .as_ref()
                .is_some_and(|host| to.as_str() == host.name);
            host || self
                .account
                .as_ref()
                .is_some_and(|known| *to == known.account)
        });
        let request = matches!(stanza.kind, Kind::Iq(IqType::Get | IqType::Set));
        match stanza
            .error(&StanzaError::not_allowed())
            .filter(|_| ours && request)
        {
            Some(error) => error.write(self.out.bytes()),
            None => self.fail(StreamCondition::NotAuthorized),
        }
    }

    pub(super) fn bind_answered(&mut self, id: Arc<str>, answer: Result<BindAnswer, StanzaError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.bind_failed(id, &error),
        };
        let jid = Element::new(ns::BIND, "jid").with_text(answer.jid.as_str());
        let bind = Element::new(ns::BIND, "bind").with_child(jid);
        Stanza::iq(IqType::Result, id)
            .with_element(bind)
            .write(self.out.bytes());
        self.established(answer.jid, false, Output::Bound);
    }

    fn bind_failed(&mut self, id: Arc<str>, error: &StanzaError) {
        Stanza::iq(IqType::Error, id)
            .with_element(error.to_element())
            .write(self.out.bytes());
        self.count_bind_failure();
    }

    fn count_bind_failure(&mut self) {
        self.bind_failures += 1;
        if self.bind_failures >= self.settings.bind_attempts {
            // RFC 6120 §7.7.3
            self.fail_with(
                StreamCondition::PolicyViolation,
                "too many failed resource bindings",
            );
        }
    }

    /// The client knows its address: negotiation is over, and this is what the owner gets.
    pub(super) fn established(&mut self, jid: Jid, bind2: bool, output: fn(Box<Bound>) -> Output) {
        let Some(known) = self.account.take() else {
            return self.fail(StreamCondition::InternalServerError);
        };
        self.phase = Phase::Bound;
        self.out.push(output(Box::new(Bound {
            jid,
            mechanism: known.mechanism,
            encrypted: self.tls.is_some(),
            bind2,
            client: known.client,
            lang: self.lang.take(),
        })));
    }

    /// Something that is no stanza, after authentication: another authentication (RFC 6120
    /// §4.9.3.12, XEP-0388 §4.8), STARTTLS too late, or nothing we know.
    pub(super) fn bind_element(&mut self, element: &Element) {
        match element.ns() {
            ns::SASL | ns::SASL2 => self.fail(StreamCondition::NotAuthorized),
            ns::TLS => self.tls_element(element),
            ns::SM => self.sm_element(element),
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }
}
