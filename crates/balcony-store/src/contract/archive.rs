//! Promises about reading archives.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{JULIET, ROMEO, archive, create, delete, done, entry, push_archive, texts};
use crate::{
    ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveRequest, Error, Result, Store,
    Ticket, WriteSet,
};

const NURSE: &str = "nurse@localhost";

fn request(filter: ArchiveFilter, place: ArchivePlace, limit: u32) -> ArchiveRequest {
    ArchiveRequest {
        filter,
        place,
        limit,
    }
}

async fn page(store: &dyn Store, place: ArchivePlace, limit: u32) -> Result<ArchivePage> {
    let request = request(ArchiveFilter::default(), place, limit);
    store.archive().page(ROMEO, request).await
}

/// The texts that a filter lets through, asked for in one page.
async fn filtered(store: &dyn Store, filter: ArchiveFilter) -> String {
    let request = request(filter, ArchivePlace::First, 100);
    let page = store.archive().page(ROMEO, request).await.unwrap();
    assert!(page.complete);
    let all = texts(&page);
    assert_eq!(page.count, Some(all.len() as u64), "{all:?}");
    all.concat()
}

/// Romeo with messages of one letter each, received a second apart; their ids.
async fn letters(store: &dyn Store, letters: &str) -> Vec<ArchiveId> {
    done(store, create(ROMEO)).await;
    let mut ids = Vec::new();
    for (letter, second) in letters.chars().zip(1..) {
        let entry = entry(JULIET, &letter.to_string(), second * 1_000_000);
        ids.push(archive(store, ROMEO, entry).await);
    }
    ids
}

pub async fn archive_is_in_the_order_of_the_commits(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let commit = |text: &String| {
        let both = [ROMEO, JULIET].map(|to| push_archive(to, entry(NURSE, text, 1)));
        store.commit(both.into_iter().collect())
    };
    let tickets: Vec<Ticket> = expected.iter().map(commit).collect();
    let mut ids = Vec::new();
    for ticket in tickets {
        let committed = ticket.await.unwrap();
        assert_eq!(committed.archived.len(), 2);
        ids.push(committed.archived[0]);
    }
    let page = page(&*store, ArchivePlace::First, 1_000).await.unwrap();
    assert_eq!(texts(&page), expected);
    let told: Vec<ArchiveId> = page.messages.iter().map(|message| message.id).collect();
    assert_eq!(told, ids);
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 300);
}

/// A reader that goes on from the last message that it has seen never passes one by that comes
/// to stand before it later.
pub async fn reader_misses_nothing_while_others_write(store: Arc<dyn Store>) {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for n in 0..EACH {
                let text = format!("{writer} {n}");
                let both = [JULIET, ROMEO].map(|to| push_archive(to, entry(NURSE, &text, 1)));
                let committed = store.commit(both.into_iter().collect()).await.unwrap();
                // What was answered is found.
                let at = ArchivePlace::After(committed.archived[1]);
                assert!(page(&*store, at, 1).await.is_ok());
            }
        });
    }
    let mut place = ArchivePlace::First;
    let mut seen = Vec::new();
    while seen.len() < WRITERS * EACH {
        let page = page(&*store, place, 7).await.unwrap();
        assert!(page.complete || page.messages.len() == 7);
        if let Some(last) = page.messages.last() {
            place = ArchivePlace::After(last.id);
        }
        seen.extend(page.messages);
        tokio::task::yield_now().await;
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let all = page(&*store, ArchivePlace::First, 1_000).await.unwrap();
    assert_eq!(all.messages, seen);
    let once: BTreeSet<_> = seen.iter().map(|message| &message.stanza.bytes).collect();
    assert_eq!(once.len(), WRITERS * EACH);
}

pub async fn archive_is_read_in_pages_from_both_ends(store: Arc<dyn Store>) {
    let ids = letters(&*store, "abcde").await;
    let shown = async |place, limit| {
        let page = page(&*store, place, limit).await.unwrap();
        assert_eq!(page.count, Some(5));
        (texts(&page).concat(), page.complete)
    };
    assert_eq!(shown(ArchivePlace::First, 2).await, ("ab".into(), false));
    assert_eq!(
        shown(ArchivePlace::After(ids[1]), 2).await,
        ("cd".into(), false)
    );
    assert_eq!(
        shown(ArchivePlace::After(ids[3]), 2).await,
        ("e".into(), true)
    );
    assert_eq!(
        shown(ArchivePlace::After(ids[4]), 2).await,
        ("".into(), true)
    );
    assert_eq!(shown(ArchivePlace::Last, 2).await, ("de".into(), false));
    assert_eq!(
        shown(ArchivePlace::Before(ids[3]), 2).await,
        ("bc".into(), false)
    );
    assert_eq!(
        shown(ArchivePlace::Before(ids[1]), 2).await,
        ("a".into(), true)
    );
    assert_eq!(shown(ArchivePlace::First, 5).await, ("abcde".into(), true));
    assert_eq!(shown(ArchivePlace::Last, 5).await, ("abcde".into(), true));
    // XEP-0059 §2.7: a page of nothing is how a client asks for the count.
    assert_eq!(shown(ArchivePlace::First, 0).await, ("".into(), false));
}

pub async fn archive_is_filtered(store: Arc<dyn Store>) {
    let ids = letters(&*store, "abcde").await;
    let all = ArchiveFilter::default();
    let start = ArchiveFilter {
        start: Some(2_000_000),
        ..all.clone()
    };
    assert_eq!(filtered(&*store, start.clone()).await, "bcde");
    let between = ArchiveFilter {
        end: Some(4_000_000),
        ..start
    };
    assert_eq!(filtered(&*store, between.clone()).await, "bcd");
    let after = ArchiveFilter {
        after: Some(ids[1]),
        ..between
    };
    assert_eq!(filtered(&*store, after.clone()).await, "cd");
    let before = ArchiveFilter {
        before: Some(ids[3]),
        ..after
    };
    assert_eq!(filtered(&*store, before).await, "c");
    let some = ArchiveFilter {
        ids: vec![ids[4], ids[0], ids[2], ids[0]],
        ..all.clone()
    };
    assert_eq!(filtered(&*store, some.clone()).await, "ace");
    let later = ArchiveFilter {
        start: Some(1_000_001),
        ..some.clone()
    };
    assert_eq!(filtered(&*store, later).await, "ce");
    let last = request(some, ArchivePlace::Before(ids[4]), 1);
    let page = store.archive().page(ROMEO, last).await.unwrap();
    assert_eq!((texts(&page).concat(), page.complete), ("c".into(), false));
    let never = ArchiveFilter {
        start: Some(6_000_000),
        ..all.clone()
    };
    assert_eq!(filtered(&*store, never).await, "");
    let crossed = ArchiveFilter {
        start: Some(4_000_000),
        end: Some(2_000_000),
        ..all
    };
    assert_eq!(filtered(&*store, crossed).await, "");
}

pub async fn archive_is_filtered_by_the_other_party(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let parties = [
        "juliet@localhost/balcony",
        "nurse@localhost",
        "juliet@localhost",
        "juliet@localhost/bed/room",
        "juliet@localhosts",
        "localhost",
        "localhost/a",
    ];
    for (party, letter) in parties.iter().zip('a'..) {
        archive(&*store, ROMEO, entry(party, &letter.to_string(), 1)).await;
    }
    let with = |with: &str| {
        let with = Some(with.to_owned());
        filtered(
            &*store,
            ArchiveFilter {
                with,
                ..ArchiveFilter::default()
            },
        )
    };
    assert_eq!(with("juliet@localhost").await, "acd");
    assert_eq!(with("juliet@localhost/balcony").await, "a");
    assert_eq!(with("juliet@localhost/bed/room").await, "d");
    assert_eq!(with("juliet@localhost/bed").await, "");
    assert_eq!(with("nurse@localhost").await, "b");
    assert_eq!(with("localhost").await, "fg");
    assert_eq!(with("tybalt@localhost").await, "");
    let filter = ArchiveFilter {
        with: Some(JULIET.into()),
        ..ArchiveFilter::default()
    };
    let request = request(filter, ArchivePlace::Last, 2);
    let page = store.archive().page(ROMEO, request).await.unwrap();
    assert_eq!(
        (texts(&page).concat(), page.complete, page.count),
        ("cd".into(), false, Some(3))
    );
}

pub async fn ids_are_of_one_archive(store: Arc<dyn Store>) {
    let ids = letters(&*store, "ab").await;
    done(&*store, create(JULIET)).await;
    let hers = archive(&*store, JULIET, entry(ROMEO, "x", 1)).await;
    for id in [hers, ArchiveId(0), ArchiveId(ids[0].0 ^ 1)] {
        let filters = [
            ArchiveFilter {
                after: Some(id),
                ..ArchiveFilter::default()
            },
            ArchiveFilter {
                before: Some(id),
                ..ArchiveFilter::default()
            },
            ArchiveFilter {
                ids: vec![ids[0], id],
                ..ArchiveFilter::default()
            },
        ];
        for filter in filters {
            let asked = request(filter, ArchivePlace::First, 10);
            let answer = store.archive().page(ROMEO, asked).await;
            assert_eq!(answer, Err(Error::NotFound));
        }
        for place in [ArchivePlace::After(id), ArchivePlace::Before(id)] {
            assert_eq!(page(&*store, place, 10).await, Err(Error::NotFound));
        }
    }
}

pub async fn archive_of_nobody_is_empty(store: Arc<dyn Store>) {
    let first = page(&*store, ArchivePlace::First, 10).await;
    let empty = ArchivePage {
        messages: Vec::new(),
        complete: true,
        count: Some(0),
    };
    assert_eq!(first, Ok(empty.clone()));
    assert_eq!(store.archive().bounds(ROMEO).await, Ok(None));
    let nobody = push_archive(ROMEO, entry(JULIET, "a", 1));
    let refused = store.commit(WriteSet::from(nobody)).await;
    assert_eq!(refused, Err(Error::NotFound));
    done(&*store, create(ROMEO)).await;
    let last = page(&*store, ArchivePlace::Last, 10).await;
    assert_eq!(last, Ok(empty));
    assert_eq!(store.archive().bounds(ROMEO).await, Ok(None));
}

pub async fn times_of_an_archive_never_run_backwards(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for at in [5, 3, 9, 1] {
        archive(&*store, ROMEO, entry(JULIET, "a", at)).await;
    }
    let page = page(&*store, ArchivePlace::First, 10).await.unwrap();
    let times: Vec<i64> = page.messages.iter().map(|row| row.received_at).collect();
    assert_eq!(times, [5, 5, 9, 9]);
}

pub async fn refused_set_archives_nothing(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let before = archive(&*store, ROMEO, entry(JULIET, "a", 1)).await;
    let set = [
        push_archive(ROMEO, entry(JULIET, "lost", 1_000)),
        push_archive(NURSE, entry(JULIET, "lost", 1_000)),
    ];
    let refused = store.commit(set.into_iter().collect());
    let next = store.commit(WriteSet::from(push_archive(ROMEO, entry(JULIET, "b", 2))));
    assert_eq!(refused.await, Err(Error::NotFound));
    let after = next.await.unwrap().archived[0];
    let page = page(&*store, ArchivePlace::First, 10).await.unwrap();
    assert_eq!(texts(&page), ["a", "b"]);
    assert_eq!(page.count, Some(2));
    // Nor does a time that nobody was told hold up the others.
    let bounds = store.archive().bounds(ROMEO).await.unwrap().unwrap();
    assert_eq!(bounds.first, (before, 1));
    assert_eq!(bounds.last, (after, 2));
}

pub async fn archive_goes_with_its_account(store: Arc<dyn Store>) {
    let ids = letters(&*store, "ab").await;
    done(&*store, delete(ROMEO)).await;
    let after = ArchivePlace::After(ids[0]);
    assert_eq!(page(&*store, after, 10).await, Err(Error::NotFound));
    assert_eq!(store.archive().bounds(ROMEO).await, Ok(None));
    done(&*store, create(ROMEO)).await;
    assert_eq!(page(&*store, after, 10).await, Err(Error::NotFound));
    let new = archive(&*store, ROMEO, entry(JULIET, "new", 1)).await;
    assert!(!ids.contains(&new));
    let page = page(&*store, ArchivePlace::First, 10).await.unwrap();
    assert_eq!((texts(&page).concat(), page.count), ("new".into(), Some(1)));
    // In one set too, where the first push is to the old account.
    let set = [
        push_archive(ROMEO, entry(JULIET, "gone", 1)),
        delete(ROMEO),
        push_archive(ROMEO, entry(JULIET, "nobody's", 1)),
    ];
    let refused = store.commit(set.into_iter().collect()).await;
    assert_eq!(refused, Err(Error::NotFound));
    let set = [
        push_archive(ROMEO, entry(JULIET, "gone", 1)),
        delete(ROMEO),
        create(ROMEO),
        push_archive(ROMEO, entry(JULIET, "newer", 1)),
    ];
    store.commit(set.into_iter().collect()).await.unwrap();
    let first = request(ArchiveFilter::default(), ArchivePlace::First, 10);
    let page = store.archive().page(ROMEO, first).await.unwrap();
    assert_eq!(texts(&page), ["newer"]);
}
