//! How a component is told what it may (XEP-0356 §4.2, §5.2, §6.2, §7.2, §7.5).

use balcony_core::module::{Config, Privilege, Seen};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;

/// What it may in the name of a host and its accounts.
pub(super) fn of(config: &Config, component: &Jid, host: &str) -> Option<Element> {
    let held = super::held(config, component, host)?;
    let roster = both(held.roster_get, held.roster_set).unwrap_or("none");
    let pushes = if held.roster_pushes { "true" } else { "false" };
    let message = if held.message { "outgoing" } else { "none" };
    let presence = match held.presence {
        Seen::Nobody => "none",
        Seen::Accounts => "managed_entity",
        Seen::Contacts => "roster",
    };
    Some(notice(roster, pushes, message, namespaces(held), presence))
}

/// Nothing any more.
pub(super) fn nothing() -> Element {
    notice("none", "false", "none", Vec::new(), "none")
}

/// What is not granted is said too: it may have been before.
fn notice(
    roster: &str,
    pushes: &str,
    message: &str,
    namespaces: Vec<Element>,
    presence: &str,
) -> Element {
    let roster = permission("roster").with_attr("type", roster);
    Element::new(ns::PRIVILEGE, "privilege")
        .with_child(roster.with_attr("push", pushes))
        .with_child(permission("message").with_attr("type", message))
        .with_child(permission("iq").with_children(namespaces))
        .with_child(permission("presence").with_attr("type", presence))
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
