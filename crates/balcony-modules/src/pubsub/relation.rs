//! How somebody stands to all nodes of an account, for whoever looks at several of them.

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::NodeAffiliation;

use super::access::{self, AccessModel, Standing};
use super::config::NodeConfig;
use crate::presence;

/// What there is between an account and somebody.
pub(super) struct Relation<'a> {
    owner: &'a Jid,
    who: &'a Jid,
    sees_presence: bool,
    /// By node.
    affiliations: Vec<(String, NodeAffiliation)>,
    /// The groups of the owner's roster that they are in; `None`: not read yet.
    groups: Option<Vec<String>>,
}

impl<'a> Relation<'a> {
    /// One look into the roster, which is in memory while the owner is connected, and one read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn of(
        ctx: &mut Ctx<'_>,
        owner: &'a Jid,
        who: &'a Jid,
    ) -> Result<Self, StanzaError> {
        let own = owner.as_str() == who.bare_str();
        let sees_presence = presence::is_shared(ctx, owner, None, who).await;
        let affiliations = match own {
            true => Vec::new(),
            false => {
                let pubsub = ctx.store().pubsub();
                let found = pubsub.affiliations_of(owner.as_str(), who.bare_str()).await;
                found.map_err(|cause| stanza_error(&cause))?
            }
        };
        Ok(Self {
            owner,
            who,
            sees_presence: sees_presence.map_err(|cause| stanza_error(&cause))?,
            affiliations,
            groups: None,
        })
    }

    /// Whether they may read a node of this configuration (XEP-0060 §4.5).
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn may_read(
        &mut self,
        ctx: &mut Ctx<'_>,
        node: &str,
        config: &NodeConfig,
    ) -> Result<bool, StanzaError> {
        if self.owner.as_str() == self.who.bare_str() {
            return Ok(true);
        }
        let mut listed = self.affiliations.iter();
        let mut standing = Standing {
            affiliation: listed.find(|(of, _)| of == node).map(|(_, found)| *found),
            sees_presence: self.sees_presence,
            ..Standing::default()
        };
        if config.access == AccessModel::Roster && standing.affiliation.is_none() {
            let groups = self.groups(ctx).await?;
            standing.in_group = groups.iter().any(|group| config.groups.contains(group));
        }
        Ok(access::may_read(config.access, standing).is_ok())
    }

    async fn groups(&mut self, ctx: &mut Ctx<'_>) -> Result<&[String], StanzaError> {
        if self.groups.is_none() {
            let item = ctx
                .store()
                .roster()
                .item(self.owner.as_str(), self.who.bare_str())
                .await;
            let item = item.map_err(|cause| stanza_error(&cause))?;
            self.groups = Some(item.map(|item| item.groups).unwrap_or_default());
        }
        Ok(self.groups.as_deref().unwrap_or_default())
    }
}
