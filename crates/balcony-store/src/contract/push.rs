//! Promises about push registrations.

use std::sync::Arc;

use super::{JULIET, ROMEO, create, delete, done, stored, write};
use crate::{Error, PushRegistration, Store, Write};

fn registration(jid: &str, node: &str, created: i64) -> PushRegistration {
    PushRegistration {
        jid: jid.into(),
        node: node.into(),
        options: Some(stored("<x xmlns='jabber:x:data'/>")),
        resource: "phone".into(),
        created,
        disabled: None,
    }
}

fn enable(registration: PushRegistration, max: u32) -> Write {
    Write::PushEnable {
        account: ROMEO.into(),
        registration,
        max,
    }
}

fn disable(jid: &str, node: Option<&str>) -> Write {
    Write::PushDisable {
        account: ROMEO.into(),
        jid: jid.into(),
        node: node.map(str::to_owned),
    }
}

fn fail(jid: &str, node: &str, created: i64) -> Write {
    Write::PushFail {
        account: ROMEO.into(),
        jid: jid.into(),
        node: node.into(),
        created,
        reason: "item-not-found".into(),
    }
}

async fn places(store: &dyn Store) -> Vec<(String, String)> {
    let list = store.push().list(ROMEO).await.unwrap().into_iter();
    list.map(|found| (found.jid, found.node)).collect()
}

fn texts(places: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(jid, node): &(&str, &str)| ((*jid).to_owned(), (*node).to_owned());
    places.iter().map(owned).collect()
}

pub async fn push_registration_is_read_back_and_replaced(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    let first = registration("push.example", "a", 1);
    done(&*store, enable(first, 9)).await;
    let second = PushRegistration {
        options: None,
        resource: "tablet".into(),
        ..registration("push.example", "a", 2)
    };
    done(&*store, enable(second.clone(), 9)).await;
    assert_eq!(store.push().list(ROMEO).await, Ok(vec![second]));
    assert_eq!(store.push().list(JULIET).await, Ok(Vec::new()));
    let nobody = Write::PushEnable {
        account: "nobody@localhost".into(),
        registration: registration("push.example", "a", 1),
        max: 9,
    };
    assert_eq!(write(&*store, nobody).await, Err(Error::NotFound));
}

pub async fn push_is_disabled_by_node_or_by_service(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (jid, node) in [("a", "1"), ("a", "2"), ("a", ""), ("b", "1")] {
        done(&*store, enable(registration(jid, node, 1), 9)).await;
    }
    done(&*store, disable("a", Some("2"))).await;
    let left = texts(&[("a", ""), ("a", "1"), ("b", "1")]);
    assert_eq!(places(&*store).await, left);
    done(&*store, disable("c", None)).await;
    done(&*store, disable("b", Some("3"))).await;
    assert_eq!(places(&*store).await, left);
    done(&*store, disable("a", None)).await;
    assert_eq!(places(&*store).await, texts(&[("b", "1")]));
}

pub async fn failed_push_is_disabled_until_it_is_enabled_again(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, enable(registration("a", "1", 5), 9)).await;
    let reason = || async {
        let list = store.push().list(ROMEO).await.unwrap();
        list.into_iter().next().and_then(|found| found.disabled)
    };
    // It was enabled again since.
    done(&*store, fail("a", "1", 4)).await;
    done(&*store, fail("a", "2", 5)).await;
    assert_eq!(reason().await, None);
    done(&*store, fail("a", "1", 5)).await;
    assert_eq!(reason().await.as_deref(), Some("item-not-found"));
    done(&*store, enable(registration("a", "1", 6), 9)).await;
    assert_eq!(reason().await, None);
}

pub async fn push_registrations_are_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (node, created) in [("old", 1), ("new", 3), ("failed", 2)] {
        done(&*store, enable(registration("a", node, created), 3)).await;
    }
    done(&*store, fail("a", "failed", 2)).await;
    // The disabled one goes first, then the oldest; the new one stays whatever its time.
    done(&*store, enable(registration("a", "next", 0), 3)).await;
    let left = texts(&[("a", "new"), ("a", "next"), ("a", "old")]);
    assert_eq!(places(&*store).await, left);
    done(&*store, enable(registration("a", "last", 0), 3)).await;
    let left = texts(&[("a", "last"), ("a", "new"), ("a", "old")]);
    assert_eq!(places(&*store).await, left);
    done(&*store, enable(registration("a", "last", 9), 1)).await;
    assert_eq!(places(&*store).await, texts(&[("a", "last")]));
}

pub async fn push_goes_with_its_account(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, enable(registration("a", "1", 1), 9)).await;
    done(&*store, delete(ROMEO)).await;
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.push().list(ROMEO).await, Ok(Vec::new()));
}
