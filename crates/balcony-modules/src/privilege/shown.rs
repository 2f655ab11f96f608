//! What components were shown of accounts' contacts: so that they hear of it once (XEP-0356 §8
//! point 2), and all of it when they come late (§8 point 1).

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::{Kind, PresenceType, Stanza};

/// Bytes of presence that are remembered for one component: of some 100,000 contacts. A component
/// is not shown more, since it could not be told when they go.
const BYTES: usize = 32 << 20;

/// Resources of one contact that a component is shown; people have a handful.
const RESOURCES: usize = 20;

/// Bytes of a presence that is shown; what is longer carries what no service needs.
const LONGEST: usize = 8 << 10;

/// By component.
#[derive(Default)]
pub(super) struct Shown(Map<Jid, ToOne>);

#[derive(Default)]
struct ToOne {
    /// By bare JID.
    contacts: Map<Box<str>, Vec<Presence>>,
    bytes: usize,
}

struct Presence {
    stanza: Stanza,
    /// The hosts whose accounts may see it.
    hosts: Vec<Box<str>>,
}

impl Shown {
    /// Whether a component is to be told what a contact shows to an account of a host.
    pub(super) fn is_news(&mut self, component: &Jid, host: &str, presence: &Stanza) -> bool {
        let Some(from) = &presence.from else {
            return false;
        };
        let to = self.0.entry(component.clone()).or_default();
        let news = match presence.kind {
            Kind::Presence(PresenceType::Available) => to.shows(from, host, presence),
            _ => to.forgets(from),
        };
        if to.contacts.is_empty() {
            self.0.remove(component);
        }
        news
    }

    /// All that a component knows.
    pub(super) fn of(&self, component: &Jid) -> Vec<Stanza> {
        let contacts = self.0.get(component).map(|to| to.contacts.values());
        let all = contacts.into_iter().flatten().flatten();
        all.map(|presence| presence.stanza.clone()).collect()
    }

    /// Forgets what components may not see any more, by the hosts by which they could.
    pub(super) fn retain(&mut self, sees: impl Fn(&Jid, &str) -> bool) {
        for (component, to) in &mut self.0 {
            let bytes = &mut to.bytes;
            to.contacts.retain(|_, resources| {
                resources.retain_mut(|presence| {
                    presence.hosts.retain(|host| sees(component, host));
                    let stays = !presence.hosts.is_empty();
                    *bytes -= if stays { 0 } else { presence.stanza.size() };
                    stays
                });
                !resources.is_empty()
            });
        }
        self.0.retain(|_, to| !to.contacts.is_empty());
    }
}

impl ToOne {
    fn shows(&mut self, from: &Jid, host: &str, presence: &Stanza) -> bool {
        let stanza = presence.clone().with_to(None);
        let size = stanza.size();
        if size > LONGEST || self.bytes + size > BYTES {
            return false;
        }
        let resources = self.contacts.entry(from.bare_str().into()).or_default();
        let known = resources
            .iter_mut()
            .find(|known| known.stanza.from.as_ref() == Some(from));
        let Some(known) = known else {
            if resources.len() >= RESOURCES {
                return false;
            }
            self.bytes += size;
            let hosts = vec![host.into()];
            resources.push(Presence { stanza, hosts });
            return true;
        };
        if known.hosts.iter().all(|other| **other != *host) {
            known.hosts.push(host.into());
        }
        if known.stanza.to_bytes() == stanza.to_bytes() {
            return false;
        }
        self.bytes = self.bytes + size - known.stanza.size();
        known.stanza = stanza;
        true
    }

    fn forgets(&mut self, from: &Jid) -> bool {
        let Some(resources) = self.contacts.get_mut(from.bare_str()) else {
            return false;
        };
        let is_it = |known: &Presence| known.stanza.from.as_ref() == Some(from);
        let Some(at) = resources.iter().position(is_it) else {
            return false;
        };
        self.bytes -= resources.swap_remove(at).stanza.size();
        if resources.is_empty() {
            self.contacts.remove(from.bare_str());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PresenceType::{Available, Unavailable};

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn presence(kind: PresenceType, resource: usize) -> Stanza {
        let from = jid(&format!("romeo@mantua.example/{resource}"));
        Stanza::presence(kind)
            .with_from(from)
            .with_to(jid("juliet@localhost"))
    }

    #[test]
    fn what_several_accounts_are_told_is_told_once() {
        let (mut shown, component) = (Shown::default(), jid("gate.localhost"));
        let mut news = |kind, host: &str| shown.is_news(&component, host, &presence(kind, 1));
        assert!(news(Available, "localhost"));
        assert!(!news(Available, "verona.example"));
        assert!(news(Unavailable, "localhost"));
        assert!(!news(Unavailable, "verona.example"));
        assert!(news(Available, "localhost"));
        assert_eq!(shown.of(&component).len(), 1);
    }

    #[test]
    fn what_may_be_seen_by_one_host_still_is_remembered() {
        let (mut shown, component) = (Shown::default(), jid("gate.localhost"));
        shown.is_news(&component, "localhost", &presence(Available, 1));
        shown.is_news(&component, "verona.example", &presence(Available, 1));
        shown.is_news(&component, "verona.example", &presence(Available, 2));
        shown.retain(|_, host| host == "localhost");
        assert_eq!(shown.of(&component).len(), 1);
        shown.retain(|_, _| false);
        assert!(shown.0.is_empty());
    }

    #[test]
    fn one_contact_is_remembered_within_bounds() {
        let (mut shown, component) = (Shown::default(), jid("gate.localhost"));
        let mut news = |presence: &Stanza| shown.is_news(&component, "localhost", presence);
        let told = (0..100).filter(|n| news(&presence(Available, *n))).count();
        assert_eq!(told, RESOURCES);
        let long = presence(Available, 1).with_id("x".repeat(LONGEST));
        assert!(!news(&long));
        let gone = (0..100)
            .filter(|n| news(&presence(Unavailable, *n)))
            .count();
        assert_eq!(gone, RESOURCES);
        assert!(shown.0.is_empty());
    }
}
