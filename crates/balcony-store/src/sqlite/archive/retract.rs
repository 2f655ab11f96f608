use rusqlite::Connection;

use super::party::With;
use crate::kinds::archive::{RETRACT_AMONG, RETRACT_WITHIN, is_party};
use crate::sqlite::apply::misplaced;
use crate::sqlite::fault::Fault;
use crate::sqlite::known::Known;
use crate::sqlite::statement::{one, run, walk};
use crate::{ArchiveId, Error, Stored, Write};

/// Which message is meant.
struct Meant<'a> {
    /// The account: it wrote what did not come.
    account: &'a str,
    with: With,
    sender: &'a str,
    message_id: &'a str,
}

pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    let Write::ArchiveRetract {
        account,
        with,
        sender,
        message_id,
        tombstone,
    } = write
    else {
        return Err(misplaced());
    };
    let number = known.account(conn, account)?;
    let meant = Meant {
        account,
        with: With::jid(with),
        sender,
        message_id,
    };
    for seq in candidates(conn, known, number, &meant.with)? {
        if let Some(size) = size_if_meant(conn, seq, &meant)? {
            return replace(conn, number, (seq, size), tombstone);
        }
    }
    Ok(())
}

/// The same for the message with an id.
pub(super) fn by_id(
    conn: &Connection,
    known: &mut Known,
    (account, id): (&str, ArchiveId),
    tombstone: &Stored,
) -> Result<(), Fault> {
    let number = known.account(conn, account)?;
    let seq = known.ids().seq(number, id).ok_or(Error::NotFound)?;
    let size = one(
        conn,
        "SELECT length(stanza) FROM archive WHERE seq = ?1 AND account_id = ?2",
        (seq, number),
        |row| row.get(0),
    )?;
    let size = size.ok_or(Error::NotFound)?;
    replace(conn, number, (seq, size), tombstone)
}

/// The places of the newest messages with the party, the newest first.
fn candidates(
    conn: &Connection,
    known: &Known,
    account: i64,
    with: &With,
) -> Result<Vec<i64>, Fault> {
    let recent = known.not_indexed_of(account);
    let mut looked_at = recent.len();
    let theirs = recent.iter().rev().take(RETRACT_WITHIN);
    let mut found: Vec<i64> = theirs
        .filter(|entry| with.may_be(entry.party))
        .map(|entry| entry.seq)
        .collect();
    walk(
        conn,
        "SELECT seq, party FROM archive_index WHERE account_id = ?1 ORDER BY seq DESC",
        [account],
        |row| {
            if looked_at >= RETRACT_WITHIN || found.len() >= RETRACT_AMONG {
                return Ok(false);
            }
            looked_at += 1;
            if with.may_be(row.get(1)?) {
                found.push(row.get(0)?);
            }
            Ok(true)
        },
    )?;
    found.truncate(RETRACT_AMONG);
    Ok(found)
}

/// The size of the message at this place, if it is the one.
fn size_if_meant(conn: &Connection, seq: i64, meant: &Meant<'_>) -> Result<Option<i64>, Fault> {
    let size = one(
        conn,
        "SELECT peer, incoming, length(stanza) FROM archive WHERE seq = ?1 AND message_id = ?2",
        (seq, meant.message_id),
        |row| {
            let peer = row.get_ref(0)?.as_str()?;
            let author = if row.get(1)? { peer } else { meant.account };
            let is_meant = meant.with.is(peer) && is_party(author, meant.sender);
            is_meant.then(|| row.get(2)).transpose()
        },
    )?;
    Ok(size.flatten())
}

fn replace(
    conn: &Connection,
    account: i64,
    (seq, size): (i64, i64),
    tombstone: &Stored,
) -> Result<(), Fault> {
    run(
        conn,
        "UPDATE archive SET format = ?2, stanza = ?3 WHERE seq = ?1",
        (seq, tombstone.format, &tombstone.bytes),
    )?;
    let more = i64::try_from(tombstone.bytes.len()).unwrap_or(i64::MAX) - size;
    // The totals may not have the message yet; it comes to them with the size that it had.
    run(
        conn,
        "INSERT INTO archive_totals (account_id, host, row_count, byte_count)
         SELECT id, host, 0, ?2 FROM accounts WHERE id = ?1
         ON CONFLICT (account_id) DO UPDATE SET byte_count = byte_count + excluded.byte_count",
        (account, more),
    )?;
    Ok(())
}
