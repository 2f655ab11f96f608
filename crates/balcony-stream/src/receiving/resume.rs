//! XEP-0198 Stream Management 1.6.3, as far as it belongs to the negotiation: resumption instead of
//! binding, inline in SASL2 (§9.2) or as an element of its own (§5).

use balcony_proto::ns;
use balcony_proto::stanza::Condition;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::Output;
use super::completion::Completion;
use super::negotiation::{Negotiation, Phase, Waiting};
use super::question::{Question, ResumeRequest, Resumption};

impl Negotiation {
    /// `<resume/>` in `<authenticate/>`.
    pub(super) fn resume_inline(&mut self, resume: &Element, mut completion: Box<Completion>) {
        match self.resume_request(resume) {
            Some(request) => self.ask(
                Waiting::Resume(Some(completion)),
                Question::Resume(Box::new(request)),
            ),
            None => {
                completion.extra.push(failed(Condition::BadRequest));
                self.complete(completion);
            }
        }
    }

    /// An element of stream management after authentication, before binding.
    pub(super) fn sm_element(&mut self, element: &Element) {
        match element.name() {
            "resume" => match self.resume_request(element) {
                Some(request) => {
                    self.ask(Waiting::Resume(None), Question::Resume(Box::new(request)))
                }
                None => self.resume_failed(&failed(Condition::BadRequest)),
            },
            // §3: the client MUST bind a resource first.
            "enable" => self.resume_failed(&failed(Condition::UnexpectedRequest)),
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// `None` without what §5 demands: the id of the former stream and what came over it.
    fn resume_request(&self, resume: &Element) -> Option<ResumeRequest> {
        let known = self.account.as_ref()?;
        Some(ResumeRequest {
            account: known.account.clone(),
            previd: resume
                .attr("previd")
                .filter(|id| !id.is_empty())?
                .to_string(),
            h: resume.attr("h")?.parse().ok()?,
            mechanism: known.mechanism,
            client: known.client.clone(),
        })
    }

    pub(super) fn resume_answered(
        &mut self,
        completion: Option<Box<Completion>>,
        answer: Resumption,
    ) {
        match (answer, completion) {
            (Resumption::Resumed { jid, resumed }, completion) => {
                let element = match completion {
                    // §9.2: the bind request is ignored and no features follow.
                    Some(mut completion) => {
                        completion.extra.push(resumed);
                        completion.success(&jid)
                    }
                    None => resumed,
                };
                self.write(&element);
                self.established(jid, false, Output::Resumed);
            }
            // §9.2: told in the success; binding goes on.
            (Resumption::Failed(failed), Some(mut completion)) => {
                completion.extra.push(failed);
                self.complete(completion);
            }
            (Resumption::Failed(failed), None) => self.resume_failed(&failed),
        }
    }

    /// The client may bind, or try another session. As often as it may try to bind: each costs a
    /// look-up, or an answer.
    fn resume_failed(&mut self, failed: &Element) {
        debug_assert_eq!(self.phase, Phase::Bind);
        self.write(failed);
        self.resume_failures += 1;
        if self.resume_failures >= self.settings.bind_attempts {
            self.fail_with(
                StreamCondition::PolicyViolation,
                "too many failed requests of stream management",
            );
        }
    }
}

/// §6: `<failed/>` with its condition.
fn failed(condition: Condition) -> Element {
    let condition = Element::new(ns::STANZA_ERROR, condition.as_str());
    Element::new(ns::SM, "failed").with_child(condition)
}
