//! Promises about the offline queue.

use std::sync::Arc;

use super::{AMPLE, JULIET, ROMEO, create, done, push, stored, waiting, write};
use crate::{Bounds, Error, OfflineTotal, Store, Waiting, Write};

fn delete(account: &str, up_to: i64) -> Write {
    Write::OfflineDelete {
        account: account.into(),
        after: 0,
        up_to,
    }
}

pub async fn rows_come_in_order_and_in_pages(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    for n in 0..5 {
        done(&*store, push(ROMEO, &format!("r{n}"), AMPLE)).await;
        done(&*store, push(JULIET, &format!("j{n}"), AMPLE)).await;
    }
    let mut read = Vec::new();
    let mut after = 0;
    loop {
        let page = store.offline().page(ROMEO, after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.seq;
        read.extend(page);
    }
    let expected: Vec<_> = (0..5).map(|n| stored(&format!("r{n}"))).collect();
    let stanzas: Vec<_> = read.iter().map(|row| row.stanza.clone()).collect();
    assert_eq!(stanzas, expected);
    assert!(read.iter().all(|row| row.received_at == 5));
    assert!(read.is_sorted_by(|a, b| a.seq < b.seq));
    let total = OfflineTotal { rows: 5, bytes: 10 };
    assert_eq!(store.offline().total(JULIET).await, Ok(total));
}

pub async fn bounds_refuse_what_is_too_much(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let rows = Bounds {
        rows: 2,
        bytes: 100,
    };
    done(&*store, push(ROMEO, "aaaa", rows)).await;
    done(&*store, push(ROMEO, "bbbb", rows)).await;
    let third = write(&*store, push(ROMEO, "c", rows)).await;
    assert_eq!(third, Err(Error::Limit("rows")));
    let bytes = Bounds {
        rows: 100,
        bytes: 10,
    };
    let long = write(&*store, push(ROMEO, "ccc", bytes)).await;
    assert_eq!(long, Err(Error::Limit("bytes")));
    done(&*store, push(ROMEO, "cc", bytes)).await;
    let total = OfflineTotal { rows: 3, bytes: 10 };
    assert_eq!(store.offline().total(ROMEO).await, Ok(total));
    assert_eq!(waiting(&*store, ROMEO).await, ["aaaa", "bbbb", "cc"]);
}

pub async fn delivered_rows_go_and_numbers_are_not_reused(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    done(&*store, push(JULIET, "j", AMPLE)).await;
    for text in ["a", "b", "c"] {
        done(&*store, push(ROMEO, text, AMPLE)).await;
    }
    let rows = store.offline().page(ROMEO, 0, 10).await.unwrap();
    done(&*store, delete(ROMEO, rows[1].seq)).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["c"]);
    let total = OfflineTotal { rows: 1, bytes: 1 };
    assert_eq!(store.offline().total(ROMEO).await, Ok(total));
    let last = rows[2].seq;
    done(&*store, delete(ROMEO, last)).await;
    assert_eq!(
        store.offline().total(ROMEO).await,
        Ok(OfflineTotal::default())
    );
    // A delete that is repeated late hits nothing new.
    done(&*store, push(ROMEO, "d", AMPLE)).await;
    done(&*store, delete(ROMEO, last)).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["d"]);
    assert_eq!(waiting(&*store, JULIET).await, ["j"]);
}

pub async fn rows_between_two_others_go_alone(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for text in ["a", "b", "c", "d"] {
        done(&*store, push(ROMEO, text, AMPLE)).await;
    }
    let rows = store.offline().page(ROMEO, 0, 10).await.unwrap();
    let between = Write::OfflineDelete {
        account: ROMEO.into(),
        after: rows[0].seq,
        up_to: rows[2].seq,
    };
    done(&*store, between).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["a", "d"]);
    let total = OfflineTotal { rows: 2, bytes: 2 };
    assert_eq!(store.offline().total(ROMEO).await, Ok(total));
}

pub async fn what_waited_too_long_goes_in_slices(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    for (account, received_at) in [(ROMEO, 1), (JULIET, 2), (ROMEO, 9), (JULIET, 3)] {
        let push = Write::OfflinePush {
            account: account.into(),
            received_at,
            stanza: Waiting::Stanza(stored(&received_at.to_string())),
            bounds: AMPLE,
        };
        done(&*store, push).await;
    }
    let expire = |oldest| Write::OfflineExpire { before: 3, oldest };
    done(&*store, expire(1)).await;
    assert_eq!(waiting(&*store, ROMEO).await, ["9"]);
    assert_eq!(waiting(&*store, JULIET).await, ["2", "3"]);
    done(&*store, expire(1)).await;
    assert_eq!(waiting(&*store, JULIET).await, ["3"]);
    // Received at the very time is not before it.
    done(&*store, expire(10)).await;
    let total = OfflineTotal { rows: 1, bytes: 1 };
    assert_eq!(store.offline().total(ROMEO).await, Ok(total));
    assert_eq!(store.offline().total(JULIET).await, Ok(total));
}
