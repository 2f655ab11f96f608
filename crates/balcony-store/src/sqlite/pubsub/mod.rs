//! Nodes of accounts and services, with what belongs to them.

mod items;
mod people;

use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::accounts::{self, Kind, find};
use super::apply::misplaced;
use super::fault::Fault;
use super::statement::{all, one, run, snapshot};
use crate::{
    BoxFuture, Error, ItemsPage, ItemsRequest, LastItem, Newest, NodeAffiliation, NodeData,
    NodeEntry, NodeSubscription, Pubsub, Result, Stored, Write,
};

/// Whose node, and which.
#[derive(Clone, Copy)]
struct Node {
    owner: i64,
    id: i64,
}

/// Takes a bare JID and its resources off the lists of all nodes but those of services, whose
/// owners are told.
pub(super) fn forget(conn: &Connection, jid: &str) -> Result<(), Fault> {
    people::forget(conn, jid)
}

pub(super) fn apply(conn: &Connection, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ServiceCreate { host } => create_service(conn, host),
        Write::NodeCreate {
            owner,
            node,
            created,
            config,
            max_nodes,
        } => {
            let owner = accounts::require(conn, owner)?;
            has_place(conn, owner, node, *max_nodes)?;
            create(conn, (owner, node), *created, config)
        }
        Write::NodeConfigSet {
            owner,
            node,
            config,
        } => {
            let node = require(conn, owner, node)?;
            run(
                conn,
                "UPDATE pubsub_nodes SET format = ?2, config = ?3 WHERE id = ?1",
                (node.id, config.format, &config.bytes),
            )?;
            Ok(())
        }
        Write::NodeDelete { owner, node } => delete(conn, require(conn, owner, node)?),
        Write::ItemPublish { owner, node, .. }
        | Write::ItemRetract { owner, node, .. }
        | Write::NodePurge { owner, node }
        | Write::ItemsExpire { owner, node, .. } => {
            items::apply(conn, require(conn, owner, node)?, write)
        }
        Write::NodeAffiliationSet { owner, node, .. }
        | Write::SubscriptionSet { owner, node, .. }
        | Write::SubscriptionRemove { owner, node, .. } => {
            people::apply(conn, require(conn, owner, node)?, write)
        }
        _ => Err(misplaced()),
    }
}

fn create_service(conn: &Connection, host: &str) -> Result<(), Fault> {
    if accounts::find_kind(conn, host, Kind::Service)?.is_none() {
        accounts::insert(conn, Kind::Service, (host, ""), 0)?;
    }
    Ok(())
}

fn has_place(conn: &Connection, owner: i64, node: &str, max: u32) -> Result<(), Fault> {
    if find_node(conn, owner, node)?.is_some() {
        return Err(Error::Conflict("node").into());
    }
    let nodes: Option<u32> = one(
        conn,
        "SELECT count(*) FROM pubsub_nodes WHERE account_id = ?1",
        [owner],
        |row| row.get(0),
    )?;
    match nodes {
        Some(nodes) if nodes < max => Ok(()),
        _ => Err(Error::Limit("nodes").into()),
    }
}

fn create(
    conn: &Connection,
    (owner, node): (i64, &str),
    created: i64,
    config: &Stored,
) -> Result<(), Fault> {
    run(
        conn,
        "INSERT INTO pubsub_nodes (account_id, node, created, format, config)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (owner, node, created, config.format, &config.bytes),
    )?;
    Ok(())
}

/// All at once: a node has a bounded number of items.
fn delete(conn: &Connection, node: Node) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM pubsub_items WHERE node_id = ?1",
        "DELETE FROM pubsub_affiliations WHERE node_id = ?1",
        "DELETE FROM pubsub_subscriptions WHERE node_id = ?1",
        "DELETE FROM pubsub_nodes WHERE id = ?1",
    ] {
        run(conn, sql, [node.id])?;
    }
    Ok(())
}

fn find_node(conn: &Connection, owner: i64, node: &str) -> Result<Option<Node>, Fault> {
    one(
        conn,
        "SELECT id FROM pubsub_nodes WHERE account_id = ?1 AND node = ?2",
        (owner, node),
        |row| {
            let id = row.get(0)?;
            Ok(Node { owner, id })
        },
    )
}

/// NotFound when there is no such owner, or no such node.
fn require(conn: &Connection, owner: &str, node: &str) -> Result<Node, Fault> {
    let owner = accounts::require(conn, owner)?;
    Ok(find_node(conn, owner, node)?.ok_or(Error::NotFound)?)
}

fn get(
    conn: &Connection,
    owner: &str,
    node: &str,
    of: Option<&str>,
) -> Result<Option<NodeData>, Fault> {
    let Some(owner) = find(conn, owner)? else {
        return Ok(None);
    };
    let found = one(
        conn,
        "SELECT id, created, format, config FROM pubsub_nodes
         WHERE account_id = ?1 AND node = ?2",
        (owner, node),
        |row| Ok((row.get(0)?, row.get(1)?, stored(row, 2)?)),
    )?;
    let Some((id, created, config)) = found else {
        return Ok(None);
    };
    let (affiliations, subscriptions) = match of {
        None => (
            people::affiliations(conn, id)?,
            people::subscriptions(conn, id)?,
        ),
        Some(jid) => people::of(conn, id, jid)?,
    };
    Ok(Some(NodeData {
        created,
        config,
        affiliations,
        subscriptions,
    }))
}

fn nodes(
    conn: &Connection,
    owner: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<NodeEntry>, Fault> {
    let Some(owner) = find(conn, owner)? else {
        return Ok(Vec::new());
    };
    let entry = |row: &Row<'_>| {
        Ok(NodeEntry {
            node: row.get(0)?,
            created: row.get(1)?,
            config: stored(row, 2)?,
        })
    };
    // A node may have an empty name, which is after nothing.
    match after {
        None => all(
            conn,
            "SELECT node, created, format, config FROM pubsub_nodes
             WHERE account_id = ?1 ORDER BY node LIMIT ?2",
            (owner, limit),
            entry,
        ),
        Some(after) => all(
            conn,
            "SELECT node, created, format, config FROM pubsub_nodes
             WHERE account_id = ?1 AND node > ?2 ORDER BY node LIMIT ?3",
            (owner, after, limit),
            entry,
        ),
    }
}

fn stored(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    Ok(Stored {
        format: row.get(at)?,
        bytes: row.get(at + 1)?,
    })
}

impl Pubsub for SqliteStore {
    fn node(
        &self,
        owner: &str,
        node: &str,
        of: Option<&str>,
    ) -> BoxFuture<'_, Result<Option<NodeData>>> {
        let (owner, node, of) = (owner.to_owned(), node.to_owned(), of.map(str::to_owned));
        self.read(move |conn| snapshot(conn, || get(conn, &owner, &node, of.as_deref())))
    }

    fn nodes(
        &self,
        owner: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<NodeEntry>>> {
        let (owner, after) = (owner.to_owned(), after.map(str::to_owned));
        self.read(move |conn| nodes(conn, &owner, after.as_deref(), limit))
    }

    fn items(
        &self,
        owner: &str,
        node: &str,
        request: ItemsRequest,
    ) -> BoxFuture<'_, Result<ItemsPage>> {
        let (owner, node) = (owner.to_owned(), node.to_owned());
        self.read(move |conn| {
            snapshot(conn, || {
                let node = require(conn, &owner, &node)?;
                items::page(conn, node, &request)
            })
        })
    }

    fn newest(
        &self,
        owners: &[String],
        nodes: &[String],
        reader: &str,
    ) -> BoxFuture<'_, Result<Vec<Newest>>> {
        let (owners, nodes, reader) = (owners.to_vec(), nodes.to_vec(), reader.to_owned());
        self.read(move |conn| snapshot(conn, || items::newest(conn, &owners, &nodes, &reader)))
    }

    fn last_items(&self, nodes: &[(String, String)]) -> BoxFuture<'_, Result<Vec<LastItem>>> {
        let nodes = nodes.to_vec();
        self.read(move |conn| snapshot(conn, || items::last(conn, &nodes)))
    }

    fn subscriptions_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeSubscription)>>> {
        let (owner, jid) = (owner.to_owned(), jid.to_owned());
        self.read(move |conn| people::subscriptions_of(conn, &owner, &jid))
    }

    fn affiliations_of(
        &self,
        owner: &str,
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, NodeAffiliation)>>> {
        let (owner, jid) = (owner.to_owned(), jid.to_owned());
        self.read(move |conn| people::affiliations_of(conn, &owner, &jid))
    }
}
