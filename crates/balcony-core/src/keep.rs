//! Sessions over a restart: an orderly stop writes down those that their clients can resume, the
//! next start takes them up (XEP-0198 §5).
//!
//! What was written down is taken up once: from then on the session lives in memory, and a crash
//! must not find an old picture of it.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;
use balcony_proto::xml::Element;
use balcony_store::{ArchiveId, Stored, StreamId, StreamRow, Write, WriteSet};

use crate::Core;
use crate::error::Error;
use crate::module::Event;
use crate::resume::Parked;
use crate::session::{Fate, Item, Picture, Session, SessionClient};

/// The version of the form in which a session is written down.
const FORMAT: u16 = 1;

/// Words for what becomes of a stanza that its client does not get.
const KEPT: &str = "kept";
const FORGOTTEN: &str = "forgotten";

/// Streams read at a time: a few hundred kilobytes at most in the usual case.
const PAGE: u32 = 100;

impl Core {
    /// Writes down every session that can be resumed. For a server that stops, when no connection
    /// is left. Answers how many there are.
    pub async fn keep_sessions(&self) -> usize {
        // None of them ends any more, in the store least of all; and a worker that is to stop has
        // no task left that waits for a client.
        self.at_rest.send_replace(true);
        let mut sessions = Vec::new();
        self.sessions.each(|session| {
            if !session.has_ended() {
                sessions.push(Arc::clone(session));
            }
        });
        let mut kept = 0;
        for session in sessions {
            let Some(picture) = session.picture() else {
                continue;
            };
            let keep = Write::StreamKeep {
                id: picture.id,
                handled: picture.handled,
                state: Some(self.write_down(&session, &picture)),
                expires_at: self.stream_expiry(picture.max),
            };
            match self.store.commit(WriteSet::from(keep)).await {
                Ok(_) => kept += 1,
                Err(cause) => {
                    tracing::warn!(%cause, jid = %session.jid(), "cannot be resumed after this");
                }
            }
        }
        self.lay_down().await;
        kept
    }

    /// The end of an orderly stop. Without it the next start takes this one for a crash.
    async fn lay_down(&self) {
        let marks = self.note_delivered();
        let last = self.store.commit(WriteSet::from(Write::LayDown));
        for ticket in marks.into_iter().chain([last]) {
            if let Err(cause) = ticket.await {
                tracing::warn!(%cause, "some messages will be delivered again");
            }
        }
    }

    /// When a stream that nobody takes up again may be forgotten: long after it could be resumed,
    /// so that a client that comes back late learns what was handled (XEP-0198 §5).
    #[must_use]
    pub fn stream_expiry(&self, max: Duration) -> i64 {
        /// A week: longer than a holiday's weekend, and a hundred bytes for each stream.
        const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
        let keep = i64::try_from((max + REMEMBERED).as_micros()).unwrap_or(i64::MAX);
        self.clock.utc_micros().saturating_add(keep)
    }

    fn write_down(&self, session: &Session, picture: &Picture) -> Stored {
        let mut root = Element::new("", "session")
            .with_attr("jid", session.jid().to_string())
            .with_attr("max", picture.max.as_secs().to_string())
            .with_attr("acknowledged", picture.acknowledged.to_string())
            .with_attr("active", session.is_active().to_string());
        if let Some(presence) = session.presence() {
            let shown = Element::new("", "shown")
                .with_attr("priority", session.priority().to_string())
                .with_child(presence.to_element());
            root.push(shown);
        }
        root = root.with_children(session.client().as_deref().map(client_element));
        for note in self.modules.iter().flat_map(|module| module.session_notes) {
            if let Some(text) = (note.save)(session) {
                let note = Element::new("", "note").with_attr("name", note.name);
                root.push(note.with_text(&text));
            }
        }
        root = root.with_children(picture.unacknowledged.iter().map(item_element));
        Stored {
            format: FORMAT,
            bytes: root.to_bytes(""),
        }
    }

    /// Takes up the sessions that an orderly stop wrote down, or after a crash has what nobody had
    /// taken delivered as offline messages. For a server that starts, before it
    /// listens. Answers how many there are.
    ///
    /// # Errors
    /// [`Error::Store`] when the store does not answer.
    pub async fn restore_sessions(self: &Arc<Self>) -> Result<usize, Error> {
        self.store.commit(WriteSet::from(Write::TakeUp)).await?;
        let mut restored = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.streams().kept(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            for (id, row) in page {
                restored.extend(self.restore(id, row).await?);
            }
        }
        self.expect_again(&restored);
        Ok(restored.len())
    }

    async fn restore(
        self: &Arc<Self>,
        id: StreamId,
        row: StreamRow,
    ) -> Result<Option<Arc<Session>>, Error> {
        let taken_up = Write::StreamKeep {
            id,
            handled: row.handled,
            state: None,
            expires_at: row.expires_at,
        };
        self.store.commit(WriteSet::from(taken_up)).await?;
        let element = row
            .state
            .filter(|state| state.format == FORMAT)
            .and_then(|state| Element::parse(&state.bytes, "").ok());
        let written = element.and_then(|element| {
            let jid = Jid::parse(element.attr("jid")?).ok()?;
            Some((jid, picture(&element, id, row.handled)?, element))
        });
        let Some((jid, picture, element)) = written else {
            tracing::error!(
                account = row.account,
                "a session that was kept cannot be read"
            );
            return Ok(None);
        };
        Ok(self.revive(jid, picture, &element).await)
    }

    /// Makes the session anew. Nobody is told: for its contacts it was never gone.
    async fn revive(
        self: &Arc<Self>,
        jid: Jid,
        picture: Picture,
        element: &Element,
    ) -> Option<Arc<Session>> {
        let wake = Arc::new(Parked::default());
        let now = self.clock.coarse_seconds();
        let bound = self.sessions.bind(jid, usize::MAX, now, wake).ok()?;
        let session = bound.session;
        session.restore(picture);
        session.set_active(element.attr("active") != Some("false"));
        if let Some(shown) = element.child("", "shown") {
            let priority = shown.attr("priority").and_then(|text| text.parse().ok());
            let presence = shown.children().next().and_then(Stanza::from_element);
            if let Some(presence) = presence {
                session.show(presence, priority.unwrap_or_default());
            }
        }
        if let Some(client) = element.child("", "client").and_then(read_client) {
            session.logged_in(client);
        }
        let notes = || self.modules.iter().flat_map(|module| module.session_notes);
        for kept in element.children().filter(|child| child.name() == "note") {
            if let Some(note) = notes().find(|note| Some(note.name) == kept.attr("name")) {
                (note.restore)(&session, &kept.text());
            }
        }
        if let Some(pending) = self.fire(Event::Bound(Arc::clone(&session))) {
            pending.await;
        }
        self.announce(&session);
        self.detach(session.attach()?);
        Some(session)
    }

    /// What the clients of these sessions have not got is expected again, in the order of the
    /// archives.
    fn expect_again(&self, sessions: &[Arc<Session>]) {
        let mut expected: Vec<(i64, Jid, ArchiveId)> = Vec::new();
        for session in sessions {
            let account = session.account();
            let items = session.picture().map(|picture| picture.unacknowledged);
            let archived = items
                .into_iter()
                .flatten()
                .filter_map(|item| Some((item.received_at, account.clone(), item.archived?)));
            expected.extend(archived);
        }
        expected.sort_by_key(|(received_at, ..)| *received_at);
        for (_, account, id) in &expected {
            self.delivered.expect(account, *id, true);
        }
    }
}

fn client_element(client: &SessionClient) -> Element {
    Element::new("", "client")
        .with_opt_attr("id", client.id.clone())
        .with_opt_attr("software", client.software.clone())
        .with_opt_attr("device", client.device.clone())
        .with_attr("password", client.password.to_string())
        .with_attr("since", client.since.to_string())
}

fn read_client(element: &Element) -> Option<SessionClient> {
    let text = |name| element.attr(name).map(str::to_owned);
    Some(SessionClient {
        id: text("id"),
        software: text("software"),
        device: text("device"),
        password: element.attr("password")? == "true",
        since: element.attr("since")?.parse().ok()?,
    })
}

/// Each has its place in the count, also one that nobody would look after.
fn item_element(item: &Item) -> Element {
    let fate = match item.fate {
        // Another session has it.
        Fate::Shared(ref copies) if copies.is_written() => Some(FORGOTTEN),
        // Which others will have it is not known after a restart.
        Fate::LookedAfter | Fate::Shared(_) => None,
        Fate::Kept => Some(KEPT),
        Fate::Forgotten => Some(FORGOTTEN),
    };
    let archived = item.archived.map(|id| id.to_string());
    let element = Element::new("", "item")
        .with_attr("at", item.received_at.to_string())
        .with_opt_attr("archived", archived)
        .with_opt_attr("fate", fate);
    element.with_child(item.stanza.to_element())
}

fn read_item(element: &Element) -> Option<Item> {
    let stanza = Stanza::from_element(element.children().next()?)?;
    let fate = match element.attr("fate") {
        Some(KEPT) => Fate::Kept,
        Some(FORGOTTEN) => Fate::Forgotten,
        _ => Fate::LookedAfter,
    };
    Some(Item {
        archived: element.attr("archived").and_then(|id| id.parse().ok()),
        ..Item::new(stanza, element.attr("at")?.parse().ok()?).with_fate(fate)
    })
}

fn picture(element: &Element, id: StreamId, handled: u32) -> Option<Picture> {
    let number = |name| element.attr(name)?.parse::<u32>().ok();
    let items = element.children().filter(|child| child.name() == "item");
    Some(Picture {
        id,
        max: Duration::from_secs(number("max")?.into()),
        handled,
        acknowledged: number("acknowledged")?,
        unacknowledged: items.map(read_item).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::ns;
    use balcony_proto::stanza::MessageType;

    #[test]
    fn a_client_is_read_back_as_it_was_written() {
        let client = SessionClient {
            id: Some("d4565fa7".into()),
            device: Some("Romeo's <phone>".into()),
            password: true,
            since: 1_700_000_000_000_000,
            ..SessionClient::default()
        };
        assert_eq!(read_client(&client_element(&client)), Some(client));
    }

    #[test]
    fn an_item_is_read_back_as_it_was_written() {
        let body = Element::new(ns::CLIENT, "body").with_text("Wherefore & why");
        let stanza = Stanza::message(MessageType::Chat)
            .with_from(Jid::parse("romeo@localhost/orchard").unwrap())
            .with_id("m1")
            .with_element(body);
        let mut item = Item::new(stanza, 7);
        item.archived = Some(ArchiveId(5));
        let again = read_item(&item_element(&item)).unwrap();
        assert_eq!(again.stanza.to_bytes(), item.stanza.to_bytes());
        assert_eq!((again.received_at, again.archived), (7, item.archived));
        assert!(matches!(again.fate, Fate::LookedAfter));
        let kept = read_item(&item_element(&item.with_fate(Fate::Kept))).unwrap();
        assert!(matches!(kept.fate, Fate::Kept));
    }
}
