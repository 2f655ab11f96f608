//! What waited goes to the first resource that takes messages (XEP-0160 §2), in order, once.

use std::sync::{Arc, Weak};

use balcony_core::module::{BoxFuture, Ctx, Event, Session};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::Stanza;
use balcony_proto::xep::delay::Delay;
use balcony_store::{OfflineRow, Result, Write, WriteSet};
use parking_lot::Mutex;

use crate::stored;
use crate::turns::Turns;

/// Rows that are read, written and deleted at a time: a commit for each 50 messages is little
/// beside sending them, and 50 of them are rarely a megabyte.
const PAGE: u32 = 50;

/// Note of a session: whether its last presence had a priority that takes messages.
struct Receptive(bool);

/// Whose turn it is to empty an account's queue, and who has not got all of it yet.
#[derive(Default)]
pub(super) struct Flushes {
    turns: Turns,
    unfinished: Mutex<Vec<Weak<Session>>>,
}

/// How far a flush came.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing waits any more.
    Empty,
    /// The session has enough to write for now.
    Full,
    /// The session ended.
    Ended,
}

pub(super) fn on_available<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Available { session, first } = event else {
            return;
        };
        // XEP-0160 §2 point 5: presence with a non-negative priority, the first after none.
        let now = session.priority() >= 0;
        let before = session.notes(|notes| notes.set(Receptive(now)));
        let already = !first && before.is_some_and(|Receptive(before)| before);
        if now && !already {
            flush(ctx, session).await;
        }
    })
}

/// Goes on with those whose queue was full.
pub(super) fn on_tick<'a>(ctx: &'a mut Ctx<'_>, _: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Some(flushes) = ctx.state::<Flushes>() else {
            return;
        };
        let unfinished = std::mem::take(&mut *flushes.unfinished.lock());
        for session in unfinished.iter().filter_map(Weak::upgrade) {
            if session.is_available() && session.priority() >= 0 {
                flush(ctx, &session).await;
            }
        }
    })
}

async fn flush(ctx: &mut Ctx<'_>, session: &Arc<Session>) {
    let Some(flushes) = ctx.state::<Flushes>() else {
        return;
    };
    let account = session.account();
    // One at a time: two resources that come online together share nothing and miss nothing.
    let _turn = flushes.turns.take(account.as_str()).await;
    match deliver_all(ctx, session).await {
        Ok(Outcome::Full) => flushes.unfinished.lock().push(Arc::downgrade(session)),
        Ok(Outcome::Empty | Outcome::Ended) => {}
        Err(cause) => {
            tracing::warn!(%cause, %account, "offline messages wait on: the store failed");
            flushes.unfinished.lock().push(Arc::downgrade(session));
        }
    }
}

async fn deliver_all(ctx: &mut Ctx<'_>, session: &Arc<Session>) -> Result<Outcome> {
    let account = session.account().as_str();
    loop {
        // Each page is deleted before the next is read, so this is always the beginning.
        let rows = ctx.store().offline().page(account, 0, PAGE).await?;
        if rows.is_empty() {
            return Ok(Outcome::Empty);
        }
        let (delivered, outcome) = deliver(ctx, session, &rows);
        // A row goes when its message is written to the socket: who dies in between loses nothing.
        let written = session.written().await.is_ok();
        if let (Some(up_to), true) = (delivered, written) {
            let delete = Write::OfflineDelete {
                account: account.to_owned(),
                up_to,
            };
            ctx.commit(WriteSet::from(delete)).await?;
        }
        match outcome {
            Some(outcome) => return Ok(outcome),
            None if !written => return Ok(Outcome::Ended),
            None => {}
        }
    }
}

/// Queues rows for the session; answers the last that it took, and why it took no more.
fn deliver(
    ctx: &Ctx<'_>,
    session: &Session,
    rows: &[OfflineRow],
) -> (Option<i64>, Option<Outcome>) {
    let config = ctx.config();
    // Half of the queue stays free for what arrives meanwhile.
    let room = config.limits.session_queue / 2;
    let keep = i64::try_from(config.offline.keep.as_micros()).unwrap_or(i64::MAX);
    let oldest = ctx.utc_micros().saturating_sub(keep);
    let mut delivered = None;
    for row in rows {
        if session.has_ended() {
            return (delivered, Some(Outcome::Ended));
        }
        let stanza = stored::decode(&row.stanza).filter(|_| row.received_at >= oldest);
        if let Some(stanza) = stanza {
            let stanza = stamped(stanza, session.jid(), row.received_at);
            if session.enqueue_kept(stanza, room).is_err() {
                let ended = session.has_ended();
                let why = if ended { Outcome::Ended } else { Outcome::Full };
                return (delivered, Some(why));
            }
        }
        delivered = Some(row.seq);
    }
    (delivered, None)
}

/// XEP-0203 §4: one and only one delay. That of a gateway or of an earlier try stays.
fn stamped(mut stanza: Stanza, to: &Jid, received_at: i64) -> Stanza {
    if stanza.payload.find(ns::DELAY, "delay").is_none() {
        let host = to.domain_jid();
        let delay = Delay {
            from: Some(host),
            stamp: received_at,
            reason: None,
        };
        stanza.payload.add(&delay.to_element());
    }
    stanza
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::MessageType;
    use balcony_proto::xml::Element;

    fn delays(stanza: &Stanza) -> Vec<Delay> {
        let elements = stanza.payload.children().map(|child| child.element());
        elements
            .filter_map(|element| Delay::parse(&element))
            .collect()
    }

    #[test]
    fn a_message_says_when_it_arrived_and_who_held_it_back() {
        let juliet = Jid::parse("juliet@localhost/balcony").unwrap();
        let body = Element::new(ns::CLIENT, "body").with_text("art thou there");
        let stanza = Stanza::message(MessageType::Chat).with_element(body);
        let once = stamped(stanza, &juliet, 1_000_000);
        let expected = Delay {
            from: Some(juliet.domain_jid()),
            stamp: 1_000_000,
            reason: None,
        };
        assert_eq!(delays(&once), std::slice::from_ref(&expected));
        // Kept a second time, because the session ended: the first stamp is the true one.
        assert_eq!(delays(&stamped(once, &juliet, 9_000_000)), [expected]);
    }
}
