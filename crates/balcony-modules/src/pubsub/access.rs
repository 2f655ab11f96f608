//! Who may do what with a node (XEP-0060 §4.1, §4.5), as pure functions.

use balcony_store::NodeAffiliation as Affiliation;

/// Who may subscribe to a node and read its items (§4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessModel {
    /// Everybody.
    Open,
    /// Who is subscribed to the owner's presence.
    Presence,
    /// Who is, and is in one of the named groups of the owner's roster.
    Roster,
    /// Whose subscription an owner has approved.
    Authorize,
    /// Whom the owner has given an affiliation.
    Whitelist,
}

/// Who may publish (§16.4.4, `pubsub#publish_model`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublishModel {
    /// Owners and publishers.
    Publishers,
    /// Who has subscribed, too.
    Subscribers,
    /// Everybody.
    Open,
}

/// How somebody stands to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// What the owner made of them. `None`: nothing.
    pub(super) affiliation: Option<Affiliation>,
    /// They have subscribed (§6.1).
    pub(super) subscribed: bool,
    /// They receive the owner's presence.
    pub(super) sees_presence: bool,
    /// They are in one of the groups that the node is for.
    pub(super) in_group: bool,
}

/// Why somebody may not subscribe or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// By their affiliation (§6.1.3.8, §6.5.9.10).
    Forbidden,
    /// §6.1.3.2, §6.5.9.6.
    NoPresence,
    /// §6.1.3.3, §6.5.9.7.
    NoGroup,
    /// §6.5.9.3: nobody has approved it yet.
    NotSubscribed,
    /// §6.1.3.4, §6.5.9.8.
    Closed,
}

/// What becomes of a subscription that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It stands at once.
    Now,
    /// An owner has to approve it (§6.1.4).
    WhenApproved,
}

impl Standing {
    /// Whoever owns a node.
    pub(super) const OWNER: Standing = Standing {
        affiliation: Some(Affiliation::Owner),
        subscribed: false,
        sees_presence: true,
        in_group: true,
    };

    /// Whether they decide over the node (§8).
    pub(super) fn is_owner(self) -> bool {
        self.affiliation == Some(Affiliation::Owner)
    }
}

/// Whether somebody may read the items of a node (§4.1, §4.5, §6.5.1).
pub(super) fn may_read(model: AccessModel, who: Standing) -> Result<(), Denied> {
    use Affiliation::{Member, Outcast, Owner, PublishOnly, Publisher};
    match who.affiliation {
        Some(Owner | Publisher | Member) => return Ok(()),
        Some(Outcast | PublishOnly) => return Err(Denied::Forbidden),
        None => {}
    }
    match model {
        AccessModel::Open => Ok(()),
        AccessModel::Presence if who.sees_presence => Ok(()),
        AccessModel::Presence => Err(Denied::NoPresence),
        AccessModel::Roster if who.sees_presence && who.in_group => Ok(()),
        AccessModel::Roster => Err(Denied::NoGroup),
        AccessModel::Authorize if who.subscribed => Ok(()),
        AccessModel::Authorize => Err(Denied::NotSubscribed),
        AccessModel::Whitelist => Err(Denied::Closed),
    }
}

/// Whether somebody may subscribe to a node, and whether an owner is asked first (§6.1.3, §6.1.4).
pub(super) fn may_subscribe(model: AccessModel, who: Standing) -> Result<Admission, Denied> {
    match may_read(model, who) {
        Ok(()) => Ok(Admission::Now),
        Err(Denied::NotSubscribed) => Ok(Admission::WhenApproved),
        Err(denied) => Err(denied),
    }
}

/// Whether somebody may publish (§4.1, §7.1.3.1).
pub(super) fn may_publish(model: PublishModel, who: Standing) -> bool {
    use Affiliation::{Outcast, Owner, PublishOnly, Publisher};
    match who.affiliation {
        Some(Owner | Publisher | PublishOnly) => true,
        Some(Outcast) => false,
        Some(Affiliation::Member) | None => match model {
            PublishModel::Publishers => false,
            PublishModel::Subscribers => who.subscribed,
            PublishModel::Open => true,
        },
    }
}

/// Whether somebody may delete an item (§7.2.3.1): owners any, others what they published.
pub(super) fn may_retract(model: PublishModel, who: Standing, own: bool) -> bool {
    who.is_owner() || own && may_publish(model, who)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessModel::{Authorize, Open, Presence, Roster, Whitelist};
    use Affiliation::{Member, Outcast, Owner, PublishOnly, Publisher};

    const NOBODY: Standing = Standing {
        affiliation: None,
        subscribed: false,
        sees_presence: false,
        in_group: false,
    };
    const SUBSCRIBED: Standing = Standing {
        subscribed: true,
        ..NOBODY
    };
    const CONTACT: Standing = Standing {
        sees_presence: true,
        ..NOBODY
    };
    const FRIEND: Standing = Standing {
        in_group: true,
        ..CONTACT
    };

    fn affiliated(affiliation: Affiliation) -> Standing {
        Standing {
            affiliation: Some(affiliation),
            ..NOBODY
        }
    }

    /// §4.5: open, presence, roster, authorize, whitelist.
    #[test]
    fn the_access_model_decides_over_who_has_no_affiliation() {
        let yes = Ok(());
        let (no_presence, no_group) = (Err(Denied::NoPresence), Err(Denied::NoGroup));
        let (unknown, closed) = (Err(Denied::NotSubscribed), Err(Denied::Closed));
        for (who, expected) in [
            (NOBODY, [yes, no_presence, no_group, unknown, closed]),
            (SUBSCRIBED, [yes, no_presence, no_group, yes, closed]),
            (CONTACT, [yes, yes, no_group, unknown, closed]),
            (FRIEND, [yes, yes, yes, unknown, closed]),
            // In a group, and the subscription was taken back.
            (
                Standing {
                    in_group: true,
                    ..NOBODY
                },
                [yes, no_presence, no_group, unknown, closed],
            ),
        ] {
            let models = [Open, Presence, Roster, Authorize, Whitelist];
            let found = models.map(|model| may_read(model, who));
            assert_eq!(found, expected, "{who:?}");
            let subscribing = models.map(|model| may_subscribe(model, who));
            let expected = expected.map(|read| match read {
                Ok(()) => Ok(Admission::Now),
                Err(Denied::NotSubscribed) => Ok(Admission::WhenApproved),
                Err(denied) => Err(denied),
            });
            assert_eq!(subscribing, expected, "{who:?}");
        }
    }

    /// §4.1, the columns "Subscribe" and "Retrieve Items".
    #[test]
    fn an_affiliation_decides_before_the_access_model() {
        for model in [Open, Presence, Roster, Authorize, Whitelist] {
            for affiliation in [Owner, Publisher, Member] {
                assert_eq!(may_read(model, affiliated(affiliation)), Ok(()));
            }
            for affiliation in [PublishOnly, Outcast] {
                let found = may_read(model, affiliated(affiliation));
                assert_eq!(found, Err(Denied::Forbidden));
                let found = may_subscribe(model, affiliated(affiliation));
                assert_eq!(found, Err(Denied::Forbidden));
            }
        }
    }

    /// §4.1, the column "Publish Items": publishers, subscribers, open.
    #[test]
    fn publishers_publish_and_others_by_the_publish_model() {
        let models = [
            PublishModel::Publishers,
            PublishModel::Subscribers,
            PublishModel::Open,
        ];
        for (who, expected) in [
            (affiliated(Owner), [true; 3]),
            (affiliated(Publisher), [true; 3]),
            (affiliated(PublishOnly), [true; 3]),
            (affiliated(Outcast), [false; 3]),
            (affiliated(Member), [false, false, true]),
            (NOBODY, [false, false, true]),
            (CONTACT, [false, false, true]),
            (SUBSCRIBED, [false, true, true]),
        ] {
            let found = models.map(|model| may_publish(model, who));
            assert_eq!(found, expected, "{who:?}");
        }
    }

    /// §4.1, the column "Delete Single Item", and its note.
    #[test]
    fn an_item_is_deleted_by_the_owner_or_by_who_published_it() {
        let model = PublishModel::Publishers;
        for (who, own, expected) in [
            (affiliated(Owner), false, true),
            (affiliated(Publisher), true, true),
            (affiliated(Publisher), false, false),
            (affiliated(PublishOnly), true, true),
            (affiliated(PublishOnly), false, false),
            (affiliated(Member), true, false),
            (NOBODY, true, false),
            (affiliated(Outcast), true, false),
        ] {
            assert_eq!(may_retract(model, who, own), expected, "{who:?} {own}");
        }
    }
}
