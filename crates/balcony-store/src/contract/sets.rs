//! Promises about sets of writes and their commit.

use std::sync::Arc;

use super::{AMPLE, JULIET, ROMEO, create, delete, done, push, waiting, write};
use crate::{Error, Invite, Store, Ticket, Write, WriteSet};

fn set(writes: impl IntoIterator<Item = Write>) -> WriteSet {
    writes.into_iter().collect()
}

pub async fn set_is_applied_whole_or_not_at_all(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let before = store.roster().load(ROMEO).await;
    // Every kind of state is touched before the last write is refused.
    let refused = store.commit(set([
        push(ROMEO, "a", AMPLE),
        Write::LastSeenSet {
            account: ROMEO.into(),
            at: 1,
            status: None,
        },
        Write::SecretCreate {
            name: "s".into(),
            value: vec![1],
        },
        Write::InviteCreate {
            token_hash: b"t".to_vec(),
            invite: Invite {
                host: "localhost".into(),
                created_by: None,
                expires_at: 1,
                uses: 1,
            },
        },
        create(JULIET),
        push(JULIET, "b", AMPLE),
        delete(ROMEO),
        create(ROMEO),
        push(ROMEO, "c", AMPLE),
        create(ROMEO),
    ]));
    assert_eq!(refused.await, Err(Error::Conflict("account")));
    assert_eq!(store.roster().load(ROMEO).await, before);
    assert!(waiting(&*store, ROMEO).await.is_empty());
    assert_eq!(store.offline().total(ROMEO).await.unwrap().rows, 0);
    assert_eq!(store.last().get(ROMEO).await, Ok(None));
    assert_eq!(store.secrets().get("s").await, Ok(None));
    assert_eq!(store.invites().get(b"t").await, Ok(None));
    assert_eq!(store.accounts().count("localhost").await, Ok(1));
}

pub async fn refused_set_leaves_its_neighbours_alone(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let one = |n: usize| match n % 3 {
        1 => set([push(ROMEO, "lost", AMPLE), push(JULIET, "", AMPLE)]),
        _ => set([push(ROMEO, &n.to_string(), AMPLE)]),
    };
    let tickets: Vec<Ticket> = (0..60).map(|n| store.commit(one(n))).collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        let expected = match n % 3 {
            1 => Err(Error::NotFound),
            _ => Ok(()),
        };
        assert_eq!(ticket.await.map(|_| ()), expected, "set {n}");
    }
    let kept = (0..60).filter(|n| n % 3 != 1).map(|n| n.to_string());
    assert_eq!(waiting(&*store, ROMEO).await, kept.collect::<Vec<_>>());
}

pub async fn sets_are_applied_in_the_order_of_the_calls(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let texts: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    let commit = |text: &String| store.commit(set([push(ROMEO, text, AMPLE)]));
    let mut tickets: Vec<Ticket> = texts.iter().map(commit).collect();
    // Once a later one is durable, so are all before it.
    let last = tickets.pop().unwrap();
    assert_eq!(last.await.map(|_| ()), Ok(()));
    assert_eq!(waiting(&*store, ROMEO).await, texts);
    for ticket in tickets {
        assert_eq!(ticket.await.map(|_| ()), Ok(()));
    }
}

pub async fn registration_by_invitation_is_one_step(store: Arc<dyn Store>) {
    let invite = Write::InviteCreate {
        token_hash: b"t".to_vec(),
        invite: Invite {
            host: "localhost".into(),
            created_by: None,
            expires_at: 100,
            uses: 1,
        },
    };
    done(&*store, invite).await;
    let use_up = || Write::InviteUse {
        token_hash: b"t".to_vec(),
        host: "localhost".into(),
        now: 1,
    };
    done(&*store, create(ROMEO)).await;
    // A name that is taken does not cost the invitation.
    let taken = store
        .commit(set([use_up(), create(ROMEO)]))
        .await
        .map(|_| ());
    assert_eq!(taken, Err(Error::Conflict("account")));
    let free = store
        .commit(set([use_up(), create(JULIET)]))
        .await
        .map(|_| ());
    assert_eq!(free, Ok(()));
    // And no account without one.
    let late = store.commit(set([use_up(), create("paris@localhost")]));
    assert_eq!(late.await, Err(Error::NotFound));
    assert_eq!(store.accounts().count("localhost").await, Ok(2));
}

pub async fn hundred_writers_lose_nothing(store: Arc<dyn Store>) {
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let account = format!("user{n}@localhost");
            done(&*store, create(&account)).await;
            for text in ["a", "b", "c"] {
                done(&*store, push(&account, text, AMPLE)).await;
                let rows = store.offline().page(&account, 0, 10).await.unwrap();
                let last = rows.last().map(|row| row.stanza.bytes.clone());
                assert_eq!(last.as_deref(), Some(text.as_bytes()), "own write is seen");
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(store.accounts().count("localhost").await, Ok(100));
    for n in 0..100 {
        let account = format!("user{n}@localhost");
        assert_eq!(waiting(&*store, &account).await, ["a", "b", "c"]);
    }
}

pub async fn empty_set_is_done(store: Arc<dyn Store>) {
    assert_eq!(store.commit(WriteSet::new()).await.map(|_| ()), Ok(()));
}

pub async fn closed_store_says_so(store: Arc<dyn Store>) {
    let queued = store.commit(set([create(ROMEO)]));
    store.close().await;
    assert_eq!(queued.await.map(|_| ()), Ok(()));
    assert_eq!(write(&*store, create(JULIET)).await, Err(Error::Closed));
    let read = store.accounts().exists("localhost", "romeo").await;
    assert_eq!(read, Err(Error::Closed));
    store.close().await;
}
