//! Promises about what waits for other domains.

use std::sync::Arc;

use super::{done, stored};
use crate::{Error, RemoteRow, Store, Write, WriteSet};

fn push(id: i64, domain: &str) -> Write {
    let row = RemoteRow {
        id,
        domain: domain.into(),
        received_at: id * 10,
        stanza: stored("<message/>"),
    };
    Write::RemotePush { row }
}

async fn ids(store: &dyn Store, after: i64, limit: u32) -> Vec<i64> {
    let rows = store.remote().after(after, limit).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}

pub async fn what_waits_for_other_domains_is_read_in_its_order(store: Arc<dyn Store>) {
    for (id, domain) in [(7, "mantua.example"), (3, "verona.example"), (9, "x")] {
        done(&*store, push(id, domain)).await;
    }
    assert_eq!(ids(&*store, 0, 10).await, [3, 7, 9]);
    assert_eq!(ids(&*store, 3, 1).await, [7]);
    let rows = store.remote().after(0, 1).await.unwrap();
    let expected = RemoteRow {
        id: 3,
        domain: "verona.example".into(),
        received_at: 30,
        stanza: stored("<message/>"),
    };
    assert_eq!(rows, [expected]);
    done(&*store, Write::RemoteDone { ids: vec![3, 9, 4] }).await;
    assert_eq!(ids(&*store, 0, 10).await, [7]);
}

pub async fn refused_set_changes_nothing_that_waits_for_others(store: Arc<dyn Store>) {
    done(&*store, push(1, "mantua.example")).await;
    let set: WriteSet = [
        Write::RemoteDone { ids: vec![1] },
        push(2, "mantua.example"),
        push(2, "mantua.example"),
    ]
    .into_iter()
    .collect();
    let refused = store.commit(set).await;
    assert_eq!(refused.unwrap_err(), Error::Conflict("remote"));
    assert_eq!(ids(&*store, 0, 10).await, [1]);
}
