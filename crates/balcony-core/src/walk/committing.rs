//! Stanzas whose effects wait for their commit.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use balcony_store::{Committed, Result, Ticket, Write, WriteSet};

use super::stations::Walk;
use super::{Pending, Rest, finish};
use crate::Core;
use crate::context::Works;
use crate::envelope::Origin;
use crate::error::undelivered;
use crate::lines::Place;

/// A stanza that is through all that comes before the commit, and what it waits for.
///
/// Whoever has several of one stream finishes them in the order in which they began (RFC 6120
/// §10.1).
pub struct Committing {
    walk: Box<Walk>,
    works: Works,
    /// `None` once it is answered.
    ticket: Option<Ticket>,
    outcome: Result<Committed>,
    place: Option<Place>,
}

impl Committing {
    /// Hands the writes to the store and takes a place in the lines of both accounts.
    pub(super) fn submit(
        core: &Core,
        walk: Box<Walk>,
        mut writes: WriteSet,
        works: Works,
    ) -> Committing {
        let mut committing = Committing {
            walk,
            works,
            ticket: None,
            outcome: Ok(Committed::default()),
            place: None,
        };
        if writes.is_empty() {
            return committing;
        }
        let envelope = &committing.walk.envelope;
        if let Origin::Session(session) = envelope.origin()
            && let Some(id) = session.stream_id()
        {
            // All that came before it on this stream was handed to the store before it.
            let handled = session.received();
            writes.push(Write::StreamHandled { id, handled });
        }
        let from = envelope.session().map(|session| session.account().clone());
        let to = envelope.to().map(balcony_proto::jid::Jid::bare);
        let submit = || core.store().commit(writes);
        let (place, ticket) = core.lines.stand(from.into_iter().chain(to), submit);
        committing.place = Some(place);
        committing.ticket = Some(ticket);
        committing
    }

    /// Ready when it can be finished at once.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(ticket) = &mut self.ticket {
            self.outcome = ready!(std::pin::Pin::new(ticket).poll(context));
            self.ticket = None;
        }
        match &self.place {
            Some(place) => place.poll_first(context),
            None => Poll::Ready(()),
        }
    }

    /// Delivers it, or answers with an error. Only when it is ready.
    ///
    /// What is answered is what it led to. The stream's next may be finished meanwhile, for this
    /// may be committed behind them; but the stanza is not handled before it is done.
    #[must_use]
    pub fn finish(self, core: &Arc<Core>) -> Option<Pending> {
        let works = self.deliver(core);
        if works.0.is_empty() {
            return None;
        }
        let core = Arc::clone(core);
        Some(Box::pin(async move {
            finish(&core, Rest { walk: None, works }).await;
        }))
    }

    /// The same for who has nothing else to do meanwhile.
    pub(super) async fn wait(mut self, core: &Arc<Core>) -> Works {
        poll_fn(|context| self.poll_ready(context)).await;
        self.deliver(core)
    }

    fn deliver(mut self, core: &Arc<Core>) -> Works {
        match &self.outcome {
            Ok(committed) => self.walk.envelope.committed(committed),
            Err(error) => self.walk.refuse(core, &mut self.works, &undelivered(error)),
        }
        // Nothing waits behind the commit: `Pipeline` saw to it.
        let _ = self.walk.go_on(core, &mut self.works);
        // Before the works, which may be for the same account.
        self.place = None;
        self.works
    }
}
