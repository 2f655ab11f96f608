//! What happens between the commits, step by step.

use std::sync::Arc;

use super::*;
use crate::archive_id::ArchiveIds;
use crate::contract::{JULIET, ROMEO, create, entry, push_archive, texts};
use crate::sqlite::known::{Archives, End};
use crate::sqlite::lot::Lot;
use crate::sqlite::{accounts, migrations};
use crate::{ArchiveEntry, ArchiveFilter, ArchivePlace};

struct World {
    conn: Connection,
    known: Known,
    shared: Arc<Archives>,
}

impl World {
    /// With these accounts, whose numbers begin with 1.
    fn of(names: &[&str]) -> World {
        let mut conn = Connection::open_in_memory().unwrap();
        migrations::migrate(&mut conn).unwrap();
        let shared = Arc::new(Archives {
            ids: ArchiveIds::new([1; 16]),
            recent: Recent::default(),
        });
        let end = End::load(&conn).unwrap();
        let mut known = Known::new(Arc::clone(&shared), end);
        for name in names {
            accounts::apply(&conn, &mut known, &create(name)).unwrap();
        }
        World {
            conn,
            known,
            shared,
        }
    }

    fn push(&mut self, account: &str, entry: ArchiveEntry) {
        let write = push_archive(account, entry);
        apply(&self.conn, &mut self.known, &write).unwrap();
        self.known.committed();
    }

    fn letters(&mut self, account: &str, letters: &str) {
        for letter in letters.chars() {
            self.push(account, entry("nurse@x", &letter.to_string(), 1));
        }
    }

    fn lot(&self, slice: usize) -> Lot {
        Lot::begin(&self.known, slice)
    }

    fn page(&self, account: &str, filter: ArchiveFilter) -> ArchivePage {
        let request = ArchiveRequest {
            filter,
            place: ArchivePlace::First,
            limit: 1_000,
        };
        page::page(&self.conn, &self.shared, account, &request).unwrap()
    }

    fn archived(&self, account: &str) -> String {
        let page = self.page(account, ArchiveFilter::default());
        assert_eq!(page.count, Some(page.messages.len() as u64));
        texts(&page).concat()
    }
}

#[test]
fn what_is_in_the_list_and_in_the_index_is_told_once() {
    let mut world = World::of(&[ROMEO]);
    world.letters(ROMEO, "abcde");
    let mut lot = world.lot(3);
    // A reader that took the list before a commit, and looks into the index after it.
    let moved = lot.slice(&world.conn, &world.known).unwrap();
    assert!(!moved.is_all());
    assert_eq!(world.archived(ROMEO), "abcde");
    moved.committed(&mut world.known);
    assert_eq!(world.shared.recent.len(), 2);
    assert_eq!(world.archived(ROMEO), "abcde");
}

#[test]
fn half_a_lot_is_found_again() {
    let mut world = World::of(&[ROMEO, JULIET]);
    for (account, letters) in [(ROMEO, "ab"), (JULIET, "xy"), (ROMEO, "cd"), (JULIET, "z")] {
        world.letters(account, letters);
    }
    let mut lot = world.lot(3);
    // What comes meanwhile is for the next one.
    world.letters(ROMEO, "e");
    world.letters(JULIET, "!");
    let mut left = 9;
    loop {
        let moved = lot.slice(&world.conn, &world.known).unwrap();
        let complete = moved.is_all();
        moved.committed(&mut world.known);
        assert!(world.shared.recent.len() < left);
        left = world.shared.recent.len();
        let found = Recent::load(&world.conn).unwrap();
        for account in [1, 2] {
            assert_eq!(found.of(account), world.shared.recent.of(account));
        }
        assert_eq!(world.archived(ROMEO), "abcde");
        assert_eq!(world.archived(JULIET), "xyz!");
        if complete {
            break;
        }
    }
    assert_eq!(left, 2);
}

#[test]
fn lot_that_a_set_overtook_changes_nothing() {
    let mut world = World::of(&[ROMEO]);
    world.letters(ROMEO, "abcdef");
    let mut lot = world.lot(2);
    let moved = lot.slice(&world.conn, &world.known).unwrap();
    moved.committed(&mut world.known);
    let trim = Write::ArchiveTrim {
        host: "localhost".into(),
        max_bytes: 4,
        rows: 10,
    };
    apply(&world.conn, &mut world.known, &trim).unwrap();
    world.known.committed();
    world.letters(ROMEO, "g");
    let moved = lot.slice(&world.conn, &world.known).unwrap();
    assert!(moved.is_all());
    moved.committed(&mut world.known);
    assert_eq!(world.archived(ROMEO), "cdefg");
    let found = Recent::load(&world.conn).unwrap();
    assert_eq!(found.of(1), world.shared.recent.of(1));
    assert_eq!(found.len(), 1);
}

#[test]
fn parties_that_share_a_number_are_told_apart() {
    let mut world = World::of(&[ROMEO]);
    for (with, text) in [("nurse@x", "a"), ("tybalt@x", "b"), ("nurse@x", "c")] {
        world.push(ROMEO, entry(with, text, 1));
    }
    let moved = world.lot(10).slice(&world.conn, &world.known).unwrap();
    moved.committed(&mut world.known);
    let same = "UPDATE archive_index SET party = ?1";
    let number = party::number("nurse@x");
    world.conn.execute(same, [number]).unwrap();
    let filter = ArchiveFilter {
        with: Some("nurse@x".into()),
        ..ArchiveFilter::default()
    };
    assert_eq!(texts(&world.page(ROMEO, filter)).concat(), "ac");
}

/// Messages of two accounts that alternate now and then, their times in steps.
#[test]
fn times_are_found_between_those_of_others() {
    let mut world = World::of(&[ROMEO, JULIET]);
    let mut times = Vec::new();
    for n in 0_i64..120 {
        let at = (n / 7) * 10;
        let account = if n % 5 < 2 { ROMEO } else { JULIET };
        world.push(account, entry("nurse@x", &n.to_string(), at));
        if account == ROMEO {
            times.push(at);
        }
        if n == 80 {
            let moved = world.lot(200).slice(&world.conn, &world.known).unwrap();
            moved.committed(&mut world.known);
        }
    }
    for time in -1..180 {
        let since = ArchiveFilter {
            start: Some(time),
            ..ArchiveFilter::default()
        };
        let until = ArchiveFilter {
            end: Some(time),
            ..ArchiveFilter::default()
        };
        let told = |filter| {
            let page = world.page(ROMEO, filter);
            assert_eq!(page.count, Some(page.messages.len() as u64));
            page.messages.len()
        };
        let expected = times.iter().filter(|at| **at >= time).count();
        assert_eq!(told(since), expected, "since {time}");
        let expected = times.iter().filter(|at| **at <= time).count();
        assert_eq!(told(until), expected, "until {time}");
    }
}

#[test]
fn what_is_too_much_to_count_is_not_counted() {
    let mut world = World::of(&[ROMEO]);
    let filter = |with: &str| ArchiveFilter {
        with: Some(with.into()),
        ..ArchiveFilter::default()
    };
    for n in 0..2_001 {
        let with = if n % 500 == 0 { "rare@x" } else { "nurse@x" };
        let write = push_archive(ROMEO, entry(with, "a", 1));
        apply(&world.conn, &mut world.known, &write).unwrap();
    }
    moving::index_all(&world.conn, &mut world.known).unwrap();
    world.known.committed();
    let page = world.page(ROMEO, filter("rare@x"));
    assert_eq!(
        (page.messages.len(), page.complete, page.count),
        (5, true, None)
    );
    let all = world.page(ROMEO, ArchiveFilter::default());
    assert_eq!((all.complete, all.count), (false, Some(2_001)));
    let trim = Write::ArchiveTrim {
        host: "localhost".into(),
        max_bytes: 2_000,
        rows: 10,
    };
    apply(&world.conn, &mut world.known, &trim).unwrap();
    world.known.committed();
    assert_eq!(world.page(ROMEO, filter("rare@x")).count, Some(4));
}

/// As the writer begins after the end was deleted and the server restarted.
#[test]
fn end_is_kept_when_the_last_message_is_deleted() {
    let mut world = World::of(&[ROMEO]);
    world.push(ROMEO, entry("nurse@x", "a", 50));
    let end = world.known.end();
    assert_eq!(End::load(&world.conn).unwrap(), end);
    let expire = Write::ArchiveExpire {
        host: "localhost".into(),
        before: 100,
        oldest: 10,
    };
    apply(&world.conn, &mut world.known, &expire).unwrap();
    world.known.committed();
    assert_eq!(world.archived(ROMEO), "");
    assert_eq!(End::load(&world.conn).unwrap(), end);
}

#[test]
fn retention_touches_nothing_unless_something_is_to_go() {
    let mut world = World::of(&[ROMEO, JULIET]);
    let expire = |before| Write::ArchiveExpire {
        host: "localhost".into(),
        before,
        oldest: 10,
    };
    let trim = |max_bytes| Write::ArchiveTrim {
        host: "localhost".into(),
        max_bytes,
        rows: 10,
    };
    let mut indexed_by = |writes: [Write; 2]| {
        world.push(ROMEO, entry("nurse@x", "aaa", 50));
        world.push(JULIET, entry("nurse@x", "bbb", 50));
        writes.map(|write| {
            apply(&world.conn, &mut world.known, &write).unwrap();
            world.known.committed();
            world.known.not_indexed().is_empty()
        })
    };
    assert_eq!(indexed_by([expire(50), trim(6)]), [false, false]);
    // The index has three bytes of each then, and three more are to come.
    assert_eq!(indexed_by([trim(12), trim(5)]), [false, true]);
    assert_eq!(indexed_by([trim(9), trim(100)]), [false, false]);
    assert_eq!(indexed_by([expire(50), expire(51)]), [false, true]);
    assert_eq!(world.archived(ROMEO), "");
}
