//! XEP-0198 Stream Management 1.6.3 from the client's side of the negotiation: taking a former
//! stream up again, within SASL2 (§9.2) or before binding (§5).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::Failure;
use super::negotiation::{Negotiation, Phase};

/// The former stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Its full JID.
    pub jid: Jid,
    /// The `id` of its `<enabled/>`.
    pub previd: String,
    /// How many stanzas came over it, modulo 2^32.
    pub h: u32,
}

/// What became of [`ClientConfig::resume`](super::ClientConfig::resume).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The stream goes on; the server has handled so many of our stanzas.
    Resumed(u32),
    /// It is gone and a new resource is bound. `None`: the server does not know any more how many
    /// it had handled.
    Failed(Option<u32>),
}

impl Resume {
    fn to_element(&self) -> Element {
        Element::new(ns::SM, "resume")
            .with_attr("h", self.h.to_string())
            .with_attr("previd", self.previd.clone())
    }
}

impl Negotiation {
    /// `<resume/>` for `<authenticate/>`, where the server takes it there.
    pub(super) fn resume_inline(&self, inline: Option<&Element>) -> Option<Element> {
        let offered = inline.is_some_and(|inline| inline.child(ns::SM, "sm").is_some());
        let resume = self.config.resume.as_ref().filter(|_| offered);
        resume.map(Resume::to_element)
    }

    /// `<resume/>` for a server that is known to take it there.
    pub(super) fn resume_wish(&self) -> Option<Element> {
        self.config.resume.as_ref().map(Resume::to_element)
    }

    /// §5: asks for the former stream in place of binding. False when there is nothing to ask.
    pub(super) fn resume_before_binding(&mut self) -> bool {
        let Some(resume) = self.config.resume.as_ref() else {
            return false;
        };
        if self.resumption.is_some() || !self.features.has(ns::SM, "sm") {
            return false;
        }
        let element = resume.to_element();
        self.write(&element);
        self.phase = Phase::Resume;
        true
    }

    /// The server's answer to it.
    pub(super) fn resume_element(&mut self, element: &Element) {
        match self.resume_answered(element) {
            Some(Resumption::Resumed(_)) => self.established(),
            // §5: the server SHOULD allow to bind now.
            Some(Resumption::Failed(_)) => self.bind(),
            None => self.fail(Failure::Protocol("an answer in place of a resumption")),
        }
    }

    /// Notes what `<resumed/>` or `<failed/>` says; `None` for anything else.
    pub(super) fn resume_answered(&mut self, element: &Element) -> Option<Resumption> {
        let resume = self.config.resume.as_ref()?;
        if element.ns() != ns::SM {
            return None;
        }
        let h = element.attr("h").and_then(|h| h.trim().parse().ok());
        let resumption = match element.name() {
            "resumed" => Resumption::Resumed(h?),
            "failed" => Resumption::Failed(h),
            _ => return None,
        };
        if matches!(resumption, Resumption::Resumed(_)) {
            self.jid = Some(resume.jid.clone());
        }
        self.resumption = Some(resumption);
        Some(resumption)
    }
}
