//! Promises about tokens.

use std::sync::Arc;

use super::{JULIET, ROMEO, create, delete, done, key, write};
use crate::{Error, HashName, Store, Token, TokenClient, Write};

pub(super) fn token(secret: &str, expires: i64) -> Token {
    Token {
        mechanism: "HT-SHA-256-EXPR".into(),
        secret: secret.into(),
        created: expires - 100,
        expires,
        count: None,
    }
}

pub(super) fn client(id: &str) -> TokenClient {
    TokenClient {
        id: id.into(),
        software: Some("Balcony".into()),
        device: None,
    }
}

fn issue(id: &str, secret: &str, at: i64) -> Write {
    Write::TokenSet {
        account: ROMEO.into(),
        client: client(id),
        token: token(secret, at + 100),
        at,
        proved: None,
        max: 3,
    }
}

/// A token at 4 for who proved the password with these keys.
fn by_password(id: &str, keys: u8) -> Write {
    Write::TokenSet {
        account: ROMEO.into(),
        client: client(id),
        token: token("c", 9),
        at: 4,
        proved: Some(key(HashName::Sha256, keys).stored_key),
        max: 3,
    }
}

fn set_keys(keys: u8) -> Write {
    Write::SetKeys {
        host: "localhost".into(),
        user: "romeo".into(),
        keys: vec![key(HashName::Sha1, keys + 100), key(HashName::Sha256, keys)],
    }
}

fn enable(enabled: bool) -> Write {
    Write::SetEnabled {
        host: "localhost".into(),
        user: "romeo".into(),
        enabled,
    }
}

fn used(id: &str, secret: &str, count: Option<u32>, at: i64) -> Write {
    Write::TokenUsed {
        account: ROMEO.into(),
        client: client(id),
        secret: secret.into(),
        count,
        at,
    }
}

/// A login at `at` by who proved the password with these keys.
fn seen(id: &str, at: i64, keys: u8) -> Write {
    Write::ClientSeen {
        account: ROMEO.into(),
        client: client(id),
        at,
        proved: key(HashName::Sha256, keys).stored_key,
        max: 3,
    }
}

fn remove(id: &str) -> Write {
    Write::TokenRemove {
        account: ROMEO.into(),
        client: id.into(),
    }
}

/// The secrets of the current and the new token of a client.
async fn slots(store: &dyn Store, id: &str) -> (Option<String>, Option<String>) {
    let login = store.tokens().login(ROMEO, id).await.unwrap().unwrap();
    let secret = |token: Option<Token>| token.map(|token| token.secret);
    login.tokens.map_or((None, None), |tokens| {
        (secret(tokens.current), secret(tokens.new))
    })
}

fn texts(current: &str, new: &str) -> (Option<String>, Option<String>) {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (text(current), text(new))
}

async fn ids(store: &dyn Store) -> Vec<String> {
    let list = store.tokens().list(ROMEO).await.unwrap().into_iter();
    list.map(|tokens| tokens.client.id).collect()
}

pub async fn token_is_read_back_whole(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    done(&*store, issue("phone", "a", 5)).await;
    let login = store.tokens().login(ROMEO, "phone").await.unwrap().unwrap();
    let tokens = login.tokens.unwrap();
    assert!(login.enabled);
    assert_eq!(tokens.client, client("phone"));
    assert_eq!((tokens.created, tokens.used, tokens.password), (5, 5, None));
    assert_eq!((tokens.current, tokens.new), (None, Some(token("a", 105))));
    let other = store.tokens().login(JULIET, "phone").await.unwrap();
    assert_eq!(other.unwrap().tokens, None);
    let nobody = store.tokens().login("nobody@localhost", "phone").await;
    assert_eq!(nobody, Ok(None));
    done(&*store, enable(false)).await;
    let login = store.tokens().login(ROMEO, "phone").await.unwrap();
    assert!(!login.unwrap().enabled);
}

pub async fn token_in_use_is_good_until_the_new_one_is_used(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    assert_eq!(slots(&*store, "phone").await, texts("", "a"));
    done(&*store, used("phone", "a", None, 2)).await;
    assert_eq!(slots(&*store, "phone").await, texts("a", ""));
    done(&*store, issue("phone", "b", 3)).await;
    done(&*store, used("phone", "a", None, 4)).await;
    assert_eq!(slots(&*store, "phone").await, texts("a", "b"));
    // The new one was never used: the next takes its place.
    done(&*store, issue("phone", "c", 5)).await;
    assert_eq!(slots(&*store, "phone").await, texts("a", "c"));
    assert_eq!(
        write(&*store, used("phone", "b", None, 6)).await,
        Err(Error::NotFound)
    );
    done(&*store, used("phone", "c", None, 7)).await;
    assert_eq!(slots(&*store, "phone").await, texts("c", ""));
    assert_eq!(
        write(&*store, used("phone", "a", None, 8)).await,
        Err(Error::NotFound)
    );
    let tokens = store.tokens().list(ROMEO).await.unwrap();
    assert_eq!((tokens[0].created, tokens[0].used), (1, 7));
}

pub async fn count_of_a_token_only_grows(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    for (count, expected) in [
        (None, None),
        (Some(7), Some(7)),
        (Some(3), Some(7)),
        (None, Some(7)),
    ] {
        done(&*store, used("phone", "a", count, 2)).await;
        let tokens = store.tokens().list(ROMEO).await.unwrap();
        assert_eq!(tokens[0].current.as_ref().unwrap().count, expected);
    }
    done(&*store, issue("phone", "b", 3)).await;
    done(&*store, used("phone", "b", None, 4)).await;
    let tokens = store.tokens().list(ROMEO).await.unwrap();
    assert_eq!(tokens[0].current.as_ref().unwrap().count, None);
}

pub async fn names_of_a_client_are_its_last_ones(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    let renamed = Write::TokenUsed {
        account: ROMEO.into(),
        client: TokenClient {
            id: "phone".into(),
            software: None,
            device: Some("Romeo's phone".into()),
        },
        secret: "a".into(),
        count: None,
        at: 2,
    };
    done(&*store, renamed).await;
    let tokens = store.tokens().list(ROMEO).await.unwrap();
    assert_eq!(tokens[0].client.software.as_deref(), Some("Balcony"));
    assert_eq!(tokens[0].client.device.as_deref(), Some("Romeo's phone"));
}

pub async fn revoked_token_is_gone_and_the_password_is_remembered(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    done(&*store, used("phone", "a", None, 2)).await;
    done(&*store, issue("phone", "b", 3)).await;
    done(&*store, by_password("tablet", 1)).await;
    for id in ["phone", "tablet", "unknown"] {
        done(&*store, remove(id)).await;
        assert_eq!(slots(&*store, id).await, texts("", ""));
    }
    let left = store.tokens().list(ROMEO).await.unwrap();
    let left: Vec<_> = left
        .iter()
        .map(|left| (&*left.client.id, left.password))
        .collect();
    assert_eq!(left, [("tablet", Some(4))]);
    done(
        &*store,
        Write::TokensRemoveAll {
            account: ROMEO.into(),
        },
    )
    .await;
    assert_eq!(ids(&*store).await, Vec::<String>::new());
}

pub async fn token_is_refused_to_who_proved_an_old_password(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, by_password("phone", 1)).await;
    done(&*store, set_keys(2)).await;
    for refused in [by_password("tablet", 1), by_password("phone", 1)] {
        assert_eq!(write(&*store, refused).await, Err(Error::NotFound));
    }
    done(&*store, enable(false)).await;
    let refused = write(&*store, by_password("tablet", 2)).await;
    assert_eq!(refused, Err(Error::NotFound));
    assert_eq!(ids(&*store).await, ["phone"]);
    done(&*store, enable(true)).await;
    done(&*store, by_password("tablet", 2)).await;
    assert_eq!(ids(&*store).await, ["phone", "tablet"]);
}

pub async fn client_without_a_token_is_remembered_by_its_password(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    done(&*store, seen("phone", 3, 1)).await;
    done(&*store, seen("tablet", 4, 1)).await;
    done(&*store, seen("tablet", 5, 1)).await;
    let list = store.tokens().list(ROMEO).await.unwrap();
    let times: Vec<_> = list
        .iter()
        .map(|tokens| (tokens.created, tokens.used, tokens.password))
        .collect();
    assert_eq!(times, [(1, 3, Some(3)), (4, 5, Some(5))]);
    assert_eq!(slots(&*store, "phone").await, texts("", "a"));
    assert_eq!(slots(&*store, "tablet").await, texts("", ""));
    assert_eq!(list[1].client, client("tablet"));
    for refused in [seen("tablet", 6, 2), seen("laptop", 6, 2)] {
        assert_eq!(write(&*store, refused).await, Err(Error::NotFound));
    }
    assert_eq!(ids(&*store).await, ["phone", "tablet"]);
}

pub async fn clients_without_tokens_make_way_first(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    for (id, at) in [("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        done(&*store, seen(id, at, 1)).await;
    }
    assert_eq!(ids(&*store).await, ["d", "e", "phone"]);
    for (id, at) in [("f", 6), ("g", 7)] {
        done(&*store, issue(id, id, at)).await;
    }
    assert_eq!(ids(&*store).await, ["f", "g", "phone"]);
    // Nor do they take the place of a token.
    done(&*store, seen("h", 8, 1)).await;
    assert_eq!(ids(&*store).await, ["f", "g", "phone"]);
}

pub async fn clients_with_tokens_are_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (id, at) in [("a", 3), ("b", 1), ("c", 2)] {
        done(&*store, issue(id, id, at)).await;
    }
    done(&*store, used("b", "b", None, 9)).await;
    // The one that was not used for the longest time goes, and never the new one.
    done(&*store, issue("d", "d", 0)).await;
    assert_eq!(ids(&*store).await, ["a", "b", "d"]);
    done(&*store, issue("a", "e", 4)).await;
    assert_eq!(ids(&*store).await, ["a", "b", "d"]);
}

pub async fn tokens_that_nobody_uses_go_in_slices(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    for (id, at) in [("a", 3), ("b", 1), ("c", 2)] {
        done(&*store, issue(id, id, at)).await;
    }
    let expire = |rows| Write::TokensExpire { before: 3, rows };
    done(&*store, expire(1)).await;
    assert_eq!(ids(&*store).await, ["a", "c"]);
    done(&*store, expire(9)).await;
    assert_eq!(ids(&*store).await, ["a"]);
}

pub async fn tokens_go_with_their_account(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, issue("phone", "a", 1)).await;
    done(&*store, delete(ROMEO)).await;
    for refused in [issue("phone", "b", 1), used("phone", "a", None, 2)] {
        assert_eq!(write(&*store, refused).await, Err(Error::NotFound));
    }
    done(&*store, create(ROMEO)).await;
    assert_eq!(ids(&*store).await, Vec::<String>::new());
}
