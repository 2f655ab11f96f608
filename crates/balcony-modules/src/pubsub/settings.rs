//! `[pubsub]`: how much may be kept on nodes, and who may make some on a service.

use balcony_core::module::{Ctx, KeyKind, Section};

use crate::keys::key;

/// `[pubsub]`; its domains are declared with the other domains of the server.
pub(super) static SECTION: Section = Section {
    name: "pubsub",
    doc: "",
    list: false,
    keys: &[
        key(
            "create",
            KeyKind::Choice(&["everyone", "accounts", "admins"]),
            "\"accounts\"",
            "Who may make nodes on the services: everyone, also from other servers; the accounts \
             of this server; or the admins of a host.",
        ),
        key(
            "nodes_per_service",
            KeyKind::Int {
                min: 10,
                max: 10_000_000,
            },
            "100000",
            "Nodes of a service; one more is refused with `resource-constraint`.",
        ),
        key(
            "nodes_per_account",
            KeyKind::Int {
                min: 10,
                max: 100_000,
            },
            "500",
            "Nodes of an account (XEP-0163), and nodes that one address may own on a service; one \
             more is refused with `resource-constraint`. A client makes about ten, and one for the \
             keys of each device.",
        ),
        key(
            "items_per_node",
            KeyKind::Int {
                min: 1,
                max: 100_000,
            },
            "1000",
            "Items of one node, also where its owner says `max`; the oldest of more go. Bookmarks \
             (XEP-0402) and what was read (XEP-0490) have one for each conversation.",
        ),
        key(
            "item_bytes",
            KeyKind::Size {
                min: 4_096,
                max: 16 << 20,
            },
            "\"192KiB\"",
            "Bytes of an item; a larger one is refused with `payload-too-big`. The default holds \
             an avatar (XEP-0084) of 128 KiB, as that of `vcard` in `[limits]` does.",
        ),
    ],
};

/// What holds now.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) nodes: u32,
    pub(super) service_nodes: u32,
    pub(super) items: u32,
    pub(super) item_bytes: usize,
}

impl Limits {
    pub(super) fn of(ctx: &Ctx<'_>) -> Limits {
        let config = ctx.config();
        let values = config.values(SECTION.name);
        Limits {
            nodes: values.int("nodes_per_account"),
            service_nodes: values.int("nodes_per_service"),
            items: values.int("items_per_node"),
            item_bytes: values.size("item_bytes"),
        }
    }
}

/// Who may make nodes on a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makers {
    Everyone,
    /// Whoever has an account here.
    Accounts,
    Admins,
}

impl Makers {
    pub(super) fn of(ctx: &Ctx<'_>) -> Makers {
        match ctx.config().values(SECTION.name).choice("create") {
            "everyone" => Makers::Everyone,
            "accounts" => Makers::Accounts,
            _ => Makers::Admins,
        }
    }
}
