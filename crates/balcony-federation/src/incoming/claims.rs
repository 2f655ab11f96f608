//! Claims of a domain by dialback, and how they are decided: by the certificate that was shown
//! (XEP-0344), or by asking the domain's server (XEP-0220 §2.1.1).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::config::Require;
use balcony_proto::stanza::StanzaError;
use balcony_stream::s2s::{Pair, Verdict};
use tokio::sync::oneshot;

use super::{Decision, Hearer};
use crate::failure::Failure;
use crate::peer::Verification;

impl Hearer {
    /// Decides a claim, now or when the domain's server has answered.
    pub(super) fn claimed(&mut self, pair: Pair, key: String, stream_id: String) {
        let verdict = match self.refusal(&pair) {
            Some(error) => Verdict::Error(error),
            None if self.is_certified(&pair.remote) => Verdict::Valid,
            None if self.accepts_dialback(&pair.remote) => {
                return self.verify(pair, key, stream_id);
            }
            // XEP-0220 §2.5: what we require was not shown.
            None => {
                tracing::info!(
                    from = pair.remote,
                    to = pair.local,
                    "a domain is claimed without the certificate that is required"
                );
                Verdict::Error(StanzaError::not_authorized())
            }
        };
        if verdict != Verdict::Valid {
            self.unproved();
        }
        self.machine.decide(&pair, &stream_id, verdict);
    }

    pub(super) fn decide(&mut self, decision: Decision) {
        let Decision {
            pair,
            stream_id,
            verdict,
        } = decision;
        self.machine.decide(&pair, &stream_id, verdict);
    }

    /// Why a claim is not even looked at.
    fn refusal(&self, pair: &Pair) -> Option<StanzaError> {
        // XEP-0220 §2.5
        if !self.core.is_ours(&pair.local) {
            return Some(StanzaError::item_not_found());
        }
        // Nobody else is one of ours.
        let allowed = self.core.config().federation.allows(&pair.remote);
        (!allowed || self.core.is_ours(&pair.remote)).then(StanzaError::policy_violation)
    }

    fn is_certified(&self, domain: &str) -> bool {
        let shown = self.shown.as_ref();
        let now = self.core.clock().utc();
        shown.is_some_and(|shown| shown.proves(domain, now).is_ok())
    }

    fn accepts_dialback(&self, domain: &str) -> bool {
        match self.core.config().federation.requires(domain) {
            Require::ValidCertificate => false,
            Require::DialbackOverTls => self.shown.is_some(),
            Require::Dialback => true,
        }
    }

    fn verify(&mut self, pair: Pair, key: String, stream_id: String) {
        let (tell, told) = oneshot::channel();
        let peer = self.shared.peer(&pair.local, &pair.remote);
        let verification = Verification {
            local: pair.local.as_str().into(),
            stream_id: stream_id.clone(),
            key,
            tell,
        };
        peer.verify(&self.shared, &self.core, verification);
        let decide = self.decide.clone();
        let within = self.core.config().federation.connect;
        let counters = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            let verdict = verdict(told, within, &pair).await;
            if verdict != Verdict::Valid {
                counters.count_unproved();
            }
            let decision = Decision {
                pair,
                stream_id,
                verdict,
            };
            // The stream may be over.
            let _ = decide.send(decision).await;
        });
    }
}

async fn verdict(
    told: oneshot::Receiver<Result<bool, Failure>>,
    within: Duration,
    pair: &Pair,
) -> Verdict {
    let answer = tokio::time::timeout(within, told).await;
    let failure = match answer {
        Ok(Ok(Ok(true))) => return Verdict::Valid,
        Ok(Ok(Ok(false))) => {
            tracing::warn!(
                from = pair.remote,
                to = pair.local,
                "a forged claim of a domain"
            );
            return Verdict::Invalid;
        }
        Ok(Ok(Err(failure))) => failure,
        _ => Failure::unreachable("it did not answer in time"),
    };
    tracing::info!(
        from = pair.remote, to = pair.local, cause = %failure, "a claim cannot be verified"
    );
    // XEP-0220 §2.5
    Verdict::Error(failure.error())
}
