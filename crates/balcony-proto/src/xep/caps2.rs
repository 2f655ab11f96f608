//! XEP-0390 Entity Capabilities 2.0 0.3.2: hashes, by functions that may change, for all that
//! `disco#info` would answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::data_form::{DataForm, FORM_TYPE};
use super::disco::Info;
use crate::ns;
use crate::xml::Element;

/// Separators, from the innermost to the outermost (§4.1).
const UNIT: u8 = 0x1f;
const RECORD: u8 = 0x1e;
const GROUP: u8 = 0x1d;
const FILE: u8 = 0x1c;

/// One hash of what an entity would answer (§4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsHash {
    function: Function,
    /// In base64.
    value: String,
}

/// Those that can be checked here; XEP-0300 demands the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sha256,
    Sha512,
}

impl Function {
    const ALL: [Function; 2] = [Function::Sha256, Function::Sha512];

    fn as_str(self) -> &'static str {
        match self {
            Function::Sha256 => "sha-256",
            Function::Sha512 => "sha-512",
        }
    }

    fn hash(self, input: &[u8]) -> String {
        match self {
            Function::Sha256 => STANDARD.encode(Sha256::digest(input)),
            Function::Sha512 => STANDARD.encode(Sha512::digest(input)),
        }
    }
}

impl CapsHash {
    /// Reads a `<c xmlns='urn:xmpp:caps'/>`: the hash in it that can be checked here. `None`: there
    /// is none.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Self> {
        let mut known = Function::ALL.into_iter();
        known.find_map(|function| {
            let mut hashes = element.children().filter(|c| c.is(ns::HASHES, "hash"));
            let hash = hashes.find(|hash| hash.attr("algo") == Some(function.as_str()))?;
            let value = hash.text().trim().to_owned();
            (!value.is_empty()).then_some(CapsHash { function, value })
        })
    }

    /// The hash of an answer by SHA-256. `None` for an answer that has none.
    ///
    /// `lang` is the language around the answer, which counts where it names none itself.
    #[must_use]
    pub fn of(info: &Info, lang: Option<&str>) -> Option<Self> {
        let function = Function::Sha256;
        let value = function.hash(&input(info, lang.unwrap_or_default())?);
        Some(CapsHash { function, value })
    }

    /// The node to ask `disco#info` for (§4.3).
    #[must_use]
    pub fn disco_node(&self) -> String {
        format!("{}#{}.{}", ns::CAPS2, self.function.as_str(), self.value)
    }

    /// Whether an answer is what was announced (§4.4). `lang` as with [`of`](Self::of).
    #[must_use]
    pub fn proves(&self, info: &Info, lang: Option<&str>) -> bool {
        let input = input(info, lang.unwrap_or_default());
        input.is_some_and(|input| self.function.hash(&input) == self.value)
    }

    /// The `<c/>` with this hash.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let hash = Element::new(ns::HASHES, "hash")
            .with_attr("algo", self.function.as_str())
            .with_text(&self.value);
        Element::new(ns::CAPS2, "c").with_child(hash)
    }
}

/// §4.1. `None` where it is to end with an error.
fn input(info: &Info, lang: &str) -> Option<Vec<u8>> {
    let features = info
        .features
        .iter()
        .map(|feature| ended(&[feature.as_ref()], None));
    let identities = info.identities.iter().map(|identity| {
        let lang = identity.lang.as_deref().unwrap_or(lang);
        let name = identity.name.as_deref().unwrap_or_default();
        ended(
            &[&identity.category, &identity.kind, lang, name],
            Some(RECORD),
        )
    });
    let forms: Option<Vec<Vec<u8>>> = info.forms.iter().map(form).collect();
    let mut input = joined(features.collect());
    input.push(FILE);
    input.extend(joined(identities.collect()));
    input.push(FILE);
    input.extend(joined(forms?));
    input.push(FILE);
    Some(input)
}

fn form(form: &DataForm) -> Option<Vec<u8>> {
    let named = form.field(FORM_TYPE).is_some();
    if !named || !form.reported.is_empty() || !form.items.is_empty() {
        return None;
    }
    let fields = form.fields.iter().map(|field| {
        let values = field.values.iter().map(|value| ended(&[value], None));
        let mut bytes = ended(&[field.var().unwrap_or_default()], None);
        bytes.extend(joined(values.collect()));
        bytes.push(RECORD);
        bytes
    });
    let mut bytes = joined(fields.collect());
    bytes.push(GROUP);
    Some(bytes)
}

/// Texts, each with its end, and the end of all.
fn ended(texts: &[&str], end: Option<u8>) -> Vec<u8> {
    let each = texts.iter().flat_map(|text| text.bytes().chain([UNIT]));
    each.chain(end).collect()
}

/// In the order of their bytes (RFC 4790 §9.3).
fn joined(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort_unstable();
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Info {
        Info::parse(&Element::parse(text.as_bytes(), "").unwrap())
    }

    const SIMPLE: &str = "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='client' name='BombusMod' type='mobile'/>\
         <feature var='http://jabber.org/protocol/si'/>\
         <feature var='http://jabber.org/protocol/bytestreams'/>\
         <feature var='http://jabber.org/protocol/chatstates'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='urn:xmpp:ping'/><feature var='jabber:iq:time'/>\
         <feature var='jabber:iq:privacy'/><feature var='jabber:iq:version'/>\
         <feature var='http://jabber.org/protocol/rosterx'/><feature var='urn:xmpp:time'/>\
         <feature var='jabber:x:oob'/><feature var='http://jabber.org/protocol/ibb'/>\
         <feature var='http://jabber.org/protocol/si/profile/file-transfer'/>\
         <feature var='urn:xmpp:receipts'/><feature var='jabber:iq:roster'/>\
         <feature var='jabber:iq:last'/></query>";

    /// §4.5.1
    #[test]
    fn the_simple_example_gives_its_hash() {
        let hash = CapsHash::of(&info(SIMPLE), None).unwrap();
        let expected = "urn:xmpp:caps#sha-256.kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8=";
        assert_eq!(hash.disco_node(), expected);
        assert_eq!(CapsHash::parse(&hash.to_element()).as_ref(), Some(&hash));
        assert!(hash.proves(&info(SIMPLE), None));
        assert!(!hash.proves(&info(SIMPLE), Some("en")));
        let other = SIMPLE.replace("jabber:iq:last", "jabber:iq:first");
        assert!(!hash.proves(&info(&other), None));
    }

    /// §4.5.2, with its form; and the language of the identities from around the answer.
    #[test]
    fn the_complex_example_gives_its_hash() {
        let features = [
            "games:board",
            "http://jabber.org/protocol/activity",
            "http://jabber.org/protocol/activity+notify",
            "http://jabber.org/protocol/bytestreams",
            "http://jabber.org/protocol/chatstates",
            "http://jabber.org/protocol/commands",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/evil",
            "http://jabber.org/protocol/feature-neg",
            "http://jabber.org/protocol/geoloc",
            "http://jabber.org/protocol/geoloc+notify",
            "http://jabber.org/protocol/ibb",
            "http://jabber.org/protocol/iqibb",
            "http://jabber.org/protocol/mood",
            "http://jabber.org/protocol/mood+notify",
            "http://jabber.org/protocol/rosterx",
            "http://jabber.org/protocol/si",
            "http://jabber.org/protocol/si/profile/file-transfer",
            "http://jabber.org/protocol/tune",
            "http://www.facebook.com/xmpp/messages",
            "http://www.xmpp.org/extensions/xep-0084.html#ns-metadata+notify",
            "jabber:iq:avatar",
            "jabber:iq:browse",
            "jabber:iq:dtcp",
            "jabber:iq:filexfer",
            "jabber:iq:ibb",
            "jabber:iq:inband",
            "jabber:iq:jidlink",
            "jabber:iq:last",
            "jabber:iq:oob",
            "jabber:iq:privacy",
            "jabber:iq:roster",
            "jabber:iq:time",
            "jabber:iq:version",
            "jabber:x:data",
            "jabber:x:event",
            "jabber:x:oob",
            "urn:xmpp:avatar:metadata+notify",
            "urn:xmpp:ping",
            "urn:xmpp:receipts",
            "urn:xmpp:time",
        ];
        let features = features.iter().rev();
        let features: String = features
            .map(|var| format!("<feature var='{var}'/>"))
            .collect();
        let text = format!(
            "<query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='client' name='Tkabber' type='pc'/>\
             <identity category='client' name='Ткаббер' type='pc' xml:lang='ru'/>{features}\
             <x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'>\
             <value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='software'><value>Tkabber</value></field>\
             <field var='software_version'>\
             <value>0.11.1-svn-20111216-mod (Tcl/Tk 8.6b2)</value></field>\
             <field var='os'><value>Windows</value></field>\
             <field var='os_version'><value>XP</value></field></x></query>"
        );
        let hash = CapsHash::of(&info(&text), Some("en")).unwrap();
        assert_eq!(hash.value, "u79ZroNJbdSWhdSp311mddz44oHHPsEBntQ5b1jqBSY=");
    }

    #[test]
    fn a_form_without_a_type_has_no_hash() {
        let form = "<x xmlns='jabber:x:data' type='result'><field var='os'/></x></query>";
        let text = SIMPLE.replace("</query>", form);
        assert_eq!(CapsHash::of(&info(&text), None), None);
    }

    #[test]
    fn a_hash_that_cannot_be_checked_is_passed_over() {
        let hash = |algo: &str, value: &str| {
            format!("<hash xmlns='urn:xmpp:hashes:2' algo='{algo}'>{value}</hash>")
        };
        let read = |hashes: &str| {
            let c = format!("<c xmlns='urn:xmpp:caps'>{hashes}</c>");
            CapsHash::parse(&Element::parse(c.as_bytes(), "").unwrap())
        };
        assert_eq!(read(&hash("sha3-256", "AAAA")), None);
        assert_eq!(read(&hash("sha-256", "")), None);
        let both = hash("sha-512", "BBBB") + &hash("sha-256", "AAAA");
        assert_eq!(read(&both).unwrap().value, "AAAA");
        assert_eq!(read(&hash("sha-512", "BBBB")).unwrap().value, "BBBB");
    }
}
