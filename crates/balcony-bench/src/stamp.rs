//! What a message carries to be recognised: its run, route, number and time, as fixed digits that
//! are found and read without parsing the stanza.

use std::sync::atomic::{AtomicU32, Ordering};

use memchr::memmem::Finder;

/// Occurs in no address, id or namespace.
const MARK: &[u8] = b"|bm";
/// Hexadecimal digits of each field: the time has nanoseconds for three days.
const DIGITS: [usize; 4] = [8, 6, 8, 12];
/// Bytes of a whole stamp.
pub(crate) const LENGTH: usize = 3 + 8 + 6 + 8 + 12;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Tells the messages of this run from what is left of earlier ones.
    pub(crate) run: u32,
    /// From which sender to which receivers; below 2^24.
    pub(crate) route: u32,
    /// Counts from zero on each route.
    pub(crate) number: u32,
    /// Nanoseconds since this program's start when it was sent, or was due to be.
    pub(crate) nanos: u64,
}

/// A run's number that neither another run of this program has, nor one of another process that
/// lives at the same time.
pub(crate) fn fresh_run() -> u32 {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    (std::process::id() << 8).wrapping_add(run)
}

impl Stamp {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        let values = [
            self.run.into(),
            self.route.into(),
            self.number.into(),
            self.nanos,
        ];
        for (value, digits) in values.into_iter().zip(DIGITS) {
            hex(value, digits, out);
        }
    }
}

fn hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    for at in (0..digits).rev() {
        let digit = (value >> (4 * at)) as u8 & 15;
        out.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
}

/// Finds stamps in stanzas.
#[derive(Debug)]
pub(crate) struct Reader(Finder<'static>);

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader(Finder::new(MARK))
    }

    /// The first stamp; `None`: this is not one of our messages.
    pub(crate) fn read(&self, stanza: &[u8]) -> Option<Stamp> {
        let begin = self.0.find(stanza)? + MARK.len();
        let mut rest = stanza.get(begin..)?;
        let mut field = |digits: usize| {
            let (digits, behind) = rest.split_at_checked(digits)?;
            rest = behind;
            number(digits)
        };
        let [run, route, count, nanos] = DIGITS.map(&mut field);
        Some(Stamp {
            run: u32::try_from(run?).ok()?,
            route: u32::try_from(route?).ok()?,
            number: u32::try_from(count?).ok()?,
            nanos: nanos?,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_its_stanza() {
        let stamp = Stamp {
            run: 0xdead_beef,
            route: 99,
            number: 7,
            nanos: 123_456_789_012,
        };
        let mut stanza = b"<message from='a@bmw.example'><body>".to_vec();
        let before = stanza.len();
        stamp.write(&mut stanza);
        assert_eq!(stanza.len() - before, LENGTH);
        stanza.extend_from_slice(b"xxx</body></message>");
        assert_eq!(Reader::new().read(&stanza), Some(stamp));
    }

    #[test]
    fn what_is_cut_or_no_number_is_no_stamp() {
        let reader = Reader::new();
        assert_eq!(reader.read(b"<body>hello</body>"), None);
        assert_eq!(reader.read(b"|bm0000"), None);
        assert_eq!(reader.read(b"|bmzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    }
}
