//! A roster as presence reads it (RFC 6121 §2.1.2): who stands how, in 16 bytes a contact.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_store::{RosterData, RosterItem, Subscription};

use super::names::Names;

/// What a roster item says about presence (RFC 6121 §2.1.2), without name and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) subscription: Subscription,
    /// A request of the user waits for the contact (§2.1.2.2).
    pub(crate) ask: bool,
    /// A request of the contact is approved in advance (§2.1.2.1).
    pub(crate) approved: bool,
}

impl Standing {
    /// What a stored item says.
    pub(super) fn of(item: &RosterItem) -> Self {
        Self {
            subscription: item.subscription,
            ask: item.ask,
            approved: item.approved,
        }
    }

    /// Whether the contact receives the user's presence.
    pub(crate) fn shows_presence(self) -> bool {
        matches!(self.subscription, Subscription::From | Subscription::Both)
    }

    /// Whether the user receives the contact's presence.
    pub(crate) fn sees_presence(self) -> bool {
        matches!(self.subscription, Subscription::To | Subscription::Both)
    }
}

/// A contact: 16 bytes, and its address beside it, which rosters share as they are loaded.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) jid: Arc<Jid>,
    pub(crate) standing: Standing,
}

/// A roster as presence needs it. Never changed; a changed roster is another one.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    /// The version of the last change (§2.6).
    pub(crate) version: u64,
    /// Ordered by address.
    items: Box<[Contact]>,
    /// Who waits for the user's answer; few, and mostly none.
    pending: Box<[Jid]>,
}

impl Contacts {
    /// Takes what presence needs of a stored roster.
    pub(super) fn new(data: &RosterData, names: &Names) -> Self {
        let jid = |text: &str| Some(names.share(Jid::parse(text).ok()?));
        let item = |item: &RosterItem| {
            Some(Contact {
                jid: jid(&item.jid)?,
                standing: Standing::of(item),
            })
        };
        Self {
            version: data.version,
            items: data.items.iter().filter_map(item).collect(),
            pending: data
                .pending_in
                .iter()
                .filter_map(|request| Jid::parse(&request.jid).ok())
                .collect(),
        }
    }

    /// The items.
    pub(crate) fn items(&self) -> &[Contact] {
        &self.items
    }

    /// Who waits for the user's answer to a subscription request.
    pub(crate) fn pending(&self) -> &[Jid] {
        &self.pending
    }

    /// Whether a request of this bare JID waits.
    pub(crate) fn is_pending(&self, bare: &str) -> bool {
        self.pending.iter().any(|jid| jid.as_str() == bare)
    }

    /// How a bare JID stands; `None` when it is not in the roster.
    pub(crate) fn standing(&self, bare: &str) -> Option<Standing> {
        let at = self.place(bare).ok()?;
        self.items.get(at).map(|contact| contact.standing)
    }

    fn place(&self, bare: &str) -> std::result::Result<usize, usize> {
        self.items
            .binary_search_by(|contact| contact.jid.as_str().cmp(bare))
    }

    /// The same with another standing for one contact; `None` takes the contact out.
    pub(super) fn with_item(&self, jid: &Jid, standing: Option<Standing>) -> Self {
        let mut items = self.items.to_vec();
        match (self.place(jid.as_str()), standing) {
            (Ok(at), Some(standing)) => {
                if let Some(contact) = items.get_mut(at) {
                    contact.standing = standing;
                }
            }
            (Ok(at), None) => drop(items.remove(at)),
            (Err(at), Some(standing)) => items.insert(
                at,
                Contact {
                    jid: Arc::new(jid.clone()),
                    standing,
                },
            ),
            (Err(_), None) => {}
        }
        Self {
            version: self.version + 1,
            items: items.into(),
            pending: self.pending.clone(),
        }
    }

    /// The same with a request more or less.
    pub(super) fn with_pending(&self, jid: &Jid, waits: bool) -> Self {
        let mut pending: Vec<Jid> = self.pending.iter().filter(|p| *p != jid).cloned().collect();
        if waits {
            pending.push(jid.clone());
        }
        Self {
            version: self.version,
            items: self.items.clone(),
            pending: pending.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn standing(subscription: Subscription) -> Standing {
        Standing {
            subscription,
            ..Standing::default()
        }
    }

    #[test]
    fn a_contact_takes_32_bytes_beside_its_address() {
        assert!(size_of::<Contact>() <= 32, "{}", size_of::<Contact>());
    }

    #[test]
    fn contacts_are_found_after_each_change() {
        let mut contacts = Contacts::default();
        for name in ["romeo@localhost", "benvolio@localhost", "nurse@localhost"] {
            contacts = contacts.with_item(&jid(name), Some(standing(Subscription::To)));
        }
        contacts = contacts.with_item(&jid("nurse@localhost"), Some(standing(Subscription::Both)));
        contacts = contacts.with_item(&jid("benvolio@localhost"), None);
        assert_eq!(
            contacts.standing("romeo@localhost"),
            Some(standing(Subscription::To))
        );
        assert_eq!(
            contacts.standing("nurse@localhost"),
            Some(standing(Subscription::Both))
        );
        assert_eq!(contacts.standing("benvolio@localhost"), None);
        assert_eq!(contacts.items().len(), 2);
        assert_eq!(contacts.version, 5);
    }

    #[test]
    fn a_request_waits_once_and_changes_no_version() {
        let tybalt = jid("tybalt@localhost");
        let once = Contacts::default()
            .with_pending(&tybalt, true)
            .with_pending(&tybalt, true);
        assert_eq!(once.pending(), std::slice::from_ref(&tybalt));
        assert!(once.is_pending("tybalt@localhost"));
        let gone = once.with_pending(&tybalt, false);
        assert!(!gone.is_pending("tybalt@localhost"));
        assert_eq!(gone.version, 0);
    }
}
