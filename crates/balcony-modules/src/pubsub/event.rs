//! What subscribers are told (XEP-0060 §7.1.2, §7.2.2, §8).

use balcony_proto::ns;
use balcony_proto::xep::data_form::FormType;
use balcony_proto::xml::Element;
use balcony_store::{PubsubItem, SubscriptionState};

use super::node::{self, Node};

fn event(about: Element) -> Element {
    Element::new(ns::PUBSUB_EVENT, "event").with_child(about)
}

fn about(name: &'static str, node: &str) -> Element {
    Element::new(ns::PUBSUB_EVENT, name).with_attr("node", node)
}

/// An `<item/>` in this namespace.
pub(super) fn item(ns: &'static str, item: &PubsubItem, with_payload: bool) -> Element {
    let element = Element::new(ns, "item").with_attr("id", item.id.as_str());
    match with_payload {
        true => element.with_children(node::payload(&item.payload)),
        false => element,
    }
}

/// §7.1.2.1, §7.1.2.2: something was published; without an item, to a node that has none.
pub(super) fn published(name: &str, published: Option<&PubsubItem>, payloads: bool) -> Element {
    let items = published.map(|published| item(ns::PUBSUB_EVENT, published, payloads));
    event(about("items", name).with_children(items))
}

/// §7.2.2.1: an item was deleted.
pub(super) fn retracted(node: &Node, id: &str) -> Element {
    let retract = Element::new(ns::PUBSUB_EVENT, "retract").with_attr("id", id);
    event(about("items", &node.name).with_child(retract))
}

/// §8.5.2: all of them were.
pub(super) fn purged(node: &Node) -> Element {
    event(about("purge", &node.name))
}

/// Whether whoever hears it has no use for the item that was the last one before.
pub(super) fn replaces_last(event: &Element) -> bool {
    event.children().any(|about| match about.name() {
        "purge" | "delete" => true,
        _ => about.child(ns::PUBSUB_EVENT, "item").is_some(),
    })
}

/// §12.14: a subscription is something else than before; `None`: there is none any more.
pub(super) fn subscription(node: &str, jid: &str, state: Option<SubscriptionState>) -> Element {
    let word = state.map_or("none", SubscriptionState::as_str);
    let about = about("subscription", node).with_attr("jid", jid);
    event(about.with_attr("subscription", word))
}

/// §8.4.2: the node was deleted.
pub(super) fn deleted(node: &Node) -> Element {
    event(about("delete", &node.name))
}

/// §8.2.5.3: its configuration was changed; the configuration itself goes with payloads.
pub(super) fn configured(node: &Node) -> Element {
    let form = || {
        node.config
            .form(FormType::Result, node.place())
            .to_element()
    };
    let form = node.config.payloads.then(form);
    event(about("configuration", &node.name).with_children(form))
}
