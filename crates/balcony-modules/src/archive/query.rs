//! XEP-0313 §4: queries, their filters and their pages.

use std::collections::VecDeque;
use std::sync::Arc;

use balcony_core::module::{Answer, BoxFuture, Config, Ctx, Request, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Condition, MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::data_form::{DataForm, FORM_TYPE};
use balcony_proto::xep::delay::Delay;
use balcony_proto::xep::rsm::{Page, PageRequest, Place};
use balcony_proto::xep::{date_time, forward};
use balcony_proto::xml::Element;
use balcony_store::{
    ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveRequest, ArchivedMessage, Error,
    Stored,
};

use super::own_account;

/// Ids that one query may name: as many as a page of an answer has by default.
const IDS: usize = 250;

/// Messages of which is remembered that a client got them before it came online: four pages of the
/// usual size. Of more it gets the oldest a second time.
const REMEMBERED: usize = 1_000;

/// Note of a session that has not come online: what it got from its archive or as a copy, and so
/// need not get as offline messages.
struct Received(VecDeque<ArchiveId>);

/// Whether the session has got this message before it came online.
pub(crate) fn has_received(session: &Session, id: ArchiveId) -> bool {
    session.notes(|notes| {
        notes
            .get::<Received>()
            .is_some_and(|Received(ids)| ids.contains(&id))
    })
}

/// What waited offline is through: what was got before need not be remembered.
pub(crate) fn forget_received(session: &Session) {
    session.notes(|notes| notes.take::<Received>());
}

/// A session gets these messages, from its archive or as copies. What waits offline is looked
/// through for them when it comes online, or is at it.
pub(crate) fn note_received(session: &Session, received: impl IntoIterator<Item = ArchiveId>) {
    session.notes(|notes| {
        let Received(mut ids) = notes.take().unwrap_or(Received(VecDeque::new()));
        ids.extend(received);
        ids.drain(..ids.len().saturating_sub(REMEMBERED));
        notes.set(Received(ids));
    });
}

/// What a client asks for.
struct Query {
    queryid: Option<String>,
    request: ArchiveRequest,
    flipped: bool,
}

/// §4: a page of messages, then the end.
pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = own_account(request)?;
        let session = request.session.as_ref();
        let session = session.ok_or_else(StanzaError::forbidden)?;
        let reader = Reader::Ours(session);
        page(ctx, &account, reader, &request.element()?, &|_| None).await
    })
}

/// Who is sent a page of an archive.
#[derive(Clone, Copy)]
pub(crate) enum Reader<'a> {
    /// A session of this server.
    Ours(&'a Arc<Session>),
    /// A client on another server.
    Theirs(&'a Jid),
}

impl Reader<'_> {
    fn jid(&self) -> &Jid {
        match self {
            Reader::Ours(session) => session.jid(),
            Reader::Theirs(jid) => jid,
        }
    }

    /// Bytes that it may be sent: half of a queue stays free for what arrives meanwhile.
    fn room(&self, config: &Config) -> usize {
        match self {
            Reader::Ours(session) => {
                let room = config.limits.session_queue / 2;
                room.saturating_sub(session.queued_bytes())
            }
            // Others on its server may ask at the same time.
            Reader::Theirs(_) => config.federation.queue / 8,
        }
    }

    fn send(&self, ctx: &mut Ctx<'_>, result: Stanza) {
        match self {
            Reader::Ours(session) => ctx.push(session, result),
            Reader::Theirs(_) => ctx.core().depart(result),
        }
    }
}

/// Sends somebody a page of an archive; what is answered goes behind it. `shown` gives what is
/// told of a message in its place, if something else is.
pub(crate) async fn page(
    ctx: &mut Ctx<'_>,
    archive: &Jid,
    reader: Reader<'_>,
    query: &Element,
    shown: &(dyn Fn(&Stored) -> Option<Stored> + Sync),
) -> Answer {
    let config = ctx.config();
    let query = Query::parse(query, config.archive.page)?;
    let from_end = query.is_from_end();
    let page = ctx.store().archive().page(archive.as_str(), query.request);
    let page = page.await.map_err(|cause| match cause {
        // §4.1.3, §4.3.2
        Error::NotFound => StanzaError::item_not_found(),
        cause => stanza_error(&cause),
    })?;
    let mut page = fitting(page, reader.room(&config), from_end);
    // Who is online has been given what waited.
    if let Reader::Ours(session) = reader
        && archive == session.account()
        && !session.is_available()
    {
        note_received(session, page.messages.iter().map(|message| message.id));
    }
    for message in &mut page.messages {
        if let Some(other) = shown(&message.stanza) {
            message.stanza = other;
        }
    }
    let result = |message: &ArchivedMessage| {
        result(message, query.queryid.as_deref(), archive, reader.jid())
    };
    let messages = page.messages.iter();
    let results: Vec<Stanza> = match query.flipped {
        // §4.3.4: only the order of sending is another.
        true => messages.rev().map(result).collect(),
        false => messages.map(result).collect(),
    };
    for result in results {
        reader.send(ctx, result);
    }
    Ok(Payload::from_element(&fin(&page)))
}

/// §4.2
fn result(message: &ArchivedMessage, queryid: Option<&str>, account: &Jid, to: &Jid) -> Stanza {
    let wrapper = Element::new(ns::MAM, "result")
        .with_opt_attr("queryid", queryid)
        .with_attr("id", message.id.to_string());
    let delay = Delay {
        from: None,
        stamp: message.received_at,
        reason: None,
    };
    let payload = forward::wrap_kept(&wrapper, &delay, &message.stanza.bytes);
    Stanza::message(MessageType::Normal)
        .with_from(account.clone())
        .with_to(to.clone())
        .with_payload(payload)
}

/// What of a page fits into so many bytes, at least one message; the rest is another page.
fn fitting(mut page: ArchivePage, room: usize, from_end: bool) -> ArchivePage {
    /// What the wrapping of a message takes, about.
    const WRAPPING: usize = 400;
    let size = |message: &ArchivedMessage| message.stanza.bytes.len() + WRAPPING;
    let mut sum = 0;
    let mut fits = |message: &ArchivedMessage| {
        sum += size(message);
        sum <= room
    };
    let messages = page.messages.iter();
    let count = match from_end {
        true => messages.rev().take_while(|message| fits(message)).count(),
        false => messages.take_while(|message| fits(message)).count(),
    };
    let count = count.max(1);
    if count < page.messages.len() {
        page.complete = false;
        if from_end {
            page.messages.drain(..page.messages.len() - count);
        }
        page.messages.truncate(count);
    }
    page
}

/// §4, §4.3.2
fn fin(page: &ArchivePage) -> Element {
    let ends = page.messages.first().zip(page.messages.last());
    let set = Page {
        index: None,
        ends: ends.map(|(first, last)| (first.id.to_string(), last.id.to_string())),
        count: page.count.and_then(|count| usize::try_from(count).ok()),
    };
    Element::new(ns::MAM, "fin")
        .with_opt_attr("complete", page.complete.then_some("true"))
        .with_child(set.to_element())
}

impl Query {
    fn parse(query: &Element, most: usize) -> Result<Query, StanzaError> {
        // §6.1.3: for archives of nodes, which an account has none of.
        if query.attr("node").is_some() {
            return Err(StanzaError::item_not_found());
        }
        let page = PageRequest::within(query)?.unwrap_or_default();
        let place = match &page.place {
            Place::First => ArchivePlace::First,
            Place::Last => ArchivePlace::Last,
            Place::After(id) => ArchivePlace::After(known(id)?),
            Place::Before(id) => ArchivePlace::Before(known(id)?),
            // XEP-0059 §2.6: a page by its number is not for archives that grow meanwhile.
            Place::Index(_) => return Err(feature_not_implemented("pages by index")),
        };
        let limit = page.max.unwrap_or(most).min(most);
        Ok(Query {
            queryid: query.attr("queryid").map(str::to_owned),
            request: ArchiveRequest {
                filter: filter(query)?,
                place,
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
            },
            flipped: query.child(ns::MAM, "flip-page").is_some(),
        })
    }

    fn is_from_end(&self) -> bool {
        matches!(
            self.request.place,
            ArchivePlace::Last | ArchivePlace::Before(_)
        )
    }
}

/// §4.1
fn filter(query: &Element) -> Result<ArchiveFilter, StanzaError> {
    let mut filter = ArchiveFilter::default();
    let Some(form) = query.child(ns::DATA_FORMS, "x") else {
        return Ok(filter);
    };
    let form = DataForm::parse(form).map_err(|_| StanzaError::bad_request())?;
    if form.form_type_name() != Some(ns::MAM) {
        return Err(StanzaError::bad_request().with_text("the form is none of this protocol"));
    }
    for field in &form.fields {
        let value = field.values.first().map(|value| value.trim());
        match (field.var.as_deref(), value) {
            (Some(FORM_TYPE), _) => {}
            (Some("with" | "start" | "end" | "after-id" | "before-id"), None) => {}
            (Some("with"), Some(with)) => {
                let with = Jid::parse(with);
                let malformed = |_| StanzaError::new(Condition::JidMalformed);
                filter.with = Some(with.map_err(malformed)?.to_string());
            }
            (Some("start"), Some(time)) => filter.start = Some(moment(time)?),
            (Some("end"), Some(time)) => filter.end = Some(whole_millisecond(moment(time)?)),
            (Some("after-id"), Some(id)) => filter.after = Some(known(id)?),
            (Some("before-id"), Some(id)) => filter.before = Some(known(id)?),
            (Some("ids"), _) => {
                if field.values.len() > IDS {
                    return Err(StanzaError::not_allowed().with_text("too many ids"));
                }
                let ids = field.values.iter().map(|id| known(id));
                filter.ids = ids.collect::<Result<_, _>>()?;
            }
            // §4.1.5
            _ => return Err(feature_not_implemented("unknown field")),
        }
    }
    Ok(filter)
}

fn feature_not_implemented(text: &'static str) -> StanzaError {
    StanzaError::new(Condition::FeatureNotImplemented).with_text(text)
}

fn moment(text: &str) -> Result<i64, StanzaError> {
    date_time::parse(text)
        .ok_or_else(|| StanzaError::bad_request().with_text("that is no DateTime of XEP-0082"))
}

/// The end of the millisecond that a time is in. Clients are told of no smaller ones, and §4.1.2
/// has a message that is as late as `end` be among the results.
fn whole_millisecond(micros: i64) -> i64 {
    micros
        .saturating_sub(micros.rem_euclid(1_000))
        .saturating_add(999)
}

/// What is none of our ids is not in the archive.
fn known(id: &str) -> Result<ArchiveId, StanzaError> {
    id.trim().parse().map_err(|_| StanzaError::item_not_found())
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_store::Stored;

    fn page(sizes: &[usize]) -> ArchivePage {
        let message = |(n, size): (usize, &usize)| ArchivedMessage {
            id: ArchiveId(n as u128),
            received_at: 0,
            stanza: Stored {
                format: 1,
                bytes: vec![b' '; *size],
            },
        };
        ArchivePage {
            messages: sizes.iter().enumerate().map(message).collect(),
            complete: true,
            count: None,
        }
    }

    fn ids(page: &ArchivePage) -> Vec<u128> {
        page.messages.iter().map(|message| message.id.0).collect()
    }

    #[test]
    fn what_does_not_fit_is_left_for_another_page_at_the_right_end() {
        let fits = fitting(page(&[10, 10, 10]), 10_000, false);
        assert_eq!((ids(&fits), fits.complete), (vec![0, 1, 2], true));
        let first = fitting(page(&[100, 100, 100]), 1_000, false);
        assert_eq!((ids(&first), first.complete), (vec![0, 1], false));
        let last = fitting(page(&[100, 100, 100]), 1_000, true);
        assert_eq!((ids(&last), last.complete), (vec![1, 2], false));
        let one = fitting(page(&[9_999, 1]), 0, false);
        assert_eq!((ids(&one), one.complete), (vec![0], false));
        assert!(ids(&fitting(page(&[]), 0, true)).is_empty());
    }

    fn parse(inside: &str) -> Result<Query, Condition> {
        let text = format!(
            "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>\
             {inside}</x></query>"
        );
        let element = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        Query::parse(&element, 50).map_err(|error| error.condition)
    }

    #[test]
    fn fields_are_read_and_others_are_refused() {
        let field =
            |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
        let query = parse(&field("with", "JULIET@localhost")).unwrap();
        assert_eq!(
            query.request.filter.with.as_deref(),
            Some("juliet@localhost")
        );
        assert_eq!(query.request.limit, 50);
        let start = parse(&field("start", "1970-01-01T00:00:01Z")).unwrap();
        assert_eq!(start.request.filter.start, Some(1_000_000));
        // The time that is told of a message finds it, although it was received within that
        // millisecond and not at its beginning.
        let received_at = 1_000_123_456;
        let end = parse(&field("end", &date_time::format_utc(received_at))).unwrap();
        assert_eq!(end.request.filter.end, Some(1_000_123_999));
        for (var, value, condition) in [
            ("with", "@", Condition::JidMalformed),
            ("start", "yesterday", Condition::BadRequest),
            ("ids", "28482-98726-73623", Condition::ItemNotFound),
            ("after-id", "x", Condition::ItemNotFound),
            ("free-text-search", "x", Condition::FeatureNotImplemented),
        ] {
            assert_eq!(parse(&field(var, value)).err(), Some(condition), "{var}");
        }
        assert!(parse("<field var='with'/>").is_ok());
        let unknown = parse("<field var='free-text-search'/>").err();
        assert_eq!(unknown, Some(Condition::FeatureNotImplemented));
    }
}
