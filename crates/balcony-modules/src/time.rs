//! XEP-0202 Entity Time 2.0: tells what time it is at the server.

use balcony_core::module::{
    Answer, Ctx, Feature, Handle, IqHandler, IqKind, ModuleSpec, Request, Spec, Target,
};
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xep::time::Time;

/// Entity time.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "time",
    specs: &[Spec::xep("XEP-0202", "Entity Time", "2.0")],
    features: &[Feature::host(ns::TIME)],
    iq: &[IqHandler {
        ns: ns::TIME,
        name: "time",
        kind: IqKind::Get,
        target: Target::HOST,
        handle: Handle::Now(answer),
    }],
    conversations: &["xep-0202"],
    ..ModuleSpec::NOTHING
};

/// XEP-0202 §2.
fn answer(ctx: &mut Ctx<'_>, _: &Request) -> Answer {
    let time = Time {
        // §7: a server lives in UTC, and tells nobody where it stands.
        offset: "+00:00".to_owned(),
        utc: ctx.utc_micros(),
    };
    Ok(Payload::from_element(&time.to_element()))
}
