//! Who has an affiliation with a node, or a subscription.

use rusqlite::{Connection, Row};

use super::Node;
use crate::sqlite::accounts::find;
use crate::sqlite::apply::misplaced;
use crate::sqlite::fault::Fault;
use crate::sqlite::statement::{all, one, run, unknown_word};
use crate::{Error, NodeAffiliation, NodeSubscription, Stored, SubscriptionState, Write};

pub(super) fn apply(conn: &Connection, node: Node, write: &Write) -> Result<(), Fault> {
    match write {
        Write::NodeAffiliationSet {
            jid,
            affiliation,
            max,
            ..
        } => match affiliation {
            Some(affiliation) => affiliate(conn, node, (jid, *affiliation), *max),
            None => {
                run(
                    conn,
                    "DELETE FROM pubsub_affiliations WHERE node_id = ?1 AND jid = ?2",
                    (node.id, jid),
                )?;
                Ok(())
            }
        },
        Write::SubscriptionSet {
            subscription, max, ..
        } => subscribe(conn, node, subscription, *max),
        Write::SubscriptionRemove { jid, subid, .. } => {
            run(
                conn,
                "DELETE FROM pubsub_subscriptions
                 WHERE node_id = ?1 AND jid = ?2 AND subid = coalesce(?3, subid)",
                (node.id, jid, subid),
            )?;
            Ok(())
        }
        _ => Err(misplaced()),
    }
}

pub(super) fn forget(conn: &Connection, jid: &str) -> Result<(), Fault> {
    run(
        conn,
        "DELETE FROM pubsub_affiliations INDEXED BY pubsub_affiliations_by_whom
         WHERE jid = ?1 AND account_id NOT IN (SELECT id FROM accounts WHERE kind = 2)",
        [jid],
    )?;
    run(
        conn,
        "DELETE FROM pubsub_subscriptions INDEXED BY pubsub_subscriptions_by_whom
         WHERE jid >= ?1 AND jid < ?1 || '0' AND (jid = ?1 OR jid > ?1 || '/')
             AND account_id NOT IN (SELECT id FROM accounts WHERE kind = 2)",
        [jid],
    )?;
    Ok(())
}

fn affiliate(
    conn: &Connection,
    node: Node,
    (jid, affiliation): (&str, NodeAffiliation),
    max: u32,
) -> Result<(), Fault> {
    let has_place = one(
        conn,
        "SELECT EXISTS (SELECT 1 FROM pubsub_affiliations WHERE node_id = ?1 AND jid = ?2)
             OR (SELECT count(*) FROM pubsub_affiliations WHERE node_id = ?1) < ?3",
        (node.id, jid, max),
        |row| row.get(0),
    )?;
    if has_place != Some(true) {
        return Err(Error::Limit("affiliations").into());
    }
    run(
        conn,
        "INSERT OR REPLACE INTO pubsub_affiliations (account_id, node_id, jid, affiliation)
         VALUES (?1, ?2, ?3, ?4)",
        (node.owner, node.id, jid, affiliation.as_str()),
    )?;
    Ok(())
}

fn subscribe(conn: &Connection, node: Node, new: &NodeSubscription, max: u32) -> Result<(), Fault> {
    let has_place = one(
        conn,
        "SELECT EXISTS (SELECT 1 FROM pubsub_subscriptions
                        WHERE node_id = ?1 AND jid = ?2 AND subid = ?3)
             OR (SELECT count(*) FROM pubsub_subscriptions WHERE node_id = ?1) < ?4",
        (node.id, &new.jid, &new.subid, max),
        |row| row.get(0),
    )?;
    if has_place != Some(true) {
        return Err(Error::Limit("subscriptions").into());
    }
    run(
        conn,
        "INSERT OR REPLACE INTO pubsub_subscriptions
             (account_id, node_id, jid, subid, state, format, options, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            node.owner,
            node.id,
            &new.jid,
            &new.subid,
            new.state.as_str(),
            new.options.as_ref().map(|options| options.format),
            new.options.as_ref().map(|options| &options.bytes),
            new.expires_at,
        ),
    )?;
    Ok(())
}

/// What a row is from its column `at` on: jid, subid, state, format, options, expires_at.
fn subscription(row: &Row<'_>, at: usize) -> rusqlite::Result<NodeSubscription> {
    let word = row.get_ref(at + 2)?.as_str()?;
    let format: Option<u16> = row.get(at + 3)?;
    let bytes: Option<Vec<u8>> = row.get(at + 4)?;
    Ok(NodeSubscription {
        jid: row.get(at)?,
        subid: row.get(at + 1)?,
        state: SubscriptionState::parse(word).ok_or_else(|| unknown_word(at + 2, word))?,
        options: format
            .zip(bytes)
            .map(|(format, bytes)| Stored { format, bytes }),
        expires_at: row.get(at + 5)?,
    })
}

fn affiliation(row: &Row<'_>) -> rusqlite::Result<(String, NodeAffiliation)> {
    let word = row.get_ref(1)?.as_str()?;
    let affiliation = NodeAffiliation::parse(word).ok_or_else(|| unknown_word(1, word))?;
    Ok((row.get(0)?, affiliation))
}

pub(super) fn affiliations(
    conn: &Connection,
    node: i64,
) -> Result<Vec<(String, NodeAffiliation)>, Fault> {
    all(
        conn,
        "SELECT jid, affiliation FROM pubsub_affiliations WHERE node_id = ?1 ORDER BY jid",
        [node],
        affiliation,
    )
}

pub(super) fn subscriptions(conn: &Connection, node: i64) -> Result<Vec<NodeSubscription>, Fault> {
    all(
        conn,
        "SELECT jid, subid, state, format, options, expires_at FROM pubsub_subscriptions
         WHERE node_id = ?1 ORDER BY jid, subid",
        [node],
        |row| subscription(row, 0),
    )
}

/// The affiliation and the subscriptions of a bare JID.
#[expect(clippy::type_complexity, reason = "two lists of which each is plain")]
pub(super) fn of(
    conn: &Connection,
    node: i64,
    jid: &str,
) -> Result<(Vec<(String, NodeAffiliation)>, Vec<NodeSubscription>), Fault> {
    let affiliations = all(
        conn,
        "SELECT jid, affiliation FROM pubsub_affiliations WHERE node_id = ?1 AND jid = ?2",
        (node, jid),
        affiliation,
    )?;
    let subscriptions = all(
        conn,
        "SELECT jid, subid, state, format, options, expires_at FROM pubsub_subscriptions
         WHERE node_id = ?1 AND jid >= ?2 AND jid < ?2 || '0' AND (jid = ?2 OR jid > ?2 || '/')
         ORDER BY jid, subid",
        (node, jid),
        |row| subscription(row, 0),
    )?;
    Ok((affiliations, subscriptions))
}

pub(super) fn affiliations_of(
    conn: &Connection,
    owner: &str,
    jid: &str,
) -> Result<Vec<(String, NodeAffiliation)>, Fault> {
    let Some(owner) = find(conn, owner)? else {
        return Ok(Vec::new());
    };
    all(
        conn,
        "SELECT n.node, a.affiliation
         FROM pubsub_affiliations a CROSS JOIN pubsub_nodes n ON n.id = a.node_id
         WHERE a.account_id = ?1 AND a.jid = ?2 ORDER BY n.node",
        (owner, jid),
        affiliation,
    )
}

pub(super) fn subscriptions_of(
    conn: &Connection,
    owner: &str,
    jid: &str,
) -> Result<Vec<(String, NodeSubscription)>, Fault> {
    let Some(owner) = find(conn, owner)? else {
        return Ok(Vec::new());
    };
    // The full JIDs of a bare one lie between it with "/" and with the next character, "0".
    // Behind a full one that would be a longer resource.
    let resources = !jid.contains('/');
    all(
        conn,
        "SELECT n.node, s.jid, s.subid, s.state, s.format, s.options, s.expires_at
         FROM pubsub_subscriptions s CROSS JOIN pubsub_nodes n ON n.id = s.node_id
         WHERE s.account_id = ?1 AND s.jid >= ?2 AND s.jid < ?2 || '0'
             AND (s.jid = ?2 OR (?3 AND s.jid > ?2 || '/'))
         ORDER BY n.node, s.jid, s.subid",
        (owner, jid, resources),
        |row| Ok((row.get(0)?, subscription(row, 1)?)),
    )
}
