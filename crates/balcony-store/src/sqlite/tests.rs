//! What only this backend has: files, threads, a disk that fills up.

use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::contract::model::{agrees_with_memory, model_of, snapshot, write_set};
use crate::contract::model_archive::with_ids;
use crate::contract::pubsub::NODE;
use crate::contract::rooms::GARDEN;
use crate::contract::{
    AMPLE, JULIET, ROMEO, archive, archived, create, delete, done, entry, pubsub, push,
    push_archive, rooms, waiting, write,
};
use crate::{Affiliation, ItemsPlace, ItemsRequest, NodeAffiliation, Write};

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), Settings::default()).unwrap()
}

fn fresh() -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(open(&dir)), dir)
}

crate::contract_tests!(fresh());

#[test]
fn random_writes_agree_with_the_store_in_memory() {
    agrees_with_memory(40, fresh);
}

/// The same with lots so small that each test brings many into the index of the archives, half
/// done ones among them.
mod small_lots {
    use super::*;

    fn fresh() -> (Arc<dyn Store>, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_with(dir.path(), Settings::default(), 3).unwrap();
        (Arc::new(store), dir)
    }

    crate::contract_tests!(fresh());

    #[test]
    fn random_writes_agree_with_the_store_in_memory() {
        agrees_with_memory(40, fresh);
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let mut runner = TestRunner::deterministic();
    let dir = tempfile::tempdir().unwrap();
    let model = model_of(&open(&dir)).await;
    let mut ids = Vec::new();
    for round in 0..20 {
        // With small lots, some are half done when the store is closed.
        let lot = if round % 2 == 0 { 3 } else { LOT };
        let store = SqliteStore::open_with(dir.path(), Settings::default(), lot).unwrap();
        assert_eq!(snapshot(&store).await, snapshot(&model).await);
        for _ in 0..20 {
            let set = write_set().new_tree(&mut runner).unwrap().current();
            let set = with_ids(&set, &ids);
            let expected = model.commit(set.clone()).await;
            assert_eq!(store.commit(set).await, expected);
            ids.extend(expected.into_iter().flat_map(|done| done.archived));
        }
        if round % 3 == 0 {
            // The first of them has nothing to look at after an orderly stop.
            for _ in 0..2 {
                done(&store, Write::TakeUp).await;
                done(&model, Write::TakeUp).await;
            }
            drop(store);
            totals_are_right(&dir);
        }
    }
}

/// When everything is in the index of the archives.
fn totals_are_right(dir: &TempDir) {
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    let sums = |sql: &str| -> Vec<(i64, i64, i64, i64)> {
        let mut statement = raw.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let told = sums(
        "SELECT t.account_id, t.row_count, t.byte_count, t.oldest
         FROM archive_totals t ORDER BY t.account_id",
    );
    let counted = sums(
        "SELECT m.account_id, count(*), sum(length(m.stanza)), min(m.received_at)
         FROM archive m JOIN accounts a ON a.id = m.account_id
         GROUP BY m.account_id ORDER BY m.account_id",
    );
    assert_eq!(told, counted);
    let indexed: i64 = raw
        .query_row(
            "SELECT count(*) FROM archive_index NATURAL JOIN archive",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let all: i64 = raw
        .query_row("SELECT count(*) FROM archive", [], |row| row.get(0))
        .unwrap();
    assert_eq!(indexed, all);
}

#[tokio::test]
async fn queued_sets_are_committed_before_a_drop_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    done(&store, create(ROMEO)).await;
    let texts: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let commit = |text: &String| store.commit(WriteSet::from(push(ROMEO, text, AMPLE)));
    let tickets: Vec<Ticket> = texts.iter().map(commit).collect();
    drop(store);
    for ticket in tickets {
        assert_eq!(ticket.await.map(|_| ()), Ok(()));
    }
    assert_eq!(waiting(&open(&dir), ROMEO).await, texts);
}

#[tokio::test]
async fn second_store_on_the_same_directory_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let second = SqliteStore::open(dir.path(), Settings::default());
    let pid = Some(std::process::id());
    assert_eq!(second.err(), Some(Error::InUse { pid }));
    first.close().await;
    open(&dir);
}

#[test]
fn newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    raw.execute("INSERT INTO schema_migrations VALUES (99, 'later', 0)", [])
        .unwrap();
    drop(raw);
    let refused = SqliteStore::open(dir.path(), Settings::default()).err();
    assert!(
        matches!(refused, Some(Error::SchemaNewer { found: 99, .. })),
        "{refused:?}"
    );
}

#[test]
fn file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("balcony.sqlite3"), "x".repeat(5_000)).unwrap();
    let refused = SqliteStore::open(dir.path(), Settings::default()).err();
    assert!(matches!(refused, Some(Error::Broken(_))), "{refused:?}");
}

#[tokio::test]
async fn journal_files_are_private_too() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    done(&store, create(ROMEO)).await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(mode & 0o777, 0o600, "{names:?}");
    }
    names.sort();
    let expected = [
        "balcony.lock",
        "balcony.sqlite3",
        "balcony.sqlite3-shm",
        "balcony.sqlite3-wal",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn connections_are_set_up_as_promised() {
    let (_store, dir) = fresh();
    let path = dir.path().join("balcony.sqlite3");
    let connections = Connections::open(&path, Settings::default()).unwrap();
    let ask = |pragma: &str| -> String {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let value = connections.writer.pragma_query_value(None, pragma, read);
        format!("{:?}", value.unwrap())
    };
    assert_eq!(ask("journal_mode"), "Text(\"wal\")");
    assert_eq!(ask("synchronous"), "Integer(2)");
    assert_eq!(ask("page_size"), "Integer(8192)");
    assert_eq!(ask("foreign_keys"), "Integer(1)");
}

#[tokio::test]
async fn full_store_says_so_and_recovers_without_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        max_bytes: Some(1 << 20),
        ..Settings::default()
    };
    let store = SqliteStore::open(dir.path(), settings).unwrap();
    done(&store, create(ROMEO)).await;
    let text = "x".repeat(20_000);
    let mut kept = 0;
    loop {
        match write(&store, push(ROMEO, &text, AMPLE)).await {
            Ok(()) => kept += 1,
            Err(error) => {
                assert_eq!(error, Error::Full);
                break;
            }
        }
        assert!(kept < 100, "the bound was never reached");
    }
    let rows = store.offline().total(ROMEO).await.unwrap().rows;
    assert_eq!(rows, kept, "what was answered, and nothing else, is there");
    // In one group with a set that frees space, one that does not fit harms nobody.
    let tickets = [
        push(ROMEO, &text, AMPLE),
        Write::OfflineDelete {
            account: ROMEO.into(),
            after: 0,
            up_to: i64::MAX,
        },
        push(ROMEO, "after", AMPLE),
    ]
    .map(|op| store.commit(WriteSet::from(op)));
    let [_, freed, after] = tickets;
    assert_eq!(freed.await.map(|_| ()), Ok(()));
    assert_eq!(after.await.map(|_| ()), Ok(()));
    assert_eq!(waiting(&store, ROMEO).await.last().unwrap(), "after");
}

#[tokio::test]
async fn rows_of_deleted_accounts_go_between_commits() {
    let (store, dir) = fresh();
    done(&*store, create(ROMEO)).await;
    let pushes = (0..1_000).flat_map(|n| {
        let text = n.to_string();
        let archived = push_archive(ROMEO, entry(JULIET, &text, 1));
        [push(ROMEO, &text, AMPLE), archived]
    });
    assert_eq!(store.commit(pushes.collect()).await.map(|_| ()), Ok(()));
    done(&*store, delete(ROMEO)).await;
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    let left = || -> i64 {
        let sql = "SELECT (SELECT count(*) FROM offline) + (SELECT count(*) FROM offline_totals)
                        + (SELECT count(*) FROM archive) + (SELECT count(*) FROM archive_index)
                        + (SELECT count(*) FROM archive_totals)
                        + (SELECT count(*) FROM deleted_accounts)";
        raw.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    // A slice follows each commit at the latest, so a few commits see all of it gone.
    for n in 0..40 {
        done(&*store, create(&format!("user{n}@localhost"))).await;
    }
    assert_eq!(left(), 0);
}

/// A room with a node, of which there is more of everything than a slice takes.
async fn large_room(store: &dyn Store) {
    let member = rooms::plain(Affiliation::Member);
    let writes = (0..300).flat_map(|n| {
        let jid = &format!("user{n:03}@x");
        let mut affiliate = rooms::affiliate(GARDEN, jid, Some(member.clone()));
        let reader = Some(NodeAffiliation::Member);
        let mut reads = pubsub::affiliate(GARDEN, NODE, jid, reader);
        let mut subscribe = pubsub::subscribe(GARDEN, NODE, pubsub::subscription(jid, ""));
        for write in [&mut affiliate, &mut reads, &mut subscribe] {
            if let Write::RoomAffiliationSet { max, .. }
            | Write::NodeAffiliationSet { max, .. }
            | Write::SubscriptionSet { max, .. } = write
            {
                *max = 1_000;
            }
        }
        let publish = pubsub::publish(GARDEN, NODE, pubsub::item(jid, n), 1_000);
        [affiliate, reads, subscribe, publish]
    });
    let made = [
        rooms::create_room(GARDEN),
        pubsub::create_node(GARDEN, NODE, 1),
    ];
    let set: WriteSet = made.into_iter().chain(writes).collect();
    assert_eq!(store.commit(set).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn rows_of_deleted_rooms_go_between_commits() {
    let (store, dir) = fresh();
    large_room(&*store).await;
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    let left = || -> i64 {
        let sql = "SELECT (SELECT count(*) FROM rooms) + (SELECT count(*) FROM room_affiliations)
                        + (SELECT count(*) FROM pubsub_nodes) + (SELECT count(*) FROM pubsub_items)
                        + (SELECT count(*) FROM pubsub_affiliations)
                        + (SELECT count(*) FROM pubsub_subscriptions)
                        + (SELECT count(*) FROM deleted_accounts)";
        raw.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left(), 1_202);
    done(&*store, rooms::delete_room(GARDEN)).await;
    for n in 0..20 {
        done(&*store, create(&format!("user{n}@localhost"))).await;
    }
    assert_eq!(left(), 0);
}

#[tokio::test]
async fn rooms_and_nodes_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    large_room(&store).await;
    archive(&store, GARDEN, entry(ROMEO, "a rose", 1)).await;
    let told = async |store: &SqliteStore| {
        let room = store.rooms().get(GARDEN).await.unwrap().unwrap();
        let node = store
            .pubsub()
            .node(GARDEN, NODE, None)
            .await
            .unwrap()
            .unwrap();
        let last = ItemsRequest {
            place: ItemsPlace::Last,
            limit: 1_000,
            not_before: None,
        };
        let items = store.pubsub().items(GARDEN, NODE, last).await.unwrap();
        (room, node, items)
    };
    let before = told(&store).await;
    assert_eq!(before.0.affiliations.len(), 300);
    assert_eq!((before.1.subscriptions.len(), before.2.count), (300, 300));
    drop(store);
    let store = open(&dir);
    assert_eq!(told(&store).await, before);
    assert_eq!(archived(&store, GARDEN).await, ["a rose"]);
    let exists = store.accounts().exists("rooms.localhost", "garden").await;
    assert_eq!(exists, Ok(false));
}

#[tokio::test]
async fn cleaning_that_was_cut_short_goes_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    raw.execute_batch(
        "INSERT INTO deleted_accounts VALUES (77);
         INSERT INTO blocked VALUES (77, 'paris@localhost');",
    )
    .unwrap();
    let store = open(&dir);
    for n in 0..5 {
        done(&store, create(&format!("user{n}@localhost"))).await;
    }
    let count = "SELECT count(*) FROM blocked";
    let left: i64 = raw.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

/// A fault in what was left for later is nobody's fault who commits meanwhile.
#[tokio::test]
async fn lot_that_fails_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with(dir.path(), Settings::default(), 2).unwrap();
    done(&store, create(ROMEO)).await;
    let raw = Connection::open(dir.path().join("balcony.sqlite3")).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER fault BEFORE INSERT ON archive_index
         BEGIN SELECT RAISE(ABORT, 'a fault'); END",
    )
    .unwrap();
    let texts: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for text in &texts {
        archive(&store, ROMEO, entry(JULIET, text, 1)).await;
    }
    assert_eq!(archived(&store, ROMEO).await, texts);
    let left = || -> i64 {
        let sql = "SELECT (SELECT count(*) FROM archive) - (SELECT count(*) FROM archive_index)";
        raw.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left(), 20);
    raw.execute_batch("DROP TRIGGER fault").unwrap();
    // Two rows ride in each commit, but for one that finds its statements out of date.
    let mut commits = 0;
    while left() > 0 && commits < 100 {
        done(&store, create(&format!("user{commits}@localhost"))).await;
        commits += 1;
    }
    assert_eq!(left(), 0);
    assert_eq!(archived(&store, ROMEO).await, texts);
}

#[tokio::test]
async fn log_is_copied_and_starts_again_under_load() {
    let (store, dir) = fresh();
    done(&*store, create(ROMEO)).await;
    let text = "x".repeat(200_000);
    let log = dir.path().join("balcony.sqlite3-wal");
    let mut written = 0;
    for _ in 0..800 {
        done(&*store, push(ROMEO, &text, AMPLE_BYTES)).await;
        written += text.len() as u64;
    }
    let size = std::fs::metadata(log).unwrap().len();
    assert!(size < written, "{size} of {written}");
}

const AMPLE_BYTES: crate::Bounds = crate::Bounds {
    rows: 10_000,
    bytes: 1 << 40,
};
