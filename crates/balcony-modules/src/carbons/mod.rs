//! XEP-0280 Message Carbons 1.0.1: each device sees both sides of its account's conversations.
//!
//! [`rules`] decides which messages are copied, [`copy`] makes the copies, [`recent`] knows to
//! which copied messages an error belongs.
//!
//! A message that this server refuses is not copied, and neither is the error that says so: it
//! goes from the server to the session that sent the message, and to nobody else.

mod copy;
mod recent;
mod rules;

use std::sync::Arc;

use balcony_core::module::{
    Answer, Band, BindInline, Ctx, Envelope, Feature, Flow, Handle, Hook, HookSpec, IqHandler,
    IqKind, Kinds, ModuleSpec, OnBind, Request, Session, SessionNote, Spec, Stage, Target,
};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;

/// Message carbons.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "carbons",
    specs: &[
        Spec::xep("XEP-0280", "Message Carbons", "1.0.1"),
        Spec::xep("XEP-0297", "Stanza Forwarding", "1.0"),
    ],
    // §3, and §6.2: the rules of §6.1 are kept to.
    features: &[Feature::both(ns::CARBONS), Feature::both(ns::CARBONS_RULES)],
    iq: &[request("enable", enable), request("disable", disable)],
    bind_inline: &[BindInline {
        var: ns::CARBONS,
        element: Some((ns::CARBONS, "enable")),
        run: OnBind::Now(enable_inline),
    }],
    hooks: &[
        hook(Stage::Sending, copy::sent),
        hook(Stage::Arriving, copy::received),
    ],
    session_notes: &[SessionNote {
        name: "carbons",
        save: |session| is_enabled(session).then(String::new),
        restore: |session, _| set(session, true),
    }],
    conversations: &["xep-0280"],
    ..ModuleSpec::NOTHING
};

const fn request(name: &'static str, run: fn(&mut Ctx<'_>, &Request) -> Answer) -> IqHandler {
    IqHandler {
        ns: ns::CARBONS,
        name,
        kind: IqKind::Set,
        target: Target::ACCOUNT,
        handle: Handle::Now(run),
    }
}

const fn hook(stage: Stage, run: fn(&mut Ctx<'_>, &mut Envelope) -> Flow) -> HookSpec {
    HookSpec {
        stage,
        band: Band::Copy,
        kinds: Kinds::MESSAGE,
        after: &[],
        changes: &[],
        hook: Hook::Now(run),
    }
}

/// A session that wants copies has this note.
struct Enabled;

/// Whether a session wants copies.
fn is_enabled(session: &Session) -> bool {
    session.notes(|notes| notes.get::<Enabled>().is_some())
}

fn set(session: &Session, enabled: bool) {
    session.notes(|notes| match enabled {
        true => notes.set(Enabled),
        false => notes.take(),
    });
}

/// §4
fn enable(_: &mut Ctx<'_>, request: &Request) -> Answer {
    set_by_request(request, true)
}

/// §5
fn disable(_: &mut Ctx<'_>, request: &Request) -> Answer {
    set_by_request(request, false)
}

/// §10.1: asking a second time is no error.
fn set_by_request(request: &Request, enabled: bool) -> Answer {
    match &request.session {
        Some(session) if request.target.meets(Target::OWN_ACCOUNT) => {
            set(session, enabled);
            Ok(Payload::empty())
        }
        // §4.1, §5.1: a client of somebody else.
        _ => Err(StanzaError::not_allowed()),
    }
}

/// XEP-0386 §3.2: it must succeed, so nothing is answered.
fn enable_inline(_: &mut Ctx<'_>, session: &Arc<Session>, _: Option<&Element>) -> Vec<Element> {
    set(session, true);
    Vec::new()
}
