//! RFC 6121 §2 roster: `<query xmlns='jabber:iq:roster'/>` and its items, both ways.

use crate::jid::{Jid, JidError};
use crate::ns;
use crate::xml::Element;

/// Roster get, set, result or push (RFC 6121 §2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// The version (§2.1.1). `None`: no versioning; empty: the client has no cached roster.
    pub ver: Option<String>,
    /// The items.
    pub items: Vec<Item>,
}

/// A roster item (§2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The contact.
    pub jid: Jid,
    /// The handle that the user gave. Empty counts as `None` (§2.4.1).
    pub name: Option<String>,
    /// The groups, in their order.
    pub groups: Vec<String>,
    /// The subscription state; in a set only [`Subscription::Remove`] counts.
    pub subscription: Subscription,
    /// `ask='subscribe'`: a request of the user is pending (§2.1.2.2).
    pub ask: bool,
    /// The contact's request is approved in advance (§2.1.2.1).
    pub approved: bool,
}

/// The `subscription` attribute (§2.1.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscription {
    /// No subscription either way; also what an absent or unknown value means.
    #[default]
    None,
    /// The user receives the contact's presence.
    To,
    /// The contact receives the user's presence.
    From,
    /// Both.
    Both,
    /// The item is to be removed, or was.
    Remove,
}

/// Why a roster query cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// An item has no `jid` (§2.1.2.3).
    #[error("an item has no jid")]
    NoJid,
    /// The `jid` of an item is no address.
    #[error("the jid of an item: {0}")]
    Jid(#[from] JidError),
}

impl Subscription {
    /// The attribute's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
            Subscription::Remove => "remove",
        }
    }

    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("to") => Subscription::To,
            Some("from") => Subscription::From,
            Some("both") => Subscription::Both,
            Some("remove") => Subscription::Remove,
            _ => Subscription::None,
        }
    }
}

impl Roster {
    /// Reads a `<query/>`; children that are no items are ignored.
    ///
    /// # Errors
    /// [`RosterError`] for the first item that cannot be read.
    pub fn parse(query: &Element) -> Result<Self, RosterError> {
        let items = query
            .children()
            .filter(|child| child.is(ns::ROSTER, "item"));
        Ok(Roster {
            ver: query.attr("ver").map(str::to_owned),
            items: items.map(Item::parse).collect::<Result<_, _>>()?,
        })
    }

    /// The `<query/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(ns::ROSTER, "query")
            .with_opt_attr("ver", self.ver.as_deref())
            .with_children(self.items.iter().map(Item::to_element))
    }
}

impl Item {
    /// An item with nothing but its address.
    #[must_use]
    pub fn new(jid: Jid) -> Self {
        Item {
            jid,
            name: None,
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            approved: false,
        }
    }

    /// Reads an `<item/>`.
    ///
    /// # Errors
    /// [`RosterError`] when it has no `jid` or a malformed one.
    pub fn parse(item: &Element) -> Result<Self, RosterError> {
        let groups = item
            .children()
            .filter(|child| child.is(ns::ROSTER, "group"));
        Ok(Item {
            jid: Jid::parse(item.attr("jid").ok_or(RosterError::NoJid)?)?,
            name: item
                .attr("name")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            groups: groups.map(Element::text).collect(),
            subscription: Subscription::parse(item.attr("subscription")),
            ask: item.attr("ask") == Some("subscribe"),
            approved: matches!(item.attr("approved"), Some("true" | "1")),
        })
    }

    /// The `<item/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let group = |name: &String| Element::new(ns::ROSTER, "group").with_text(name);
        Element::new(ns::ROSTER, "item")
            .with_opt_attr("approved", self.approved.then_some("true"))
            .with_opt_attr("ask", self.ask.then_some("subscribe"))
            .with_attr("jid", self.jid.as_str())
            .with_opt_attr("name", self.name.as_deref())
            .with_attr("subscription", self.subscription.as_str())
            .with_children(self.groups.iter().map(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Roster, RosterError> {
        Roster::parse(&Element::parse(text.as_bytes(), ns::CLIENT).unwrap())
    }

    #[test]
    fn an_item_is_written_and_read_back() {
        let mut item = Item::new(Jid::parse("romeo@example.net").unwrap());
        item.name = Some("Romeo & co".into());
        item.groups = vec!["Friends".into(), "Lovers".into()];
        item.subscription = Subscription::From;
        item.ask = true;
        item.approved = true;
        let roster = Roster {
            ver: Some("ver7".into()),
            items: vec![item],
        };
        assert_eq!(Roster::parse(&roster.to_element()), Ok(roster));
    }

    #[test]
    fn an_empty_name_is_no_name() {
        let roster = parse(
            "<query xmlns='jabber:iq:roster' ver=''><item jid='a@localhost' name=''/>\
             <other xmlns='urn:x'/></query>",
        )
        .unwrap();
        assert_eq!(roster.ver.as_deref(), Some(""));
        assert_eq!(
            roster.items,
            [Item::new(Jid::parse("a@localhost").unwrap())]
        );
    }

    #[test]
    fn an_item_needs_an_address() {
        let none = "<query xmlns='jabber:iq:roster'><item name='x'/></query>";
        assert_eq!(parse(none), Err(RosterError::NoJid));
        let bad = "<query xmlns='jabber:iq:roster'><item jid='@'/></query>";
        assert!(matches!(parse(bad), Err(RosterError::Jid(_))));
    }
}
