//! A client with a bound resource: stanzas in, until the stream ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use balcony_core::bucket::Bucket;
use balcony_core::lane::Lane;
use balcony_core::{Accepted, Attachment, Pending, Session};
use balcony_net::Read;
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{BadStanza, Kind, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_stream::receiving::Bound;
use balcony_stream::{Established, Event, established};
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::Access;
use super::link::Link;
use super::managed;
use super::negotiate::{Negotiated, Seat};
use super::output::Output;
use crate::instance::Instance;
use crate::stream_log;

/// The reading side of a session.
struct Steady {
    instance: Arc<Instance>,
    attachment: Attachment,
    established: Established,
    bucket: Bucket,
    lane: Lane,
    /// What must wait until the lane is empty; nothing behind it is looked at.
    held: Option<Box<Held>>,
}

/// What waits for the lane.
enum Held {
    /// Not begun yet.
    Stanza(Stanza),
    /// A stanza whose handling waits for something.
    Handling(Pending),
    /// Something else that has to be done.
    Task(Pending),
}

/// What reading came to.
enum Turn {
    /// All that came is handled, or is in the lane.
    Done,
    /// What came behind must wait.
    Wait,
    /// The stream is over.
    Over(End),
}

/// How a stream came to its end.
enum End {
    /// The client ended the stream properly (RFC 6120 §4.4).
    Closed,
    /// The client is gone without a word.
    Lost,
    /// The client broke a rule of the stream.
    Fault(Box<StreamError>),
    /// Somebody here ended the session.
    ByServer,
    /// Another connection has the session now.
    Replaced,
    /// The connection is closed with this, and the session goes on without one.
    Interrupted(Box<StreamError>),
}

/// What woke a session.
enum Woken {
    Read((Turn, Vec<u8>), usize),
    Failed,
    Committed,
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
        seat,
    } = negotiated;
    let Seat { attachment, ending } = seat;
    let session = Arc::clone(attachment.session());
    note_access(&session, &link, *bound);
    let output = Output::new(
        Arc::clone(&instance.core),
        Arc::clone(&session),
        attachment.number(),
    );
    link.set_source(output);
    let bucket = Bucket::new(instance.core.clock().uptime());
    let guard = Guard {
        instance: Arc::clone(&instance),
        session,
        link,
    };
    let mut steady = Steady {
        instance,
        attachment,
        established,
        bucket,
        lane: Lane::default(),
        held: None,
    };
    // Boxed, for there is hardly ever any.
    let rest = (!rest.is_empty()).then(|| Box::new(rest));
    async move {
        // The guard is taken along, and dropped with the rest: a copy of its own would be room for
        // it twice.
        let end = match Box::pin(steady.begin(rest.map(|rest| *rest).unwrap_or_default())).await {
            Some(end) => end,
            None => steady.converse(&guard.link, &ending).await,
        };
        Box::pin(steady.end(&guard.link, end)).await;
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
    fn session(&self) -> &Arc<Session> {
        self.attachment.session()
    }

    /// Handles what came with the end of the negotiation.
    async fn begin(&mut self, rest: Vec<u8>) -> Option<End> {
        if self.instance.is_stopping() {
            // It was bound after all others had been told.
            let error = Box::new(StreamError::new(StreamCondition::SystemShutdown));
            return Some(match self.session().resumable_for() {
                // A stream that was resumed is kept over the restart like all others.
                Some(_) => End::Interrupted(error),
                None => End::Fault(error),
            });
        }
        self.take_all(rest).await
    }

    /// Reads until the stream is over.
    async fn converse<L: Link>(&mut self, link: &Arc<L>, ending: &Notify) -> End {
        let mut rest: Option<Pin<Box<Sleep>>> = None;
        loop {
            let rests = rest.is_some();
            let woken = tokio::select! {
                // The end goes first: whoever wants the session waits for it. The order is fixed
                // so that a run in virtual time is the same each time.
                biased;
                () = ending.notified() => return self.ending(),
                () = over(&mut rest) => {
                    rest = None;
                    continue;
                }
                woken = self.woken(link, rests) => woken,
            };
            match woken {
                Woken::Committed => {
                    let core = &self.instance.core;
                    self.lane.finish_first(core, self.attachment.session());
                }
                Woken::Failed => return End::Lost,
                Woken::Read((turn, behind), count) => {
                    match turn {
                        Turn::Done => {}
                        Turn::Over(end) => return end,
                        Turn::Wait => {
                            if let Some(end) = Box::pin(self.take_all(behind)).await {
                                return end;
                            }
                        }
                    }
                    let pause = self.too_fast(count);
                    rest = pause.map(|time| Box::pin(tokio::time::sleep(time)));
                }
            }
        }
    }

    /// Waits for a commit, or for bytes where more may be read, and handles the bytes.
    fn woken<L: Link>(&mut self, link: &Arc<L>, rests: bool) -> impl Future<Output = Woken> {
        poll_fn(move |context| {
            let session = self.attachment.session();
            if self.lane.poll_ready(context, session).is_ready() {
                return Poll::Ready(Woken::Committed);
            }
            if rests || self.lane.is_full() {
                return Poll::Pending;
            }
            let mut take = Some(|bytes: &[u8]| (self.take_read(bytes), bytes.len()));
            link.poll_read(context, &mut take)
                .map(|read: io::Result<_>| match read {
                    Ok(Read::Data((taken, count))) => Woken::Read(taken, count),
                    Ok(Read::Closed(_)) | Err(_) => Woken::Failed,
                })
        })
    }

    /// Why the session's bell rang.
    fn ending(&self) -> End {
        if self.attachment.is_replaced() {
            End::Replaced
        } else if self.session().has_ended() {
            End::ByServer
        } else {
            let error = self.session().interruption();
            let error = error.unwrap_or(StreamError::new(StreamCondition::SystemShutdown));
            End::Interrupted(Box::new(error))
        }
    }

    /// How long to wait before more is read.
    fn too_fast(&mut self, count: usize) -> Option<Duration> {
        let now = self.instance.core.clock().uptime();
        self.bucket.take(count, self.instance.rate(), now)
    }

    async fn end<L: Link>(mut self, link: &Arc<L>, end: End) {
        let instance = Arc::clone(&self.instance);
        let core = &instance.core;
        let session = Arc::clone(self.session());
        let within = core.config().limits.timeouts.close;
        // What was taken on is done, whatever became of the client.
        self.lane.drain(core, &session).await;
        let end = match end {
            // Its stream is closed with what it was ended with, whoever wants it besides.
            End::Lost | End::Interrupted(_) | End::Replaced if session.has_ended() => End::ByServer,
            // It has a new connection already, whatever became of this one.
            End::Lost | End::Interrupted(_) if self.attachment.is_replaced() => End::Replaced,
            end => end,
        };
        match end {
            End::Lost if session.resumable_for().is_some() => {
                tracing::info!(jid = %session.jid(), "cut off");
                link.drop_source();
                core.detach(self.attachment);
                return link.finish(within).await;
            }
            End::Interrupted(error) => {
                say_last(link, &error);
                core.detach(self.attachment);
                return link.finish(within).await;
            }
            End::Replaced => {
                // XEP-0198 §5
                say_last(link, &StreamError::new(StreamCondition::Conflict));
                drop(self.attachment);
                return link.finish(within).await;
            }
            // XEP-0198 §5: a client that comes back late learns what was handled.
            End::ByServer => core.note_stream_end(&session, true),
            End::Closed => {
                core.note_stream_end(&session, false);
                session.end(None);
            }
            End::Lost => session.end(None),
            End::Fault(error) => {
                let condition = error.condition.as_str();
                tracing::info!(jid = %session.jid(), condition, "the stream has a fault");
                core.note_stream_end(&session, true);
                session.end(Some(*error));
            }
        }
        // Before what comes while the connection closes.
        let left = core.make_way(&session);
        // Whoever wanted to resume it need not wait for the connection to close.
        drop(self.attachment);
        // The session takes nothing more; what it has is written with the stream's end.
        link.finish(within).await;
        tracing::info!(jid = %session.jid(), "gone");
        for pending in left.into_iter().chain(core.ended(&session)) {
            pending.await;
        }
    }

    /// Handles bytes to their end, waiting wherever that is needed.
    async fn take_all(&mut self, bytes: Vec<u8>) -> Option<End> {
        let core = Arc::clone(&self.instance.core);
        let session = Arc::clone(self.session());
        let mut bytes = bytes.as_slice();
        loop {
            if let Some(held) = self.held.take() {
                self.lane.drain(&core, &session).await;
                match *held {
                    Held::Stanza(stanza) => self.handle(stanza),
                    Held::Handling(pending) => {
                        pending.await;
                        session.handle();
                    }
                    Held::Task(pending) => pending.await,
                }
                continue;
            }
            if self.lane.is_full() {
                self.lane.drain(&core, &session).await;
            }
            match self.take(&mut bytes) {
                Turn::Done => return None,
                Turn::Over(end) => return Some(end),
                Turn::Wait => {}
            }
        }
    }

    /// Handles bytes until their end, or until something has to be waited for; what is left of
    /// `bytes` is to be handled after that.
    fn take(&mut self, bytes: &mut &[u8]) -> Turn {
        self.session()
            .touch(self.instance.core.clock().coarse_seconds());
        loop {
            let event = match self.established.receive(bytes) {
                Ok(None) => return Turn::Done,
                Ok(Some(event)) => event,
                Err(error) => return fault(error),
            };
            if self.session().is_traced() {
                stream_log::show_event(&self.instance.core, self.session(), &event);
            }
            match event {
                Event::Stanza(stanza) => {
                    if let Err(error) = self.accept(stanza) {
                        return fault(error);
                    }
                }
                Event::BadStanza(bad) => {
                    if let Err(error) = self.refuse(&bad) {
                        return fault(error);
                    }
                }
                Event::Nonza(element) => {
                    let (core, session) = (&self.instance.core, self.attachment.session());
                    match managed::element(core, session, &mut self.lane, &element) {
                        Ok(task) => self.held = task.map(|task| Box::new(Held::Task(task))),
                        Err(error) => return fault(error),
                    }
                }
                Event::Whitespace => {}
                // RFC 6120 §4.4
                Event::Close | Event::Error(_) => return Turn::Over(End::Closed),
                // RFC 6120 §4.9.3.24: nobody here knows this element.
                _ => return fault(StreamError::new(StreamCondition::UnsupportedStanzaType)),
            }
            if self.held.is_some() || self.lane.is_full() {
                return Turn::Wait;
            }
        }
    }

    /// Handles what came with one read. What is behind something that waits is kept.
    fn take_read(&mut self, mut bytes: &[u8]) -> (Turn, Vec<u8>) {
        let turn = self.take(&mut bytes);
        let rest = match turn {
            Turn::Wait => bytes.to_vec(),
            Turn::Done | Turn::Over(_) => Vec::new(),
        };
        (turn, rest)
    }

    /// Stamps the sender's address and sends the stanza on its way.
    fn accept(&mut self, mut stanza: Stanza) -> Result<(), StreamError> {
        let own = self.session().jid();
        // RFC 6120 §8.1.2.1: a `from` must be the client's own full or bare JID.
        if let Some(from) = &stanza.from
            && from != own
            && from != self.session().account()
        {
            return Err(StreamError::new(StreamCondition::InvalidFrom));
        }
        stanza.from = Some(Jid::clone(own));
        self.session().receive();
        // What comes behind messages that are being committed may be accepted meanwhile if it is a
        // message too; what other stanzas do is not held back till the commit.
        if self.lane.is_empty() || matches!(stanza.kind, Kind::Message(_)) {
            self.handle(stanza);
        } else {
            self.held = Some(Box::new(Held::Stanza(stanza)));
        }
        Ok(())
    }

    fn handle(&mut self, stanza: Stanza) {
        let session = self.attachment.session();
        let behind = !self.lane.is_empty();
        match self.instance.core.accept(session, stanza, behind) {
            Accepted::Done => self.lane.done(session),
            Accepted::Commits(committing) => self.lane.push(committing),
            Accepted::Waits(pending) => self.held = Some(Box::new(Held::Handling(pending))),
        }
    }

    /// RFC 6120 §8.3.1: a stanza that cannot be routed as it is gets an error.
    fn refuse(&mut self, bad: &BadStanza) -> Result<(), StreamError> {
        let session = self.attachment.session();
        // §8.1.2.1 goes first: whatever else is wrong, nobody writes in another's name.
        if let Some(from) = &bad.from {
            let from = Jid::parse(from).ok();
            let own = [session.jid(), session.account()];
            if !from.is_some_and(|from| own.contains(&&from)) {
                return Err(StreamError::new(StreamCondition::InvalidFrom));
            }
        }
        session.receive();
        if let Some(mut answer) = bad.answer() {
            answer.to = Some(session.jid().clone());
            self.instance.core.deliver(session, answer);
        }
        self.lane.done(session);
        Ok(())
    }
}

/// Ends a stream whose session goes on without it.
fn say_last<L: Link>(link: &Arc<L>, error: &StreamError) {
    link.drop_source();
    let mut bytes = Vec::new();
    established::write_error(error, &mut bytes);
    link.write(&bytes);
}

/// Waits until a pause is over; without one, for ever.
fn over(pause: &mut Option<Pin<Box<Sleep>>>) -> impl Future<Output = ()> {
    poll_fn(|context| match pause {
        Some(pause) => pause.as_mut().poll(context),
        None => Poll::Pending,
    })
}

fn fault(error: StreamError) -> Turn {
    Turn::Over(End::Fault(Box::new(error)))
}
