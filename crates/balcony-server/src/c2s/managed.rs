//! What a client says of the stream itself: stream management (XEP-0198) and its state (XEP-0352).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::resume::stream_name;
use balcony_core::{Core, Outgoing, Pending, Session};
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::Element;
use balcony_store::{Error, StreamId, Write, WriteSet};
use balcony_stream::management::{self, Management};

use balcony_core::lane::Lane;

/// Handles an element that is no stanza. What is answered must be awaited before what comes behind.
pub(super) fn element(
    core: &Arc<Core>,
    session: &Arc<Session>,
    lane: &mut Lane,
    element: &Element,
) -> Result<Option<Pending>, StreamError> {
    match (element.ns(), element.name()) {
        (ns::CSI, "active") => session.set_active(true),
        (ns::CSI, "inactive") => session.set_active(false),
        _ => {
            return match Management::parse(element) {
                Some(said) => management(core, session, lane, said, element),
                // RFC 6120 §4.9.3.24: nobody here knows this element.
                None => Err(StreamError::new(StreamCondition::UnsupportedStanzaType)),
            };
        }
    }
    Ok(None)
}

fn management(
    core: &Arc<Core>,
    session: &Arc<Session>,
    lane: &mut Lane,
    said: Management,
    element: &Element,
) -> Result<Option<Pending>, StreamError> {
    match said {
        // §3: who tries a second time SHOULD get a stream error.
        Management::Enable { .. } if session.counts() => {
            Err(StreamError::new(StreamCondition::PolicyViolation)
                .with_text("stream management is enabled already"))
        }
        Management::Enable { resume, max } => {
            let (core, session) = (Arc::clone(core), Arc::clone(session));
            Ok(Some(Box::pin(async move {
                match note_stream(&core, &session, resume, max).await {
                    Ok(resumable) => session.count(bytes(&enabled(resumable)), resumable),
                    Err(failed) => session.enqueue_element(Outgoing::Element(bytes(&failed))),
                }
            })))
        }
        Management::Request => {
            // §4: at once, with what is handled by now; the rest is said when it is.
            if session.counts() {
                session.enqueue_element(Outgoing::Handled);
                lane.owe_answer();
            }
            Ok(None)
        }
        Management::Answer(h) => match session.acknowledge(h) {
            Ok(taken) => {
                core.taken(session, &taken);
                Ok(None)
            }
            Err(too_high) => Err(management::handled_count_too_high(h, too_high.sent)),
        },
        // §3, §6: resumption comes before binding.
        Management::Misplaced if element.name() == "resume" => {
            let failed = management::failed(&StanzaError::unexpected_request(), None);
            if session.queued_bytes() > core.config().limits.session_queue {
                // It asks without reading the answers.
                return Err(StreamError::new(StreamCondition::ResourceConstraint));
            }
            session.enqueue_element(Outgoing::Element(bytes(&failed)));
            Ok(None)
        }
        Management::Misplaced => Err(StreamError::new(StreamCondition::BadFormat)),
    }
}

/// Enables stream management together with the binding, whose answer carries what this answers
/// (XEP-0198 §9.1).
pub(super) async fn enable_inline(
    core: &Core,
    session: &Session,
    resume: bool,
    max: Option<u64>,
) -> Element {
    if session.counts() {
        return management::failed(&StanzaError::unexpected_request(), None);
    }
    match note_stream(core, session, resume, max).await {
        Ok(resumable) => {
            session.count(Box::default(), resumable);
            enabled(resumable)
        }
        Err(failed) => failed,
    }
}

fn enabled(resumable: Option<(StreamId, Duration)>) -> Element {
    match resumable {
        Some((id, max)) => management::enabled(Some((&stream_name(id), max.as_secs()))),
        None => management::enabled(None),
    }
}

/// Notes the stream in the journal if it is to be resumable. An error is the `<failed/>` for the
/// client.
async fn note_stream(
    core: &Core,
    session: &Session,
    resume: bool,
    max: Option<u64>,
) -> Result<Option<(StreamId, Duration)>, Element> {
    if !resume {
        return Ok(None);
    }
    let failed = |error: StanzaError| management::failed(&error, None);
    let mut id = StreamId([0; 16]);
    getrandom::fill(&mut id.0).map_err(|_| failed(StanzaError::internal_server_error()))?;
    let ours = core.config().limits.resume;
    let max = max.map_or(ours, |max| ours.min(Duration::from_secs(max)));
    let create = Write::StreamCreate {
        id,
        account: session.account().to_string(),
        handled: 0,
        expires_at: core.stream_expiry(max),
    };
    match core.store().commit(WriteSet::from(create)).await {
        Ok(_) => Ok(Some((id, max))),
        // An account that was made up for one stream has nobody who could come back to it.
        Err(Error::NotFound) => Ok(None),
        Err(cause) => Err(failed(balcony_core::module::stanza_error(&cause))),
    }
}

fn bytes(element: &Element) -> Box<[u8]> {
    let mut out = Vec::new();
    element.write(ns::CLIENT, &mut out);
    out.into_boxed_slice()
}
