use std::collections::BTreeMap;

use super::MemoryStore;
use super::apply::misplaced;
use super::tables::{AccountData, Kind, Tables};
use crate::{
    BoxFuture, Error, ItemsPage, ItemsPlace, ItemsRequest, LastItem, Newest, NodeAffiliation,
    NodeData, NodeEntry, NodeSubscription, Pubsub, PubsubItem, Result, Stored, Write,
};

/// A node with all that belongs to it.
#[derive(Clone)]
pub(super) struct NodeRow {
    created: i64,
    config: Stored,
    /// The newest last.
    items: Vec<PubsubItem>,
    affiliations: BTreeMap<String, NodeAffiliation>,
    /// By JID and subid.
    subscriptions: BTreeMap<(String, String), NodeSubscription>,
}

impl NodeRow {
    fn apply(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::NodeConfigSet { config, .. } => self.config = config.clone(),
            Write::ItemPublish {
                item, max_items, ..
            } => self.publish(item, *max_items as usize),
            Write::ItemRetract { id, .. } => {
                self.place(id)?;
                self.items.retain(|item| item.id != *id);
            }
            Write::NodePurge { .. } => self.items.clear(),
            Write::ItemsExpire { before, .. } => {
                self.items.retain(|item| item.published_at >= *before);
            }
            _ => return self.apply_people(write),
        }
        Ok(())
    }

    fn apply_people(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::NodeAffiliationSet {
                jid,
                affiliation,
                max,
                ..
            } => match affiliation {
                Some(affiliation) => {
                    if !self.affiliations.contains_key(jid) {
                        has_place(self.affiliations.len(), *max, "affiliations")?;
                    }
                    self.affiliations.insert(jid.clone(), *affiliation);
                }
                None => {
                    self.affiliations.remove(jid);
                }
            },
            Write::SubscriptionSet {
                subscription, max, ..
            } => {
                let key = (subscription.jid.clone(), subscription.subid.clone());
                if !self.subscriptions.contains_key(&key) {
                    has_place(self.subscriptions.len(), *max, "subscriptions")?;
                }
                self.subscriptions.insert(key, subscription.clone());
            }
            Write::SubscriptionRemove { jid, subid, .. } => {
                self.subscriptions.retain(|(of, id), _| {
                    let meant = of == jid && subid.as_ref().is_none_or(|subid| subid == id);
                    !meant
                });
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }

    fn publish(&mut self, new: &PubsubItem, max: usize) {
        self.items.retain(|item| item.id != new.id);
        self.items.push(new.clone());
        let surplus = self.items.len().saturating_sub(max);
        self.items.drain(..surplus);
    }

    fn place(&self, id: &str) -> Result<usize> {
        let place = self.items.iter().position(|item| item.id == id);
        place.ok_or(Error::NotFound)
    }

    fn page(&self, request: &ItemsRequest) -> Result<ItemsPage> {
        let limit = request.limit as usize;
        let fresh = |item: &&PubsubItem| {
            request
                .not_before
                .is_none_or(|since| item.published_at >= since)
        };
        let part = match &request.place {
            ItemsPlace::First | ItemsPlace::Last => self.items.as_slice(),
            ItemsPlace::After(id) => self.items.get(self.place(id)? + 1..).unwrap_or_default(),
            ItemsPlace::Before(id) => self.items.get(..self.place(id)?).unwrap_or_default(),
            ItemsPlace::Ids(_) => self.items.as_slice(),
        };
        let wanted = |item: &&PubsubItem| match &request.place {
            ItemsPlace::Ids(ids) => ids.contains(&item.id),
            _ => true,
        };
        let found: Vec<&PubsubItem> = part.iter().filter(fresh).filter(wanted).collect();
        let complete = found.len() <= limit;
        let surplus = match &request.place {
            ItemsPlace::Last | ItemsPlace::Before(_) => found.len().saturating_sub(limit),
            _ => 0,
        };
        let page = found.into_iter().skip(surplus).take(limit);
        Ok(ItemsPage {
            items: page.cloned().collect(),
            count: self.items.iter().filter(fresh).count() as u64,
            complete,
        })
    }

    fn subscriptions_of(&self, jid: &str) -> impl Iterator<Item = &NodeSubscription> {
        let all = self.subscriptions.values();
        all.filter(move |found| {
            let bare = found
                .jid
                .split_once('/')
                .map_or(&*found.jid, |(bare, _)| bare);
            found.jid == jid || bare == jid
        })
    }

    fn data(&self, of: Option<&str>) -> NodeData {
        let affiliations = self.affiliations.iter();
        let affiliations = affiliations.filter(|(jid, _)| of.is_none_or(|of| of == jid.as_str()));
        NodeData {
            created: self.created,
            config: self.config.clone(),
            affiliations: affiliations
                .map(|(jid, affiliation)| (jid.clone(), *affiliation))
                .collect(),
            subscriptions: match of {
                Some(of) => self.subscriptions_of(of).cloned().collect(),
                None => self.subscriptions.values().cloned().collect(),
            },
        }
    }
}

impl Tables {
    /// Takes a bare JID and its resources off the lists of all nodes but those of services.
    pub(super) fn forget_in_nodes(&mut self, jid: &str) {
        for name in self.names() {
            if let Ok(owner) = self.change_named(&name)
                && !matches!(owner.kind, Kind::Service)
            {
                owner.forget_in_nodes(jid);
            }
        }
    }
}

impl AccountData {
    fn forget_in_nodes(&mut self, jid: &str) {
        for node in self.nodes.values_mut() {
            node.affiliations.remove(jid);
            let theirs: Vec<_> = node.subscriptions_of(jid).cloned().collect();
            for of in theirs {
                node.subscriptions.remove(&(of.jid, of.subid));
            }
        }
    }
}

fn has_place(len: usize, max: u32, what: &'static str) -> Result<()> {
    match len < max as usize {
        true => Ok(()),
        false => Err(Error::Limit(what)),
    }
}

impl AccountData {
    fn create_node(&mut self, node: &str, created: i64, config: &Stored, max: u32) -> Result<()> {
        if self.nodes.contains_key(node) {
            return Err(Error::Conflict("node"));
        }
        has_place(self.nodes.len(), max, "nodes")?;
        let row = NodeRow {
            created,
            config: config.clone(),
            items: Vec::new(),
            affiliations: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
        };
        self.nodes.insert(node.to_owned(), row);
        Ok(())
    }
}

impl Tables {
    pub(super) fn apply_pubsub(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::ServiceCreate { host } => {
                self.create_service(host);
                Ok(())
            }
            Write::NodeCreate {
                owner,
                node,
                created,
                config,
                max_nodes,
            } => {
                let owner = self.change(owner)?;
                owner.create_node(node, *created, config, *max_nodes)
            }
            Write::NodeDelete { owner, node } => {
                let gone = self.change(owner)?.nodes.remove(node);
                gone.map(drop).ok_or(Error::NotFound)
            }
            Write::NodeConfigSet { owner, node, .. }
            | Write::ItemPublish { owner, node, .. }
            | Write::ItemRetract { owner, node, .. }
            | Write::NodePurge { owner, node }
            | Write::ItemsExpire { owner, node, .. }
            | Write::NodeAffiliationSet { owner, node, .. }
            | Write::SubscriptionSet { owner, node, .. }
            | Write::SubscriptionRemove { owner, node, .. } => {
                let node = self.change(owner)?.nodes.get_mut(node);
                node.ok_or(Error::NotFound)?.apply(write)
            }
            _ => Err(misplaced()),
        }
    }

    fn create_service(&mut self, host: &str) {
        let name = (host.to_owned(), String::new());
        if self.named(&name).is_none() {
            let data = self.new_owner(Kind::Service, 0);
            self.add_account(name, data);
        }
    }

    fn node(&self, owner: &str, node: &str) -> Option<&NodeRow> {
        self.account(owner)?.nodes.get(node)
    }

    /// The nodes of an owner, in order.
    fn nodes(&self, owner: &str) -> impl Iterator<Item = (&String, &NodeRow)> {
        let owner = self.account(owner).into_iter();
        owner.flat_map(|data| &data.nodes)
    }
}

impl Pubsub for MemoryStore {
    fn node(
        &self,
        owner: &str,
        node: &str,
        of: Option<&str>,
    ) -> BoxFuture<'_, Result<Option<NodeData>>> {
        self.read(|tables| tables.node(owner, node).map(|row| row.data(of)))
    }

    fn nodes(
        &self,
        owner: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<NodeEntry>>> {
        self.read(|tables| {
            let nodes = tables.nodes(owner);
            let nodes = nodes.filter(|(node, _)| after.is_none_or(|after| node.as_str() > after));
            let entries = nodes.map(|(node, row)| NodeEntry {
                node: node.clone(),
                created: row.created,
                config: row.config.clone(),
            });
            entries.take(limit as usize).collect()
        })
    }

    fn items(
        &self,
        owner: &str,
        node: &str,
        request: ItemsRequest,
    ) -> BoxFuture<'_, Result<ItemsPage>> {
        let page = self.read(|tables| {
            let node = tables.node(owner, node).ok_or(Error::NotFound)?;
            node.page(&request)
        });
        Box::pin(async move { page.await? })
    }

    fn newest(
        &self,
        owners: &[String],
        nodes: &[String],
        reader: &str,
    ) -> BoxFuture<'_, Result<Vec<Newest>>> {
        self.read(|tables| {
            let all = owners.iter().flat_map(|owner| {
                let theirs = tables.nodes(owner).filter(|(node, _)| nodes.contains(node));
                theirs.filter_map(move |(node, row)| {
                    Some(Newest {
                        owner: owner.clone(),
                        node: node.clone(),
                        config: row.config.clone(),
                        affiliation: row.affiliations.get(reader).copied(),
                        bytes: row.items.last()?.payload.bytes.len() as u64,
                    })
                })
            });
            all.collect()
        })
    }

    fn last_items(&self, nodes: &[(String, String)]) -> BoxFuture<'_, Result<Vec<LastItem>>> {
        self.read(|tables| {
            let last = nodes.iter().filter_map(|(owner, node)| {
                Some(LastItem {
                    owner: owner.clone(),
                    node: node.clone(),
                    item: tables.node(owner, node)?.items.last()?.clone(),
                })
            });
            last.collect()
        })
    }

    fn subscriptions_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeSubscription)>>> {
        self.read(|tables| {
            let nodes = tables.nodes(owner);
            let theirs = nodes.flat_map(|(node, row)| {
                row.subscriptions_of(jid)
                    .map(|found| (node.clone(), found.clone()))
            });
            theirs.collect()
        })
    }

    fn affiliations_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeAffiliation)>>> {
        self.read(|tables| {
            let nodes = tables.nodes(owner);
            let theirs =
                nodes.filter_map(|(node, row)| Some((node.clone(), *row.affiliations.get(jid)?)));
            theirs.collect()
        })
    }
}
