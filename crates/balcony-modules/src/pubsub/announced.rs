//! What a client's presence says of its capabilities: a hash by XEP-0390 or, without one that can
//! be checked, by XEP-0115.

use balcony_core::module::Session;
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xep::caps::Caps;
use balcony_proto::xep::caps2::CapsHash;
use balcony_proto::xep::disco::Info;

use super::known::Key;

/// Something by which a client's capabilities can be asked for, and checked.
pub(super) enum Announced {
    /// XEP-0115
    Caps(Caps),
    /// XEP-0390
    Hash(CapsHash),
}

impl Announced {
    /// What a client announces. `None`: nothing.
    pub(super) fn by(session: &Session) -> Option<Self> {
        Self::read(&session.presence()?.payload)
    }

    /// What presence announces. `None`: nothing.
    pub(super) fn read(presence: &Payload) -> Option<Self> {
        let c = |ns| presence.find(ns, "c").map(|c| c.element());
        let hash = c(ns::CAPS2).and_then(|c| CapsHash::parse(&c));
        match hash {
            Some(hash) => Some(Announced::Hash(hash)),
            None => Some(Announced::Caps(Caps::parse(&c(ns::CAPS)?)?)),
        }
    }

    /// What tells it from what others announce.
    pub(super) fn key(&self) -> Key {
        match self {
            Announced::Caps(caps) => (caps.hash.clone(), caps.ver.clone()),
            // No hash function of XEP-0115 has this name.
            Announced::Hash(hash) => (Some(ns::CAPS2.to_owned()), hash.disco_node()),
        }
    }

    /// The node to ask for.
    pub(super) fn disco_node(&self) -> String {
        match self {
            Announced::Caps(caps) => caps.disco_node(),
            Announced::Hash(hash) => hash.disco_node(),
        }
    }

    /// Whether an answer in this language is what was announced.
    pub(super) fn proves(&self, info: &Info, lang: Option<&str>) -> bool {
        match self {
            Announced::Caps(caps) => caps.proves(info),
            // Also for who forgets the language around its answer: nothing else is claimed by it.
            Announced::Hash(hash) => hash.proves(info, lang) || hash.proves(info, None),
        }
    }
}
