//! The schema: numbered files, applied once and in order, each with a checksum.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::fault::Fault;
use crate::Error;

/// A migration that has been released is never edited: its checksum would not match any more.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The number of a migration is its place in this list, from 1.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "core",
        sql: include_str!("../../migrations/sqlite/0001_core.sql"),
    },
    Migration {
        name: "archive",
        sql: include_str!("../../migrations/sqlite/0002_archive.sql"),
    },
    Migration {
        name: "streams",
        sql: include_str!("../../migrations/sqlite/0003_streams.sql"),
    },
    Migration {
        name: "tokens",
        sql: include_str!("../../migrations/sqlite/0004_tokens.sql"),
    },
    Migration {
        name: "push",
        sql: include_str!("../../migrations/sqlite/0005_push.sql"),
    },
    Migration {
        name: "rooms",
        sql: include_str!("../../migrations/sqlite/0006_rooms.sql"),
    },
    Migration {
        name: "pubsub",
        sql: include_str!("../../migrations/sqlite/0007_pubsub.sql"),
    },
    Migration {
        name: "pubsub people",
        sql: include_str!("../../migrations/sqlite/0008_pubsub_people.sql"),
    },
    Migration {
        name: "remote",
        sql: include_str!("../../migrations/sqlite/0009_remote.sql"),
    },
];

/// Brings the schema up to date, in one transaction.
///
/// # Errors
/// [`Error::SchemaNewer`] and [`Error::SchemaChanged`]; nothing is changed then.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), Fault> {
    apply(conn, MIGRATIONS)
}

fn apply(conn: &mut Connection, migrations: &[Migration]) -> Result<(), Fault> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL
        ) STRICT",
    )?;
    let found: Option<u32> =
        tx.query_row("SELECT max(number) FROM schema_migrations", [], |row| {
            row.get(0)
        })?;
    let found = found.unwrap_or(0);
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(Error::SchemaNewer { found, known }.into());
    }
    for (number, migration) in (1..).zip(migrations) {
        let applied: Option<i64> = tx
            .query_row(
                "SELECT checksum FROM schema_migrations WHERE number = ?1",
                [number],
                |row| row.get(0),
            )
            .optional()?;
        match applied {
            Some(sum) if sum == checksum(migration.sql) => {}
            Some(_) => return Err(Error::SchemaChanged { number }.into()),
            None => {
                tx.execute_batch(migration.sql)?;
                tx.execute(
                    "INSERT INTO schema_migrations (number, name, checksum) VALUES (?1, ?2, ?3)",
                    (number, migration.name, checksum(migration.sql)),
                )?;
                tracing::info!(number, name = migration.name, "schema migration applied");
            }
        }
    }
    tx.commit()?;
    Ok(())
}

/// FNV-1a: guards against a slip of the hand, not against an attacker, who could edit the table.
fn checksum(sql: &str) -> i64 {
    sql.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
        .cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration {
        name: "first",
        sql: "CREATE TABLE a (x INTEGER)",
    };
    const SECOND: Migration = Migration {
        name: "second",
        sql: "CREATE TABLE b (x INTEGER)",
    };
    const BROKEN: Migration = Migration {
        name: "broken",
        sql: "CREATE TABLE c (x INTEGER); CREATE TABLE a (x INTEGER)",
    };

    fn refusal(outcome: Result<(), Fault>) -> Error {
        match outcome {
            Err(Fault::Refused(error)) => error,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn tables(conn: &Connection) -> Vec<String> {
        let mut rows = conn
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap();
        rows.query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn only_what_is_missing_is_applied() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST]).unwrap();
        apply(&mut conn, &[FIRST, SECOND]).unwrap();
        apply(&mut conn, &[FIRST, SECOND]).unwrap();
        assert_eq!(tables(&conn), ["a", "b", "schema_migrations"]);
    }

    #[test]
    fn newer_schema_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST, SECOND]).unwrap();
        let error = refusal(apply(&mut conn, &[FIRST]));
        assert_eq!(error, Error::SchemaNewer { found: 2, known: 1 });
    }

    #[test]
    fn edited_migration_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST]).unwrap();
        let error = refusal(apply(&mut conn, &[SECOND]));
        assert_eq!(error, Error::SchemaChanged { number: 1 });
    }

    #[test]
    fn failed_migration_leaves_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST]).unwrap();
        assert!(apply(&mut conn, &[FIRST, BROKEN]).is_err());
        assert_eq!(tables(&conn), ["a", "schema_migrations"]);
    }

    #[test]
    fn every_table_is_strict() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        let loose: i64 = conn
            .query_row(
                "SELECT count(*) FROM pragma_table_list
                 WHERE schema = 'main' AND name NOT LIKE 'sqlite%' AND strict = 0",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(loose, 0);
    }
}
