use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Row};

use super::{Node, stored};
use crate::sqlite::accounts::find;
use crate::sqlite::apply::misplaced;
use crate::sqlite::fault::Fault;
use crate::sqlite::statement::{all, one, run, unknown_word, walk};
use crate::{
    Error, ItemsPage, ItemsPlace, ItemsRequest, LastItem, Newest, NodeAffiliation, PubsubItem,
    Write,
};

pub(super) fn apply(conn: &Connection, node: Node, write: &Write) -> Result<(), Fault> {
    match write {
        Write::ItemPublish {
            item, max_items, ..
        } => publish(conn, node, item, *max_items),
        Write::ItemRetract { id, .. } => match remove(conn, node, id)? {
            0 => Err(Error::NotFound.into()),
            _ => Ok(()),
        },
        Write::NodePurge { .. } => {
            run(
                conn,
                "DELETE FROM pubsub_items WHERE node_id = ?1",
                [node.id],
            )?;
            Ok(())
        }
        Write::ItemsExpire { before, .. } => {
            run(
                conn,
                "DELETE FROM pubsub_items WHERE node_id = ?1 AND published_at < ?2",
                (node.id, before),
            )?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

fn remove(conn: &Connection, node: Node, id: &str) -> Result<usize, Fault> {
    run(
        conn,
        "DELETE FROM pubsub_items WHERE node_id = ?1 AND id = ?2",
        (node.id, id),
    )
}

fn publish(conn: &Connection, node: Node, item: &PubsubItem, max: u32) -> Result<(), Fault> {
    // Not an update: it moves to the end.
    remove(conn, node, &item.id)?;
    run(
        conn,
        "INSERT INTO pubsub_items (node_id, id, publisher, published_at, format, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            node.id,
            &item.id,
            &item.publisher,
            item.published_at,
            item.payload.format,
            &item.payload.bytes,
        ),
    )?;
    run(
        conn,
        "DELETE FROM pubsub_items WHERE seq IN
             (SELECT seq FROM pubsub_items INDEXED BY pubsub_items_in_order WHERE node_id = ?1
              ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
        (node.id, max),
    )?;
    Ok(())
}

/// What a row is from its column `at` on: id, publisher, published_at, format, payload.
fn item(row: &Row<'_>, at: usize) -> rusqlite::Result<PubsubItem> {
    Ok(PubsubItem {
        id: row.get(at)?,
        publisher: row.get(at + 1)?,
        published_at: row.get(at + 2)?,
        payload: stored(row, at + 3)?,
    })
}

pub(super) fn page(
    conn: &Connection,
    node: Node,
    request: &ItemsRequest,
) -> Result<ItemsPage, Fault> {
    let since = request.not_before.unwrap_or(i64::MIN);
    let (limit, of) = (request.limit, (node, since));
    let (items, complete) = match &request.place {
        ItemsPlace::First => after(conn, of, 0, limit)?,
        ItemsPlace::After(id) => after(conn, of, seq(conn, node, id)?, limit)?,
        ItemsPlace::Last => before(conn, of, i64::MAX, limit)?,
        ItemsPlace::Before(id) => before(conn, of, seq(conn, node, id)?, limit)?,
        ItemsPlace::Ids(ids) => named(conn, of, ids, limit)?,
    };
    let count = match request.not_before {
        None => one(
            conn,
            "SELECT count(*) FROM pubsub_items WHERE node_id = ?1",
            [node.id],
            |row| row.get(0),
        )?,
        Some(since) => one(
            conn,
            "SELECT count(*) FROM pubsub_items WHERE node_id = ?1 AND published_at >= ?2",
            (node.id, since),
            |row| row.get(0),
        )?,
    };
    Ok(ItemsPage {
        items,
        count: count.unwrap_or(0),
        complete,
    })
}

/// The place of an item; NotFound when it is not there.
fn seq(conn: &Connection, node: Node, id: &str) -> Result<i64, Fault> {
    let seq = one(
        conn,
        "SELECT seq FROM pubsub_items WHERE node_id = ?1 AND id = ?2",
        (node.id, id),
        |row| row.get(0),
    )?;
    Ok(seq.ok_or(Error::NotFound)?)
}

/// One more than the limit is read, to know whether there is more.
fn after(
    conn: &Connection,
    (node, since): (Node, i64),
    seq: i64,
    limit: u32,
) -> Result<(Vec<PubsubItem>, bool), Fault> {
    let items = all(
        conn,
        "SELECT id, publisher, published_at, format, payload
         FROM pubsub_items INDEXED BY pubsub_items_in_order
         WHERE node_id = ?1 AND seq > ?2 AND published_at >= ?4 ORDER BY seq LIMIT ?3 + 1",
        (node.id, seq, limit, since),
        |row| item(row, 0),
    )?;
    Ok(cut(items, limit))
}

fn before(
    conn: &Connection,
    (node, since): (Node, i64),
    seq: i64,
    limit: u32,
) -> Result<(Vec<PubsubItem>, bool), Fault> {
    let items = all(
        conn,
        "SELECT id, publisher, published_at, format, payload
         FROM pubsub_items INDEXED BY pubsub_items_in_order
         WHERE node_id = ?1 AND seq < ?2 AND published_at >= ?4
         ORDER BY seq DESC LIMIT ?3 + 1",
        (node.id, seq, limit, since),
        |row| item(row, 0),
    )?;
    let (mut items, complete) = cut(items, limit);
    items.reverse();
    Ok((items, complete))
}

fn named(
    conn: &Connection,
    (node, since): (Node, i64),
    ids: &[String],
    limit: u32,
) -> Result<(Vec<PubsubItem>, bool), Fault> {
    let mut found = BTreeMap::new();
    for id in ids {
        let row = one(
            conn,
            "SELECT seq, id, publisher, published_at, format, payload FROM pubsub_items
             WHERE node_id = ?1 AND id = ?2 AND published_at >= ?3",
            (node.id, id, since),
            |row| Ok((row.get::<_, i64>(0)?, item(row, 1)?)),
        )?;
        found.extend(row);
    }
    Ok(cut(found.into_values().collect(), limit))
}

fn cut(mut items: Vec<PubsubItem>, limit: u32) -> (Vec<PubsubItem>, bool) {
    let complete = items.len() <= limit as usize;
    items.truncate(limit as usize);
    (items, complete)
}

/// A walk through the names of an owner's nodes, and two steps through indexes for each that is
/// wanted, all in one go on a thread that reads.
pub(super) fn newest(
    conn: &Connection,
    owners: &[String],
    nodes: &[String],
    reader: &str,
) -> Result<Vec<Newest>, Fault> {
    let wanted: HashSet<&str> = nodes.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for owner in owners {
        let Some(id) = find(conn, owner)? else {
            continue;
        };
        let mut theirs: Vec<(i64, String)> = Vec::new();
        walk(
            conn,
            "SELECT id, node FROM pubsub_nodes WHERE account_id = ?1 ORDER BY node",
            [id],
            |row| {
                let node = row.get_ref(1)?.as_str()?;
                if wanted.contains(node) {
                    theirs.push((row.get(0)?, node.to_owned()));
                }
                Ok(true)
            },
        )?;
        for (id, node) in theirs {
            found.extend(newest_of(conn, owner, (id, node), reader)?);
        }
    }
    Ok(found)
}

fn newest_of(
    conn: &Connection,
    owner: &str,
    (id, node): (i64, String),
    reader: &str,
) -> Result<Option<Newest>, Fault> {
    one(
        conn,
        "SELECT n.format, n.config, a.affiliation, length(i.payload)
         FROM pubsub_nodes n CROSS JOIN pubsub_items i ON i.seq =
             (SELECT max(seq) FROM pubsub_items INDEXED BY pubsub_items_in_order
              WHERE node_id = n.id)
         LEFT JOIN pubsub_affiliations a ON a.node_id = n.id AND a.jid = ?2
         WHERE n.id = ?1",
        (id, reader),
        |row| {
            let word = row.get_ref(2)?.as_str_or_null()?;
            let affiliation = match word {
                Some(word) => {
                    let known = NodeAffiliation::parse(word);
                    Some(known.ok_or_else(|| unknown_word(2, word))?)
                }
                None => None,
            };
            Ok(Newest {
                owner: owner.to_owned(),
                node,
                config: stored(row, 0)?,
                affiliation,
                bytes: row.get(3)?,
            })
        },
    )
}

pub(super) fn last(conn: &Connection, nodes: &[(String, String)]) -> Result<Vec<LastItem>, Fault> {
    let mut found = Vec::new();
    for (owner, node) in nodes {
        let Some(id) = find(conn, owner)? else {
            continue;
        };
        let last = one(
            conn,
            "SELECT id, publisher, published_at, format, payload FROM pubsub_items
             WHERE seq = (SELECT max(seq) FROM pubsub_items INDEXED BY pubsub_items_in_order
                          WHERE node_id = (SELECT id FROM pubsub_nodes
                                           WHERE account_id = ?1 AND node = ?2))",
            (id, node),
            |row| item(row, 0),
        )?;
        found.extend(last.map(|item| LastItem {
            owner: owner.clone(),
            node: node.clone(),
            item,
        }));
    }
    Ok(found)
}
