//! XEP-0199 XMPP Ping 2.0.1: answers pings, and pings clients that have been silent for long, or
//! asks what they have got.

use std::sync::Arc;

use balcony_core::module::{
    Answer, Ctx, Event, EventKind, Feature, Handle, IqHandler, IqKind, Listen, Listener,
    ModuleSpec, Request, Session, Spec, Target,
};
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Payload, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::Element;

/// What this module declares.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "ping",
    specs: &[Spec::xep("XEP-0199", "XMPP Ping", "2.0.1")],
    features: &[Feature::both(ns::PING)],
    iq: &[IqHandler {
        ns: ns::PING,
        name: "ping",
        kind: IqKind::Get,
        target: Target::SERVER,
        handle: Handle::Now(pong),
    }],
    on: &[Listener {
        event: EventKind::Tick,
        listen: Listen::Now(ping_the_silent),
    }],
    conversations: &["xep-0199"],
    ..ModuleSpec::NOTHING
};

/// XEP-0199 §4.2: an empty result.
fn pong(_: &mut Ctx<'_>, _: &Request) -> Answer {
    Ok(Payload::empty())
}

/// XEP-0199 §4.1: whoever is silent for too long is asked, and who does not answer is gone. Who
/// acknowledges stanzas is asked for that instead (XEP-0198 §8.2): a ping would be one more to
/// keep until then.
fn ping_the_silent(ctx: &mut Ctx<'_>, _: &Event) {
    let limits = &ctx.config().limits;
    let now = ctx.core().clock().coarse_seconds();
    let silence = |session: &Session| u64::from(now.saturating_sub(session.last_active()));
    let idle = limits.keepalive_idle.as_secs();
    let lost = idle.saturating_add(limits.keepalive_answer.as_secs());
    let mut silent = Vec::new();
    ctx.sessions().each(|session| {
        // Who is away is waited for elsewhere.
        if silence(session) >= idle && session.is_attached() {
            silent.push(Arc::clone(session));
        }
    });
    for session in silent {
        let since = session.last_active();
        if silence(&session) >= lost {
            session.interrupt(StreamError::new(StreamCondition::ConnectionTimeout));
            continue;
        }
        if session.note_asked(since) && !session.ask_anyway() {
            // RFC 6120 §8.1.2.1 rule 2: the server itself asks.
            let ping = Stanza::iq(IqType::Get, "keepalive")
                .with_from(session.jid().domain_jid())
                .with_to(session.jid().clone())
                .with_element(Element::new(ns::PING, "ping"));
            ctx.push(&session, ping);
        }
    }
}
