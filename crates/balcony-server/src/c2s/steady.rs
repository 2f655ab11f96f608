//! A client with a bound resource: stanzas in, until the stream ends.

use std::sync::Arc;

use balcony_core::module::Event as LifeEvent;
use balcony_core::trace::Writer;
use balcony_core::{Pending, Session};
use balcony_net::Read;
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};
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
    /// A stanza's effects wait; what came behind it is handled after them.
    Wait(Pending, Vec<u8>),
    /// The stream is over, by the client's wish or with an error.
    Over(Option<StreamError>),
}

/// Runs a session until its client is gone or it is ended.
pub(super) async fn run<L: Link>(instance: Arc<Instance>, link: Arc<L>, negotiated: Negotiated) {
    let Negotiated {
        bound,
        established,
        rest,
        session,
        ending,
    } = negotiated;
    tracing::info!(
        jid = %bound.jid, peer = %link.peer(), mechanism = bound.mechanism.as_str(),
        tls = bound.encrypted, "logged in"
    );
    let client = bound
        .client
        .and_then(|client| client.software)
        .map(String::into_boxed_str);
    let access = Access {
        address: link.peer(),
        encrypted: bound.encrypted,
        mechanism: bound.mechanism,
        client,
    };
    session.notes(|notes| notes.set(access));
    let core = Arc::clone(&instance.core);
    link.set_source(Output::new(Arc::clone(&core), Arc::clone(&session)));
    let bucket = Bucket::new(core.clock().uptime());
    let mut steady = Steady {
        instance,
        session: Arc::clone(&session),
        established,
        bucket,
    };
    if let Some(pending) = core.fire(LifeEvent::Bound(Arc::clone(&session))) {
        pending.await;
    }
    if let Some(error) = steady.converse(&link, &ending, rest).await {
        session.end(error);
    }
    // The session takes nothing more from here on; what it has is written with the stream's end.
    link.finish(core.config().limits.timeouts.close).await;
    tracing::info!(jid = %session.jid(), "gone");
    if let Some(pending) = core.ended(&session) {
        pending.await;
    }
}

impl Steady {
    /// Reads until the stream is over. Answers how to end the session; `None` when somebody else
    /// ended it.
    async fn converse<L: Link>(
        &mut self,
        link: &Arc<L>,
        ending: &Notify,
        rest: Vec<u8>,
    ) -> Option<Option<StreamError>> {
        if let Some(error) = self.take_all(rest).await {
            return Some(error);
        }
        loop {
            let read = tokio::select! {
                read = read(link, |bytes| (self.take(bytes), bytes.len())) => read,
                () = ending.notified() => return None,
            };
            let (turn, count) = match read {
                Ok(Read::Data(data)) => data,
                Ok(Read::Closed(_)) | Err(_) => return Some(None),
            };
            match turn {
                Turn::Done => {}
                Turn::Over(error) => return Some(error),
                Turn::Wait(pending, rest) => {
                    // Boxed, like the future itself: an idle session holds neither.
                    let rest = Box::pin(async {
                        pending.await;
                        self.take_all(rest).await
                    });
                    if let Some(error) = rest.await {
                        return Some(error);
                    }
                }
            }
            self.slow_down(count).await;
        }
    }

    async fn slow_down(&mut self, count: usize) {
        let core = &self.instance.core;
        let rate = self.instance.rate();
        if let Some(wait) = self.bucket.take(count, rate, core.clock().uptime()) {
            Box::pin(tokio::time::sleep(wait)).await;
        }
    }

    /// Handles bytes to their end, waiting wherever that is needed.
    async fn take_all(&mut self, mut bytes: Vec<u8>) -> Option<Option<StreamError>> {
        loop {
            match self.take(&bytes) {
                Turn::Done => return None,
                Turn::Over(error) => return Some(error),
                Turn::Wait(pending, rest) => {
                    pending.await;
                    bytes = rest;
                }
            }
        }
    }

    /// Handles bytes until their end, or until something has to be waited for.
    fn take(&mut self, mut bytes: &[u8]) -> Turn {
        if self.session.is_traced() {
            stream_log::show(&self.instance.core, &self.session, Writer::Client, bytes);
        }
        self.session
            .touch(self.instance.core.clock().coarse_seconds());
        loop {
            let pending = match self.established.receive(&mut bytes) {
                Ok(None) => return Turn::Done,
                Ok(Some(Event::Stanza(stanza))) => match self.accept(stanza) {
                    Ok(pending) => pending,
                    Err(error) => return Turn::Over(Some(error)),
                },
                Ok(Some(Event::BadStanza(bad))) => {
                    self.refuse(&bad);
                    None
                }
                Ok(Some(Event::Whitespace)) => None,
                // RFC 6120 §4.4
                Ok(Some(Event::Close | Event::Error(_))) => return Turn::Over(None),
                // RFC 6120 §4.9.3.24: nobody here knows this element.
                Ok(Some(_)) => {
                    let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
                    return Turn::Over(Some(error));
                }
                Err(error) => return Turn::Over(Some(error)),
            };
            if let Some(pending) = pending {
                return Turn::Wait(pending, bytes.to_vec());
            }
        }
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
    fn refuse(&self, bad: &BadStanza) {
        if let Some(mut answer) = bad.answer() {
            answer.to = Some(self.session.jid().clone());
            self.instance.core.deliver(&self.session, answer);
        }
    }
}
