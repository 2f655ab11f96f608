//! Roster set (RFC 6121 §2.1.5): what is checked before anything is changed.

use balcony_core::module::{Answer, Ctx};
use balcony_proto::jid::{Jid, MAX_PART_BYTES, prepare_resource};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::roster::{Item, Roster, RosterError, Subscription};
use balcony_proto::xml::Element;

use super::change::{Change, ItemChange, Label, PendingChange, change};
use crate::subscription;

/// Bytes of a name or a group (§2.3.3): as long as the resourcepart that they are compared like.
const LABEL_MAX: usize = MAX_PART_BYTES;

/// Groups of one contact. Clients show a handful; a hundred of the longest are 100 KB.
const GROUPS_MAX: usize = 100;

/// Does what a client asks for.
pub(super) async fn answer(ctx: &mut Ctx<'_>, account: &Jid, query: &Element) -> Answer {
    let item = check(account, query)?;
    if item.subscription == Subscription::Remove {
        return remove(ctx, account, &item.jid).await;
    }
    let label = Label {
        name: item.name,
        groups: item.groups,
    };
    change(ctx, account, &item.jid, |_| {
        Ok(only(ItemChange::Label(label.clone())))
    })
    .await?;
    Ok(Payload::empty())
}

/// §2.5: with the item goes what the two see of each other.
async fn remove(ctx: &mut Ctx<'_>, account: &Jid, contact: &Jid) -> Answer {
    let before = change(ctx, account, contact, |before| match before.standing {
        Some(_) => Ok(only(ItemChange::Remove)),
        // §2.5.3
        None => Err(StanzaError::item_not_found()),
    })
    .await?;
    subscription::part(ctx, account, contact, before.standing.unwrap_or_default());
    Ok(Payload::empty())
}

fn only(item: ItemChange) -> Change {
    Change {
        item,
        pending: PendingChange::Keep,
        tell: None,
    }
}

/// The one item of a roster set, when nothing is wrong with it.
fn check(account: &Jid, query: &Element) -> Result<Item, StanzaError> {
    // §2.1.5 point 1 and §2.3.3: one and only one item.
    if query
        .children()
        .filter(|child| child.is(ns::ROSTER, "item"))
        .count()
        != 1
    {
        return Err(StanzaError::bad_request().with_text("a roster set has exactly one item"));
    }
    let mut items = Roster::parse(query).map_err(unreadable)?.items;
    let item = items.pop().ok_or_else(StanzaError::bad_request)?;
    // Subscriptions are between bare JIDs (§3), and so is a roster.
    if item.jid.is_full() {
        return Err(StanzaError::bad_request().with_text("a contact is a bare JID"));
    }
    if item.subscription == Subscription::Remove {
        return Ok(item);
    }
    // §2.3.3, the last note.
    if item.jid == *account {
        return Err(StanzaError::not_allowed().with_text("you are no contact of your own"));
    }
    check_label(&item)?;
    Ok(item)
}

fn unreadable(error: RosterError) -> StanzaError {
    match error {
        RosterError::NoJid => StanzaError::bad_request().with_text("the item has no jid"),
        RosterError::Jid(_) => StanzaError::jid_malformed(),
    }
}

/// §2.3.3: names and groups.
fn check_label(item: &Item) -> Result<(), StanzaError> {
    let name = item.name.as_deref().unwrap_or_default();
    if name.len() > LABEL_MAX {
        return Err(StanzaError::not_acceptable().with_text("the name is too long"));
    }
    if item.groups.len() > GROUPS_MAX {
        return Err(StanzaError::not_acceptable().with_text("the item is in too many groups"));
    }
    let mut seen = Vec::with_capacity(item.groups.len());
    for group in &item.groups {
        if group.is_empty() || group.len() > LABEL_MAX {
            return Err(StanzaError::not_acceptable().with_text("a group is empty or too long"));
        }
        // Compared as resourceparts, where it could be one.
        seen.push(prepare_resource(group).map_or_else(|_| group.clone(), |text| text.into()));
    }
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(StanzaError::bad_request().with_text("a group stands twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn check_set(items: &str) -> Result<Item, Condition> {
        let text = format!("<query xmlns='jabber:iq:roster'>{items}</query>");
        let query = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        check(&Jid::parse("juliet@localhost").unwrap(), &query).map_err(|error| error.condition)
    }

    fn condition(items: &str) -> Condition {
        check_set(items).unwrap_err()
    }

    #[test]
    fn a_set_has_exactly_one_item() {
        assert_eq!(condition(""), Condition::BadRequest);
        let two = "<item jid='nurse@localhost'/><item jid='mother@localhost'/>";
        assert_eq!(condition(two), Condition::BadRequest);
        assert!(check_set("<item jid='nurse@localhost' name='Nurse'/>").is_ok());
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(condition("<item name='x'/>"), Condition::BadRequest);
        assert_eq!(condition("<item jid='@'/>"), Condition::JidMalformed);
        assert_eq!(
            condition("<item jid='nurse@localhost/x'/>"),
            Condition::BadRequest
        );
        assert_eq!(
            condition("<item jid='juliet@localhost'/>"),
            Condition::NotAllowed
        );
        assert!(check_set("<item jid='juliet@localhost' subscription='remove'/>").is_ok());
    }

    #[test]
    fn groups_are_neither_empty_nor_twice_nor_too_long() {
        let item = |groups: &str| format!("<item jid='nurse@localhost'>{groups}</item>");
        let group = |name: &str| format!("<group>{name}</group>");
        let twice = item(&(group("Servants") + &group("Servants")));
        assert_eq!(condition(&twice), Condition::BadRequest);
        // The same resourcepart by RFC 7622 §3.4.1, with another space.
        let alike = item(&(group("Old friends") + &group("Old\u{a0}friends")));
        assert_eq!(condition(&alike), Condition::BadRequest);
        assert_eq!(condition(&item(&group(""))), Condition::NotAcceptable);
        assert_eq!(
            condition(&item(&group(&"x".repeat(1_024)))),
            Condition::NotAcceptable
        );
        let many: String = (0..101).map(|number| group(&number.to_string())).collect();
        assert_eq!(condition(&item(&many)), Condition::NotAcceptable);
        assert!(check_set(&item(&(group("Servants") + &group("servants")))).is_ok());
    }

    #[test]
    fn a_long_name_is_not_acceptable() {
        let name = |bytes| format!("<item jid='nurse@localhost' name='{}'/>", "x".repeat(bytes));
        assert_eq!(condition(&name(1_024)), Condition::NotAcceptable);
        assert!(check_set(&name(1_023)).is_ok());
    }
}
