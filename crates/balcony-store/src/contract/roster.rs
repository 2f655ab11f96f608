//! Promises about rosters.

use std::sync::Arc;

use super::{JULIET, ROMEO, create, delete, done, stored, write};
use crate::{
    Error, PendingIn, Result, RosterChange, RosterData, RosterItem, Store, Subscription,
    TOMBSTONES, Write,
};

fn contact(jid: &str) -> RosterItem {
    RosterItem {
        jid: jid.into(),
        ..RosterItem::default()
    }
}

fn set(item: RosterItem, base: Option<u64>) -> Write {
    Write::RosterSet {
        account: ROMEO.into(),
        item,
        base,
        max_items: 1_000,
    }
}

fn remove(jid: &str, base: Option<u64>) -> Write {
    Write::RosterRemove {
        account: ROMEO.into(),
        jid: jid.into(),
        base,
    }
}

async fn load(store: &dyn Store) -> RosterData {
    store.roster().load(ROMEO).await.unwrap()
}

/// What changed, short: the JID, and `-` before it when it was removed.
async fn changes(store: &dyn Store, since: u64) -> Option<Vec<String>> {
    let changes = store.roster().changes_since(ROMEO, since).await.unwrap()?;
    let short = |change| match change {
        RosterChange::Set(item) => item.jid,
        RosterChange::Removed { jid, .. } => format!("-{jid}"),
    };
    Some(changes.into_iter().map(short).collect())
}

pub async fn item_is_read_back_whole(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let mut item = RosterItem {
        jid: JULIET.into(),
        name: Some("Juliet 🌹".into()),
        groups: vec!["Capulets, 1".into(), String::new(), "5:Balls".into()],
        subscription: Subscription::Both,
        ask: true,
        approved: true,
        version: 999,
    };
    done(&*store, set(item.clone(), None)).await;
    done(&*store, set(contact("benvolio@localhost"), None)).await;
    let roster = load(&*store).await;
    item.version = roster.version - 1;
    let read = store.roster().item(ROMEO, JULIET).await;
    assert_eq!(read, Ok(Some(item.clone())));
    let accounts = ["nobody@localhost", ROMEO, JULIET].map(str::to_owned);
    let rosters = store.roster().of_contact(&accounts, JULIET).await;
    assert_eq!(rosters, Ok(vec![(ROMEO.to_owned(), item.clone())]));
    let mut other = contact("benvolio@localhost");
    other.version = roster.version;
    assert_eq!(roster.items, [other, item]);
    let read = store.roster().item(ROMEO, "paris@localhost").await;
    assert_eq!(read, Ok(None));
}

pub async fn each_change_raises_the_version(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let first = load(&*store).await.version;
    assert!(first > 0);
    done(&*store, set(contact("a@x"), None)).await;
    done(&*store, set(contact("a@x"), None)).await;
    done(&*store, remove("a@x", None)).await;
    assert_eq!(load(&*store).await.version, first + 3);
}

pub async fn changes_since_a_version_are_told_in_order(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let v = load(&*store).await.version;
    for jid in ["c@x", "b@x", "a@x"] {
        done(&*store, set(contact(jid), None)).await;
    }
    done(&*store, remove("b@x", None)).await;
    done(&*store, set(contact("c@x"), None)).await;
    let told = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
    assert_eq!(changes(&*store, v).await, told(&["a@x", "-b@x", "c@x"]));
    assert_eq!(changes(&*store, v + 4).await, told(&["c@x"]));
    assert_eq!(changes(&*store, v + 5).await, told(&[]));
    // A contact that came back is not told as removed.
    done(&*store, set(contact("b@x"), None)).await;
    assert_eq!(changes(&*store, v + 3).await, told(&["c@x", "b@x"]));
    // Neither a later version nor one before the roster began is one of its own.
    assert_eq!(changes(&*store, v + 7).await, None);
    assert_eq!(changes(&*store, v - 1).await, None);
    assert_eq!(changes(&*store, u64::MAX).await, None);
    let nobody = store.roster().changes_since(JULIET, 0).await;
    assert_eq!(nobody, Ok(None));
}

pub async fn forgotten_removals_ask_for_the_whole_roster(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let v = load(&*store).await.version;
    let count = u64::from(TOMBSTONES);
    for n in 0..=count {
        let jid = format!("{n}@x");
        done(&*store, set(contact(&jid), None)).await;
        done(&*store, remove(&jid, None)).await;
    }
    // The first removal came with v + 2 and is forgotten.
    assert_eq!(changes(&*store, v + 1).await, None);
    let rest = changes(&*store, v + 2).await.unwrap();
    assert_eq!(rest.len() as u64, count);
    assert_eq!(rest[0], "-1@x");
}

pub async fn stale_base_is_a_conflict(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let v = load(&*store).await.version;
    done(&*store, set(contact("a@x"), Some(v))).await;
    let stale = Err(Error::Conflict("roster version"));
    assert_eq!(write(&*store, set(contact("b@x"), Some(v))).await, stale);
    assert_eq!(write(&*store, remove("a@x", Some(v))).await, stale);
    let absurd = write(&*store, set(contact("b@x"), Some(u64::MAX))).await;
    assert_eq!(absurd, stale);
    // In one set each builds on the one before.
    let both = [set(contact("b@x"), Some(v + 1)), remove("a@x", Some(v + 2))];
    let both = store.commit(both.into_iter().collect()).await.map(|_| ());
    assert_eq!(both, Ok(()));
    let roster = load(&*store).await;
    assert_eq!((roster.version, roster.items.len()), (v + 3, 1));
}

pub async fn removing_a_stranger_is_not_found(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let before = load(&*store).await;
    let removed = write(&*store, remove("paris@localhost", None)).await;
    assert_eq!(removed, Err(Error::NotFound));
    assert_eq!(load(&*store).await, before);
}

pub async fn number_of_items_is_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let add = async |jid: &str| {
        let op = Write::RosterSet {
            account: ROMEO.into(),
            item: contact(jid),
            base: None,
            max_items: 2,
        };
        write(&*store, op).await
    };
    assert_eq!(add("a@x").await, Ok(()));
    assert_eq!(add("b@x").await, Ok(()));
    assert_eq!(add("c@x").await, Err(Error::Limit("roster items")));
    assert_eq!(add("a@x").await, Ok(()));
    assert_eq!(load(&*store).await.items.len(), 2);
}

async fn ask(store: &dyn Store, jid: &str, received_at: i64, max: u32) -> Result<()> {
    let request = PendingIn {
        jid: jid.into(),
        received_at,
        stanza: stored(&format!("<presence from='{jid}' at='{received_at}'/>")),
    };
    let account = ROMEO.into();
    let op = Write::PendingSet {
        account,
        request,
        max,
    };
    write(store, op).await
}

pub async fn pending_requests_are_kept_whole(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let version = load(&*store).await.version;
    for (jid, at) in [("b@x", 1), ("c@x", 2), ("a@x", 3), ("b@x", 4)] {
        assert_eq!(ask(&*store, jid, at, 10).await, Ok(()));
    }
    let remove = Write::PendingRemove {
        account: ROMEO.into(),
        jid: "c@x".into(),
    };
    done(&*store, remove.clone()).await;
    done(&*store, remove).await;
    let roster = load(&*store).await;
    let kept = |jid: &str, at: i64| PendingIn {
        jid: jid.into(),
        received_at: at,
        stanza: stored(&format!("<presence from='{jid}' at='{at}'/>")),
    };
    assert_eq!(roster.pending_in, [kept("a@x", 3), kept("b@x", 4)]);
    // They are no part of the roster that a client sees (RFC 6121 §2.1.2.5).
    assert_eq!((roster.version, roster.items.len()), (version, 0));
}

pub async fn pending_requests_are_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    assert_eq!(ask(&*store, "a@x", 1, 1).await, Ok(()));
    let more = ask(&*store, "b@x", 2, 1).await;
    assert_eq!(more, Err(Error::Limit("pending requests")));
    assert_eq!(ask(&*store, "a@x", 3, 1).await, Ok(()));
    assert_eq!(load(&*store).await.pending_in.len(), 1);
}

pub async fn recreated_account_never_repeats_a_version(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, set(contact("a@x"), None)).await;
    let old = load(&*store).await.version;
    done(&*store, delete(ROMEO)).await;
    done(&*store, create(ROMEO)).await;
    assert!(load(&*store).await.version > old);
    assert_eq!(changes(&*store, old).await, None);
}
