//! The part of the random writes that is about archives and streams.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::model::{account, bounds, one_of, text};
use super::stored;
use crate::{
    ArchiveDefault, ArchiveEntry, ArchiveFilter, ArchiveId, ArchivePlace, ArchivePrefs,
    ArchiveRequest, Store, StreamId, Waiting, Write, WriteSet,
};

const PARTIES: [&str; 5] = [
    "nurse@localhost",
    "nurse@localhost/a",
    "romeo@localhost/b",
    "juliet@localhost",
    "x",
];

/// Random writes name messages by numbers; here they get the ids of messages that were archived.
pub(crate) fn with_ids(set: &WriteSet, ids: &[ArchiveId]) -> WriteSet {
    let real = |id: ArchiveId| {
        let at = usize::try_from(id.0).unwrap();
        let newest = ids.iter().rev().nth(at).copied();
        newest.unwrap_or(id)
    };
    let write = |mut write: Write| {
        match &mut write {
            Write::OfflinePush {
                stanza: Waiting::Archived(id),
                ..
            }
            | Write::ArchiveDelivered { id, .. }
            | Write::ArchiveReplace { id, .. } => *id = real(*id),
            _ => {}
        }
        write
    };
    set.ops().iter().cloned().map(write).collect()
}

/// What the reads of an archive tell.
pub(crate) async fn of_archive(store: &dyn Store, account: &str, out: &mut String) {
    let all = ArchiveRequest {
        filter: ArchiveFilter::default(),
        place: ArchivePlace::First,
        limit: 100,
    };
    let whole = store.archive().page(account, all.clone()).await;
    let bounds = store.archive().bounds(account).await;
    let prefs = store.archive().prefs(account).await;
    writeln!(out, "{whole:?} {bounds:?} {prefs:?}").unwrap();
    let messages = whole.unwrap().messages;
    let at = |part: usize| messages.get(messages.len() * part / 4);
    for request in requests(at(1).map(|m| (m.id, m.received_at)), at(3).map(|m| m.id)) {
        let page = store.archive().page(account, request).await;
        writeln!(out, "{page:?}").unwrap();
    }
}

fn requests(first: Option<(ArchiveId, i64)>, second: Option<ArchiveId>) -> Vec<ArchiveRequest> {
    let none = ArchiveFilter::default();
    let request = |filter: &ArchiveFilter, place, limit| ArchiveRequest {
        filter: filter.clone(),
        place,
        limit,
    };
    let mut requests = vec![request(&none, ArchivePlace::Last, 2)];
    for with in ["nurse@localhost", "nurse@localhost/a"] {
        let with = ArchiveFilter {
            with: Some(with.into()),
            ..none.clone()
        };
        requests.push(request(&with, ArchivePlace::First, 1));
        requests.push(request(&with, ArchivePlace::Last, 1));
    }
    if let (Some((id, at)), Some(other)) = (first, second) {
        let since = ArchiveFilter {
            start: Some(at),
            ..none.clone()
        };
        let until = ArchiveFilter {
            end: Some(at),
            ..none.clone()
        };
        let some = ArchiveFilter {
            ids: vec![other, id],
            ..none.clone()
        };
        let between = ArchiveFilter {
            after: Some(id),
            before: Some(other),
            with: Some("nurse@localhost".into()),
            ..none.clone()
        };
        requests.extend([
            request(&since, ArchivePlace::First, 2),
            request(&until, ArchivePlace::Before(other), 2),
            request(&some, ArchivePlace::First, 1),
            request(&between, ArchivePlace::Last, 1),
            request(&none, ArchivePlace::After(id), 2),
        ]);
    }
    requests
}

/// What the reads of the journal of streams tell.
pub(crate) async fn journal(store: &dyn Store, out: &mut String) {
    for byte in 0..4 {
        let row = store.streams().get(StreamId([byte; 16])).await;
        writeln!(out, "{row:?}").unwrap();
    }
    let kept = store.streams().kept(None, 100).await;
    writeln!(out, "{kept:?}").unwrap();
}

fn entry() -> impl Strategy<Value = ArchiveEntry> {
    let id = option::of(one_of(&["1", "2"]));
    (0..99_i64, one_of(&PARTIES), any::<bool>(), id, text()).prop_map(
        |(received_at, with, incoming, message_id, text)| ArchiveEntry {
            received_at,
            with,
            incoming,
            message_id,
            stanza: stored(&text),
        },
    )
}

fn host() -> impl Strategy<Value = String> {
    one_of(&["localhost", "example.com"])
}

/// One of the messages that were archived lately, as [`with_ids`] finds it.
fn id() -> impl Strategy<Value = ArchiveId> {
    (0..6_u128).prop_map(ArchiveId)
}

pub(crate) fn archive_write() -> impl Strategy<Value = Write> {
    let waiting = prop_oneof![Just(Waiting::ArchivedNow), id().prop_map(Waiting::Archived),];
    prop_oneof![
        12 => (account(), entry())
            .prop_map(|(account, entry)| Write::ArchivePush { account, entry }),
        3 => (account(), 0..99_i64, waiting, bounds()).prop_map(
            |(account, received_at, stanza, bounds)| Write::OfflinePush {
                account,
                received_at,
                stanza,
                bounds,
            }
        ),
        1 => (account(), id()).prop_map(|(account, id)| Write::ArchiveDelivered { account, id }),
        1 => Just(Write::TakeUp),
        1 => Just(Write::LayDown),
        2 => retract_write(),
        1 => (account(), id(), text()).prop_map(|(account, id, text)| Write::ArchiveReplace {
            account,
            id,
            tombstone: stored(&text),
        }),
        // Which of the rows go first is not promised, so there is room for all.
        1 => (host(), 0..99_i64).prop_map(|(host, before)| Write::ArchiveExpire {
            host,
            before,
            oldest: 1_000,
        }),
        1 => (host(), 0..40_u64).prop_map(|(host, max_bytes)| Write::ArchiveTrim {
            host,
            max_bytes,
            rows: 1_000,
        }),
        1 => prefs_write(),
    ]
}

fn retract_write() -> impl Strategy<Value = Write> {
    let who = (
        account(),
        one_of(&["nurse@localhost", "romeo@localhost", "x"]),
        one_of(&["nurse@localhost", "romeo@localhost", "x"]),
    );
    (who, one_of(&["1", "2"]), text()).prop_map(|((account, with, sender), message_id, text)| {
        Write::ArchiveRetract {
            account,
            with,
            sender,
            message_id,
            tombstone: stored(&text),
        }
    })
}

fn prefs_write() -> impl Strategy<Value = Write> {
    let default = prop_oneof![
        Just(ArchiveDefault::Always),
        Just(ArchiveDefault::Never),
        Just(ArchiveDefault::Roster),
    ];
    (account(), default, vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(account, default, always, never)| Write::ArchivePrefsSet {
            account,
            prefs: ArchivePrefs {
                default,
                always,
                never,
            },
        },
    )
}

pub(crate) fn stream_write() -> impl Strategy<Value = Write> {
    let id = || (0..4_u8).prop_map(|byte| StreamId([byte; 16]));
    prop_oneof![
        3 => (id(), account(), any::<u32>(), 0..9_i64).prop_map(
            |(id, account, handled, expires_at)| Write::StreamCreate {
                id,
                account,
                handled,
                expires_at,
            }
        ),
        3 => (id(), any::<u32>()).prop_map(|(id, handled)| Write::StreamHandled { id, handled }),
        2 => (id(), any::<u32>(), option::of(text()), 0..9_i64).prop_map(
            |(id, handled, state, expires_at)| Write::StreamKeep {
                id,
                handled,
                state: state.map(|state| stored(&state)),
                expires_at,
            }
        ),
        1 => (id(), 0..9_i64)
            .prop_map(|(id, expires_at)| Write::StreamRenew { id, expires_at }),
        1 => id().prop_map(|id| Write::StreamRemove { id }),
        1 => (0..9_i64).prop_map(|now| Write::StreamsExpire { now, rows: 1_000 }),
    ]
}
