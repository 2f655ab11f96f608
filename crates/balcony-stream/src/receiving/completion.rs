//! What stands between the proof of SASL2 and its `<success/>` (XEP-0388 §2.6.1), in the order in
//! which it is done.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::SaslError;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::negotiation::{Negotiation, Phase};
use super::sasl2::Authenticate;
use crate::sasl_profile::Profile;

/// `<success/>` as far as it stands, and what the client has asked for that is not done yet.
#[derive(Debug)]
pub(super) struct Completion {
    /// What the mechanism tells the client at its end.
    pub(super) data: Option<Vec<u8>>,
    /// Goes into `<success/>` behind the identifier.
    pub(super) extra: Vec<Element>,
    /// Each wish is taken out when its turn comes.
    pub(super) request: Authenticate,
}

impl Completion {
    pub(super) fn new(request: Authenticate, data: Option<Vec<u8>>) -> Completion {
        Completion {
            data,
            extra: Vec::new(),
            request,
        }
    }

    /// `<success/>` with all that is known (§2.6.1). The identifier is the bare JID, or the full
    /// one where there is a resource.
    pub(super) fn success(self, jid: &Jid) -> Element {
        let data = self.data.as_deref();
        let data = data.map(|data| Profile::Sasl2.message("additional-data", Some(data)));
        let identifier =
            Element::new(ns::SASL2, "authorization-identifier").with_text(jid.as_str());
        Element::new(ns::SASL2, "success")
            .with_children(data)
            .with_child(identifier)
            .with_children(self.extra)
    }
}

impl Negotiation {
    /// Something that had to be done before `<success/>` failed: so does the authentication, and
    /// the client may try again (XEP-0388 §2.6.2).
    pub(super) fn incomplete(&mut self, error: SaslError, why: Option<Element>) {
        self.forget_account();
        self.write(&Profile::Sasl2.failure(error).with_children(why));
        self.auth_failed();
    }

    /// The next step; called again when one that had to ask is done.
    pub(super) fn complete(&mut self, mut completion: Box<Completion>) {
        if let Some(hashes) = self.wanted_upgrades(&mut completion) {
            return self.ask_upgrades(completion, hashes);
        }
        // XEP-0484 §3.3: only now, as all tasks are done.
        if let Some(request) = self.token_request(&mut completion) {
            return self.ask_token(completion, request);
        }
        // XEP-0198 §9.2, XEP-0386 §3.2: resumption MUST be processed first.
        if let Some(resume) = completion.request.resume.take() {
            return self.resume_inline(&resume, completion);
        }
        match completion.request.bind.take() {
            Some(bind) => self.bind2(bind, completion),
            None => self.succeed_unbound(*completion),
        }
    }

    /// Success without a resource: no restart, features at once (§2.6.1), classic binding follows.
    fn succeed_unbound(&mut self, completion: Completion) {
        let Some(known) = &self.account else {
            return self.fail(StreamCondition::InternalServerError);
        };
        let success = completion.success(&known.account);
        self.phase = Phase::Bind;
        self.write(&success);
        self.write_final_features(true, false);
    }
}
