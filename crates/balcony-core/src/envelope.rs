//! One stanza on its way: made in one place, passing each stage at most once.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_store::WriteSet;

use crate::notes::Notes;
use crate::session::Session;

/// Who put a stanza on its way.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client of ours wrote it; it passes `Stage::Sending`.
    Session(Arc<Session>),
    /// The server made it, for a host or an account.
    Server,
}

/// A stanza with where it came from and what is to be kept of it.
///
/// Its `from` is always set and true: a session's full or bare JID, or an address of ours.
pub struct Envelope {
    /// The stanza. Only hooks of `Band::Transform` change it.
    pub stanza: Stanza,
    origin: Origin,
    /// What `Band::Record` hooks want kept; committed as one transaction before any delivery.
    pub writes: WriteSet,
    notes: Notes,
}

impl Envelope {
    pub(crate) fn new(stanza: Stanza, origin: Origin) -> Self {
        Self {
            stanza,
            origin,
            writes: WriteSet::default(),
            notes: Notes::default(),
        }
    }

    /// Who put the stanza on its way.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The session of ours that wrote the stanza.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        match &self.origin {
            Origin::Session(session) => Some(session),
            Origin::Server => None,
        }
    }

    /// The sender's address. An empty envelope without one is never made.
    #[must_use]
    pub fn from(&self) -> Option<&Jid> {
        self.stanza.from.as_ref()
    }

    /// The recipient's address; `None` while a client's stanza names none.
    #[must_use]
    pub fn to(&self) -> Option<&Jid> {
        self.stanza.to.as_ref()
    }

    /// Notes that modules keep on the envelope.
    pub fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }
}
