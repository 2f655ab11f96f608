//! The session request of RFC 3921 §3, which RFC 6121 Appendix E calls
//! unnecessary: a no-op that old clients still send.

use balcony_core::module::{
    Answer, Ctx, Handle, IqHandler, IqKind, ModuleSpec, Request, Spec, StreamFeature, Target,
};
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xml::Element;

/// Session establishment that establishes nothing.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "session_legacy",
    specs: &[Spec::xep(
        "RFC 3921",
        "XMPP: Instant Messaging and Presence",
        "2004-10",
    )
    .partial("all but session establishment, which RFC 6121 replaced")],
    iq: &[IqHandler {
        ns: ns::SESSION,
        name: "session",
        kind: IqKind::Set,
        target: Target::SERVER,
        handle: Handle::Now(establish),
    }],
    stream_features: &[StreamFeature {
        after_login: true,
        // RFC 6121 Appendix E: a client of today leaves it out, and this says that it may.
        make: |_, _| {
            let optional = Element::new(ns::SESSION, "optional");
            Some(Element::new(ns::SESSION, "session").with_child(optional))
        },
    }],
    conversations: &["rfc6121/session"],
    ..ModuleSpec::NOTHING
};

fn establish(_: &mut Ctx<'_>, _: &Request) -> Answer {
    Ok(Payload::empty())
}
