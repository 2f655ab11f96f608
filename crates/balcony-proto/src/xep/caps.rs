//! XEP-0115 Entity Capabilities 1.6.0: one hash for all that `disco#info` would answer.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::data_form::{DataForm, FORM_TYPE, Field};
use super::disco::{Identity, Info};
use crate::ns;
use crate::xml::Element;

/// The hash function that everybody supports (XEP-0115 §9.1).
const SHA_1: &str = "sha-1";

/// `<c xmlns='http://jabber.org/protocol/caps'/>` (§4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The hash function. `None`: the format before version 1.4, which proves nothing (§12).
    pub hash: Option<String>,
    /// A URI that names the software.
    pub node: String,
    /// The verification string.
    pub ver: String,
}

impl Caps {
    /// The capabilities of an entity that answers with `info`.
    #[must_use]
    pub fn of(info: &Info, node: impl Into<String>) -> Self {
        Caps {
            hash: Some(SHA_1.to_owned()),
            node: node.into(),
            ver: verification(info),
        }
    }

    /// Reads a `<c/>`. `None` without `node` or `ver`, which are required.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Self> {
        Some(Caps {
            hash: element.attr("hash").map(str::to_owned),
            node: element.attr("node")?.to_owned(),
            ver: element.attr("ver")?.to_owned(),
        })
    }

    /// The `<c/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(ns::CAPS, "c")
            .with_opt_attr("hash", self.hash.as_deref())
            .with_attr("node", self.node.as_str())
            .with_attr("ver", self.ver.as_str())
    }

    /// The node to ask `disco#info` for (§6.2).
    #[must_use]
    pub fn disco_node(&self) -> String {
        format!("{}#{}", self.node, self.ver)
    }

    /// Whether an answer is what was announced (§5.4 point 3), so that it counts for everybody who
    /// announces the same. Not for a hash function that we do not know, nor for an answer that is
    /// ill-formed.
    #[must_use]
    pub fn proves(&self, info: &Info) -> bool {
        self.hash.as_deref() == Some(SHA_1)
            && is_well_formed(info)
            && verification(info) == self.ver
    }
}

/// The verification string by SHA-1 (§5.1).
#[must_use]
pub fn verification(info: &Info) -> String {
    STANDARD.encode(Sha1::digest(hashed(info)))
}

/// The string S of §5.1.
fn hashed(info: &Info) -> String {
    let mut text = String::new();
    let mut identities: Vec<&Identity> = info.identities.iter().collect();
    identities.sort_by_key(|identity| key(identity));
    for identity in identities {
        let (category, kind, lang) = key(identity);
        let name = identity.name.as_deref().unwrap_or_default();
        text.extend([category, "/", kind, "/", lang, "/", name, "<"]);
    }
    let mut features: Vec<&str> = info.features.iter().map(AsRef::as_ref).collect();
    features.sort_unstable();
    for feature in features {
        text.extend([feature, "<"]);
    }
    // Point 6; §5.4: a form without a hidden FORM_TYPE is ignored.
    let named = |form| Some((DataForm::form_type_name(form)?, form));
    let mut forms: Vec<(&str, &DataForm)> = info.forms.iter().filter_map(named).collect();
    forms.sort_by_key(|(name, _)| *name);
    for (name, form) in forms {
        text.extend([name, "<"]);
        append_fields(form, &mut text);
    }
    text
}

/// Category, type and language: what identities are sorted by.
fn key(identity: &Identity) -> (&str, &str, &str) {
    let lang = identity.lang.as_deref().unwrap_or_default();
    (&identity.category, &identity.kind, lang)
}

/// Point 7 of §5.1.
fn append_fields(form: &DataForm, text: &mut String) {
    let named = |field| Some((Field::var(field)?, field));
    let mut fields: Vec<(&str, &Field)> = form.fields.iter().filter_map(named).collect();
    fields.retain(|(var, _)| *var != FORM_TYPE);
    fields.sort_by_key(|(var, _)| *var);
    for (var, field) in fields {
        text.extend([var, "<"]);
        let mut values: Vec<&str> = field.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        for value in values {
            text.extend([value, "<"]);
        }
    }
}

/// §5.4: nothing stands there twice.
fn is_well_formed(info: &Info) -> bool {
    let mut identities = HashSet::new();
    let mut features = HashSet::new();
    let mut forms = HashSet::new();
    let one_type = |form: &DataForm| {
        form.field(FORM_TYPE)
            .is_none_or(|f| f.values.windows(2).all(|pair| pair.first() == pair.last()))
    };
    info.identities
        .iter()
        .all(|i| identities.insert((key(i), i.name.as_deref())))
        && info.features.iter().all(|f| features.insert(f.as_ref()))
        && info
            .forms
            .iter()
            .filter_map(DataForm::form_type_name)
            .all(|name| forms.insert(name))
        && info.forms.iter().all(one_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Info {
        Info::parse(&Element::parse(text.as_bytes(), "").unwrap())
    }

    /// §5.2
    #[test]
    fn the_simple_example_gives_its_hash() {
        let info = Info::of(Identity::new("client", "pc").named("Exodus 0.9.1"))
            .with_feature(ns::MUC)
            .with_feature(ns::DISCO_ITEMS)
            .with_feature(ns::DISCO_INFO)
            .with_feature(ns::CAPS);
        assert_eq!(verification(&info), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    const COMPLEX: &str = "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
         <identity xml:lang='el' category='client' name='\u{3a8} 0.11' type='pc'/>\
         <feature var='http://jabber.org/protocol/caps'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='http://jabber.org/protocol/muc'/>\
         <x xmlns='jabber:x:data' type='result'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
         <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
         <field var='os'><value>Mac</value></field>\
         <field var='os_version'><value>10.5.1</value></field>\
         <field var='software'><value>Psi</value></field>\
         <field var='software_version'><value>0.11</value></field></x></query>";

    /// §5.3
    #[test]
    fn the_complex_example_gives_its_hash() {
        let caps = Caps::of(&info(COMPLEX), "http://psi-im.org");
        assert_eq!(caps.ver, "q07IKJEyjvHSyhy//CH0CxmKi8w=");
        assert_eq!(
            caps.disco_node(),
            "http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w="
        );
        assert_eq!(Caps::parse(&caps.to_element()).as_ref(), Some(&caps));
        assert!(caps.proves(&info(COMPLEX)));
    }

    #[test]
    fn what_is_ill_formed_or_other_proves_nothing() {
        let sound = Info::of(Identity::new("client", "pc")).with_feature(ns::PING);
        let caps = Caps::of(&sound, "urn:x");
        assert!(!caps.proves(&sound.clone().with_feature(ns::TIME)));
        let mut twice = sound.clone();
        twice.features.push(ns::PING.into());
        assert!(!Caps::of(&twice, "urn:x").proves(&twice));
        let mut twice = sound.clone();
        twice.identities.push(Identity::new("client", "pc"));
        assert!(!Caps::of(&twice, "urn:x").proves(&twice));
        let old = Caps { hash: None, ..caps };
        assert!(!old.proves(&sound));
    }

    #[test]
    fn a_form_that_does_not_hide_its_type_is_left_out() {
        let shown = COMPLEX.replace("type='hidden'", "type='text-single'");
        let without = Info {
            forms: Vec::new(),
            ..info(COMPLEX)
        };
        assert_eq!(verification(&info(&shown)), verification(&without));
    }
}
