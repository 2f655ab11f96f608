//! Promises about accounts.

use std::sync::Arc;

use super::{AMPLE, JULIET, ROMEO, create, delete, done, key, push, stored, waiting, write};
use crate::{
    Account, Credentials, Error, HashName, OfflineTotal, PendingIn, RosterData, RosterItem, Store,
    VCard, Write,
};

pub async fn created_account_is_read_back(store: Arc<dyn Store>) {
    let accounts = store.accounts();
    assert_eq!(accounts.exists("localhost", "romeo").await, Ok(false));
    assert_eq!(accounts.get("localhost", "romeo").await, Ok(None));
    let keys = vec![key(HashName::Sha1, 1), key(HashName::Sha512, 2)];
    let write = Write::CreateAccount {
        host: "localhost".into(),
        user: "romeo".into(),
        created: 123_456,
        keys: keys.clone(),
    };
    done(&*store, write).await;
    assert_eq!(accounts.exists("localhost", "romeo").await, Ok(true));
    let account = Account {
        enabled: true,
        created: 123_456,
        keys: keys.clone(),
    };
    assert_eq!(accounts.get("localhost", "romeo").await, Ok(Some(account)));
    let login = |key| Ok(Some(Credentials { enabled: true, key }));
    let by = |hash| accounts.keys("localhost", "romeo", hash);
    assert_eq!(by(HashName::Sha512).await, login(Some(keys[1].clone())));
    assert_eq!(by(HashName::Sha256).await, login(None));
    let elsewhere = accounts.keys("example.com", "romeo", HashName::Sha1).await;
    assert_eq!(elsewhere, Ok(None));
}

pub async fn account_exists_only_once(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let again = write(&*store, create(ROMEO)).await;
    assert_eq!(again, Err(Error::Conflict("account")));
    done(&*store, create("romeo@example.com")).await;
    assert_eq!(store.accounts().count("localhost").await, Ok(1));
}

pub async fn new_keys_replace_all_old_ones(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let keys = vec![key(HashName::Sha1, 9)];
    let set = |user: &str| Write::SetKeys {
        host: "localhost".into(),
        user: user.into(),
        keys: keys.clone(),
    };
    done(&*store, set("romeo")).await;
    let account = store.accounts().get("localhost", "romeo").await.unwrap();
    assert_eq!(account.unwrap().keys, keys);
    assert_eq!(write(&*store, set("paris")).await, Err(Error::NotFound));
}

pub async fn keys_are_added_where_there_are_none(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let set = |user: &str, hashes: &[HashName], byte| Write::AddKeys {
        host: "localhost".into(),
        user: user.into(),
        keys: hashes.iter().map(|hash| key(*hash, byte)).collect(),
    };
    let before = store.accounts().get("localhost", "romeo").await;
    let mut keys = before.unwrap().unwrap().keys;
    done(&*store, set("romeo", &HashName::ALL, 77)).await;
    done(&*store, set("romeo", &HashName::ALL, 78)).await;
    for hash in HashName::ALL {
        if keys.iter().all(|known| known.hash != hash) {
            keys.push(key(hash, 77));
        }
    }
    keys.sort_by_key(|key| key.hash);
    let account = store.accounts().get("localhost", "romeo").await.unwrap();
    assert_eq!(account.unwrap().keys, keys);
    let nobody = set("paris", &HashName::ALL, 1);
    assert_eq!(write(&*store, nobody).await, Err(Error::NotFound));
}

pub async fn iteration_counts_in_use_are_told(store: Arc<dyn Store>) {
    let host = "localhost";
    assert_eq!(store.accounts().iterations(host).await, Ok(Vec::new()));
    for (user, byte) in [("a", 1), ("b", 2), ("c", 1)] {
        let create = Write::CreateAccount {
            host: host.into(),
            user: user.into(),
            created: 0,
            keys: vec![key(HashName::Sha256, byte)],
        };
        done(&*store, create).await;
    }
    let elsewhere = Write::CreateAccount {
        host: "example.com".into(),
        user: "d".into(),
        created: 0,
        keys: vec![key(HashName::Sha512, 3)],
    };
    done(&*store, elsewhere).await;
    let told = store.accounts().iterations(host).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|count| (count.hash, count.iterations, count.accounts))
        .collect();
    assert_eq!(
        told,
        [(HashName::Sha256, 4097, 2), (HashName::Sha256, 4098, 1)]
    );
}

pub async fn disabled_account_keeps_its_keys(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for enabled in [false, true] {
        let set = Write::SetEnabled {
            host: "localhost".into(),
            user: "romeo".into(),
            enabled,
        };
        done(&*store, set).await;
        let read = store
            .accounts()
            .keys("localhost", "romeo", HashName::Sha256);
        let key = Some(key(HashName::Sha256, 1));
        assert_eq!(read.await, Ok(Some(Credentials { enabled, key })));
    }
}

pub async fn accounts_are_listed_in_pages(store: Arc<dyn Store>) {
    for user in ["romeo", "benvolio", "zoë", "mercutio"] {
        done(&*store, create(&format!("{user}@localhost"))).await;
    }
    done(&*store, create("rosaline@example.com")).await;
    let accounts = store.accounts();
    let page = async |after, limit| {
        let page = accounts.list("localhost", after, limit).await.unwrap();
        page.into_iter().map(|entry| entry.user).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, ["benvolio", "mercutio"]);
    assert_eq!(page(Some("mercutio"), 9).await, ["romeo", "zoë"]);
    assert_eq!(page(Some("n"), 1).await, ["romeo"]);
    assert!(page(Some("zoë"), 9).await.is_empty());
    assert_eq!(accounts.count("localhost").await, Ok(4));
    assert_eq!(accounts.count("nowhere").await, Ok(0));
}

/// One of each write that belongs to an account.
fn all_for(account: &str) -> Vec<Write> {
    let account = || account.to_owned();
    let jid = || "nurse@localhost".to_owned();
    vec![
        Write::RosterSet {
            account: account(),
            item: RosterItem {
                jid: jid(),
                ..RosterItem::default()
            },
            base: None,
            max_items: 10,
        },
        Write::PendingSet {
            account: account(),
            request: PendingIn {
                jid: jid(),
                received_at: 1,
                stanza: stored("<presence/>"),
            },
            max: 10,
        },
        push(&account(), "a", AMPLE),
        Write::PrivateSet {
            account: account(),
            ns: "x".into(),
            name: "y".into(),
            payload: stored("z"),
            bounds: AMPLE,
        },
        Write::VCardSet {
            account: account(),
            vcard: VCard::default(),
        },
        Write::BlockAdd {
            account: account(),
            jids: vec![jid()],
            max: 10,
        },
        Write::LastSeenSet {
            account: account(),
            at: 1,
            status: None,
        },
        Write::PendingRemove {
            account: account(),
            jid: "paris@localhost".into(),
        },
        Write::OfflineDelete {
            account: account(),
            after: 0,
            up_to: 0,
        },
        Write::PrivateRemove {
            account: account(),
            ns: "n".into(),
            name: "n".into(),
        },
        Write::BlockRemove {
            account: account(),
            jids: vec!["paris@localhost".into()],
        },
    ]
}

pub async fn writes_to_nobody_are_refused(store: Arc<dyn Store>) {
    done(&*store, create(JULIET)).await;
    for account in [ROMEO, "localhost", ""] {
        for op in all_for(account) {
            let shown = format!("{op:?}");
            assert_eq!(write(&*store, op).await, Err(Error::NotFound), "{shown}");
        }
    }
    assert_eq!(write(&*store, delete(ROMEO)).await, Err(Error::NotFound));
}

pub async fn recreated_account_inherits_nothing(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for op in all_for(ROMEO) {
        done(&*store, op).await;
    }
    assert_eq!(waiting(&*store, ROMEO).await, ["a"]);
    assert_eq!(store.blocking().list(ROMEO).await.unwrap().len(), 1);
    done(&*store, delete(ROMEO)).await;
    assert_eq!(
        store.accounts().exists("localhost", "romeo").await,
        Ok(false)
    );
    assert_eq!(store.roster().load(ROMEO).await, Ok(RosterData::default()));
    assert!(waiting(&*store, ROMEO).await.is_empty());
    done(&*store, create(ROMEO)).await;
    let roster = store.roster().load(ROMEO).await.unwrap();
    assert!(roster.items.is_empty() && roster.pending_in.is_empty());
    assert!(waiting(&*store, ROMEO).await.is_empty());
    let total = store.offline().total(ROMEO).await;
    assert_eq!(total, Ok(OfflineTotal::default()));
    assert_eq!(store.private().get(ROMEO, "x", "y").await, Ok(None));
    assert_eq!(store.vcards().get(ROMEO).await, Ok(None));
    assert_eq!(store.blocking().list(ROMEO).await, Ok(Vec::new()));
    assert_eq!(store.last().get(ROMEO).await, Ok(None));
}
