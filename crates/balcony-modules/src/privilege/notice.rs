//! How a component is told what it may (XEP-0356 §4.2, §5.2, §6.2, §7.2, §7.5).

use balcony_core::module::{Config, Privilege, Seen};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;

/// What it may in the name of a host and its accounts.
pub(super) fn of(config: &Config, component: &Jid, host: &str) -> Element {
    let notice = Element::new(ns::PRIVILEGE, "privilege");
    match super::held(config, component, host) {
        None => notice,
        Some(held) => notice.with_children(permissions(held)),
    }
}

fn permissions(held: &Privilege) -> Vec<Element> {
    let mut all = Vec::new();
    if let Some(kind) = both(held.roster_get, held.roster_set) {
        let pushes = if held.roster_pushes { "true" } else { "false" };
        all.push(
            permission("roster")
                .with_attr("type", kind)
                .with_attr("push", pushes),
        );
    }
    if held.message {
        all.push(permission("message").with_attr("type", "outgoing"));
    }
    let namespaces = namespaces(held);
    if !namespaces.is_empty() {
        all.push(permission("iq").with_children(namespaces));
    }
    let seen = match held.presence {
        Seen::Nobody => None,
        Seen::Accounts => Some("managed_entity"),
        Seen::Contacts => Some("roster"),
    };
    all.extend(seen.map(|kind| permission("presence").with_attr("type", kind)));
    all
}

fn namespaces(held: &Privilege) -> Vec<Element> {
    let mut names: Vec<&String> = held.iq_get.iter().chain(&held.iq_set).collect();
    names.sort_unstable();
    names.dedup();
    let element = |name: &String| {
        let kind = both(held.iq_get.contains(name), held.iq_set.contains(name))?;
        let element = Element::new(ns::PRIVILEGE, "namespace").with_attr("ns", name.as_str());
        Some(element.with_attr("type", kind))
    };
    names.into_iter().filter_map(element).collect()
}

fn permission(access: &'static str) -> Element {
    Element::new(ns::PRIVILEGE, "perm").with_attr("access", access)
}

fn both(get: bool, set: bool) -> Option<&'static str> {
    match (get, set) {
        (true, true) => Some("both"),
        (true, false) => Some("get"),
        (false, true) => Some("set"),
        (false, false) => None,
    }
}
