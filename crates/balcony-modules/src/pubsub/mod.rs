//! XEP-0163 Personal Eventing Protocol 1.2.2 on XEP-0060 Publish-Subscribe 1.30.0: every account
//! has nodes, to which it publishes what its contacts and its own clients want to know; and on a
//! [`service`] everybody may have some.
//!
//! What may be done is decided by pure functions ([`access`], [`config`]); what is done by one file
//! for each aspect; who is told by [`notify`]. Requests that change the nodes of an owner take
//! turns, and who is told is told before the next one, so that everybody hears of changes in their
//! order.

mod access;
mod announced;
mod approvals;
pub(crate) mod bookmarks;
mod catch_up;
mod choices;
mod config;
mod create;
mod discovery;
mod displayed;
mod errors;
mod event;
mod farewell;
mod hearing;
mod interest;
mod items;
mod known;
mod node;
mod notify;
mod options;
mod own;
mod owner;
mod people;
mod publish;
mod relation;
mod request;
mod service;
mod settings;
mod subscribe;
mod subscribers;
mod subscription;
mod theirs;

pub(crate) use discovery::{identity, info, items_of, nodes};
pub(crate) use interest::introduce;
pub(crate) use own::{exists, open_item, public, publish, publish_at_service};

use balcony_core::module::{
    Band, EventKind, Feature, Handle, Hook, HookSpec, IqHandler, IqKind, Kinds, Listen, Listener,
    ModuleSpec, Spec, Stage, Target, WaitingHandler,
};
use balcony_proto::ns;

use crate::turns::Turns;

/// Nodes of accounts and services.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "pubsub",
    specs: &[
        Spec::xep("XEP-0060", "Publish-Subscribe", "1.30.0")
            .partial(
                "collections (XEP-0248), several subscriptions of one address with subids, \
                 the list of all pending requests (§8.7), options of subscriptions beside \
                 `deliver` and `expire`, delivery by presence on a service",
            )
            .note("on accounts and on services"),
        Spec::xep("XEP-0163", "Personal Eventing Protocol", "1.2.2")
            .partial("implicit subscriptions by directed presence; `replyto`"),
        Spec::xep(
            "XEP-0222",
            "Persistent Storage of Public Data via PubSub",
            "1.0",
        ),
        Spec::xep(
            "XEP-0223",
            "Persistent Storage of Private Data via PubSub",
            "1.1.1",
        ),
        Spec::xep("XEP-0048", "Bookmarks", "1.2").note("in private storage"),
        Spec::xep("XEP-0402", "PEP Native Bookmarks", "1.2.0")
            .note("the same as those in private storage (§5.3)"),
        Spec::xep("XEP-0490", "Message Displayed Synchronization", "1.0.1")
            .note("with server assist (§4.5)"),
        Spec::xep("XEP-0172", "User Nickname", "1.1").note("as any node"),
        Spec::xep("XEP-0292", "vCard4 Over XMPP", "0.12.0")
            .note("as nodes: that of §4 for everybody, that of §5 for its owner alone"),
        Spec::xep("XEP-0277", "Microblogging over XMPP", "0.6.5").note("as any node"),
        Spec::xep("XEP-0472", "Pubsub Social Feed", "0.2.1").note("as any node"),
        Spec::xep("XEP-0469", "Bookmark Pinning", "0.1.0").note("stays with its bookmark"),
        Spec::xep("XEP-0492", "Chat notification settings", "0.2.0")
            .note("stay with their bookmark"),
        Spec::xep("XEP-0384", "OMEMO Encryption", "0.9.1").note("as any node"),
    ],
    features: FEATURES,
    iq: &[
        iq(ns::PUBSUB, IqKind::Get, request::get),
        iq(ns::PUBSUB, IqKind::Set, request::set),
        iq(ns::PUBSUB_OWNER, IqKind::Get, request::get),
        iq(ns::PUBSUB_OWNER, IqKind::Set, request::set),
    ],
    hooks: &[
        HookSpec {
            stage: Stage::Sending,
            // XEP-0490 §5.2: before it is archived.
            band: Band::Transform,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["displayed"],
            hook: Hook::Now(displayed::assist),
        },
        HookSpec {
            stage: Stage::Sending,
            band: Band::Guard,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &[],
            hook: Hook::Now(approvals::returned),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Guard,
            kinds: Kinds::MESSAGE,
            after: &["blocking"],
            changes: &[],
            hook: Hook::Now(approvals::returned_from_elsewhere),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Notify,
            kinds: Kinds::PRESENCE,
            after: &[],
            changes: &[],
            hook: Hook::Now(theirs::arriving),
        },
    ],
    service: Some(service::SERVICE),
    on: &[
        Listener {
            event: EventKind::Bound,
            listen: Listen::Now(interest::on_bound),
        },
        Listener {
            event: EventKind::Available,
            listen: Listen::Now(interest::on_available),
        },
        Listener {
            event: EventKind::AccountDeleted,
            listen: Listen::Waits(farewell::on_account_deleted),
        },
    ],
    config: &[&settings::SECTION],
    state: Some(|_| Box::new(State::default())),
    conversations: &["xep-0060", "xep-0163", "xep-0402", "xep-0490"],
    ..ModuleSpec::NOTHING
};

const fn iq(ns: &'static str, kind: IqKind, run: WaitingHandler) -> IqHandler {
    IqHandler {
        ns,
        name: "pubsub",
        kind,
        target: Target::ACCOUNT,
        handle: Handle::Waits(run),
    }
}

/// The state of the module.
#[derive(Default)]
pub(crate) struct State {
    /// Whose turn it is to change the nodes of an owner.
    turns: Turns,
    deciding: approvals::Deciding,
    asked: approvals::Told,
    ids: notify::Ids,
    interests: known::Interests,
    theirs: theirs::Theirs,
}

/// XEP-0060 §10: what is true of the nodes of accounts. Services tell by themselves what they do,
/// in [`service`].
const FEATURES: &[Feature] = &[
    Feature::account(ns::PUBSUB),
    Feature::account("http://jabber.org/protocol/pubsub#access-authorize"),
    Feature::account("http://jabber.org/protocol/pubsub#access-open"),
    // The default access model.
    Feature::account("http://jabber.org/protocol/pubsub#access-presence"),
    Feature::account("http://jabber.org/protocol/pubsub#access-roster"),
    Feature::account("http://jabber.org/protocol/pubsub#access-whitelist"),
    Feature::account("http://jabber.org/protocol/pubsub#auto-create"),
    Feature::account("http://jabber.org/protocol/pubsub#auto-subscribe"),
    Feature::account("http://jabber.org/protocol/pubsub#config-node"),
    Feature::account("http://jabber.org/protocol/pubsub#config-node-max"),
    Feature::account("http://jabber.org/protocol/pubsub#create-and-configure"),
    Feature::account("http://jabber.org/protocol/pubsub#create-nodes"),
    Feature::account("http://jabber.org/protocol/pubsub#delete-items"),
    Feature::account("http://jabber.org/protocol/pubsub#delete-nodes"),
    Feature::account("http://jabber.org/protocol/pubsub#filtered-notifications"),
    Feature::account("http://jabber.org/protocol/pubsub#instant-nodes"),
    Feature::account("http://jabber.org/protocol/pubsub#item-ids"),
    Feature::account("http://jabber.org/protocol/pubsub#last-published"),
    Feature::account("http://jabber.org/protocol/pubsub#leased-subscription"),
    Feature::account("http://jabber.org/protocol/pubsub#manage-subscriptions"),
    Feature::account("http://jabber.org/protocol/pubsub#member-affiliation"),
    Feature::account("http://jabber.org/protocol/pubsub#meta-data"),
    Feature::account("http://jabber.org/protocol/pubsub#modify-affiliations"),
    Feature::account("http://jabber.org/protocol/pubsub#multi-items"),
    Feature::account("http://jabber.org/protocol/pubsub#outcast-affiliation"),
    Feature::account("http://jabber.org/protocol/pubsub#persistent-items"),
    Feature::account("http://jabber.org/protocol/pubsub#presence-subscribe"),
    Feature::account("http://jabber.org/protocol/pubsub#publish"),
    Feature::account("http://jabber.org/protocol/pubsub#publish-only-affiliation"),
    Feature::account("http://jabber.org/protocol/pubsub#publish-options"),
    Feature::account("http://jabber.org/protocol/pubsub#publisher-affiliation"),
    // XEP-0060 §9
    Feature::account("http://jabber.org/protocol/pubsub#pubsub-on-a-jid"),
    Feature::account("http://jabber.org/protocol/pubsub#purge-nodes"),
    Feature::account("http://jabber.org/protocol/pubsub#retract-items"),
    Feature::account("http://jabber.org/protocol/pubsub#retrieve-affiliations"),
    Feature::account("http://jabber.org/protocol/pubsub#retrieve-default"),
    Feature::account("http://jabber.org/protocol/pubsub#retrieve-default-sub"),
    Feature::account("http://jabber.org/protocol/pubsub#retrieve-items"),
    Feature::account("http://jabber.org/protocol/pubsub#retrieve-subscriptions"),
    // §6.5.4
    Feature::account("http://jabber.org/protocol/pubsub#rsm"),
    Feature::account("http://jabber.org/protocol/pubsub#subscribe"),
    Feature::account("http://jabber.org/protocol/pubsub#subscription-notifications"),
    Feature::account("http://jabber.org/protocol/pubsub#subscription-options"),
    // XEP-0292 §7
    Feature::account(ns::VCARD4),
    Feature::account(ns::BOOKMARKS_COMPAT),
    Feature::account(ns::MDS_ASSIST),
];
