//! Promises about the journal of streams.

use std::sync::Arc;

use super::{JULIET, ROMEO, create, delete, done, push_archive, stored, write};
use crate::{Error, Store, Stored, StreamId, StreamRow, Write, WriteSet};

fn id(byte: u8) -> StreamId {
    StreamId([byte; 16])
}

fn open(byte: u8, account: &str) -> Write {
    Write::StreamCreate {
        id: id(byte),
        account: account.into(),
        handled: 0,
        expires_at: i64::from(byte),
    }
}

fn handled(byte: u8, handled: u32) -> Write {
    let id = id(byte);
    Write::StreamHandled { id, handled }
}

fn keep(byte: u8, state: Option<Stored>) -> Write {
    Write::StreamKeep {
        id: id(byte),
        handled: 7,
        state,
        expires_at: 100,
    }
}

async fn get(store: &dyn Store, byte: u8) -> Option<StreamRow> {
    store.streams().get(id(byte)).await.unwrap()
}

pub async fn stream_is_found_by_its_id(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, open(1, ROMEO)).await;
    let row = |handled, state, expires_at| {
        Some(StreamRow {
            account: ROMEO.into(),
            handled,
            state,
            expires_at,
        })
    };
    assert_eq!(get(&*store, 1).await, row(0, None, 1));
    assert_eq!(get(&*store, 2).await, None);
    for count in [1, 2, u32::MAX, 0] {
        done(&*store, handled(1, count)).await;
        assert_eq!(get(&*store, 1).await, row(count, None, 1));
    }
    done(&*store, keep(1, Some(stored("state")))).await;
    assert_eq!(get(&*store, 1).await, row(7, Some(stored("state")), 100));
    done(&*store, keep(1, None)).await;
    assert_eq!(get(&*store, 1).await, row(7, None, 100));
    let renew = |byte| Write::StreamRenew {
        id: id(byte),
        expires_at: 200,
    };
    done(&*store, renew(1)).await;
    done(&*store, renew(9)).await;
    assert_eq!(get(&*store, 1).await, row(7, None, 200));
    assert_eq!(get(&*store, 9).await, None);
    // A name that is taken, and one that is nobody's.
    let taken = write(&*store, open(1, ROMEO)).await;
    assert_eq!(taken, Err(Error::Conflict("stream")));
    let nobody = write(&*store, open(3, JULIET)).await;
    assert_eq!(nobody, Err(Error::NotFound));
    for write in [
        handled(9, 1),
        keep(9, None),
        Write::StreamRemove { id: id(9) },
    ] {
        done(&*store, write).await;
    }
    done(&*store, Write::StreamRemove { id: id(1) }).await;
    assert_eq!(get(&*store, 1).await, None);
    // Nothing of the old one is left in a new one.
    done(&*store, handled(1, 44)).await;
    done(&*store, open(1, ROMEO)).await;
    assert_eq!(get(&*store, 1).await, row(0, None, 1));
}

pub async fn count_of_a_stream_is_committed_with_its_stanza(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, open(1, ROMEO)).await;
    let set = |n: u32, to: &str| -> WriteSet {
        let entry = super::entry(JULIET, &n.to_string(), 1);
        [push_archive(to, entry), handled(1, n)]
            .into_iter()
            .collect()
    };
    let refused = |n| {
        let nobody = push_archive("nobody@localhost", super::entry(JULIET, "", 1));
        let mut set = set(n, ROMEO);
        set.push(nobody);
        set
    };
    let sets = [
        set(1, ROMEO),
        set(2, ROMEO),
        refused(3),
        set(4, ROMEO),
        refused(5),
    ];
    let tickets: Vec<_> = sets.map(|set| store.commit(set)).into();
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.push(ticket.await.is_ok());
    }
    assert_eq!(outcomes, [true, true, false, true, false]);
    assert_eq!(get(&*store, 1).await.map(|row| row.handled), Some(4));
    assert_eq!(super::archived(&*store, ROMEO).await, ["1", "2", "4"]);
}

pub async fn kept_streams_are_listed_in_pages(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    for byte in [5, 1, 200, 3, 4] {
        done(&*store, open(byte, ROMEO)).await;
    }
    done(&*store, open(2, JULIET)).await;
    for byte in [1, 2, 3, 200] {
        done(&*store, keep(byte, Some(stored("s")))).await;
    }
    done(&*store, delete(JULIET)).await;
    let kept = async |after, limit| {
        let page = store.streams().kept(after, limit).await.unwrap();
        assert!(
            page.iter()
                .all(|(_, row)| row.account == ROMEO && row.state.is_some())
        );
        page.into_iter().map(|(id, _)| id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(kept(None, 2).await, [1, 3]);
    assert_eq!(kept(Some(id(3)), 2).await, [200]);
    assert_eq!(kept(Some(id(200)), 2).await, [0; 0]);
    assert_eq!(get(&*store, 2).await, None);
    done(&*store, create(JULIET)).await;
    assert_eq!(get(&*store, 2).await, None);
    done(&*store, open(2, JULIET)).await;
    assert_eq!(get(&*store, 2).await.map(|row| row.state), Some(None));
}

pub async fn streams_are_forgotten_in_time(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for byte in 1..=6 {
        done(&*store, open(byte, ROMEO)).await;
    }
    let expire = |rows| Write::StreamsExpire { now: 4, rows };
    let left = async || {
        let mut left = 0;
        for byte in 1..=6 {
            left += usize::from(get(&*store, byte).await.is_some());
        }
        left
    };
    done(&*store, expire(1)).await;
    assert_eq!(left().await, 5);
    done(&*store, expire(100)).await;
    assert_eq!(left().await, 2);
    assert!(get(&*store, 5).await.is_some());
}
