//! Promises about the small kinds of data.

use std::sync::Arc;

use super::{JULIET, ROMEO, create, delete, done, stored, write};
use crate::{Bounds, Error, Invite, LastSeenAt, Result, Store, VCard, Write, secret_or_create};

fn private(name: &str, text: &str, bounds: Bounds) -> Write {
    Write::PrivateSet {
        account: ROMEO.into(),
        ns: "storage:bookmarks".into(),
        name: name.into(),
        payload: stored(text),
        bounds,
    }
}

pub async fn private_elements_are_kept_by_name(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    for (name, text) in [("storage", "old"), ("other", "x"), ("storage", "new")] {
        done(&*store, private(name, text, super::AMPLE)).await;
    }
    let get = |account, name| store.private().get(account, "storage:bookmarks", name);
    assert_eq!(get(ROMEO, "storage").await, Ok(Some(stored("new"))));
    assert_eq!(get(ROMEO, "other").await, Ok(Some(stored("x"))));
    assert_eq!(get(JULIET, "storage").await, Ok(None));
    let remove = Write::PrivateRemove {
        account: ROMEO.into(),
        ns: "storage:bookmarks".into(),
        name: "storage".into(),
    };
    done(&*store, remove).await;
    assert_eq!(get(ROMEO, "storage").await, Ok(None));
}

pub async fn private_elements_are_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let bounds = Bounds { rows: 2, bytes: 10 };
    done(&*store, private("a", "12345", bounds)).await;
    let long = write(&*store, private("b", "123456", bounds)).await;
    assert_eq!(long, Err(Error::Limit("bytes")));
    done(&*store, private("b", "12345", bounds)).await;
    let third = write(&*store, private("c", "", bounds)).await;
    assert_eq!(third, Err(Error::Limit("rows")));
    // What is replaced does not count.
    done(&*store, private("a", "54321", bounds)).await;
    let read = store.private().get(ROMEO, "storage:bookmarks", "c").await;
    assert_eq!(read, Ok(None));
}

pub async fn vcard_is_kept_with_the_hash_of_its_photo(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.vcards().get(ROMEO).await, Ok(None));
    assert_eq!(store.vcards().photo(ROMEO).await, Ok(None));
    for photo_sha1 in [Some([7; 20]), None] {
        let vcard = VCard {
            payload: stored("<vCard xmlns='vcard-temp'/>"),
            photo_sha1,
        };
        let set = Write::VCardSet {
            account: ROMEO.into(),
            vcard: vcard.clone(),
        };
        done(&*store, set).await;
        assert_eq!(store.vcards().photo(ROMEO).await, Ok(photo_sha1));
        assert_eq!(store.vcards().get(ROMEO).await, Ok(Some(vcard)));
    }
    let account = ROMEO.into();
    done(&*store, Write::VCardRemove { account }).await;
    assert_eq!(store.vcards().get(ROMEO).await, Ok(None));
}

pub async fn block_list_is_a_bounded_set(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    let texts = |jids: &[&str]| jids.iter().map(|&jid| jid.to_owned()).collect::<Vec<_>>();
    let add = |jids: &[&str]| Write::BlockAdd {
        account: ROMEO.into(),
        jids: texts(jids),
        max: 3,
    };
    done(&*store, add(&["b@x", "a@x"])).await;
    done(&*store, add(&["b@x", "x"])).await;
    let list = || store.blocking().list(ROMEO);
    assert_eq!(list().await, Ok(texts(&["a@x", "b@x", "x"])));
    done(&*store, create(JULIET)).await;
    let lists = store.blocking().lists(&texts(&[JULIET, ROMEO, "nobody@x"]));
    let expected = vec![(ROMEO.to_owned(), texts(&["a@x", "b@x", "x"]))];
    assert_eq!(lists.await, Ok(expected));
    let full = write(&*store, add(&["c@x"])).await;
    assert_eq!(full, Err(Error::Limit("blocked JIDs")));
    done(&*store, add(&["a@x"])).await;
    let remove = Write::BlockRemove {
        account: ROMEO.into(),
        jids: texts(&["a@x", "never@x"]),
    };
    done(&*store, remove).await;
    assert_eq!(list().await, Ok(texts(&["b@x", "x"])));
    let account = ROMEO.into();
    done(&*store, Write::BlockClear { account }).await;
    assert_eq!(list().await, Ok(Vec::new()));
}

pub async fn last_seen_is_the_latest(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.last().get(ROMEO).await, Ok(None));
    for (at, status) in [(10, Some("To the tomb")), (20, None)] {
        let status = status.map(str::to_owned);
        let set = Write::LastSeenSet {
            account: ROMEO.into(),
            at,
            status: status.clone(),
        };
        done(&*store, set).await;
        let read = store.last().get(ROMEO).await;
        assert_eq!(read, Ok(Some(LastSeenAt { at, status })));
    }
}

fn invite(created_by: Option<&str>, uses: u32) -> Invite {
    Invite {
        host: "localhost".into(),
        created_by: created_by.map(str::to_owned),
        expires_at: 100,
        uses,
    }
}

async fn make(store: &dyn Store, token: &[u8], invite: &Invite) -> Result<()> {
    let op = Write::InviteCreate {
        token_hash: token.into(),
        invite: invite.clone(),
    };
    write(store, op).await
}

async fn use_up(store: &dyn Store, token: &[u8], host: &str, now: i64) -> Result<()> {
    let op = Write::InviteUse {
        token_hash: token.into(),
        host: host.into(),
        now,
    };
    write(store, op).await
}

pub async fn invitation_is_used_up(store: Arc<dyn Store>) {
    let made = invite(None, 2);
    assert_eq!(make(&*store, b"t", &made).await, Ok(()));
    let again = make(&*store, b"t", &made).await;
    assert_eq!(again, Err(Error::Conflict("invitation")));
    assert_eq!(store.invites().get(b"t").await, Ok(Some(made)));
    assert_eq!(use_up(&*store, b"t", "localhost", 1).await, Ok(()));
    assert_eq!(use_up(&*store, b"t", "localhost", 1).await, Ok(()));
    let third = use_up(&*store, b"t", "localhost", 1).await;
    assert_eq!(third, Err(Error::NotFound));
    let token_hash = b"t".to_vec();
    done(&*store, Write::InviteRemove { token_hash }).await;
    assert_eq!(store.invites().get(b"t").await, Ok(None));
}

pub async fn invitation_is_for_one_host_and_time(store: Arc<dyn Store>) {
    assert_eq!(make(&*store, b"t", &invite(None, 1)).await, Ok(()));
    let refused = Err(Error::NotFound);
    assert_eq!(use_up(&*store, b"t", "example.com", 1).await, refused);
    assert_eq!(use_up(&*store, b"t", "localhost", 100).await, refused);
    assert_eq!(use_up(&*store, b"u", "localhost", 1).await, refused);
    done(&*store, Write::InvitesExpire { now: 99 }).await;
    assert_eq!(use_up(&*store, b"t", "localhost", 99).await, Ok(()));
    done(&*store, Write::InvitesExpire { now: 100 }).await;
    assert_eq!(store.invites().get(b"t").await, Ok(None));
}

pub async fn invitations_go_with_their_maker(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (token, maker) in [(b"r", Some(ROMEO)), (b"j", Some(JULIET)), (b"o", None)] {
        assert_eq!(make(&*store, token, &invite(maker, 1)).await, Ok(()));
    }
    done(&*store, delete(ROMEO)).await;
    assert_eq!(store.invites().get(b"r").await, Ok(None));
    assert!(store.invites().get(b"j").await.unwrap().is_some());
    assert!(store.invites().get(b"o").await.unwrap().is_some());
}

pub async fn secret_is_made_once(store: Arc<dyn Store>) {
    let first = secret_or_create(&*store, "salt", vec![1]).await;
    assert_eq!(first, Ok(vec![1]));
    let second = secret_or_create(&*store, "salt", vec![2]).await;
    assert_eq!(second, Ok(vec![1]));
    let third = Write::SecretCreate {
        name: "salt".into(),
        value: vec![3],
    };
    let third = write(&*store, third).await;
    assert_eq!(third, Err(Error::Conflict("secret")));
    assert_eq!(store.secrets().get("salt").await, Ok(Some(vec![1])));
    assert_eq!(store.secrets().get("other").await, Ok(None));
}
