//! XEP-0388 Extensible SASL Profile.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::{HashKind, Mechanism, SaslError};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::{Element, Node};

use super::auth::Begin;
use super::completion::Completion;
use super::fast::Used;
use super::negotiation::{Authenticated, Negotiation};
use super::upgrade;
use crate::sasl_profile::Profile;
use crate::user_agent::UserAgent;

/// What `<authenticate/>` asks for besides authentication. Not looked at before that has succeeded
/// (§2.6.2).
#[derive(Debug, Default)]
pub(super) struct Authenticate {
    pub(super) client: Option<UserAgent>,
    /// `<bind/>` of Bind 2.
    pub(super) bind: Option<Element>,
    /// `<resume/>` of stream management.
    pub(super) resume: Option<Element>,
    /// `<fast/>` of XEP-0484.
    pub(super) fast: Option<Element>,
    /// `<request-token/>` of XEP-0484.
    pub(super) request_token: Option<Element>,
    /// The token that was proved.
    pub(super) used: Option<Used>,
    /// The hashes of upgrade tasks (XEP-0480).
    pub(super) upgrades: Vec<HashKind>,
    /// Children that are none of ours.
    pub(super) others: Vec<Element>,
}

impl Negotiation {
    pub(super) fn sasl2_element(&mut self, element: Element) {
        if !self.host.as_ref().is_some_and(|host| host.sasl2) {
            return self.fail(StreamCondition::UnsupportedStanzaType);
        }
        match element.name() {
            _ if self.upgrade.is_some() => self.task_element(&element),
            // §2.4: during authentication only a response or an abort; the server must disconnect
            // otherwise.
            "authenticate" if self.exchange.is_some() => {
                self.fail(StreamCondition::PolicyViolation)
            }
            "authenticate" => self.authenticate(element),
            "response" => self.response(Profile::Sasl2, &element),
            "abort" => self.aborted(Profile::Sasl2),
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    fn authenticate(&mut self, element: Element) {
        let mechanism = element.attr("mechanism").map(str::to_string);
        let mut request = Authenticate::default();
        // §2.3: absent means no initial response; empty means an empty one (§2.2).
        let mut initial = Ok(None);
        let mut version = None;
        for node in element.into_nodes() {
            let Node::Element(child) = node else { continue };
            match (child.ns(), child.name()) {
                (ns::SASL2, "initial-response") => {
                    initial = Profile::Sasl2.decode(&child).map(Some)
                }
                (ns::SASL2, "user-agent") => request.client = Some(UserAgent::parse(&child)),
                (ns::BIND2, "bind") => request.bind = Some(child),
                (ns::FAST, "fast") => request.fast = Some(child),
                (ns::FAST, "request-token") => request.request_token = Some(child),
                (ns::SASL_UPGRADE, "upgrade") => request.upgrades.extend(upgrade::parse(&child)),
                (ns::IAP, "config-version") => version = Some(child),
                (ns::SM, "resume") => request.resume = Some(child),
                _ => request.others.push(child),
            }
        }
        if let Some(version) = version
            && version.attr("value") != self.config_version.as_deref()
        {
            return self.config_version_mismatch();
        }
        self.begin(Begin {
            profile: Profile::Sasl2,
            mechanism,
            initial,
            authenticate: Some(Box::new(request)),
        });
    }

    /// XEP-0509 §2.2: refused without prejudice. The client has the present features already.
    fn config_version_mismatch(&mut self) {
        let failure = Profile::Sasl2.failure(SaslError::Aborted);
        self.write(&failure.with_child(Element::new(ns::IAP, "config-version-mismatch")));
    }

    /// The mechanism succeeded; what else was asked for comes before `<success/>`.
    pub(super) fn sasl2_proved(
        &mut self,
        account: Jid,
        mechanism: Mechanism,
        request: Authenticate,
        data: Option<Vec<u8>>,
    ) {
        self.authenticated(Authenticated {
            account,
            mechanism,
            client: request.client.clone(),
        });
        self.complete(Box::new(Completion::new(request, data)));
    }
}
