//! What waits to be written to a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use balcony_proto::stanza::Stanza;
use balcony_proto::stream::StreamError;
use balcony_store::ArchiveId;
use tokio::sync::oneshot;

/// A stanza for a client, with what is known of it until the client has it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The stanza.
    pub stanza: Stanza,
    /// When the server took it on: microseconds since the Unix epoch, UTC.
    pub received_at: i64,
    /// Its id in the archive of the session's account. `None`: it is not there, or it does not
    /// matter whether the client gets it.
    pub archived: Option<ArchiveId>,
    /// What becomes of it when the client does not get it.
    pub fate: Fate,
}

/// What becomes of a stanza that a client did not get.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It goes to another resource, to the offline queue or back to its sender.
    LookedAfter,
    /// The same, unless another session has it or will.
    Shared(Arc<Copies>),
    /// It is kept elsewhere until the client has it: nothing is lost if it never has.
    Kept,
    /// Nothing: nobody but this session has a use for it.
    Forgotten,
}

impl Item {
    /// A stanza that is looked after.
    #[must_use]
    pub fn new(stanza: Stanza, received_at: i64) -> Self {
        Self {
            stanza,
            received_at,
            archived: None,
            fate: Fate::LookedAfter,
        }
    }

    /// With another fate.
    #[must_use]
    pub fn with_fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// The client has it, or it is about to be written where nothing more can be known.
    pub fn written(&self) {
        if let Fate::Shared(copies) = &self.fate {
            copies.note_written();
        }
    }

    /// The session will not write it. Answers whether it must be looked after.
    pub(crate) fn is_orphaned(&self) -> bool {
        match &self.fate {
            Fate::LookedAfter => true,
            Fate::Shared(copies) => copies.give_up(),
            Fate::Kept | Fate::Forgotten => false,
        }
    }
}

/// What a connection takes from its session's queue.
#[derive(Debug)]
pub enum Outgoing {
    /// A stanza for the client.
    Stanza(Item),
    /// An element of the stream itself, as its bytes.
    Element(Box<[u8]>),
    /// The same; from here on stanzas are counted, and kept until they are acknowledged.
    Count(Box<[u8]>),
    /// To say how many of the client's stanzas are handled.
    Handled,
    /// To ask how many stanzas the client has got.
    Ask,
    /// To be told when all that stands before it is written to the socket.
    Written(oneshot::Sender<()>),
    /// The last thing: close the stream, with an error if there is one.
    Close(Option<StreamError>),
}

impl Outgoing {
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Stanza(item) => item.stanza.size(),
            Self::Element(bytes) | Self::Count(bytes) => bytes.len(),
            Self::Handled | Self::Ask | Self::Written(_) | Self::Close(_) => 0,
        }
    }
}

/// A message that went to several sessions, of which it is enough if one has it.
#[derive(Debug)]
pub struct Copies {
    /// Sessions that may still get it.
    hopeful: AtomicUsize,
    written: AtomicBool,
}

impl Copies {
    /// As many sessions get the message.
    #[must_use]
    pub fn new(sessions: usize) -> Arc<Self> {
        Arc::new(Self {
            hopeful: AtomicUsize::new(sessions),
            written: AtomicBool::new(false),
        })
    }

    /// One session has it.
    pub fn note_written(&self) {
        self.written.store(true, Ordering::Release);
    }

    /// Whether some session has it.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// One session will not have it. Answers whether nobody did or will, so that it must be
    /// looked after.
    #[must_use]
    pub fn give_up(&self) -> bool {
        self.hopeful.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_message_is_looked_after_by_the_last_who_gives_up() {
        let lost = Copies::new(2);
        assert!(!lost.give_up());
        assert!(lost.give_up());
        let read = Copies::new(2);
        read.note_written();
        assert!(!read.give_up());
        assert!(!read.give_up());
    }
}
