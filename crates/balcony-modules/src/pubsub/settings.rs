//! `[pubsub]`: how much an account may keep on its nodes.

use balcony_core::module::{Ctx, KeyKind, Section};

use crate::keys::key;

/// `[pubsub]`; its domains are declared with the other domains of the server.
pub(super) static SECTION: Section = Section {
    name: "pubsub",
    doc: "",
    list: false,
    keys: &[
        key(
            "nodes_per_account",
            KeyKind::Int {
                min: 10,
                max: 100_000,
            },
            "500",
            "Nodes of an account (XEP-0163); one more is refused with `resource-constraint`. A \
             client makes about ten, and one for the keys of each device.",
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
    pub(super) items: u32,
    pub(super) item_bytes: usize,
}

impl Limits {
    pub(super) fn of(ctx: &Ctx<'_>) -> Limits {
        let config = ctx.config();
        let values = config.values(SECTION.name);
        Limits {
            nodes: values.int("nodes_per_account"),
            items: values.int("items_per_node"),
            item_bytes: values.size("item_bytes"),
        }
    }
}
