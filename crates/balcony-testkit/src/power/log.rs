//! The log that the shim writes: records of a head and some bytes, in the order of the changes.
//!
//! A head is the kind (one byte), the number of the opened file (4), a number (8) and the length of
//! the bytes that follow (8), in the byte order of the machine.

/// What happened to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Where it begins in the log.
    pub(super) position: u64,
    /// Which opened file; a file that is opened twice has two numbers.
    pub(super) number: u32,
    pub(super) change: Change<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// The file of this name gets this number.
    Opened { name: &'a str, emptied: bool },
    /// Bytes were written.
    Written { at: u64, bytes: &'a [u8] },
    /// It is so long now.
    Length(u64),
    /// It is at least so long now.
    AtLeast(u64),
    /// All of the file that stands in the log before this position is durable.
    Synced { before: u64 },
    /// The file of this name is gone.
    Removed(&'a str),
    /// A file has another name.
    Renamed(&'a str, &'a str),
}

/// Bytes of a head.
const HEAD: usize = 21;

/// The records of a log, up to one that was cut short.
pub(super) fn records(log: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (record, length) = read(log.get(at..)?, at as u64)?;
        at += length;
        Some(record)
    })
}

fn read(log: &[u8], position: u64) -> Option<(Record<'_>, usize)> {
    let (kind, rest) = log.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let value = u64::from_ne_bytes(*value);
    let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
    let bytes = rest.get(..length)?;
    let text = || std::str::from_utf8(bytes).ok();
    let change = match kind {
        b'O' => Change::Opened {
            name: text()?,
            emptied: value != 0,
        },
        b'W' => Change::Written { at: value, bytes },
        b'T' => Change::Length(value),
        b'E' => Change::AtLeast(value),
        b'S' => Change::Synced { before: value },
        b'U' => Change::Removed(text()?),
        b'R' => text()?
            .split_once('\0')
            .map(|(from, to)| Change::Renamed(from, to))?,
        _ => return None,
    };
    let record = Record {
        position,
        number: u32::from_ne_bytes(*number),
        change,
    };
    Some((record, HEAD + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn record(kind: u8, number: u32, value: u64, bytes: &[u8]) -> Vec<u8> {
        let mut record = vec![kind];
        record.extend(number.to_ne_bytes());
        record.extend(value.to_ne_bytes());
        record.extend((bytes.len() as u64).to_ne_bytes());
        record.extend(bytes);
        record
    }

    #[test]
    fn records_are_read_up_to_one_that_was_cut_short() {
        let mut log = record(b'O', 1, 0, b"db");
        let second = log.len() as u64;
        log.extend(record(b'W', 1, 4096, b"bytes"));
        let whole = log.len();
        log.extend(record(b'S', 1, 26, b""));
        let read: Vec<_> = records(&log).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(read[1].position, second);
        let change = Change::Written {
            at: 4096,
            bytes: b"bytes",
        };
        assert_eq!(read[1].change, change);
        assert_eq!(records(&log[..whole + 20]).count(), 2);
        assert_eq!(records(&log[..whole - 1]).count(), 1);
    }
}
