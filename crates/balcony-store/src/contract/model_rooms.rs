//! The part of the random writes that is about rooms.

use std::fmt::Write as _;

use proptest::option;
use proptest::prelude::{Strategy, prop_oneof};

use super::model::{account, contact, one_of, text};
use super::stored;
use crate::{Affiliation, RoomAffiliation, Store, Write};

/// What the reads of rooms tell about those of a host.
pub(crate) async fn of_rooms(store: &dyn Store, host: &str, out: &mut String) {
    let rooms = store.rooms();
    let list = rooms.list(host, None, 100).await;
    writeln!(out, "{list:?}").unwrap();
    for jid in ["paris@x", "x"] {
        let owned = rooms.owned_by(host, jid).await;
        let theirs = rooms.rooms_of(host, jid).await;
        writeln!(out, "{owned:?} {theirs:?}").unwrap();
    }
}

pub(crate) fn room_write() -> impl Strategy<Value = Write> {
    let affiliation = (
        0..Affiliation::ALL.len(),
        option::of(one_of(&["a", "b"])),
        option::of(text()),
    );
    let affiliation = affiliation.prop_map(|(word, nick, reason)| RoomAffiliation {
        affiliation: Affiliation::ALL[word],
        nick,
        reason,
    });
    prop_oneof![
        2 => (account(), 0..9_i64, text()).prop_map(|(account, created, text)| {
            let (room, host) = account.split_once('@').unwrap();
            Write::RoomCreate {
                host: host.to_owned(),
                room: room.to_owned(),
                created,
                config: stored(&text),
            }
        }),
        1 => (account(), text()).prop_map(|(room, text)| Write::RoomConfigSet {
            room,
            config: stored(&text),
        }),
        1 => (account(), option::of(text())).prop_map(|(room, text)| Write::RoomSubjectSet {
            room,
            subject: text.map(|text| stored(&text)),
        }),
        4 => (account(), contact(), option::weighted(0.8, affiliation), 1..4_u32).prop_map(
            |(room, jid, affiliation, max)| Write::RoomAffiliationSet {
                room,
                jid,
                affiliation,
                max,
            }
        ),
        1 => account().prop_map(|room| Write::RoomDelete { room }),
    ]
}
