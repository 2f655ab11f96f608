//! Sessions whose client was cut off: how long they are held, and how a client takes its own up
//! again (XEP-0198 §5).

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Kind;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::{Bounds, StreamId, Ticket, Waiting, Write, WriteSet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use crate::module::Event;
use crate::session::{Attachment, Item, Session, Wake};
use crate::{Core, Pending};

/// The name that the client gets for its stream.
#[must_use]
pub fn stream_name(id: StreamId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

fn stream_id(name: &str) -> Option<StreamId> {
    let bytes = URL_SAFE_NO_PAD.decode(name).ok()?;
    Some(StreamId(bytes.try_into().ok()?))
}

/// A session without a connection: its end is heard of by the task that holds it.
#[derive(Default)]
pub(crate) struct Parked(Notify);

impl Wake for Parked {
    fn wake(&self) {}

    fn end(&self) {
        self.0.notify_one();
    }
}

/// A client has its session again.
pub struct Resumed {
    /// The connection's hold on it.
    pub attachment: Attachment,
    /// How many of the client's stanzas are handled.
    pub handled: u32,
}

/// Why a client did not get its session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResumed {
    /// There is no such stream of this account.
    Unknown {
        /// How many of the client's stanzas are handled, if that is still known.
        handled: Option<u32>,
    },
    /// The client says that it has more than it was sent.
    TooHigh {
        /// What it was sent.
        sent: u32,
    },
}

impl Core {
    /// The connection is gone, and its client may come back: the session waits for it, for as long
    /// as was agreed.
    pub fn detach(self: &Arc<Self>, attachment: Attachment) {
        let session = Arc::clone(attachment.session());
        let number = attachment.number();
        if attachment.is_replaced() {
            // Whoever resumed it has it as soon as this is dropped.
            return;
        }
        let parked = Arc::new(Parked::default());
        session.park(number, Arc::clone(&parked) as Arc<dyn Wake>);
        let max = session.resumable_for().unwrap_or_default();
        let core = Arc::clone(self);
        tokio::spawn(async move {
            drop(attachment);
            if !session.has_ended() {
                if let Some(pending) = core.fire(Event::Detached(Arc::clone(&session))) {
                    pending.await;
                }
                let mut at_rest = core.at_rest.subscribe();
                tokio::select! {
                    biased;
                    // The next start has the session.
                    _ = at_rest.wait_for(|at_rest| *at_rest) => return,
                    () = parked.0.notified() => {}
                    () = tokio::time::sleep(max) => {}
                }
            }
            if session.expire(number) {
                tracing::info!(jid = %session.jid(), "did not come back");
                core.note_stream_end(&session, true);
                if let Some(pending) = core.ended(&session) {
                    pending.await;
                }
            }
        });
    }

    /// Ends a session with a stream error. What its client has not got is seen to at once, before
    /// anything that comes later for its account.
    pub fn end_session(self: &Arc<Self>, session: &Arc<Session>, error: StreamError) {
        session.end(Some(error));
        let left = session.counts().then(|| self.look_after(session, None));
        if let Some(pending) = left.flatten() {
            tokio::spawn(pending);
        }
    }

    /// Ends a session, if it has not ended, that another one is about to take the place of. When
    /// what is answered is through, what its client had not got is where the next session finds it.
    #[must_use]
    pub fn make_way(self: &Arc<Self>, session: &Arc<Session>) -> Option<Pending> {
        session.end(Some(StreamError::new(StreamCondition::Conflict)));
        // What else is queued is still written; what was not is known when the connection ends.
        let known = session.counts();
        known.then(|| self.look_after(session, None)).flatten()
    }

    /// Sees to what the client of an ended session has not got. What is archived and nobody else
    /// takes goes into the offline queue as a whole and at once, before anything that comes later;
    /// `last` is what came for the session when it had ended.
    pub(crate) fn look_after(
        self: &Arc<Self>,
        session: &Arc<Session>,
        last: Option<Item>,
    ) -> Option<Pending> {
        let mut left = session.leave();
        left.extend(last);
        left.retain(Item::is_orphaned);
        if left.is_empty() {
            return None;
        }
        let account = session.account();
        let others = self.sessions.of(account.as_str());
        let taken = others
            .iter()
            .any(|other| !other.has_ended() && other.is_available() && other.priority() >= 0);
        let waits = |item: &Item| {
            !taken && item.archived.is_some() && matches!(item.stanza.kind, Kind::Message(_))
        };
        let (waiting, rest): (Vec<Item>, Vec<Item>) = left.into_iter().partition(waits);
        let queued = self.queue(account, &waiting);
        let (core, session) = (Arc::clone(self), Arc::clone(session));
        Some(Box::pin(async move {
            let one_by_one = match queued.await {
                Ok(_) => {
                    core.queued(&session, waiting).await;
                    rest
                }
                // All or nothing: of what does not fit the senders hear each by itself.
                Err(cause) => {
                    let jid = session.jid();
                    tracing::debug!(%cause, %jid, "what it left is not queued at once");
                    waiting.into_iter().chain(rest).collect()
                }
            };
            for item in one_by_one {
                if let Some(pending) = core.left_over(item) {
                    pending.await;
                }
            }
        }))
    }

    async fn queued(self: &Arc<Self>, session: &Session, items: Vec<Item>) {
        self.taken(session, &items);
        if items.is_empty() {
            return;
        }
        let account = session.account().clone();
        if let Some(pending) = self.fire(Event::Queued { account, items }) {
            pending.await;
        }
    }

    fn queue(&self, account: &Jid, items: &[Item]) -> Ticket {
        let offline = self.config().offline.clone();
        let bounds = Bounds {
            rows: offline.messages,
            bytes: u64::try_from(offline.bytes).unwrap_or(u64::MAX),
        };
        let push = |item: &Item| {
            Some(Write::OfflinePush {
                account: account.to_string(),
                received_at: item.received_at,
                stanza: Waiting::Archived(item.archived?),
                bounds,
            })
        };
        self.store.commit(items.iter().filter_map(push).collect())
    }

    /// Gives an account's session to another connection, whose client has got `h` stanzas.
    ///
    /// # Errors
    /// [`NotResumed`]; a session that is there stays as it was, but for its former connection,
    /// which is closed.
    pub async fn resume(
        self: &Arc<Self>,
        account: &Jid,
        name: &str,
        h: u32,
        wake: Arc<dyn Wake>,
    ) -> Result<Resumed, NotResumed> {
        let id = stream_id(name).ok_or(NotResumed::Unknown { handled: None })?;
        let Some(session) = self.sessions.find_stream(account, id) else {
            let handled = self.handled_before(account, id).await;
            return Err(NotResumed::Unknown { handled });
        };
        let Some(attachment) = session.take_over(wake).await else {
            return Err(NotResumed::Unknown { handled: None });
        };
        let handled = session.handled();
        if attachment.is_replaced() {
            // Of two that resume at once the later one wins.
            return Err(NotResumed::Unknown {
                handled: Some(handled),
            });
        }
        if session.has_ended() {
            self.note_stream_end(&session, true);
            if let Some(pending) = self.ended(&session) {
                pending.await;
            }
            return Err(NotResumed::Unknown {
                handled: Some(handled),
            });
        }
        match session.resume(h) {
            Ok(taken) => {
                self.taken(&session, &taken);
                // XEP-0352 §5.2: a stream that is resumed begins as active. It is no silent one.
                session.set_active(true);
                session.touch(self.clock.coarse_seconds());
                Ok(Resumed {
                    attachment,
                    handled,
                })
            }
            Err(too_high) => {
                self.detach(attachment);
                Err(NotResumed::TooHigh {
                    sent: too_high.sent,
                })
            }
        }
    }

    /// How many stanzas of a stream that is not here any more were handled.
    async fn handled_before(&self, account: &Jid, id: StreamId) -> Option<u32> {
        if let Some((owner, handled)) = self.ended_streams.lock().get(&id) {
            return handled.filter(|_| owner.as_str() == account.bare_str());
        }
        match self.store.streams().get(id).await {
            Ok(row) => row
                .filter(|row| row.account == account.as_str())
                .map(|row| row.handled),
            Err(cause) => {
                tracing::warn!(%cause, "a stream is not looked up");
                None
            }
        }
    }

    /// Writes down up to where messages were delivered. What was taken since the last call is
    /// written now; nobody need wait for it, and what is not written is delivered again after a
    /// crash.
    #[must_use]
    pub fn note_delivered(&self) -> Option<Ticket> {
        let moved = self.delivered.moved().into_iter();
        let writes: WriteSet = moved
            .map(|(account, id)| Write::ArchiveDelivered {
                account: account.to_string(),
                id,
            })
            .collect();
        (!writes.is_empty()).then(|| self.store.commit(writes))
    }

    /// A stream is over for good, or with `remember` for its client's purposes: one that comes back
    /// late learns what was handled. Nobody need wait for it.
    pub fn note_stream_end(self: &Arc<Self>, session: &Session, remember: bool) {
        let Some(id) = session.stream_id() else {
            return;
        };
        let handled = remember.then(|| session.handled());
        let ticket = self.store.commit(WriteSet::from(match handled {
            Some(handled) => Write::StreamHandled { id, handled },
            None => Write::StreamRemove { id },
        }));
        // Who asks before it is committed hears it from here: less than it knows already would
        // have it send again what was handled.
        let known = (session.account().clone(), handled);
        self.ended_streams.lock().insert(id, known);
        let core = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(cause) = ticket.await {
                tracing::warn!(%cause, "what a stream had handled may be forgotten");
            }
            let mut ended = core.ended_streams.lock();
            if ended.get(&id).is_some_and(|(_, last)| *last == handled) {
                ended.remove(&id);
            }
        });
    }

    /// Streams that live are remembered longer: each is renewed once a day, about as many in each
    /// minute. To be called every minute.
    pub fn renew_streams(&self) {
        const MINUTES: u64 = 24 * 60;
        let minute = u64::from(self.clock.coarse_seconds()) / 60 % MINUTES;
        let mut writes = WriteSet::default();
        self.sessions.each(|session| {
            let Some((id, max)) = session.stream_id().zip(session.resumable_for()) else {
                return;
            };
            let [first, second, ..] = id.0;
            if u64::from(u16::from_be_bytes([first, second])) % MINUTES == minute {
                let expires_at = self.stream_expiry(max);
                writes.push(Write::StreamRenew { id, expires_at });
            }
        });
        drop(self.store.commit(writes));
    }

    /// Forgets what nobody will ask for any more. Nobody need wait for it.
    pub fn expire_streams(&self) -> Ticket {
        /// A slice takes a few milliseconds, and with one a minute a million rows a day can go.
        const ROWS: u32 = 1_000;
        self.store.commit(WriteSet::from(Write::StreamsExpire {
            now: self.clock.utc_micros(),
            rows: ROWS,
        }))
    }

    /// The same for one account, for whoever commits something about what was delivered anyway.
    #[must_use]
    pub fn delivered_mark(&self, account: &Jid) -> Option<Write> {
        let id = self.delivered.moved_of(account)?;
        let account = account.to_string();
        Some(Write::ArchiveDelivered { account, id })
    }

    /// Asks all clients that acknowledge what they get how much they have, where they were sent
    /// something since.
    pub fn ask_all(&self) {
        self.sessions.each(|session| session.ask_at_last());
    }

    /// The client of a session has these, or its socket where no more can be known.
    pub fn taken<'i>(&self, session: &Session, items: impl IntoIterator<Item = &'i Item>) {
        for item in items {
            item.written();
            if let Some(id) = item.archived {
                self.delivered.taken(session.account(), id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_found_by_the_name_that_its_client_got() {
        let id = StreamId([0xfe; 16]);
        assert_eq!(stream_id(&stream_name(id)), Some(id));
        for name in ["", "short", "?", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(stream_id(name), None, "{name:?}");
        }
    }
}
