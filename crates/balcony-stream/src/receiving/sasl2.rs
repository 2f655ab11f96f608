//! XEP-0388 Extensible SASL Profile.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::Mechanism;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::{Element, Node};

use super::auth::Begin;
use super::negotiation::{Authenticated, Negotiation, Phase};
use crate::sasl_profile::Profile;
use crate::user_agent::UserAgent;

/// What `<authenticate/>` asks for besides authentication. Not looked at before that has succeeded
/// (§2.6.2).
#[derive(Debug, Default)]
pub(super) struct Authenticate {
    pub(super) client: Option<UserAgent>,
    /// `<bind/>` of Bind 2.
    pub(super) bind: Option<Element>,
    /// Children that are none of ours: resumption, tokens.
    pub(super) others: Vec<Element>,
}

impl Negotiation {
    pub(super) fn sasl2_element(&mut self, element: Element) {
        if !self.host.as_ref().is_some_and(|host| host.sasl2) {
            return self.fail(StreamCondition::UnsupportedStanzaType);
        }
        match element.name() {
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
        for node in element.into_nodes() {
            let Node::Element(child) = node else { continue };
            match (child.ns(), child.name()) {
                (ns::SASL2, "initial-response") => {
                    initial = Profile::Sasl2.decode(&child).map(Some)
                }
                (ns::SASL2, "user-agent") => request.client = Some(UserAgent::parse(&child)),
                (ns::BIND2, "bind") => request.bind = Some(child),
                _ => request.others.push(child),
            }
        }
        self.begin(Begin {
            profile: Profile::Sasl2,
            mechanism,
            initial,
            authenticate: Some(Box::new(request)),
        });
    }

    /// The mechanism succeeded. Here tasks would go on with `<continue/>` (§2.6.3) and a resumption
    /// would come before binding (XEP-0386 §3.2); then binding, if it was asked for, and only then
    /// `<success/>`.
    pub(super) fn sasl2_proved(
        &mut self,
        account: Jid,
        mechanism: Mechanism,
        request: Authenticate,
        data: Option<Vec<u8>>,
    ) {
        let Authenticate {
            client,
            bind,
            others,
        } = request;
        let success = success(data.as_deref());
        self.authenticated(Authenticated {
            account,
            mechanism,
            client,
        });
        match bind {
            Some(bind) => self.bind2(bind, others, success),
            None => self.succeed_unbound(success),
        }
    }

    /// Success without a resource: no restart, features at once (§2.6.1), classic binding follows.
    fn succeed_unbound(&mut self, success: Element) {
        let Some(known) = &self.account else {
            return self.fail(StreamCondition::InternalServerError);
        };
        let success = success.with_child(authorization_identifier(&known.account));
        self.phase = Phase::Bind;
        self.write(&success);
        self.write_final_features(true);
    }
}

/// `<success/>` with what the mechanism adds (§2.6.1).
fn success(data: Option<&[u8]>) -> Element {
    let data = data.map(|data| Profile::Sasl2.message("additional-data", Some(data)));
    Element::new(ns::SASL2, "success").with_children(data)
}

/// §2.6.1: the bare JID, or the full one if a resource is bound.
pub(super) fn authorization_identifier(jid: &Jid) -> Element {
    Element::new(ns::SASL2, "authorization-identifier").with_text(jid.as_str())
}
