//! RFC 6120 §7 resource binding, and the session of RFC 3921 where a server insists on it.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza, StanzaError};
use balcony_proto::xml::Element;

use super::negotiation::{Negotiation, Phase};
use super::{Bound, Failure, Output};

/// The ids of our two requests; nothing else is under way.
const BIND_ID: &str = "bind";
const SESSION_ID: &str = "session";

impl Negotiation {
    pub(super) fn bind(&mut self) {
        let wish = self.config.resource.as_deref();
        let resource = wish.map(|wish| Element::new(ns::BIND, "resource").with_text(wish));
        self.request(
            BIND_ID,
            Element::new(ns::BIND, "bind").with_children(resource),
        );
        self.phase = Phase::Bind;
    }

    fn request(&mut self, id: &'static str, element: Element) {
        Stanza::iq(IqType::Set, id)
            .with_element(element)
            .write(self.out.bytes());
    }

    pub(super) fn bind_stanza(&mut self, stanza: &Stanza) {
        let bind = match answer(stanza, BIND_ID) {
            Some(Ok(())) => stanza
                .payload
                .find(ns::BIND, "bind")
                .map(|bind| bind.element()),
            Some(Err(error)) => return self.fail(Failure::Bind(error)),
            None => return self.fail(Failure::Protocol("a stanza before the resource")),
        };
        // RFC 6120 §7.6.1: whatever the server returns is our address.
        let jid = bind.and_then(|bind| bind.child_text(ns::BIND, "jid"));
        let jid = jid
            .and_then(|text| Jid::parse(text.trim()).ok())
            .filter(Jid::is_full);
        if jid.is_none() {
            return self.fail(Failure::Protocol("it bound a resource without a name"));
        }
        self.jid = jid;
        if !self.features.session_required() {
            return self.established();
        }
        self.request(SESSION_ID, Element::new(ns::SESSION, "session"));
        self.phase = Phase::Session;
    }

    pub(super) fn session_stanza(&mut self, stanza: &Stanza) {
        match answer(stanza, SESSION_ID) {
            Some(Ok(())) => self.established(),
            Some(Err(error)) => self.fail(Failure::Bind(error)),
            None => self.fail(Failure::Protocol("a stanza before the session")),
        }
    }

    pub(super) fn established(&mut self) {
        let (Some(jid), Some(mechanism)) = (self.jid.take(), self.mechanism) else {
            return self.fail(Failure::Protocol("it skipped the login"));
        };
        self.phase = Phase::Bound;
        self.out.push(Output::Bound(Box::new(Bound {
            jid,
            mechanism,
            features: std::mem::take(&mut self.features),
            stream_id: self.stream_id.take(),
            bound: std::mem::take(&mut self.bound),
            success: std::mem::take(&mut self.success),
            keys: self.keys.take(),
            resumption: self.resumption,
            token: self.token.take(),
            token_refused: self.token_refused,
            config_version: self.config_version.take(),
        })));
    }
}

/// What the stanza says to our request; `None`: it isn't about it.
fn answer(stanza: &Stanza, id: &str) -> Option<Result<(), StanzaError>> {
    if stanza.id.as_deref() != Some(id) {
        return None;
    }
    match stanza.kind {
        Kind::Iq(IqType::Result) => Some(Ok(())),
        Kind::Iq(IqType::Error) => Some(Err(stanza
            .stanza_error()
            .unwrap_or_else(StanzaError::internal_server_error))),
        _ => None,
    }
}
