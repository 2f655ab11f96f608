//! Random writes, compared with the store in memory.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::model_archive::{archive_write, journal, of_archive, stream_write, with_ids};
use super::model_pubsub::{of_nodes, pubsub_write};
use super::model_rooms::{of_rooms, room_write};
use super::tokens::{client, token};
use super::{key, stored};
use crate::archive_id;
use crate::{
    Bounds, HashName, Invite, MemoryStore, PendingIn, PushRegistration, RosterItem, Store,
    Subscription, TokenClient, VCard, Waiting, Write, WriteSet,
};

/// Few of each, so that they meet. Each may be an account or a room.
const ACCOUNTS: [&str; 4] = [
    "romeo@localhost",
    "juliet@localhost",
    "romeo@example.com",
    "garden@localhost",
];
const CONTACTS: [&str; 4] = ["nurse@localhost", "paris@x", "x", "ab"];

/// Runs random sets against the store that `open` gives and against the one in memory: the same
/// outcomes, and the same answers to every read after each set.
pub fn agrees_with_memory<G>(cases: u32, open: impl Fn() -> (Arc<dyn Store>, G)) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&vec(write_set(), 1..25), |sets| {
        let (store, _guard) = open();
        runtime.block_on(compare(&*store, &sets));
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

async fn compare(store: &dyn Store, sets: &[WriteSet]) {
    let model = model_of(store).await;
    let mut ids = Vec::new();
    for set in sets {
        let set = &with_ids(set, &ids);
        let expected = model.commit(set.clone()).await;
        assert_eq!(store.commit(set.clone()).await, expected, "{set:?}");
        assert_eq!(snapshot(store).await, snapshot(&model).await, "{set:?}");
        ids.extend(expected.into_iter().flat_map(|done| done.archived));
    }
}

/// An empty store in memory that makes the same ids.
pub async fn model_of(store: &dyn Store) -> MemoryStore {
    let key = store.secrets().get(archive_id::KEY).await.unwrap();
    MemoryStore::with_archive_key(key.unwrap().try_into().unwrap())
}

/// Everything that the reads tell, as text.
pub async fn snapshot(store: &dyn Store) -> String {
    let mut out = String::new();
    for host in ["localhost", "example.com"] {
        let list = store.accounts().list(host, None, 100).await;
        let count = store.accounts().count(host).await;
        let rounds = store.accounts().iterations(host).await;
        writeln!(out, "{host}: {count:?} {list:?} {rounds:?}").unwrap();
        of_rooms(store, host, &mut out).await;
    }
    for account in ACCOUNTS {
        of_account(store, account, &mut out).await;
    }
    of_nodes(store, &ACCOUNTS, &mut out).await;
    journal(store, &mut out).await;
    for token in ["t", "u"] {
        let invite = store.invites().get(token.as_bytes()).await;
        let secret = store.secrets().get(token).await;
        writeln!(out, "{token}: {invite:?} {secret:?}").unwrap();
    }
    out
}

async fn of_account(store: &dyn Store, account: &str, out: &mut String) {
    let (user, host) = account.split_once('@').unwrap();
    let data = store.accounts().get(host, user).await.unwrap();
    let keys = data.iter().flat_map(|data| &data.keys);
    let iterations: Vec<_> = keys.map(|key| (key.hash, key.iterations)).collect();
    let roster = store.roster().load(account).await.unwrap();
    let since = roster.version.saturating_sub(3);
    let changes = store.roster().changes_since(account, since).await;
    writeln!(
        out,
        "{account}: {data:?} {iterations:?} {roster:?} {changes:?}"
    )
    .unwrap();
    let total = store.offline().total(account).await;
    let rows = store.offline().page(account, 0, 100).await;
    let blocked = store.blocking().list(account).await;
    writeln!(out, "{total:?} {rows:?} {blocked:?}").unwrap();
    let room = store.rooms().get(account).await;
    writeln!(out, "{room:?}").unwrap();
    of_archive(store, account, out).await;
    let push = store.push().list(account).await;
    let tokens = store.tokens().list(account).await;
    let login = store.tokens().login(account, "a").await;
    writeln!(out, "{tokens:?} {login:?}").unwrap();
    writeln!(out, "{push:?}").unwrap();
    let last = store.last().get(account).await;
    let vcard = store.vcards().get(account).await;
    let photo = store.vcards().photo(account).await;
    writeln!(out, "{last:?} {vcard:?} {photo:?}").unwrap();
    for name in ["a", "b"] {
        let private = store.private().get(account, "ns", name).await;
        writeln!(out, "{private:?}").unwrap();
    }
}

/// A set of up to four random writes.
pub fn write_set() -> impl Strategy<Value = WriteSet> {
    let write = prop_oneof![
        2 => account_write(),
        3 => roster_write(),
        3 => queue_write(),
        3 => item_write(),
        1 => server_write(),
        5 => archive_write(),
        2 => stream_write(),
        1 => push_write(),
        2 => token_write(),
        2 => room_write(),
        5 => pubsub_write(),
    ];
    vec(write, 1..5).prop_map(|writes| writes.into_iter().collect())
}

pub(super) fn one_of(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (0..names.len()).prop_map(move |at| names[at].to_owned())
}

pub(super) fn account() -> impl Strategy<Value = String> {
    one_of(&ACCOUNTS)
}

pub(super) fn contact() -> impl Strategy<Value = String> {
    one_of(&CONTACTS)
}

pub(super) fn bounds() -> impl Strategy<Value = Bounds> {
    (1..6_u32, 1..40_u64).prop_map(|(rows, bytes)| Bounds { rows, bytes })
}

pub(super) fn text() -> impl Strategy<Value = String> {
    "[a-z🌹,:]{0,12}"
}

fn account_write() -> impl Strategy<Value = Write> {
    let keys = vec((0..3_usize, any::<u8>()), 0..3).prop_map(|keys| {
        let key_of = |(hash, byte): (usize, u8)| key(HashName::ALL[hash], byte);
        keys.into_iter().map(key_of).collect::<Vec<_>>()
    });
    (account(), keys, 0..9_u8).prop_map(|(account, keys, which)| {
        let (user, host) = account.split_once('@').unwrap();
        let (host, user) = (host.to_owned(), user.to_owned());
        match which {
            0..4 => Write::CreateAccount {
                host,
                user,
                created: i64::from(which),
                keys,
            },
            4 => Write::SetKeys { host, user, keys },
            8 => Write::AddKeys { host, user, keys },
            5 | 6 => Write::SetEnabled {
                host,
                user,
                enabled: which == 5,
            },
            _ => Write::DeleteAccount { host, user },
        }
    })
}

fn item() -> impl Strategy<Value = RosterItem> {
    let state = prop_oneof![
        Just(Subscription::None),
        Just(Subscription::To),
        Just(Subscription::From),
        Just(Subscription::Both),
    ];
    let flags = (any::<bool>(), any::<bool>());
    (
        contact(),
        option::of(text()),
        vec(text(), 0..3),
        state,
        flags,
    )
        .prop_map(
            |(jid, name, groups, subscription, (ask, approved))| RosterItem {
                jid,
                name,
                groups,
                subscription,
                ask,
                approved,
                version: 0,
            },
        )
}

fn roster_write() -> impl Strategy<Value = Write> {
    // The first version of the first account, and what it grows to: a base that often fits.
    let base = option::weighted(0.3, (1_u64 << 32)..(1 << 32) + 4);
    prop_oneof![
        (account(), item(), base.clone(), 1..5_u32).prop_map(|(account, item, base, max_items)| {
            Write::RosterSet {
                account,
                item,
                base,
                max_items,
            }
        }),
        (account(), contact(), base).prop_map(|(account, jid, base)| Write::RosterRemove {
            account,
            jid,
            base
        }),
    ]
}

fn queue_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (account(), any::<i64>(), text(), bounds()).prop_map(
            |(account, received_at, text, bounds)| Write::OfflinePush {
                account,
                received_at,
                stanza: Waiting::Stanza(stored(&text)),
                bounds,
            }
        ),
        1 => (account(), 0..9_i64, 0..30_i64).prop_map(|(account, after, up_to)| {
            Write::OfflineDelete { account, after, up_to }
        }),
        // Rows of deleted accounts count as long as they are there, so all are looked at.
        1 => any::<i64>().prop_map(|before| Write::OfflineExpire { before, oldest: 1_000 }),
        2 => (account(), contact(), 0..9_i64, text(), 1..4_u32).prop_map(
            |(account, jid, received_at, text, max)| Write::PendingSet {
                account,
                request: PendingIn {
                    jid,
                    received_at,
                    stanza: stored(&text),
                },
                max,
            }
        ),
        1 => (account(), contact())
            .prop_map(|(account, jid)| Write::PendingRemove { account, jid }),
    ]
}

fn item_write() -> impl Strategy<Value = Write> {
    let name = || prop_oneof![Just("a".to_owned()), Just("b".to_owned())];
    let ns = || "ns".to_owned();
    prop_oneof![
        (account(), name(), text(), bounds()).prop_map(move |(account, name, text, bounds)| {
            Write::PrivateSet {
                account,
                ns: ns(),
                name,
                payload: stored(&text),
                bounds,
            }
        }),
        (account(), name()).prop_map(move |(account, name)| Write::PrivateRemove {
            account,
            ns: ns(),
            name
        }),
        (account(), text(), option::of(any::<[u8; 20]>())).prop_map(
            |(account, text, photo_sha1)| Write::VCardSet {
                account,
                vcard: VCard {
                    payload: stored(&text),
                    photo_sha1,
                },
            }
        ),
        account().prop_map(|account| Write::VCardRemove { account }),
        (account(), vec(contact(), 0..4), 1..4_u32)
            .prop_map(|(account, jids, max)| Write::BlockAdd { account, jids, max }),
        (account(), vec(contact(), 0..4))
            .prop_map(|(account, jids)| Write::BlockRemove { account, jids }),
        account().prop_map(|account| Write::BlockClear { account }),
        (account(), any::<i64>(), option::of(text())).prop_map(|(account, at, status)| {
            Write::LastSeenSet {
                account,
                at,
                status,
            }
        }),
    ]
}

fn push_write() -> impl Strategy<Value = Write> {
    let place = || (account(), contact(), one_of(&["", "a", "b"]), 0..4_i64);
    let options = || (option::of(text()), text(), 1..4_u32);
    prop_oneof![
        (place(), options()).prop_map(
            |((account, jid, node, created), (options, resource, max))| {
                Write::PushEnable {
                    account,
                    registration: PushRegistration {
                        jid,
                        node,
                        options: options.map(|text| stored(&text)),
                        resource,
                        created,
                        disabled: None,
                    },
                    max,
                }
            }
        ),
        (place(), any::<bool>()).prop_map(|((account, jid, node, _), one)| Write::PushDisable {
            account,
            jid,
            node: one.then_some(node),
        }),
        (place(), text()).prop_map(|((account, jid, node, created), reason)| Write::PushFail {
            account,
            jid,
            node,
            created,
            reason,
        }),
    ]
}

fn token_write() -> impl Strategy<Value = Write> {
    let place = || {
        (
            account(),
            one_of(&["", "a", "b"]),
            one_of(&["x", "y", "z"]),
            0..9_i64,
        )
    };
    let named = |id: String, device| TokenClient {
        device,
        ..client(&id)
    };
    prop_oneof![
        3 => (place(), option::of(text()), option::of(0..4_u8), 1..4_u32).prop_map(
            move |((account, id, secret, at), device, proved, max)| Write::TokenSet {
                account,
                client: named(id, device),
                token: token(&secret, at),
                at,
                proved: proved.map(|byte| key(HashName::Sha256, byte).stored_key),
                max,
            }
        ),
        2 => (place(), option::of(text()), 0..4_u8, 1..4_u32).prop_map(
            move |((account, id, _, at), device, proved, max)| Write::ClientSeen {
                account,
                client: named(id, device),
                at,
                proved: key(HashName::Sha256, proved).stored_key,
                max,
            }
        ),
        3 => (place(), option::of(text()), option::of(0..4_u32)).prop_map(
            move |((account, id, secret, at), device, count)| Write::TokenUsed {
                account,
                client: named(id, device),
                secret,
                count,
                at,
            }
        ),
        1 => place().prop_map(|(account, client, ..)| Write::TokenRemove { account, client }),
        1 => account().prop_map(|account| Write::TokensRemoveAll { account }),
        1 => (0..9_i64).prop_map(|before| Write::TokensExpire { before, rows: 1_000 }),
    ]
}

fn server_write() -> impl Strategy<Value = Write> {
    let token = || prop_oneof![Just(b"t".to_vec()), Just(b"u".to_vec())];
    let invite =
        (option::of(account()), 0..9_i64, 0..3_u32).prop_map(|(created_by, expires_at, uses)| {
            Invite {
                host: "localhost".into(),
                created_by,
                expires_at,
                uses,
            }
        });
    prop_oneof![
        (token(), invite)
            .prop_map(|(token_hash, invite)| Write::InviteCreate { token_hash, invite }),
        (token(), 0..9_i64).prop_map(|(token_hash, now)| Write::InviteUse {
            token_hash,
            host: "localhost".into(),
            now
        }),
        token().prop_map(|token_hash| Write::InviteRemove { token_hash }),
        (0..9_i64).prop_map(|now| Write::InvitesExpire { now }),
        text().prop_map(|value| Write::SecretCreate {
            name: "t".into(),
            value: value.into_bytes()
        }),
    ]
}
