//! Promises about messages that wait in the offline queue and are in the archive.

use std::sync::Arc;

use super::{
    AMPLE, JULIET, ROMEO, archive, create, done, entry, push, push_archive, stored, waiting, write,
};
use crate::{
    ArchiveEntry, ArchiveId, Bounds, Error, OfflineTotal, Store, Waiting, Write, WriteSet,
};

fn wait(account: &str, stanza: Waiting) -> Write {
    Write::OfflinePush {
        account: account.into(),
        received_at: 5,
        stanza,
        bounds: AMPLE,
    }
}

fn incoming(text: &str) -> ArchiveEntry {
    ArchiveEntry {
        incoming: true,
        ..entry(JULIET, text, 1)
    }
}

fn expire_archive(before: i64) -> Write {
    Write::ArchiveExpire {
        host: "localhost".into(),
        before,
        oldest: 100,
    }
}

async fn total(store: &dyn Store) -> (u64, u64) {
    let OfflineTotal { rows, bytes } = store.offline().total(ROMEO).await.unwrap();
    (rows, bytes)
}

async fn ids(store: &dyn Store) -> Vec<Option<ArchiveId>> {
    let rows = store.offline().page(ROMEO, 0, 100).await.unwrap();
    rows.into_iter().map(|row| row.archived).collect()
}

pub async fn archived_message_waits_by_its_id(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let set = [
        push_archive(ROMEO, incoming("older")),
        push_archive(ROMEO, incoming("now")),
        push_archive(JULIET, incoming("hers")),
        wait(ROMEO, Waiting::ArchivedNow),
    ];
    let now = store
        .commit(set.into_iter().collect())
        .await
        .unwrap()
        .archived;
    done(&*store, wait(ROMEO, Waiting::Archived(now[0]))).await;
    done(&*store, push(ROMEO, "here", AMPLE)).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["now", "older", "here"]);
    assert_eq!(ids(&*store).await, [Some(now[1]), Some(now[0]), None]);
    assert_eq!(total(&*store).await, (3, 12));
    let rows = store.offline().page(ROMEO, 0, 2).await.unwrap();
    assert_eq!((rows.len(), rows[0].received_at), (2, 5));
    let delete = Write::OfflineDelete {
        account: ROMEO.into(),
        after: 0,
        up_to: rows[1].seq,
    };
    done(&*store, delete).await;
    assert_eq!(total(&*store).await, (1, 4));
    assert_eq!(waiting(&*store, ROMEO).await, ["here"]);
}

pub async fn archived_messages_count_with_their_size(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let wait_within = |bytes| Write::OfflinePush {
        account: ROMEO.into(),
        received_at: 5,
        stanza: Waiting::ArchivedNow,
        bounds: Bounds { rows: 2, bytes },
    };
    let set = |text, bytes| -> WriteSet {
        let writes = [push_archive(ROMEO, incoming(text)), wait_within(bytes)];
        writes.into_iter().collect()
    };
    assert!(store.commit(set("aaaa", 6)).await.is_ok());
    let long = store.commit(set("bbb", 6)).await;
    assert_eq!(long, Err(Error::Limit("bytes")));
    assert!(store.commit(set("bb", 6)).await.is_ok());
    assert_eq!(store.commit(set("", 6)).await, Err(Error::Limit("rows")));
    assert_eq!(total(&*store).await, (2, 6));
    let bounds = store.archive().bounds(ROMEO).await.unwrap().unwrap();
    assert_eq!(
        ids(&*store).await,
        [bounds.first.0, bounds.last.0].map(Some)
    );
}

pub async fn what_was_not_archived_now_cannot_wait(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    archive(&*store, ROMEO, incoming("before")).await;
    let set = [
        push_archive(JULIET, incoming("hers")),
        wait(ROMEO, Waiting::ArchivedNow),
    ];
    let refused = store.commit(set.into_iter().collect()).await;
    assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    let alone = write(&*store, wait(ROMEO, Waiting::ArchivedNow)).await;
    assert!(matches!(alone, Err(Error::Broken(_))), "{alone:?}");
    // What another account archived is not there for this one.
    let hers = archive(&*store, JULIET, incoming("hers")).await;
    for id in [hers, ArchiveId(7)] {
        done(&*store, wait(ROMEO, Waiting::Archived(id))).await;
    }
    assert_eq!(total(&*store).await, (0, 0));
    let nobody = wait("nobody@localhost", Waiting::Archived(hers));
    assert_eq!(write(&*store, nobody).await, Err(Error::NotFound));
}

pub async fn waiting_row_goes_after_its_archived_message(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (at, text) in [(1, "old"), (9, "new")] {
        let entry = ArchiveEntry {
            received_at: at,
            ..incoming(text)
        };
        let set = [
            push_archive(ROMEO, entry),
            wait(ROMEO, Waiting::ArchivedNow),
        ];
        store.commit(set.into_iter().collect()).await.unwrap();
    }
    let old = store
        .archive()
        .bounds(ROMEO)
        .await
        .unwrap()
        .unwrap()
        .first
        .0;
    done(&*store, expire_archive(5)).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["new"]);
    let one = store.offline().page(ROMEO, 0, 1).await.unwrap();
    assert_eq!(one[0].stanza, stored("new"), "a page is not cut short");
    // A row for it is not made any more.
    done(&*store, wait(ROMEO, Waiting::Archived(old))).await;
    let expire = Write::OfflineExpire {
        before: 0,
        oldest: 10,
    };
    done(&*store, expire).await;
    assert_eq!(total(&*store).await, (1, 3));
    assert_eq!(waiting(&*store, ROMEO).await, ["new"]);
}

pub async fn retracted_message_waits_as_a_tombstone(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let entry = ArchiveEntry {
        message_id: Some("1".into()),
        ..incoming("regretted")
    };
    let set = [
        push_archive(ROMEO, entry),
        wait(ROMEO, Waiting::ArchivedNow),
    ];
    store.commit(set.into_iter().collect()).await.unwrap();
    let retract = Write::ArchiveRetract {
        account: ROMEO.into(),
        with: JULIET.into(),
        sender: JULIET.into(),
        message_id: "1".into(),
        tombstone: stored("gone"),
    };
    done(&*store, retract).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["gone"]);
}

pub async fn undelivered_messages_are_queued_after_a_crash(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let mut sent = Vec::new();
    for text in ["taken", "also", "queued", "lost"] {
        sent.push(archive(&*store, ROMEO, incoming(text)).await);
        archive(&*store, ROMEO, entry(JULIET, "his own", 1)).await;
    }
    let hers = archive(&*store, JULIET, incoming("hers")).await;
    let delivered = |account: &str, id| Write::ArchiveDelivered {
        account: account.into(),
        id,
    };
    done(&*store, delivered(ROMEO, sent[1])).await;
    // The mark never goes back, and what is of another archive says nothing.
    done(&*store, delivered(ROMEO, sent[0])).await;
    done(&*store, delivered(JULIET, sent[3])).await;
    done(&*store, delivered(ROMEO, hers)).await;
    let nobody = write(&*store, delivered("nobody@localhost", hers)).await;
    assert_eq!(nobody, Err(Error::NotFound));
    done(&*store, wait(ROMEO, Waiting::Archived(sent[2]))).await;
    for _ in 0..2 {
        // The second time all that was undelivered is queued already.
        done(&*store, Write::TakeUp).await;
        assert_eq!(waiting(&*store, ROMEO).await, ["queued", "lost"]);
        assert_eq!(total(&*store).await, (2, 10));
        assert_eq!(waiting(&*store, JULIET).await, ["hers"]);
    }
    let rows = store.offline().page(ROMEO, 0, 10).await.unwrap();
    assert_eq!((rows[1].received_at, rows[1].archived), (1, Some(sent[3])));
}
