//! How somebody stands to all nodes of an account, for whoever looks at several of them.

use balcony_store::{NodeAffiliation, RosterItem, Subscription};

use super::access::{self, Standing};
use super::config::NodeConfig;

/// What there is between an account and somebody.
#[derive(Clone, Copy)]
pub(super) struct Relation<'a> {
    /// They are the account.
    pub(super) is_own: bool,
    /// What they are in the account's roster.
    pub(super) contact: Option<&'a RosterItem>,
}

impl Relation<'_> {
    /// Whether they may read a node of this configuration, to which they have this affiliation
    /// (XEP-0060 §4.5).
    pub(super) fn may_read(
        self,
        affiliation: Option<NodeAffiliation>,
        config: &NodeConfig,
    ) -> bool {
        self.is_own || access::may_read(config.access, self.standing(affiliation, config)).is_ok()
    }

    /// Whether they see that there is such a node: who may ask to be let in does.
    pub(super) fn may_see(self, affiliation: Option<NodeAffiliation>, config: &NodeConfig) -> bool {
        let standing = self.standing(affiliation, config);
        self.is_own || access::may_subscribe(config.access, standing).is_ok()
    }

    /// How they stand to such a node.
    fn standing(self, affiliation: Option<NodeAffiliation>, config: &NodeConfig) -> Standing {
        let sees = |contact: &RosterItem| {
            let subscription = contact.subscription;
            matches!(subscription, Subscription::From | Subscription::Both)
        };
        let in_group = |contact: &RosterItem| {
            let mut groups = contact.groups.iter();
            groups.any(|group| config.groups.contains(group))
        };
        Standing {
            affiliation,
            sees_presence: self.contact.is_some_and(sees),
            in_group: self.contact.is_some_and(in_group),
            ..Standing::default()
        }
    }
}
