use crate::{BoxFuture, Result, Stored};

/// How somebody stands to a node (XEP-0060 §4.1). Whoever has no affiliation is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeAffiliation {
    /// Decides over the node itself.
    Owner,
    /// May publish and subscribe.
    Publisher,
    /// May publish, and not subscribe.
    PublishOnly,
    /// May subscribe where a list says who may.
    Member,
    /// May do nothing.
    Outcast,
}

impl NodeAffiliation {
    /// All of them.
    pub const ALL: [NodeAffiliation; 5] = [
        NodeAffiliation::Owner,
        NodeAffiliation::Publisher,
        NodeAffiliation::PublishOnly,
        NodeAffiliation::Member,
        NodeAffiliation::Outcast,
    ];

    /// As written in a stanza and as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeAffiliation::Owner => "owner",
            NodeAffiliation::Publisher => "publisher",
            NodeAffiliation::PublishOnly => "publish-only",
            NodeAffiliation::Member => "member",
            NodeAffiliation::Outcast => "outcast",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<NodeAffiliation> {
        let mut all = NodeAffiliation::ALL.into_iter();
        all.find(|word| word.as_str() == text)
    }
}

/// How far a subscription to a node has got (XEP-0060 §4.2). Whoever has none is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// An owner has to approve it.
    Pending,
    /// It stands.
    Subscribed,
    /// The subscriber has to configure it.
    Unconfigured,
}

impl SubscriptionState {
    /// All of them.
    pub const ALL: [SubscriptionState; 3] = [
        SubscriptionState::Pending,
        SubscriptionState::Subscribed,
        SubscriptionState::Unconfigured,
    ];

    /// As written in a stanza and as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            SubscriptionState::Pending => "pending",
            SubscriptionState::Subscribed => "subscribed",
            SubscriptionState::Unconfigured => "unconfigured",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<SubscriptionState> {
        let mut all = SubscriptionState::ALL.into_iter();
        all.find(|word| word.as_str() == text)
    }
}

/// A subscription to a node. There is one for each JID and subid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSubscription {
    /// Who is told: a bare or full JID.
    pub jid: String,
    /// What tells it from others of the same JID; may be empty.
    pub subid: String,
    /// How far it has got.
    pub state: SubscriptionState,
    /// Its options (XEP-0060 §6.3). `None`: there are none.
    pub options: Option<Stored>,
    /// When it is over. `None`: when it is taken back. The store tells of it all the same then.
    pub expires_at: Option<i64>,
}

/// An item of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubsubItem {
    /// Its id, no other item's of the node.
    pub id: String,
    /// Who published it: a bare JID.
    pub publisher: String,
    /// When.
    pub published_at: i64,
    /// What; may be empty.
    pub payload: Stored,
}

/// What is stored of a node, its items aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeData {
    /// When it was created.
    pub created: i64,
    /// Its configuration.
    pub config: Stored,
    /// Who has an affiliation, by bare JID, ordered by that.
    pub affiliations: Vec<(String, NodeAffiliation)>,
    /// The subscriptions, ordered by JID and subid.
    pub subscriptions: Vec<NodeSubscription>,
}

/// One line of the list of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node's name.
    pub node: String,
    /// When it was created.
    pub created: i64,
    /// Its configuration.
    pub config: Stored,
}

/// Which items of a node are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemsPlace {
    /// The oldest.
    First,
    /// The newest.
    Last,
    /// Those right behind this one (XEP-0059).
    After(String),
    /// Those right before this one.
    Before(String),
    /// Those that are there of these.
    Ids(Vec<String>),
}

/// A page of a node's items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemsRequest {
    /// Which items.
    pub place: ItemsPlace,
    /// How many at most; of those named by their ids the oldest.
    pub limit: u32,
    /// What was published before counts as gone. `None`: nothing does.
    pub not_before: Option<i64>,
}

/// The items of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemsPage {
    /// The items, the newest last.
    pub items: Vec<PubsubItem>,
    /// How many items the node has.
    pub count: u64,
    /// Whether nothing is left beyond the page in the direction in which it was asked for, or of
    /// those that were named.
    pub complete: bool,
}

/// That a node has items, and what decides over who may see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Whose node: as asked for.
    pub owner: String,
    /// The node's name.
    pub node: String,
    /// The node's configuration.
    pub config: Stored,
    /// What whoever asks is to the node. `None`: nothing.
    pub affiliation: Option<NodeAffiliation>,
    /// Bytes of the newest item's payload.
    pub bytes: u64,
}

/// The newest item of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastItem {
    /// Whose node: as asked for.
    pub owner: String,
    /// The node's name.
    pub node: String,
    /// The item.
    pub item: PubsubItem,
}

/// Reads of publish-subscribe nodes (XEP-0060). `owner` is the bare JID of an account (XEP-0163) or
/// the domain of a service. Names of nodes and ids of items are compared bytewise.
pub trait Pubsub: Send + Sync {
    /// The node with its affiliations and subscriptions, from one state of the store: all of them,
    /// or those `of` a bare JID and its resources. `None`: no such node.
    fn node(
        &self,
        owner: &str,
        node: &str,
        of: Option<&str>,
    ) -> BoxFuture<'_, Result<Option<NodeData>>>;
    /// Up to `limit` nodes, ordered by name bytewise, those after `after`; none when there is no
    /// such owner.
    fn nodes(
        &self,
        owner: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<NodeEntry>>>;
    /// A page of items, from one state of the store.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when there is no such node, or no such item to
    /// begin the page at.
    fn items(
        &self,
        owner: &str,
        node: &str,
        request: ItemsRequest,
    ) -> BoxFuture<'_, Result<ItemsPage>>;
    /// Which of these nodes of each of these owners have an item, with what the bare JID `reader`
    /// is to them; from one state of the store, by owner in the order given and then by node.
    ///
    /// One read, however many contacts a user has, and without what is in the items.
    fn newest(
        &self,
        owners: &[String],
        nodes: &[String],
        reader: &str,
    ) -> BoxFuture<'_, Result<Vec<Newest>>>;
    /// The newest item of each of these nodes, given with their owners, in their order, from one
    /// state of the store. Nodes that are not there or have no item are left out.
    fn last_items(&self, nodes: &[(String, String)]) -> BoxFuture<'_, Result<Vec<LastItem>>>;
    /// The subscriptions of a JID to all nodes of an owner, ordered by node, JID and subid. A bare
    /// JID stands for its resources too, a full one for itself.
    fn subscriptions_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeSubscription)>>>;
    /// The affiliations of a bare JID with all nodes of an owner, ordered by node.
    fn affiliations_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeAffiliation)>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for word in NodeAffiliation::ALL {
            assert_eq!(NodeAffiliation::parse(word.as_str()), Some(word));
        }
        for word in SubscriptionState::ALL {
            assert_eq!(SubscriptionState::parse(word.as_str()), Some(word));
        }
        assert_eq!(NodeAffiliation::parse("none"), None);
        assert_eq!(SubscriptionState::parse("none"), None);
    }
}
