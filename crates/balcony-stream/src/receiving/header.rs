//! RFC 6120 §4.7 stream headers: what the client's says, and ours.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stream::{StreamCondition, StreamHeader};

use super::negotiation::{Negotiation, Phase, Waiting};
use super::question::Question;
use crate::framing;
use crate::settings::HostFacts;

/// The language of all texts we write.
const OUR_LANGUAGE: &str = "en";

/// The longest `xml:lang` taken. RFC 5646 §4.4.1 has 35 characters suffice for a tag; what is
/// longer would be held as long as the session and added to each of its stanzas.
const LANGUAGE_BYTES: usize = 64;

impl Negotiation {
    pub(super) fn opened(&mut self, header: StreamHeader) {
        self.versioned = framing::is_version_1(&header);
        self.lang = header.lang.clone().filter(|lang| !lang.is_empty());
        let from = header
            .from
            .as_deref()
            .filter(|from| !from.is_empty())
            .map(Jid::parse);
        self.from = from
            .as_ref()
            .and_then(|from| from.as_ref().ok())
            .map(Jid::bare);
        if !self.versioned {
            // RFC 6120 §4.7.5: no version means 0.9, which knows neither features nor SASL
            // (§4.9.3.25).
            return self.fail(StreamCondition::UnsupportedVersion);
        }
        if self
            .lang
            .as_ref()
            .is_some_and(|lang| lang.len() > LANGUAGE_BYTES)
        {
            return self.fail_with(StreamCondition::PolicyViolation, "xml:lang is too long");
        }
        let Some(domain) = self.addressed_domain(header.to.as_deref()) else {
            // RFC 6120 §4.7.2: the initiating entity MUST include `to`, a domainpart.
            return self.fail(StreamCondition::ImproperAddressing);
        };
        // XEP-0388 §2.1, RFC 6120 §4.9.3.9: a `from` of another domain.
        if from.is_some_and(|from| from.map_or(true, |from| from.domain() != domain)) {
            return self.fail(StreamCondition::InvalidFrom);
        }
        match &self.account {
            None => self.ask(Waiting::Host, Question::Host(domain)),
            Some(known) if known.account.domain() == domain => self.answer_header(Phase::Bind),
            // Who proved an account on one host is a stranger to the others.
            Some(_) => self.fail(StreamCondition::HostUnknown),
        }
    }

    /// The host that the header is for. The same information can come with SNI (RFC 6120 §4.7.2),
    /// and old clients leave `to` out, which one should be liberal about.
    fn addressed_domain(&self, to: Option<&str>) -> Option<String> {
        let sni = || self.tls.as_ref().and_then(|tls| tls.sni.clone());
        let default = || self.settings.default_host.clone();
        let to = match to.filter(|to| !to.is_empty()) {
            Some(to) => to.to_string(),
            None => sni().or_else(default)?,
        };
        let jid = Jid::parse(&to).ok().filter(Jid::is_domain)?;
        Some(jid.domain().to_string())
    }

    pub(super) fn host_answered(&mut self, facts: Option<Arc<HostFacts>>) {
        if facts.is_none() {
            return self.fail(StreamCondition::HostUnknown);
        }
        self.host = facts;
        self.answer_header(Phase::Login);
    }

    fn answer_header(&mut self, phase: Phase) {
        self.ensure_header();
        self.phase = phase;
        match phase {
            Phase::Bind => self.write_final_features(true, false),
            _ => self.write_login_features(),
        }
    }

    /// Writes our header unless it is out.
    pub(super) fn ensure_header(&mut self) {
        if std::mem::replace(&mut self.header_sent, true) {
            return;
        }
        let host = self.host.as_ref().map(|host| host.name.as_str());
        let header = StreamHeader {
            // RFC 6120 §4.9.1.3: where the host is unknown, an authoritative FQDN or the empty
            // string.
            from: Some(
                host.or(self.settings.default_host.as_deref())
                    .unwrap_or_default()
                    .into(),
            ),
            // RFC 6120 §4.7.2: the client's `from` if there was one, else no `to`.
            to: self.from.as_ref().map(|from| from.as_str().into()),
            // RFC 6120 §4.3.3: a new one for each stream.
            id: Some(self.random.token()),
            // RFC 6120 §4.7.5: whichever is lower, and none for a client without.
            version: self.versioned.then_some((1, 0)),
            // RFC 6120 §4.7.4: the client's if we speak it, else our default; we speak one.
            lang: Some(OUR_LANGUAGE.into()),
            ..StreamHeader::default()
        };
        framing::write_header(&header, ns::CLIENT, self.out.bytes());
    }
}
