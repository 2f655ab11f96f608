//! A client with a bound resource: stanzas in, until the stream ends.

use std::sync::Arc;
use std::time::Duration;

use balcony_core::{Pending, Session};
use balcony_net::Read;
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::receiving::Bound;
use balcony_stream::{Established, Event};
use tokio::sync::Notify;

use super::Access;
use super::link::{Link, read};
use super::negotiate::Negotiated;
use super::output::Output;
use super::rate::Bucket;
use crate::instance::Instance;
use crate::stream_log;

/// The reading side of a session.
struct Steady {
    instance: Arc<Instance>,
    session: Arc<Session>,
    established: Established,
    bucket: Bucket,
}

/// What reading came to.
enum Turn {
    /// All that came is handled.
    Done,
    /// A stanza's effects wait; what came behind it is to be handled after them.
    Wait(Pending),
    /// The stream is over.
    Over(End),
}

/// How a stream came to its end.
enum End {
    /// The client is gone, or ended the stream properly.
    ByClient,
    /// The client broke a rule of the stream.
    Fault(Box<StreamError>),
    /// Somebody here ended the session.
    ByServer,
}

/// Runs a session until its client is gone or it is ended.
///
/// Whatever is not waiting for bytes is boxed, and the future takes only what it needs all along:
/// it is what an idle session costs.
pub(super) fn run<L: Link>(
    instance: Arc<Instance>,
    link: Arc<L>,
    negotiated: Negotiated,
) -> impl Future<Output = ()> + Send {
    let Negotiated {
        bound,
        established,
        rest,
        session,
        ending,
    } = negotiated;
    note_access(&session, &link, *bound);
    let output = Output::new(Arc::clone(&instance.core), Arc::clone(&session));
    link.set_source(output);
    let bucket = Bucket::new(instance.core.clock().uptime());
    let mut steady = Steady {
        instance,
        session,
        established,
        bucket,
    };
    let guard = Guard {
        instance: Arc::clone(&steady.instance),
        session: Arc::clone(&steady.session),
        link: Arc::clone(&link),
    };
    async move {
        let _guard = guard;
        let end = match Box::pin(steady.begin(rest)).await {
            Some(end) => end,
            None => steady.converse(&link, &ending).await,
        };
        Box::pin(steady.end(&link, end)).await;
    }
}

/// Ends a session whose task came to a bad end: a bug in a module costs the client its stream, and
/// nobody else anything.
struct Guard<L: Link> {
    instance: Arc<Instance>,
    session: Arc<Session>,
    link: Arc<L>,
}

impl<L: Link> Drop for Guard<L> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.instance.count_panic();
        let error = StreamError::new(StreamCondition::InternalServerError);
        self.session.end(Some(error));
        let (core, session) = (Arc::clone(&self.instance.core), Arc::clone(&self.session));
        let link = Arc::clone(&self.link);
        tokio::spawn(async move {
            link.finish(core.config().limits.timeouts.close).await;
            if let Some(pending) = core.ended(&session) {
                pending.await;
            }
        });
    }
}

fn note_access<L: Link>(session: &Session, link: &Arc<L>, bound: Bound) {
    tracing::info!(
        jid = %bound.jid, peer = %link.peer(), mechanism = bound.mechanism.as_str(),
        tls = bound.encrypted, "logged in"
    );
    let software = bound.client.and_then(|client| client.software);
    let access = Access {
        address: link.peer(),
        encrypted: bound.encrypted,
        mechanism: bound.mechanism,
        client: software.map(String::into_boxed_str),
    };
    session.notes(|notes| notes.set(access));
}

impl Steady {
    /// Handles what came with the end of the negotiation.
    async fn begin(&mut self, rest: Vec<u8>) -> Option<End> {
        if self.instance.is_stopping() {
            // It was bound after all others had been told.
            let error = StreamError::new(StreamCondition::SystemShutdown);
            return Some(End::Fault(Box::new(error)));
        }
        self.take_all(rest).await
    }

    /// Reads until the stream is over.
    async fn converse<L: Link>(&mut self, link: &Arc<L>, ending: &Notify) -> End {
        loop {
            let read = tokio::select! {
                read = read(link, |bytes| (self.take_read(bytes), bytes.len())) => read,
                () = ending.notified() => return End::ByServer,
            };
            let ((turn, rest), count) = match read {
                Ok(Read::Data(data)) => data,
                Ok(Read::Closed(_)) | Err(_) => return End::ByClient,
            };
            match turn {
                Turn::Done => {}
                Turn::Over(end) => return end,
                Turn::Wait(pending) => {
                    if let Some(end) = Box::pin(self.wait(pending, rest)).await {
                        return end;
                    }
                }
            }
            if let Some(time) = self.too_fast(count) {
                Box::pin(tokio::time::sleep(time)).await;
            }
        }
    }

    /// How long to wait before more is read.
    fn too_fast(&mut self, count: usize) -> Option<Duration> {
        let now = self.instance.core.clock().uptime();
        self.bucket.take(count, self.instance.rate(), now)
    }

    async fn end<L: Link>(&self, link: &Arc<L>, end: End) {
        let Self {
            instance, session, ..
        } = self;
        match end {
            End::ByServer => {}
            End::ByClient => session.end(None),
            End::Fault(error) => {
                let condition = error.condition.as_str();
                tracing::info!(jid = %session.jid(), condition, "the stream has a fault");
                session.end(Some(*error));
            }
        }
        let core = &instance.core;
        // The session takes nothing more; what it has is written with the stream's end.
        link.finish(core.config().limits.timeouts.close).await;
        tracing::info!(jid = %session.jid(), "gone");
        if let Some(pending) = core.ended(session) {
            pending.await;
        }
    }

    async fn wait(&mut self, pending: Pending, rest: Vec<u8>) -> Option<End> {
        pending.await;
        self.take_all(rest).await
    }

    /// Handles bytes to their end, waiting wherever that is needed.
    async fn take_all(&mut self, bytes: Vec<u8>) -> Option<End> {
        let mut bytes = bytes.as_slice();
        loop {
            match self.take(&mut bytes) {
                Turn::Done => return None,
                Turn::Over(end) => return Some(end),
                Turn::Wait(pending) => pending.await,
            }
        }
    }

    /// Handles bytes until their end, or until something has to be waited for; what is left of
    /// `bytes` is to be handled after that.
    fn take(&mut self, bytes: &mut &[u8]) -> Turn {
        self.session
            .touch(self.instance.core.clock().coarse_seconds());
        loop {
            let event = match self.established.receive(bytes) {
                Ok(None) => return Turn::Done,
                Ok(Some(event)) => event,
                Err(error) => return fault(error),
            };
            if self.session.is_traced() {
                stream_log::show_event(&self.instance.core, &self.session, &event);
            }
            let pending = match event {
                Event::Stanza(stanza) => match self.accept(stanza) {
                    Ok(pending) => pending,
                    Err(error) => return fault(error),
                },
                Event::BadStanza(bad) => {
                    if let Err(error) = self.refuse(&bad) {
                        return fault(error);
                    }
                    None
                }
                Event::Whitespace => None,
                // RFC 6120 §4.4
                Event::Close | Event::Error(_) => return Turn::Over(End::ByClient),
                // RFC 6120 §4.9.3.24: nobody here knows this element.
                _ => return fault(StreamError::new(StreamCondition::UnsupportedStanzaType)),
            };
            if let Some(pending) = pending {
                return Turn::Wait(pending);
            }
        }
    }

    /// Handles what came with one read. What is behind a stanza that waits is kept.
    fn take_read(&mut self, mut bytes: &[u8]) -> (Turn, Vec<u8>) {
        let turn = self.take(&mut bytes);
        let rest = match turn {
            Turn::Wait(_) => bytes.to_vec(),
            Turn::Done | Turn::Over(_) => Vec::new(),
        };
        (turn, rest)
    }

    /// Stamps the sender's address and sends the stanza on its way.
    fn accept(&self, mut stanza: Stanza) -> Result<Option<Pending>, StreamError> {
        let own = self.session.jid();
        // RFC 6120 §8.1.2.1: a `from` must be the client's own full or bare JID.
        if let Some(from) = &stanza.from
            && from != own
            && from != self.session.account()
        {
            return Err(StreamError::new(StreamCondition::InvalidFrom));
        }
        stanza.from = Some(Jid::clone(own));
        Ok(self.instance.core.accept(&self.session, stanza))
    }

    /// RFC 6120 §8.3.1: a stanza that cannot be routed as it is gets an error.
    fn refuse(&self, bad: &BadStanza) -> Result<(), StreamError> {
        // §8.1.2.1 goes first: whatever else is wrong, nobody writes in another's name.
        if let Some(from) = &bad.from {
            let from = Jid::parse(from).ok();
            let own = [self.session.jid(), self.session.account()];
            if !from.is_some_and(|from| own.contains(&&from)) {
                return Err(StreamError::new(StreamCondition::InvalidFrom));
            }
        }
        if let Some(mut answer) = bad.answer() {
            answer.to = Some(self.session.jid().clone());
            self.instance.core.deliver(&self.session, answer);
        }
        Ok(())
    }
}

fn fault(error: StreamError) -> Turn {
    Turn::Over(End::Fault(Box::new(error)))
}
