//! XEP-0030 Service Discovery 2.5.0: what an entity is, can do and has, with the forms of XEP-0128.

use std::borrow::Cow;

use super::data_form::DataForm;
use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// The answer to a `disco#info` request (XEP-0030 §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The node that was asked about, which the answer repeats (§3.2). `None`: the entity itself.
    pub node: Option<String>,
    /// What it is; at least one.
    pub identities: Vec<Identity>,
    /// What it supports; at least `disco#info`.
    pub features: Vec<Cow<'static, str>>,
    /// What else there is to know (XEP-0128 §2).
    pub forms: Vec<DataForm>,
}

/// What an entity is (§3.1). Category, type and language together are unique in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `server`, `account`, `client`…
    pub category: Cow<'static, str>,
    /// `im`, `registered`, `pc`…; the attribute `type`.
    pub kind: Cow<'static, str>,
    /// The language of the name. `None`: not said.
    pub lang: Option<String>,
    /// What people call it.
    pub name: Option<String>,
}

impl Identity {
    /// An identity without a name.
    #[must_use]
    pub fn new(category: impl Into<Cow<'static, str>>, kind: impl Into<Cow<'static, str>>) -> Self {
        Identity {
            category: category.into(),
            kind: kind.into(),
            lang: None,
            name: None,
        }
    }

    /// With what people call it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn parse(element: &Element) -> Option<Self> {
        Some(Identity {
            category: element.attr("category")?.to_owned().into(),
            kind: element.attr("type")?.to_owned().into(),
            lang: element.attr("xml:lang").map(str::to_owned),
            name: element.attr("name").map(str::to_owned),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(ns::DISCO_INFO, "identity")
            .with_attr("category", self.category.as_ref())
            .with_attr("type", self.kind.as_ref())
            .with_opt_attr("xml:lang", self.lang.as_deref())
            .with_opt_attr("name", self.name.as_deref())
    }
}

impl Info {
    /// An answer about an entity of this identity.
    #[must_use]
    pub fn of(identity: Identity) -> Self {
        Info {
            identities: vec![identity],
            ..Info::default()
        }
    }

    /// With one more feature, unless it is there.
    #[must_use]
    pub fn with_feature(mut self, var: impl Into<Cow<'static, str>>) -> Self {
        let var = var.into();
        if !self.features.contains(&var) {
            self.features.push(var);
        }
        self
    }

    /// With one more form.
    #[must_use]
    pub fn with_form(mut self, form: DataForm) -> Self {
        self.forms.push(form);
        self
    }

    /// The same about a node (§3.2).
    #[must_use]
    pub fn about(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Whether a feature is supported.
    #[must_use]
    pub fn supports(&self, var: &str) -> bool {
        self.features.iter().any(|feature| feature == var)
    }

    /// Reads a `<query/>`; identities without category or type, features without a name and forms
    /// that are none are left out.
    #[must_use]
    pub fn parse(query: &Element) -> Self {
        let mut info = Info {
            node: query.attr("node").map(str::to_owned),
            ..Info::default()
        };
        for child in query.children() {
            if child.is(ns::DISCO_INFO, "identity") {
                info.identities.extend(Identity::parse(child));
            } else if child.is(ns::DISCO_INFO, "feature") {
                let var = child.attr("var").map(|var| Cow::Owned(var.to_owned()));
                info.features.extend(var);
            } else {
                info.forms.extend(DataForm::parse(child).ok());
            }
        }
        info
    }

    /// The `<query/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let feature = |var: &Cow<'static, str>| {
            Element::new(ns::DISCO_INFO, "feature").with_attr("var", var.as_ref())
        };
        Element::new(ns::DISCO_INFO, "query")
            .with_opt_attr("node", self.node.as_deref())
            .with_children(self.identities.iter().map(Identity::to_element))
            .with_children(self.features.iter().map(feature))
            .with_children(self.forms.iter().map(DataForm::to_element))
    }
}

/// The answer to a `disco#items` request (§4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// The node that was asked about (§4.2). `None`: the entity itself.
    pub node: Option<String>,
    /// What belongs to it.
    pub items: Vec<Item>,
}

/// Something that belongs to an entity: an address, or an address and a node (§4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whom to ask about it.
    pub jid: Jid,
    /// What to ask for, where the address alone does not say it.
    pub node: Option<String>,
    /// What people call it.
    pub name: Option<String>,
}

impl Item {
    /// An item that is an address.
    #[must_use]
    pub fn new(jid: Jid) -> Self {
        Item {
            jid,
            node: None,
            name: None,
        }
    }

    /// With what people call it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A node at an address, with what people call it.
    #[must_use]
    pub fn node(jid: Jid, node: impl Into<String>, name: impl Into<String>) -> Self {
        Item {
            jid,
            node: Some(node.into()),
            name: Some(name.into()),
        }
    }

    fn parse(element: &Element) -> Option<Self> {
        Some(Item {
            jid: Jid::parse(element.attr("jid")?).ok()?,
            node: element.attr("node").map(str::to_owned),
            name: element.attr("name").map(str::to_owned),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(ns::DISCO_ITEMS, "item")
            .with_attr("jid", self.jid.as_str())
            .with_opt_attr("node", self.node.as_deref())
            .with_opt_attr("name", self.name.as_deref())
    }
}

impl Items {
    /// Reads a `<query/>`; items without a sound address are left out.
    #[must_use]
    pub fn parse(query: &Element) -> Self {
        let items = query.children().filter(|c| c.is(ns::DISCO_ITEMS, "item"));
        Items {
            node: query.attr("node").map(str::to_owned),
            items: items.filter_map(Item::parse).collect(),
        }
    }

    /// The `<query/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(ns::DISCO_ITEMS, "query")
            .with_opt_attr("node", self.node.as_deref())
            .with_children(self.items.iter().map(Item::to_element))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xep::data_form::FormType;

    #[test]
    fn info_is_written_and_read_back() {
        let info = Info::of(Identity::new("server", "im").named("Capulet"))
            .with_feature(ns::DISCO_INFO)
            .with_feature(ns::PING)
            .with_feature(ns::PING)
            .with_form(DataForm::about(FormType::Result, "urn:x"))
            .about("a#b");
        assert_eq!(info.features.len(), 2);
        assert_eq!(Info::parse(&info.to_element()), info);
        assert!(info.supports(ns::PING));
    }

    #[test]
    fn items_are_written_and_read_back_without_the_broken() {
        let jid = Jid::parse("localhost").unwrap();
        let items = Items {
            node: Some("n".into()),
            items: vec![Item::new(jid.clone()), Item::node(jid, "music", "Music")],
        };
        let broken = Element::new(ns::DISCO_ITEMS, "item").with_attr("jid", "@");
        assert_eq!(Items::parse(&items.to_element().with_child(broken)), items);
    }
}
