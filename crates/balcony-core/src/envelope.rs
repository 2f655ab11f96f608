//! One stanza on its way: made in one place, passing each stage at most once.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_store::{ArchiveEntry, ArchiveId, Committed, Write, WriteSet};

use crate::notes::Notes;
use crate::session::Session;
use crate::sessions::List;

/// Who put a stanza on its way.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client of ours wrote it; it passes `Stage::Sending`.
    Session(Arc<Session>),
    /// The server made it, for a host or an account.
    Server,
    /// It came from a server of another domain, or from a component.
    Foreign,
    /// This component asks it in the name of an account.
    Behalf(Jid),
}

/// One of the two accounts that a stanza concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender's account.
    Sender,
    /// The recipient's account.
    Recipient,
}

/// A stanza with where it came from and what is to be kept of it.
///
/// Its `from` is always set and true: a session's full or bare JID, an address of ours, or one at a
/// domain that another server or a component proved to be its own.
pub struct Envelope {
    /// The stanza. Only hooks of `Band::Transform` change it.
    pub stanza: Stanza,
    origin: Origin,
    /// What `Band::Record` hooks want kept; committed as one transaction before any delivery.
    pub writes: WriteSet,
    /// Of sender and recipient: which of the archived messages of the set is theirs.
    pushed: [Option<u8>; 2],
    /// How many archived messages the set has.
    pushes: u8,
    archived: [Option<ArchiveId>; 2],
    pub(crate) recipients: List,
    received_at: i64,
    waits: bool,
    notes: Notes,
}

impl Envelope {
    pub(crate) fn new(stanza: Stanza, origin: Origin, received_at: i64) -> Self {
        Self {
            stanza,
            origin,
            writes: WriteSet::default(),
            pushed: [None; 2],
            pushes: 0,
            archived: [None; 2],
            recipients: List::new(),
            received_at,
            waits: false,
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
            Origin::Server | Origin::Foreign | Origin::Behalf(_) => None,
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

    /// Adds the stanza to an account's archive, with the rest of the write set; at most once for
    /// each side.
    pub fn archive(&mut self, side: Side, account: String, entry: ArchiveEntry) {
        if let Some(slot) = self.pushed.get_mut(side as usize) {
            *slot = Some(self.pushes);
        }
        self.pushes = self.pushes.saturating_add(1);
        self.writes.push(Write::ArchivePush { account, entry });
    }

    /// Whether the write set adds it to this side's archive, or has.
    #[must_use]
    pub fn is_archived(&self, side: Side) -> bool {
        self.pushed.get(side as usize).is_some_and(Option::is_some)
    }

    /// The id that it got in this side's archive: known from `Band::Stamp` on.
    #[must_use]
    pub fn archive_id(&self, side: Side) -> Option<ArchiveId> {
        self.archived.get(side as usize).copied().flatten()
    }

    /// The sessions that it is about to be delivered to: known from `Band::Record` of
    /// `Stage::Arriving` on. Empty when nobody takes it.
    #[must_use]
    pub fn recipients(&self) -> &[Arc<Session>] {
        &self.recipients
    }

    pub(crate) fn committed(&mut self, committed: &Committed) {
        for (slot, pushed) in self.archived.iter_mut().zip(self.pushed) {
            if let Some(at) = pushed {
                *slot = committed.archived.get(usize::from(at)).copied();
            }
        }
    }

    /// It was put into the recipient's archive when it came by for the first time.
    pub(crate) fn was_archived(&mut self, id: Option<ArchiveId>) {
        if let Some(slot) = self.archived.get_mut(Side::Recipient as usize) {
            *slot = id;
        }
    }

    /// Nobody gets it now, whoever is there: it goes by `Stage::Undelivered`. For a hook of
    /// `Stage::Arriving` that sees to it that it is delivered later. Of no effect on what is
    /// refused or ignored.
    pub fn keep_waiting(&mut self) {
        self.waits = true;
    }

    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// When the server took it on: microseconds since the Unix epoch, UTC.
    #[must_use]
    pub fn received_at(&self) -> i64 {
        self.received_at
    }

    /// Notes that modules keep on the envelope.
    pub fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }
}
