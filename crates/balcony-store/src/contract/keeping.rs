//! Promises about what of an archive is kept: retention, retraction, preferences.

use std::sync::Arc;

use super::{JULIET, ROMEO, archive, archived, create, delete, done, entry, stored};
use crate::{ArchiveDefault, ArchiveEntry, ArchiveId, ArchivePrefs, Error, Store, Write};

const ELSEWHERE: &str = "romeo@example.com";

fn expire(before: i64, oldest: u32) -> Write {
    Write::ArchiveExpire {
        host: "localhost".into(),
        before,
        oldest,
    }
}

fn trim(max_bytes: u64, rows: u32) -> Write {
    Write::ArchiveTrim {
        host: "localhost".into(),
        max_bytes,
        rows,
    }
}

pub async fn old_messages_go_in_slices(store: Arc<dyn Store>) {
    for account in [ROMEO, JULIET, ELSEWHERE] {
        done(&*store, create(account)).await;
    }
    for at in 1..=9 {
        for account in [ROMEO, ELSEWHERE, JULIET] {
            archive(&*store, account, entry("nurse@x", &at.to_string(), at)).await;
        }
    }
    let left =
        async || archived(&*store, ROMEO).await.len() + archived(&*store, JULIET).await.len();
    done(&*store, expire(4, 1)).await;
    assert_eq!(left().await, 17);
    done(&*store, expire(4, 3)).await;
    assert_eq!(left().await, 14);
    for _ in 0..3 {
        done(&*store, expire(4, 100)).await;
    }
    // Received at the very time is not before it.
    let kept = ["4", "5", "6", "7", "8", "9"];
    assert_eq!(archived(&*store, ROMEO).await, kept);
    assert_eq!(archived(&*store, JULIET).await, kept);
    assert_eq!(archived(&*store, ELSEWHERE).await.len(), 9);
    let bounds = store.archive().bounds(ROMEO).await.unwrap().unwrap();
    assert_eq!((bounds.first.1, bounds.last.1), (4, 9));
    done(&*store, expire(1_000, 100)).await;
    assert!(archived(&*store, ROMEO).await.is_empty());
    assert_eq!(store.archive().bounds(JULIET).await, Ok(None));
    // What came after an archive was emptied is a message like any other.
    archive(&*store, ROMEO, entry("nurse@x", "new", 2)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["new"]);
    assert_eq!(
        store.archive().bounds(ROMEO).await.unwrap().unwrap().last.1,
        9
    );
}

pub async fn large_archives_lose_their_oldest_messages(store: Arc<dyn Store>) {
    for account in [ROMEO, JULIET, ELSEWHERE] {
        done(&*store, create(account)).await;
    }
    for n in 0..6 {
        archive(&*store, ROMEO, entry("nurse@x", &format!("{n}---"), 1)).await;
        archive(&*store, ELSEWHERE, entry("nurse@x", &format!("{n}---"), 1)).await;
    }
    archive(&*store, JULIET, entry("nurse@x", "short", 1)).await;
    done(&*store, trim(10, 1)).await;
    assert_eq!(archived(&*store, ROMEO).await.len(), 5);
    done(&*store, trim(10, 100)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["4---", "5---"]);
    done(&*store, trim(8, 100)).await;
    assert_eq!(archived(&*store, ROMEO).await.len(), 2);
    assert_eq!(archived(&*store, JULIET).await, ["short"]);
    assert_eq!(archived(&*store, ELSEWHERE).await.len(), 6);
    done(&*store, trim(4, 100)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["5---"]);
    assert!(archived(&*store, JULIET).await.is_empty());
}

pub async fn trimming_sees_what_the_same_set_archived(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let push = |text: &str| super::push_archive(ROMEO, entry("nurse@x", text, 1));
    let set = [push("aa"), push("bb"), trim(2, 10), push("cc")];
    let committed = store.commit(set.into_iter().collect()).await.unwrap();
    assert_eq!(committed.archived.len(), 3);
    assert_eq!(archived(&*store, ROMEO).await, ["bb", "cc"]);
    let refused = [push("dd"), trim(2, 10), create(ROMEO)];
    let refused = store.commit(refused.into_iter().collect()).await;
    assert_eq!(refused, Err(Error::Conflict("account")));
    assert_eq!(archived(&*store, ROMEO).await, ["bb", "cc"]);
    archive(&*store, ROMEO, entry("nurse@x", "ee", 1)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["bb", "cc", "ee"]);
}

fn said(from: &str, with: &str, message_id: &str, text: &str) -> ArchiveEntry {
    ArchiveEntry {
        incoming: from == with,
        message_id: Some(message_id.into()),
        ..entry(with, text, 1)
    }
}

fn retract(with: &str, sender: &str, message_id: &str) -> Write {
    Write::ArchiveRetract {
        account: ROMEO.into(),
        with: with.into(),
        sender: sender.into(),
        message_id: message_id.into(),
        tombstone: stored("gone!"),
    }
}

pub async fn retracted_message_leaves_a_tombstone(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let (balcony, orchard) = ("juliet@localhost/balcony", "romeo@localhost/orchard");
    let entries = [
        said(balcony, balcony, "1", "a"),
        said(balcony, balcony, "1", "b"),
        said(orchard, balcony, "1", "c"),
        said("nurse@x/r", "nurse@x/r", "1", "d"),
        said(balcony, balcony, "2", "e"),
    ];
    let mut ids = Vec::new();
    for entry in entries {
        ids.push(archive(&*store, ROMEO, entry).await);
    }
    let before = store.archive().bounds(ROMEO).await;
    // Not that of another sender, party or id, and not of what is not there.
    done(&*store, retract(JULIET, "nurse@x", "1")).await;
    done(&*store, retract("nurse@x", JULIET, "1")).await;
    done(&*store, retract(JULIET, JULIET, "3")).await;
    assert_eq!(archived(&*store, ROMEO).await, ["a", "b", "c", "d", "e"]);
    done(&*store, retract(JULIET, JULIET, "1")).await;
    assert_eq!(
        archived(&*store, ROMEO).await,
        ["a", "gone!", "c", "d", "e"]
    );
    done(&*store, retract(JULIET, ROMEO, "1")).await;
    assert_eq!(
        archived(&*store, ROMEO).await,
        ["a", "gone!", "gone!", "d", "e"]
    );
    done(&*store, retract(JULIET, JULIET, "2")).await;
    assert_eq!(store.archive().bounds(ROMEO).await, before);
    // It counts with its own size, not with that of what it stands for.
    done(&*store, trim(12, 100)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["gone!", "d", "gone!"]);
}

pub async fn retraction_by_a_full_jid_means_no_other_resource(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let (balcony, garden) = ("juliet@localhost/balcony", "juliet@localhost/garden");
    for (with, text) in [(balcony, "a"), (garden, "b")] {
        archive(&*store, ROMEO, said(with, with, "1", text)).await;
    }
    done(&*store, retract(balcony, balcony, "1")).await;
    assert_eq!(archived(&*store, ROMEO).await, ["gone!", "b"]);
}

pub async fn retraction_meets_a_message_of_its_own_set(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let push = super::push_archive(ROMEO, said(JULIET, JULIET, "1", "a"));
    let set = [push, retract(JULIET, JULIET, "1")];
    store.commit(set.into_iter().collect()).await.unwrap();
    assert_eq!(archived(&*store, ROMEO).await, ["gone!"]);
}

fn replace(account: &str, id: ArchiveId) -> Write {
    Write::ArchiveReplace {
        account: account.into(),
        id,
        tombstone: stored("gone!"),
    }
}

pub async fn message_is_replaced_by_its_id(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let mut ids = Vec::new();
    for text in ["a", "b", "c"] {
        ids.push(archive(&*store, ROMEO, entry("nurse@x", text, 1)).await);
    }
    let theirs = archive(&*store, JULIET, entry("nurse@x", "d", 1)).await;
    done(&*store, replace(ROMEO, ids[1])).await;
    assert_eq!(archived(&*store, ROMEO).await, ["a", "gone!", "c"]);
    // Not that of another archive, not one that never was, and nothing else of the same set.
    for id in [theirs, ArchiveId(1)] {
        let push = super::push_archive(ROMEO, entry("nurse@x", "e", 1));
        let set = [push, replace(ROMEO, id)];
        let refused = store.commit(set.into_iter().collect()).await;
        assert_eq!(refused, Err(Error::NotFound));
    }
    assert_eq!(archived(&*store, ROMEO).await, ["a", "gone!", "c"]);
    assert_eq!(archived(&*store, JULIET).await, ["d"]);
    // It counts with its own size; and one that is trimmed is there no more.
    done(&*store, trim(6, 100)).await;
    assert_eq!(archived(&*store, ROMEO).await, ["gone!", "c"]);
    let gone = store.commit(replace(ROMEO, ids[0]).into()).await;
    assert_eq!(gone, Err(Error::NotFound));
}

pub async fn preferences_are_kept(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.archive().prefs(ROMEO).await, Ok(None));
    let mut prefs = ArchivePrefs {
        default: ArchiveDefault::Roster,
        always: vec!["juliet@localhost/5:a,".into(), "nurse@x".into()],
        never: Vec::new(),
    };
    for default in [
        ArchiveDefault::Always,
        ArchiveDefault::Never,
        ArchiveDefault::Roster,
    ] {
        prefs.default = default;
        let set = Write::ArchivePrefsSet {
            account: ROMEO.into(),
            prefs: prefs.clone(),
        };
        done(&*store, set).await;
        assert_eq!(store.archive().prefs(ROMEO).await, Ok(Some(prefs.clone())));
    }
    done(&*store, delete(ROMEO)).await;
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.archive().prefs(ROMEO).await, Ok(None));
}
