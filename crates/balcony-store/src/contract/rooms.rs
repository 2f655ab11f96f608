//! Promises about rooms.

use std::sync::Arc;

use super::{
    ROMEO, archive, archived, create, delete, done, entry, key, push_archive, stored, waiting,
    write,
};
use crate::{
    Affiliation, ArchiveEntry, Error, HashName, RoomAffiliation, RoomData, Store, Token,
    TokenClient, VCard, Write, WriteSet,
};

pub(crate) const HOST: &str = "rooms.localhost";
pub(crate) const GARDEN: &str = "garden@rooms.localhost";
const TOMB: &str = "tomb@rooms.localhost";

pub(crate) fn create_room(bare: &str) -> Write {
    let (room, host) = bare.split_once('@').unwrap();
    Write::RoomCreate {
        host: host.into(),
        room: room.into(),
        created: 123_456,
        config: stored("config"),
    }
}

pub(crate) fn delete_room(bare: &str) -> Write {
    Write::RoomDelete { room: bare.into() }
}

fn configure(room: &str, text: &str) -> Write {
    Write::RoomConfigSet {
        room: room.into(),
        config: stored(text),
    }
}

fn subject(room: &str, text: Option<&str>) -> Write {
    Write::RoomSubjectSet {
        room: room.into(),
        subject: text.map(stored),
    }
}

pub(crate) fn plain(affiliation: Affiliation) -> RoomAffiliation {
    RoomAffiliation {
        affiliation,
        nick: None,
        reason: None,
    }
}

fn named(affiliation: Affiliation, nick: &str) -> RoomAffiliation {
    RoomAffiliation {
        nick: Some(nick.into()),
        ..plain(affiliation)
    }
}

pub(crate) fn affiliate(room: &str, jid: &str, affiliation: Option<RoomAffiliation>) -> Write {
    Write::RoomAffiliationSet {
        room: room.into(),
        jid: jid.into(),
        affiliation,
        max: 100,
    }
}

async fn get(store: &dyn Store, room: &str) -> RoomData {
    store.rooms().get(room).await.unwrap().unwrap()
}

fn all_for(room: &str) -> Vec<Write> {
    vec![
        configure(room, "other"),
        subject(room, Some("roses")),
        affiliate(room, ROMEO, Some(plain(Affiliation::Owner))),
        affiliate(room, ROMEO, None),
        delete_room(room),
    ]
}

pub async fn created_room_is_read_back(store: Arc<dyn Store>) {
    assert_eq!(store.rooms().get(GARDEN).await, Ok(None));
    done(&*store, create_room(GARDEN)).await;
    let expected = RoomData {
        created: 123_456,
        config: stored("config"),
        subject: None,
        affiliations: Vec::new(),
    };
    assert_eq!(get(&*store, GARDEN).await, expected);
    let again = write(&*store, create_room(GARDEN)).await;
    assert_eq!(again, Err(Error::Conflict("room")));
    assert_eq!(store.rooms().get(TOMB).await, Ok(None));
    assert_eq!(store.rooms().get(HOST).await, Ok(None));
}

pub async fn room_is_configured_and_has_a_subject(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    done(&*store, create_room(TOMB)).await;
    done(&*store, configure(GARDEN, "other")).await;
    done(&*store, subject(GARDEN, Some("roses"))).await;
    let garden = get(&*store, GARDEN).await;
    assert_eq!(garden.config, stored("other"));
    assert_eq!(garden.subject, Some(stored("roses")));
    // An empty subject is one.
    done(&*store, subject(GARDEN, Some(""))).await;
    assert_eq!(get(&*store, GARDEN).await.subject, Some(stored("")));
    done(&*store, subject(GARDEN, None)).await;
    assert_eq!(get(&*store, GARDEN).await.subject, None);
    assert_eq!(get(&*store, TOMB).await.config, stored("config"));
}

pub async fn affiliations_are_kept_in_order(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    let member = RoomAffiliation {
        affiliation: Affiliation::Member,
        nick: Some("Roméo".into()),
        reason: Some("he asked".into()),
    };
    done(&*store, affiliate(GARDEN, ROMEO, Some(member.clone()))).await;
    let outcast = plain(Affiliation::Outcast);
    done(&*store, affiliate(GARDEN, "x.org", Some(outcast.clone()))).await;
    let owner = plain(Affiliation::Owner);
    done(&*store, affiliate(GARDEN, "nurse@x", Some(owner.clone()))).await;
    let told = get(&*store, GARDEN).await.affiliations;
    let expected = [("nurse@x", owner), (ROMEO, member), ("x.org", outcast)];
    assert_eq!(told, expected.map(|(jid, kept)| (jid.to_owned(), kept)));
    // A new one takes the whole place of the old one.
    let admin = plain(Affiliation::Admin);
    done(&*store, affiliate(GARDEN, ROMEO, Some(admin.clone()))).await;
    assert_eq!(get(&*store, GARDEN).await.affiliations[1].1, admin);
    for _ in 0..2 {
        done(&*store, affiliate(GARDEN, ROMEO, None)).await;
        let left = get(&*store, GARDEN).await.affiliations;
        assert_eq!(left.len(), 2);
    }
}

pub async fn nickname_is_reserved_for_one(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    done(&*store, create_room(TOMB)).await;
    let member = |nick| Some(named(Affiliation::Member, nick));
    done(&*store, affiliate(GARDEN, ROMEO, member("R"))).await;
    let before = get(&*store, GARDEN).await;
    let taken = write(&*store, affiliate(GARDEN, "paris@x", member("R"))).await;
    assert_eq!(taken, Err(Error::Conflict("nickname")));
    assert_eq!(get(&*store, GARDEN).await, before);
    // Elsewhere, in other letters and for himself it is free; and when he has another.
    done(&*store, affiliate(TOMB, "paris@x", member("R"))).await;
    done(&*store, affiliate(GARDEN, "paris@x", member("r"))).await;
    done(&*store, affiliate(GARDEN, ROMEO, member("R"))).await;
    done(&*store, affiliate(GARDEN, ROMEO, member("Montague"))).await;
    done(&*store, affiliate(GARDEN, "paris@x", member("R"))).await;
    done(&*store, affiliate(GARDEN, "paris@x", None)).await;
    done(&*store, affiliate(GARDEN, ROMEO, member("R"))).await;
}

pub async fn affiliations_are_bounded(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    let set = |jid: &str, affiliation, max| Write::RoomAffiliationSet {
        room: GARDEN.into(),
        jid: jid.into(),
        affiliation: Some(plain(affiliation)),
        max,
    };
    done(&*store, set("a", Affiliation::Owner, 2)).await;
    done(&*store, set("b", Affiliation::Member, 2)).await;
    let third = write(&*store, set("c", Affiliation::Member, 2)).await;
    assert_eq!(third, Err(Error::Limit("affiliations")));
    // What is there may be changed, however many there are.
    done(&*store, set("b", Affiliation::Outcast, 1)).await;
    let kept = get(&*store, GARDEN).await.affiliations;
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].1.affiliation, Affiliation::Outcast);
}

pub async fn rooms_are_listed_in_pages(store: Arc<dyn Store>) {
    for room in ["tomb", "garden", "zoë", "hall"] {
        done(&*store, create_room(&format!("{room}@{HOST}"))).await;
    }
    done(&*store, create_room("attic@rooms.example.com")).await;
    done(&*store, create(&format!("guard@{HOST}"))).await;
    let rooms = store.rooms();
    let page = async |after, limit| {
        let page = rooms.list(HOST, after, limit).await.unwrap();
        page.into_iter().map(|entry| entry.room).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, ["garden", "hall"]);
    assert_eq!(page(Some("hall"), 9).await, ["tomb", "zoë"]);
    assert_eq!(page(Some("i"), 1).await, ["tomb"]);
    assert!(page(Some("zoë"), 9).await.is_empty());
    let entries = rooms.list(HOST, None, 1).await.unwrap();
    assert_eq!(
        (entries[0].created, &entries[0].config),
        (123_456, &stored("config"))
    );
}

pub async fn rooms_of_somebody_are_found(store: Arc<dyn Store>) {
    let elsewhere = "garden@rooms.example.com";
    for room in [TOMB, GARDEN, elsewhere] {
        done(&*store, create_room(room)).await;
        let owner = Some(plain(Affiliation::Owner));
        done(&*store, affiliate(room, ROMEO, owner.clone())).await;
        done(&*store, affiliate(room, "nurse@x", owner)).await;
    }
    done(
        &*store,
        affiliate(TOMB, ROMEO, Some(plain(Affiliation::Outcast))),
    )
    .await;
    let rooms = store.rooms();
    let of = async |jid| rooms.rooms_of(HOST, jid).await.unwrap();
    let garden = ("garden".to_owned(), Affiliation::Owner);
    let tomb = ("tomb".to_owned(), Affiliation::Outcast);
    assert_eq!(of(ROMEO).await, [garden.clone(), tomb]);
    assert!(of("localhost").await.is_empty());
    assert_eq!(rooms.owned_by(HOST, ROMEO).await, Ok(1));
    assert_eq!(rooms.owned_by(HOST, "nurse@x").await, Ok(2));
    assert_eq!(rooms.owned_by(HOST, "paris@x").await, Ok(0));
    done(&*store, delete_room(TOMB)).await;
    assert_eq!(of(ROMEO).await, [garden]);
    assert_eq!(rooms.owned_by(HOST, "nurse@x").await, Ok(1));
}

pub async fn room_is_no_account(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    let accounts = store.accounts();
    assert_eq!(accounts.exists(HOST, "garden").await, Ok(false));
    assert_eq!(accounts.get(HOST, "garden").await, Ok(None));
    assert_eq!(
        accounts.keys(HOST, "garden", HashName::Sha1).await,
        Ok(None)
    );
    assert_eq!(accounts.list(HOST, None, 9).await, Ok(Vec::new()));
    assert_eq!(accounts.count(HOST).await, Ok(0));
    assert_eq!(accounts.iterations(HOST).await, Ok(Vec::new()));
    assert_eq!(store.tokens().login(GARDEN, "a").await, Ok(None));
    let (host, user) = (HOST.to_owned(), "garden".to_owned());
    let keys = vec![key(HashName::Sha1, 1)];
    let (also, and) = ((host.clone(), user.clone()), (host.clone(), user.clone()));
    let logins = [
        Write::SetKeys {
            host,
            user,
            keys: keys.clone(),
        },
        Write::AddKeys {
            host: also.0,
            user: also.1,
            keys,
        },
        Write::SetEnabled {
            host: and.0,
            user: and.1,
            enabled: true,
        },
        token(GARDEN),
        Write::StreamCreate {
            id: crate::StreamId([1; 16]),
            account: GARDEN.into(),
            handled: 0,
            expires_at: 9,
        },
    ];
    for login in logins {
        let shown = format!("{login:?}");
        assert_eq!(write(&*store, login).await, Err(Error::NotFound), "{shown}");
    }
    let account = write(&*store, create(GARDEN)).await;
    assert_eq!(account, Err(Error::Conflict("account")));
}

fn token(account: &str) -> Write {
    Write::TokenSet {
        account: account.into(),
        client: TokenClient::default(),
        token: Token {
            mechanism: "HT-SHA-256-NONE".into(),
            secret: "s".into(),
            created: 1,
            expires: 9,
            count: None,
        },
        at: 1,
        proved: None,
        max: 1,
    }
}

pub async fn account_is_no_room(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    assert_eq!(store.rooms().get(ROMEO).await, Ok(None));
    assert_eq!(
        store.rooms().list("localhost", None, 9).await,
        Ok(Vec::new())
    );
    for room in [ROMEO, "nowhere@localhost", "localhost", ""] {
        for op in all_for(room) {
            let shown = format!("{op:?}");
            assert_eq!(write(&*store, op).await, Err(Error::NotFound), "{shown}");
        }
    }
    let room = write(&*store, create_room(ROMEO)).await;
    assert_eq!(room, Err(Error::Conflict("room")));
    assert_eq!(
        store.accounts().exists("localhost", "romeo").await,
        Ok(true)
    );
}

pub async fn room_goes_with_all_that_is_its(store: Arc<dyn Store>) {
    for remove in [delete_room(GARDEN), delete(GARDEN)] {
        done(&*store, create_room(GARDEN)).await;
        done(&*store, subject(GARDEN, Some("roses"))).await;
        let owner = Some(named(Affiliation::Owner, "R"));
        done(&*store, affiliate(GARDEN, ROMEO, owner)).await;
        let vcard = Write::VCardSet {
            account: GARDEN.into(),
            vcard: VCard::default(),
        };
        done(&*store, vcard).await;
        archive(&*store, GARDEN, entry(ROMEO, "a rose", 1)).await;
        assert_eq!(archived(&*store, GARDEN).await, ["a rose"]);
        assert!(store.vcards().get(GARDEN).await.unwrap().is_some());
        done(&*store, remove.clone()).await;
        // Before anything else is refused, as a store may forget what it knew then.
        let late = push_archive(GARDEN, entry(ROMEO, "late", 1));
        assert_eq!(write(&*store, late).await, Err(Error::NotFound));
        assert_eq!(store.rooms().get(GARDEN).await, Ok(None));
        assert_eq!(store.rooms().list(HOST, None, 9).await, Ok(Vec::new()));
        assert!(archived(&*store, GARDEN).await.is_empty());
        assert_eq!(write(&*store, remove).await, Err(Error::NotFound));
        done(&*store, create_room(GARDEN)).await;
        let anew = get(&*store, GARDEN).await;
        assert_eq!((anew.subject, anew.affiliations), (None, Vec::new()));
        assert!(archived(&*store, GARDEN).await.is_empty());
        assert_eq!(store.vcards().get(GARDEN).await, Ok(None));
        assert_eq!(store.rooms().owned_by(HOST, ROMEO).await, Ok(0));
        done(&*store, delete_room(GARDEN)).await;
    }
}

pub async fn refused_set_changes_no_room(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    done(
        &*store,
        affiliate(GARDEN, ROMEO, Some(plain(Affiliation::Owner))),
    )
    .await;
    done(&*store, subject(GARDEN, Some("roses"))).await;
    let before = get(&*store, GARDEN).await;
    let mut writes = vec![
        create_room(TOMB),
        configure(GARDEN, "other"),
        subject(GARDEN, None),
        affiliate(GARDEN, "paris@x", Some(plain(Affiliation::Admin))),
        affiliate(GARDEN, ROMEO, None),
        push_archive(GARDEN, entry(ROMEO, "lost", 1)),
        delete_room(GARDEN),
    ];
    // It is gone by now.
    writes.push(subject(GARDEN, None));
    let refused = store.commit(WriteSet::from_iter(writes)).await;
    assert_eq!(refused, Err(Error::NotFound));
    assert_eq!(get(&*store, GARDEN).await, before);
    assert_eq!(store.rooms().get(TOMB).await, Ok(None));
    assert!(archived(&*store, GARDEN).await.is_empty());
}

pub async fn archives_of_rooms_are_kept_in_bounds(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    done(&*store, create(ROMEO)).await;
    for (at, text) in [(1, "old"), (5, "newer"), (9, "new")] {
        archive(&*store, GARDEN, entry(ROMEO, text, at)).await;
        archive(&*store, ROMEO, entry(GARDEN, text, at)).await;
    }
    let expire = Write::ArchiveExpire {
        host: HOST.into(),
        before: 4,
        oldest: 100,
    };
    done(&*store, expire).await;
    assert_eq!(archived(&*store, GARDEN).await, ["newer", "new"]);
    let trim = Write::ArchiveTrim {
        host: HOST.into(),
        max_bytes: 4,
        rows: 100,
    };
    done(&*store, trim).await;
    assert_eq!(archived(&*store, GARDEN).await, ["new"]);
    assert_eq!(archived(&*store, ROMEO).await, ["old", "newer", "new"]);
}

pub async fn nothing_waits_for_a_room_after_a_crash(store: Arc<dyn Store>) {
    done(&*store, create_room(GARDEN)).await;
    done(&*store, create(ROMEO)).await;
    archive(
        &*store,
        GARDEN,
        entry("garden@rooms.localhost/R", "said", 1),
    )
    .await;
    for account in [GARDEN, ROMEO] {
        let came = ArchiveEntry {
            incoming: true,
            ..entry("nurse@x", "came", 1)
        };
        archive(&*store, account, came).await;
    }
    done(&*store, Write::TakeUp).await;
    assert!(waiting(&*store, GARDEN).await.is_empty());
    assert_eq!(waiting(&*store, ROMEO).await, ["came"]);
    assert_eq!(archived(&*store, GARDEN).await, ["said", "came"]);
}
