//! Giving back the space of deleted accounts, a few milliseconds at a time.

use rusqlite::Connection;

use super::archive;
use super::fault::Fault;
use super::known::Known;
use super::statement::{one, run};

/// Rows in a slice. At some hundred bytes each a slice is a millisecond or two, about one commit.
const SLICE: usize = 200;

/// One statement for each table that has rows of an account: `?1` the account, `?2` how many.
const TABLES: &[&str] = &[
    "DELETE FROM offline WHERE seq IN
        (SELECT seq FROM offline WHERE account_id = ?1 LIMIT ?2)",
    // Before their entries in the index, by which they are found.
    "DELETE FROM archive WHERE seq IN
        (SELECT seq FROM archive_index WHERE account_id = ?1 ORDER BY seq LIMIT ?2)",
    "DELETE FROM archive_index WHERE account_id = ?1 AND seq IN
        (SELECT seq FROM archive_index WHERE account_id = ?1 ORDER BY seq LIMIT ?2)",
    "DELETE FROM streams WHERE id IN
        (SELECT id FROM streams WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM roster WHERE account_id = ?1 AND jid IN
        (SELECT jid FROM roster WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM roster_removed WHERE account_id = ?1 AND version IN
        (SELECT version FROM roster_removed WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM pending_in WHERE account_id = ?1 AND jid IN
        (SELECT jid FROM pending_in WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM private_items WHERE id IN
        (SELECT id FROM private_items WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM blocked WHERE account_id = ?1 AND jid IN
        (SELECT jid FROM blocked WHERE account_id = ?1 LIMIT ?2)",
    // Before the nodes, by which they are found.
    "DELETE FROM pubsub_items WHERE seq IN
        (SELECT i.seq FROM pubsub_nodes n CROSS JOIN pubsub_items i ON i.node_id = n.id
         WHERE n.account_id = ?1 LIMIT ?2)",
    "DELETE FROM pubsub_affiliations WHERE id IN
        (SELECT id FROM pubsub_affiliations WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM pubsub_subscriptions WHERE id IN
        (SELECT id FROM pubsub_subscriptions WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM pubsub_nodes WHERE id IN
        (SELECT id FROM pubsub_nodes WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM room_affiliations WHERE account_id = ?1 AND jid IN
        (SELECT jid FROM room_affiliations WHERE account_id = ?1 LIMIT ?2)",
    "DELETE FROM rooms WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM offline_totals WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM archive_totals WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM archive_delivered WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM archive_prefs WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM vcards WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM push WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM tokens WHERE account_id = ?1 AND ?2 > 0",
    "DELETE FROM last_seen WHERE account_id = ?1 AND ?2 > 0",
];

/// Whether a deleted account may have left rows.
pub(super) fn is_due(conn: &Connection) -> Result<bool, Fault> {
    Ok(next(conn)?.is_some())
}

/// Deletes up to a slice of rows; whether there is more to do.
pub(super) fn slice(conn: &Connection, known: &Known) -> Result<bool, Fault> {
    let Some(account) = next(conn)? else {
        return Ok(false);
    };
    let recent = known.recent().first(account, i64::MAX, SLICE);
    run(conn, "BEGIN IMMEDIATE", [])?;
    if let Some(last) = recent.last() {
        // By the index they are found.
        archive::index(conn, account, &recent)?;
        run(conn, "COMMIT", [])?;
        known.recent().remove(account, last.seq);
        return Ok(true);
    }
    let mut room = SLICE;
    for sql in TABLES {
        room = room.saturating_sub(run(conn, sql, (account, room))?);
        if room == 0 {
            break;
        }
    }
    archive::keep_the_end(conn, known.end())?;
    if room > 0 {
        run(
            conn,
            "DELETE FROM deleted_accounts WHERE id = ?1",
            [account],
        )?;
    }
    run(conn, "COMMIT", [])?;
    Ok(true)
}

fn next(conn: &Connection) -> Result<Option<i64>, Fault> {
    one(conn, "SELECT id FROM deleted_accounts LIMIT 1", [], |row| {
        row.get(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_with_an_account_is_cleaned() {
        let mut conn = Connection::open_in_memory().unwrap();
        super::super::migrations::migrate(&mut conn).unwrap();
        let mut tables = conn
            .prepare(
                "SELECT DISTINCT t.name FROM pragma_table_list t, pragma_table_info(t.name) c
                 WHERE t.schema = 'main' AND c.name IN ('account_id', 'node_id')
                     AND t.name <> 'scram_keys'",
            )
            .unwrap();
        let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let tables: Vec<String> = tables.collect::<Result<_, _>>().unwrap();
        assert!(tables.len() >= 9, "{tables:?}");
        for table in &tables {
            let cleans = |sql: &&'static str| sql.split_whitespace().nth(2) == Some(table);
            assert!(TABLES.iter().any(cleans), "{table} is not cleaned");
        }
        assert_eq!(TABLES.len(), tables.len());
    }
}
