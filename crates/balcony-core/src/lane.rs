//! The stanzas of one stream whose effects wait for their commit, in their order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::{Committing, Core, Outgoing, Pending, Session};

/// Stanzas of one stream that may be on their way to the disk: what a fast client sends while a
/// slow disk works, and few enough that one client cannot fill the store's queue.
const MAX: usize = 64;

/// Who counts the stanzas of a stream that are handled (XEP-0198 §4).
pub trait Counts {
    /// One more is.
    fn one_handled(&self);
    /// The peer asked while something was not handled yet, and now all is.
    fn tell_handled(&self);
}

impl Counts for Arc<Session> {
    fn one_handled(&self) {
        self.handle();
    }

    fn tell_handled(&self) {
        self.enqueue_element(Outgoing::Handled);
    }
}

/// Effects, deliveries and the count of what is handled are released in the order of the input
/// (RFC 6120 §10.1).
///
/// What a stanza leads to beside its own delivery may be committed too, behind the stanzas that
/// are on their way already: so these do not wait for it. It is done before anything that is no
/// message, and before the stanza is counted.
#[derive(Default)]
pub struct Lane(
    /// `None` while there is nothing: an idle session holds no buffer.
    Option<Box<Busy>>,
);

/// A lane with something in it.
#[derive(Default)]
struct Busy {
    waiting: VecDeque<Step>,
    /// What stanzas that are through led to, in their order; rarely anything.
    working: VecDeque<Working>,
    /// The client asked how much is handled while something was not yet.
    owes_answer: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be an allocation for each message that is kept"
)]
enum Step {
    Commits(Committing),
    /// Nothing is left to do, but it may not be counted before what stands in front of it.
    Done,
}

struct Working {
    pending: Pending,
    /// Stanzas that are handled when it is done: its own, and those that came through since.
    stanzas: u32,
}

impl Lane {
    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no more may be pushed before something is finished.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let busy = self.0.as_ref();
        busy.is_some_and(|busy| busy.waiting.len() + busy.working.len() >= MAX)
    }

    /// A stanza whose effects wait for its commit.
    pub fn push(&mut self, committing: Committing) {
        let busy = self.0.get_or_insert_default();
        busy.waiting.push_back(Step::Commits(committing));
    }

    /// A stanza is through.
    pub fn done(&mut self, counts: &impl Counts) {
        match &mut self.0 {
            None => counts.one_handled(),
            Some(busy) => busy.waiting.push_back(Step::Done),
        }
    }

    /// The client asked how much is handled: it is told again when all that is here is.
    pub fn owe_answer(&mut self) {
        if let Some(busy) = &mut self.0 {
            busy.owes_answer = true;
        }
    }

    /// Ready when there is a first and it can be finished. Does what was led to meanwhile.
    pub fn poll_ready(&mut self, context: &mut Context<'_>, counts: &impl Counts) -> Poll<()> {
        let _ = self.poll_working(context, counts);
        let first = self.0.as_mut().and_then(|busy| busy.waiting.front_mut());
        match first {
            Some(Step::Commits(committing)) => committing.poll_ready(context),
            Some(Step::Done) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    /// Ready when all that was led to is done.
    fn poll_working(&mut self, context: &mut Context<'_>, counts: &impl Counts) -> Poll<()> {
        while let Some(first) = self.0.as_mut().and_then(|busy| busy.working.front_mut()) {
            ready!(first.pending.as_mut().poll(context));
            (0..first.stanzas).for_each(|_| counts.one_handled());
            if let Some(busy) = &mut self.0 {
                busy.working.pop_front();
            }
            self.rest(counts);
        }
        Poll::Ready(())
    }

    /// Finishes the first, which is ready.
    pub fn finish_first(&mut self, core: &Arc<Core>, counts: &impl Counts) {
        let Some(busy) = &mut self.0 else { return };
        let pending = match busy.waiting.pop_front() {
            Some(Step::Commits(committing)) => committing.finish(core),
            Some(Step::Done) => None,
            None => return,
        };
        match (pending, busy.working.back_mut()) {
            (Some(pending), _) => busy.working.push_back(Working {
                pending,
                stanzas: 1,
            }),
            (None, Some(last)) => last.stanzas += 1,
            (None, None) => counts.one_handled(),
        }
        self.rest(counts);
    }

    fn rest(&mut self, counts: &impl Counts) {
        let done = |busy: &mut Box<Busy>| busy.waiting.is_empty() && busy.working.is_empty();
        if self.0.take_if(done).is_some_and(|busy| busy.owes_answer) {
            counts.tell_handled();
        }
    }

    /// Finishes all.
    pub async fn drain(&mut self, core: &Arc<Core>, counts: &impl Counts) {
        while self.0.as_ref().is_some_and(|busy| !busy.waiting.is_empty()) {
            poll_fn(|context| self.poll_ready(context, counts)).await;
            self.finish_first(core, counts);
        }
        poll_fn(|context| self.poll_working(context, counts)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use crate::config::Config;
    use crate::module::{
        Band, Ctx, Envelope, Flow, Hook, HookSpec, Kinds, ModuleSpec, Side, Stage,
    };
    use crate::{Accepted, Clock, Parts, Wake};
    use balcony_proto::jid::Jid;
    use balcony_proto::ns;
    use balcony_proto::stanza::{MessageType, PresenceType, Stanza};
    use balcony_proto::xml::Element;
    use balcony_store::{ArchiveEntry, MemoryStore, Store, Stored, Write, WriteSet};

    /// Archives each message for its recipient, and sends a second one behind what a client wrote.
    static MODULES: &[&ModuleSpec] = &[&ModuleSpec {
        name: "echo",
        hooks: &[
            HookSpec {
                stage: Stage::Arriving,
                band: Band::Record,
                kinds: Kinds::MESSAGE,
                after: &[],
                changes: &[],
                hook: Hook::Now(record),
            },
            HookSpec {
                stage: Stage::Arriving,
                band: Band::Notify,
                kinds: Kinds::MESSAGE,
                after: &[],
                changes: &[],
                hook: Hook::Now(echo),
            },
        ],
        ..ModuleSpec::NOTHING
    }];

    fn record(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
        let to = envelope.to().map(Jid::bare).unwrap();
        let entry = ArchiveEntry {
            received_at: envelope.received_at(),
            with: to.to_string(),
            incoming: true,
            message_id: None,
            stanza: Stored {
                format: 1,
                bytes: Vec::new(),
            },
        };
        envelope.archive(Side::Recipient, to.to_string(), entry);
        Flow::Continue
    }

    fn echo(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
        if envelope.session().is_some() {
            let id = envelope.stanza.id.clone().unwrap_or_default();
            ctx.send(message(&format!("{id} again")));
        }
        Flow::Continue
    }

    fn message(id: &str) -> Stanza {
        let body = Element::new(ns::CLIENT, "body").with_text(id);
        Stanza::message(MessageType::Chat)
            .with_from(Jid::parse("romeo@localhost/orchard").unwrap())
            .with_to(Jid::parse("juliet@localhost").unwrap())
            .with_id(id)
            .with_element(body)
    }

    struct Still;

    impl Wake for Still {
        fn wake(&self) {}
    }

    async fn core() -> Arc<Core> {
        let store = MemoryStore::new();
        for user in ["romeo", "juliet"] {
            let create = Write::CreateAccount {
                host: "localhost".into(),
                user: user.into(),
                created: 0,
                keys: Vec::new(),
            };
            store.commit(WriteSet::from(create)).await.unwrap();
        }
        let core = Core::new(Parts {
            config: Config::parse("", None, &[]).unwrap(),
            store: Arc::new(store),
            cluster: Arc::new(balcony_cluster::Local::alone()),
            remote: Arc::new(crate::remote::Nowhere),
            clock: Clock::virtual_at(0),
            modules: MODULES,
        });
        core.await.unwrap()
    }

    #[tokio::test]
    async fn what_a_message_leads_to_does_not_wait_for_what_waits_for_it() {
        let core = core().await;
        let bind = |jid: &str| {
            let jid = Jid::parse(jid).unwrap();
            let wake = Arc::new(Still);
            core.bind(&jid.bare(), jid.resource(), wake).unwrap()
        };
        let (romeo, juliet) = (
            bind("romeo@localhost/orchard"),
            bind("juliet@localhost/balcony"),
        );
        juliet.show(Stanza::presence(PresenceType::Available), 0);
        let mut lane = Lane::default();
        for id in ["one", "two"] {
            let behind = !lane.is_empty();
            match core.accept(&romeo, message(id), behind) {
                Accepted::Commits(committing) => lane.push(committing),
                _ => panic!("it is archived"),
            }
        }
        let drained = lane.drain(&core, &romeo);
        let in_time = tokio::time::timeout(Duration::from_secs(20), drained).await;
        in_time.expect("each waits for the other");
        assert!(lane.is_empty());
        let got = juliet.drain(usize::MAX).items.into_iter();
        let got: Vec<_> = got
            .filter_map(|outgoing| match outgoing {
                Outgoing::Stanza(item) => item.stanza.id.as_deref().map(str::to_owned),
                _ => None,
            })
            .collect();
        assert_eq!(got, ["one", "two", "one again", "two again"]);
        assert_eq!(romeo.handled(), 2);
    }
}
