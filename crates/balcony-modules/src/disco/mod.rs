//! XEP-0030 Service Discovery 2.5.0: answers what hosts and accounts are, support and have.

mod contact;
mod info;
mod items;
mod known;
mod node;

pub(crate) use known::{SOFTWARE, host_known};
pub(crate) use node::{Asked, Nodes};

use balcony_core::module::{Feature, Handle, IqHandler, IqKind, ModuleSpec, Spec, Target};
use balcony_proto::ns;

/// Service discovery.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "disco",
    specs: &[
        Spec::xep("XEP-0030", "Service Discovery", "2.5.0"),
        Spec::xep("XEP-0004", "Data Forms", "2.13.2"),
        Spec::xep("XEP-0068", "Field Standardization for Data Forms", "1.3.0"),
        Spec::xep("XEP-0128", "Service Discovery Extensions", "1.0.1"),
        Spec::xep("XEP-0157", "Contact Addresses for XMPP Services", "1.1.1"),
        Spec::xep("XEP-0059", "Result Set Management", "1.0"),
    ],
    features: &[
        Feature::both(ns::DISCO_INFO),
        Feature::both(ns::DISCO_ITEMS),
        Feature::both(ns::RSM),
    ],
    iq: &[
        IqHandler {
            ns: ns::DISCO_INFO,
            name: "query",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Now(info::answer),
        },
        IqHandler {
            ns: ns::DISCO_INFO,
            name: "query",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(info::answer_about_account),
        },
        IqHandler {
            ns: ns::DISCO_ITEMS,
            name: "query",
            kind: IqKind::Get,
            target: Target::HOST,
            handle: Handle::Now(items::answer),
        },
        IqHandler {
            ns: ns::DISCO_ITEMS,
            name: "query",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(items::answer_about_account),
        },
    ],
    config: &[&contact::HOST],
    state: Some(|_| Box::new(known::Discos::default())),
    conversations: &["xep-0030", "xep-0157", "xep-0059"],
    ..ModuleSpec::NOTHING
};
