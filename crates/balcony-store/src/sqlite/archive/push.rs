use std::collections::BTreeMap;

use rusqlite::Connection;

use super::recent::Entry;
use super::{moving, party};
use crate::sqlite::fault::Fault;
use crate::sqlite::known::Known;
use crate::sqlite::offline;
use crate::sqlite::statement::{all, one, run};
use crate::{ArchiveEntry, ArchiveId};

pub(super) fn push(
    conn: &Connection,
    known: &mut Known,
    account: &str,
    entry: &ArchiveEntry,
) -> Result<(), Fault> {
    let id = known.account(conn, account)?;
    let end = known.next_end(entry.received_at);
    run(
        conn,
        "INSERT INTO archive
             (seq, account_id, received_at, peer, incoming, message_id, format, stanza)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            end.seq,
            id,
            end.received_at,
            &entry.with,
            entry.incoming,
            &entry.message_id,
            entry.stanza.format,
            &entry.stanza.bytes,
        ),
    )?;
    let entry = Entry {
        seq: end.seq,
        party: party::number(&entry.with),
        size: u32::try_from(entry.stanza.bytes.len()).unwrap_or(u32::MAX),
        incoming: entry.incoming,
    };
    known.pushed(id, entry);
    Ok(())
}

pub(super) fn delivered(
    conn: &Connection,
    known: &mut Known,
    account: &str,
    id: ArchiveId,
) -> Result<(), Fault> {
    let account = known.account(conn, account)?;
    let Some(seq) = known.ids().seq(account, id) else {
        return Ok(());
    };
    run(
        conn,
        "INSERT INTO archive_delivered (account_id, seq) VALUES (?1, ?2)
         ON CONFLICT (account_id) DO UPDATE SET seq = excluded.seq WHERE seq < excluded.seq",
        (account, seq),
    )?;
    Ok(())
}

/// A server starts. After one that did not stop in order, what came and was not taken is queued.
pub(super) fn take_up(conn: &Connection, known: &mut Known) -> Result<(), Fault> {
    let laid_down = run(
        conn,
        "UPDATE archive_state SET laid_down = 0 WHERE laid_down = 1",
        [],
    )?;
    match laid_down {
        0 => queue_undelivered(conn, known),
        _ => Ok(()),
    }
}

pub(super) fn lay_down(conn: &Connection) -> Result<(), Fault> {
    run(conn, "UPDATE archive_state SET laid_down = 1", [])?;
    Ok(())
}

/// One step through the index for each account, and one for each message that is queued.
fn queue_undelivered(conn: &Connection, known: &mut Known) -> Result<(), Fault> {
    moving::index_all(conn, known)?;
    let queued: Vec<(i64, u64)> = all(
        conn,
        "INSERT INTO offline (account_id, received_at, format, stanza, archive_seq, size)
         SELECT accounts.id, m.received_at, m.format, x'', m.seq, length(m.stanza)
         FROM accounts
             CROSS JOIN archive_index i ON i.account_id = accounts.id AND i.incoming
                 AND i.seq > coalesce((SELECT d.seq FROM archive_delivered d
                                       WHERE d.account_id = accounts.id), 0)
             CROSS JOIN archive m ON m.seq = i.seq
         WHERE accounts.kind = 0 AND i.seq NOT IN
             (SELECT archive_seq FROM offline WHERE archive_seq IS NOT NULL)
         ORDER BY accounts.host, accounts.user, i.seq
         RETURNING account_id, size",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut sums: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for (account, size) in queued {
        let (rows, bytes) = sums.entry(account).or_default();
        *rows += 1;
        *bytes += size;
    }
    for (account, (rows, bytes)) in sums {
        offline::more(conn, account, rows, bytes)?;
    }
    Ok(())
}

/// The size of the message at this place. `None`: retention took it.
pub(in crate::sqlite) fn size(conn: &Connection, seq: i64) -> Result<Option<u64>, Fault> {
    one(
        conn,
        "SELECT length(stanza) FROM archive WHERE seq = ?1",
        [seq],
        |row| row.get(0),
    )
}
