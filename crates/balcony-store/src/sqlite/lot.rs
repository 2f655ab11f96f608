//! What commits leave for later, a lot of it at a time.
//!
//! A commit only appends: messages to the archive, counts to the log of the streams. Where they are
//! looked up they come in lots, in the order of the place, so that a page is written once for many.
//! A lot is cut into slices, which go with the commits of others.

use rusqlite::Connection;

use super::archive::{Moved, Moving};
use super::fault::Fault;
use super::known::Known;
use super::streams::Folding;

/// Entries of a slice: with each on a page of its own some milliseconds, and mostly less than one.
/// To it come twice as many as its transaction appends, so that a lot has an end.
const SLICE: usize = 500;

/// All that there was when it began.
pub(super) struct Lot {
    messages: Moving,
    counts: Folding,
    /// Entries of a slice.
    slice: usize,
}

/// What a slice did.
#[derive(Default)]
pub(super) struct Done {
    messages: Moved,
    /// Up to here the log of the streams is gone.
    folded: Option<i64>,
}

impl Lot {
    /// `entries`: how many make a lot; no slice is larger.
    pub(super) fn begin(known: &Known, entries: usize) -> Lot {
        Lot {
            messages: Moving::begin(known),
            counts: Folding::begin(known),
            slice: SLICE.min(entries),
        }
    }

    /// Inside a transaction: does a part of it. When that is void, so is the lot.
    pub(super) fn slice(&mut self, conn: &Connection, known: &Known) -> Result<Done, Fault> {
        let mut room = self.slice + 2 * known.appended();
        let messages = self.messages.slice(conn, known, &mut room)?;
        let folded = self.counts.slice(conn, known, &mut room)?;
        Ok(Done { messages, folded })
    }
}

impl Done {
    /// Whether that was the end of the lot.
    pub(super) fn is_all(&self) -> bool {
        // The log goes last.
        self.folded.is_some()
    }

    /// After the commit.
    pub(super) fn committed(self, known: &mut Known) {
        self.messages.committed(known.recent());
        if let Some(up_to) = self.folded {
            known.folded(up_to);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::archive::Recent;
    use super::super::known::{Archives, End};
    use super::super::{accounts, migrations, streams};
    use super::*;
    use crate::archive_id::ArchiveIds;
    use crate::contract::{ROMEO, create};
    use crate::{StreamId, Write};

    fn opened(conn: &Connection) -> Known {
        streams::fold_all(conn).unwrap();
        let archives = Archives {
            ids: ArchiveIds::new([1; 16]),
            recent: Recent::load(conn).unwrap(),
        };
        Known::new(Arc::new(archives), End::load(conn).unwrap())
    }

    fn id(byte: u8) -> StreamId {
        StreamId([byte; 16])
    }

    /// Streams 1 to 5 of Romeo.
    fn world() -> (Connection, Known) {
        let mut conn = Connection::open_in_memory().unwrap();
        migrations::migrate(&mut conn).unwrap();
        let mut known = opened(&conn);
        accounts::apply(&conn, &mut known, &create(ROMEO)).unwrap();
        for byte in 1..=5 {
            open(&conn, &mut known, byte);
        }
        known.committed();
        (conn, known)
    }

    fn open(conn: &Connection, known: &mut Known, byte: u8) {
        let create = Write::StreamCreate {
            id: id(byte),
            account: ROMEO.into(),
            handled: 0,
            expires_at: 0,
        };
        streams::apply(conn, known, &create).unwrap();
    }

    fn handled(conn: &Connection, known: &mut Known, byte: u8, handled: u32) {
        let id = id(byte);
        let write = Write::StreamHandled { id, handled };
        streams::apply(conn, known, &write).unwrap();
    }

    fn counts(conn: &Connection) -> Vec<u32> {
        let told = (1..=5).map(|byte| streams::get(conn, id(byte)).unwrap());
        told.map(|row| row.unwrap().handled).collect()
    }

    /// How many counts the log has.
    fn log(conn: &Connection) -> usize {
        conn.query_row("SELECT count(*) FROM stream_log", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn counts_are_right_before_while_and_after_they_leave_the_log() {
        let (conn, mut known) = world();
        for (byte, count) in [(1, 7), (2, 8), (1, 9), (4, u32::MAX), (4, 0)] {
            handled(&conn, &mut known, byte, count);
        }
        known.committed();
        let mut lot = Lot::begin(&known, 2);
        handled(&conn, &mut known, 5, 1);
        handled(&conn, &mut known, 1, 10);
        known.committed();
        let expected = [10, 8, 0, 0, 1];
        loop {
            assert_eq!(counts(&conn), expected);
            let done = lot.slice(&conn, &known).unwrap();
            assert_eq!(counts(&conn), expected);
            let is_all = done.is_all();
            done.committed(&mut known);
            if is_all {
                break;
            }
        }
        // What came meanwhile stays for the next lot.
        assert_eq!((log(&conn), known.behind()), (2, 2));
        let done = Lot::begin(&known, 100).slice(&conn, &known).unwrap();
        assert!(done.is_all());
        done.committed(&mut known);
        assert_eq!((log(&conn), known.behind()), (0, 0));
        assert_eq!(counts(&conn), expected);
    }

    #[test]
    fn refused_count_never_leaves_the_log() {
        let (conn, mut known) = world();
        handled(&conn, &mut known, 1, 7);
        conn.execute_batch("SAVEPOINT refused").unwrap();
        let mark = known.mark();
        handled(&conn, &mut known, 1, 8);
        conn.execute_batch("ROLLBACK TO refused").unwrap();
        known.refused(mark);
        handled(&conn, &mut known, 2, 9);
        known.committed();
        conn.execute_batch("SAVEPOINT void").unwrap();
        handled(&conn, &mut known, 1, 8);
        conn.execute_batch("ROLLBACK TO void").unwrap();
        known.rolled_back();
        known.committed();
        let done = Lot::begin(&known, 100).slice(&conn, &known).unwrap();
        assert!(done.is_all());
        assert_eq!((counts(&conn), log(&conn)), (vec![7, 9, 0, 0, 0], 0));
    }

    #[test]
    fn log_is_found_again() {
        let (conn, mut known) = world();
        for (byte, count) in [(1, 7), (2, 8), (1, 9), (2, 3)] {
            handled(&conn, &mut known, byte, count);
        }
        known.committed();
        let done = Lot::begin(&known, 1).slice(&conn, &known).unwrap();
        assert!(!done.is_all());
        let mut known = opened(&conn);
        assert_eq!((counts(&conn), log(&conn)), (vec![9, 3, 0, 0, 0], 0));
        handled(&conn, &mut known, 1, 10);
        known.committed();
        assert_eq!(counts(&conn), [10, 3, 0, 0, 0]);
    }

    #[test]
    fn stream_that_takes_the_id_of_another_begins_anew() {
        let (conn, mut known) = world();
        handled(&conn, &mut known, 1, 7);
        let remove = Write::StreamRemove { id: id(1) };
        streams::apply(&conn, &mut known, &remove).unwrap();
        open(&conn, &mut known, 1);
        known.committed();
        assert_eq!(counts(&conn), [0; 5]);
        let done = Lot::begin(&known, 100).slice(&conn, &known).unwrap();
        done.committed(&mut known);
        assert_eq!(counts(&conn), [0; 5]);
    }
}
