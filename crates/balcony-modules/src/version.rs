//! XEP-0092 Software Version 1.1: tells name and version of the server.

use balcony_core::module::{
    Answer, Ctx, Feature, Handle, IqHandler, IqKind, ModuleSpec, Request, Spec, Target,
};
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xep::version::Version;
use balcony_proto::xml::Element;

use crate::disco::SOFTWARE;

/// Software version.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "version",
    specs: &[Spec::xep("XEP-0092", "Software Version", "1.1")],
    features: &[Feature::host(ns::VERSION)],
    iq: &[IqHandler {
        ns: ns::VERSION,
        name: "query",
        kind: IqKind::Get,
        target: Target::HOST,
        handle: Handle::Now(answer),
    }],
    conversations: &["xep-0092"],
    ..ModuleSpec::NOTHING
};

/// XEP-0092 §2.
fn answer(_: &mut Ctx<'_>, _: &Request) -> Answer {
    Ok(Payload::from_element(&element()))
}

/// What software this is.
pub(crate) fn element() -> Element {
    let version = Version {
        name: SOFTWARE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // §5: the operating system helps those most who attack it.
        os: None,
    };
    version.to_element()
}
