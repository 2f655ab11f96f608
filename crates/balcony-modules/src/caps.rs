//! XEP-0115 Entity Capabilities 1.6.0: the hash of what a host answers, and the node behind it.

use balcony_core::module::{Feature, ModuleSpec, Spec, StreamFeature, Target};
use balcony_proto::ns;

use crate::disco::{self, Asked, Nodes};

/// A URI for this software (XEP-0115 §4), which has no page on the web that could be named.
pub(crate) const NODE: &str = "urn:uuid:9f2f4f3e-1c2b-4f6d-8a57-0b1e6c5a7d21";

/// Entity capabilities of the server.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "caps",
    specs: &[
        Spec::xep("XEP-0115", "Entity Capabilities", "1.6.0")
            .note("the server's own; those of clients are asked for once and proved, for XEP-0163"),
        Spec::xep("XEP-0390", "Entity Capabilities 2.0", "0.3.2")
            .partial("the server's own hashes; leaving out what others know already (§6.3)")
            .note("those of clients are asked for once and proved, for XEP-0163"),
    ],
    features: &[Feature::host(ns::CAPS), Feature::host(ns::CAPS2)],
    // §6.3
    stream_features: &[StreamFeature {
        after_login: true,
        make: |ctx, host| {
            let known = disco::host_known(ctx, host.name()).ok()?;
            Some(known.caps.to_element())
        },
    }],
    conversations: &["xep-0115", "xep-0390"],
    ..ModuleSpec::NOTHING
};

/// §6.2: the node that names the hash is asked for like the host itself. It is no item.
pub(crate) static NODES: Nodes = Nodes {
    info: |ctx, asked: &Asked<'_>| {
        let ver = asked.node?.strip_prefix(NODE)?.strip_prefix('#')?;
        if asked.request.target != Target::HOST {
            return None;
        }
        let known = asked
            .request
            .host()
            .and_then(|host| disco::host_known(ctx, host));
        match known {
            // Of another configuration, or of another server.
            Ok(known) if known.caps.ver != ver => None,
            Ok(known) => Some(Ok(known.info.clone())),
            Err(error) => Some(Err(error)),
        }
    },
    items: |_, _| None,
};
