//! Eight bytes at a time: where in a run something needs a closer look.
//!
//! The tests mark bytes by their highest bit. A subtraction may borrow from the next byte, so
//! marks above the first can be wrong; the first never is, and only the first is used.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// `byte` in each place.
const fn all(byte: u8) -> u64 {
    ONES * byte as u64
}

/// Marks bytes that are zero.
const fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Marks bytes that are controls or not ASCII.
const fn odd(word: u64) -> u64 {
    (word.wrapping_sub(all(0x20)) & !word & HIGH) | (word & HIGH)
}

/// Marks what stops plain text: controls (line ends too), other than ASCII, `&`, `<`, `>`, `]`.
const fn in_text(word: u64) -> u64 {
    // `<` and `>` differ in one bit.
    odd(word) | zero(word & all(0xFD) ^ all(b'<')) | zero(word ^ all(b'&')) | zero(word ^ all(b']'))
}

/// Marks what stops a plain value: as in text, and both quotes; `]` is plain.
const fn in_value(word: u64) -> u64 {
    // `&` and `'` differ in one bit.
    odd(word)
        | zero(word & all(0xFD) ^ all(b'<'))
        | zero(word & all(0xFE) ^ all(b'&'))
        | zero(word ^ all(b'"'))
}

/// How many bytes `run` begins with that text may hold as they are, line ends left out.
#[inline]
pub(super) fn plain_text(run: &[u8]) -> usize {
    leading(run, in_text)
}

/// How many bytes `run` begins with that a value in either quotes may hold as they are.
#[inline]
pub(super) fn plain_value(run: &[u8]) -> usize {
    leading(run, in_value)
}

#[inline]
fn leading(run: &[u8], marks: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = run.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    // Zeros fill the last word up, and stop it where the run ends.
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(rest) {
        *place = *byte;
    }
    at + marks(u64::from_le_bytes(word)).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of a word, before, after and among plain ones.
    fn agrees(leading: fn(&[u8]) -> usize, special: fn(u8) -> bool) {
        for byte in 0..=255 {
            for at in 0..20 {
                for len in at..20 {
                    let mut run = vec![b'x'; len];
                    if let Some(place) = run.get_mut(at) {
                        *place = byte;
                    }
                    let expected = run.iter().position(|byte| special(*byte)).unwrap_or(len);
                    assert_eq!(leading(&run), expected, "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn words_and_bytes_agree() {
        agrees(plain_text, |b| {
            !(0x20..0x80).contains(&b) || b"&<>]".contains(&b)
        });
        agrees(plain_value, |b| {
            !(0x20..0x80).contains(&b) || b"&<>'\"".contains(&b)
        });
    }

    #[test]
    fn a_borrow_marks_nothing_before_the_first() {
        assert_eq!(plain_text(b"ab\x21\x20\x1F\x1Fcd"), 4);
        assert_eq!(plain_value(b"abcdefg\"'&\0\0\0\0\0\0"), 7);
    }
}
