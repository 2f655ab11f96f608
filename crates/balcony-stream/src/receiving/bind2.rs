//! XEP-0386 Bind 2, inline in SASL2.

use balcony_proto::ns;
use balcony_proto::sasl::SaslError;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::{Element, Node};

use super::Output;
use super::completion::Completion;
use super::negotiation::{Negotiation, Waiting};
use super::question::{BindAnswer, BindRequest, Question};

/// The longest tag that becomes part of a resource. It names software; a longer one would only be
/// carried around by everyone's rosters and rooms.
const TAG_BYTES: usize = 64;

impl Negotiation {
    /// Asks for the session before the client hears of its success (XEP-0386 §3.2).
    pub(super) fn bind2(&mut self, bind: Element, mut completion: Box<Completion>) {
        let Some(known) = &self.account else {
            return self.fail(StreamCondition::InternalServerError);
        };
        let mut tag = None;
        let mut inline = Vec::new();
        for node in bind.into_nodes() {
            match node {
                Node::Element(child) if child.is(ns::BIND2, "tag") => tag = Some(child.text()),
                Node::Element(child) => inline.push(child),
                Node::Text(_) => {}
            }
        }
        let request = BindRequest {
            account: known.account.clone(),
            resource: self.tagged_resource(tag.as_deref()),
            requested: false,
            mechanism: known.mechanism,
            bind2: true,
            client: known.client.clone(),
            inline,
            authenticate: std::mem::take(&mut completion.request.others),
        };
        self.ask(
            Waiting::Bind2(completion),
            Question::Bind(Box::new(request)),
        );
    }

    /// XEP-0386 §3.2.1: the client's tag, a slash, and what is generated. A tag that fits no
    /// resource is left out.
    fn tagged_resource(&self, tag: Option<&str>) -> String {
        let random = self.random.token();
        let tag = tag.filter(|tag| !tag.is_empty() && tag.len() <= TAG_BYTES);
        let tagged = tag
            .map(|tag| format!("{tag}/{random}"))
            .and_then(|resource| {
                let jid = self
                    .account
                    .as_ref()?
                    .account
                    .with_resource(&resource)
                    .ok()?;
                Some(jid.resource()?.to_string())
            });
        tagged.unwrap_or(random)
    }

    pub(super) fn bind2_answered(
        &mut self,
        mut completion: Completion,
        answer: Result<BindAnswer, StanzaError>,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.bind2_failed(&error),
        };
        let mut inline = answer.bound.iter();
        let managed = inline.any(|element| element.is(ns::SM, "enabled"));
        let bound = Element::new(ns::BIND2, "bound").with_children(answer.bound);
        completion.extra.push(bound);
        completion.extra.extend(answer.success);
        self.write(&completion.success(&answer.jid));
        // XEP-0388 §2.6.1: the features follow at once; nothing mandatory is left in them.
        self.write_final_features(false, managed);
        self.established(answer.jid, true, Output::Bound);
    }

    /// Neither document defines how binding fails inline. The success has not been said, so the
    /// authentication fails, with the stanza error beside the condition (XEP-0388 §2.6.2), and the
    /// client may try again.
    fn bind2_failed(&mut self, error: &StanzaError) {
        self.incomplete(SaslError::TemporaryAuthFailure, Some(error.to_element()));
    }
}
