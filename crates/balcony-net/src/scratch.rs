//! Buffers that a thread lends to whichever connection it works on, so that none keeps its own.
//!
//! A buffer is taken out for the time of the call: a caller that gets here again from inside
//! (reading one connection writes to others) finds an empty one and can never see half-used bytes.

use std::cell::Cell;
use std::thread::LocalKey;

/// Bytes asked of the kernel by one read: a full TLS record and its neighbours, or a burst of
/// stanzas.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A buffer that grew past this is given back to the allocator: one big stanza must not stay in the
/// memory of every thread that passed it on.
const KEEP_BYTES: usize = 256 * 1024;

thread_local! {
    /// What `read` returns: always [`READ_BYTES`] long, or empty before its first use.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Decrypted input.
    pub(crate) static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Output as plaintext.
    pub(crate) static SENDING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Output as it goes onto the wire.
    pub(crate) static WIRE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer, empty.
pub(crate) fn with<R>(
    slot: &'static LocalKey<Cell<Vec<u8>>>,
    f: impl FnOnce(&mut Vec<u8>) -> R,
) -> R {
    // A thread that is ending has no thread-locals left; a fresh buffer serves as well.
    let mut buffer = slot.try_with(Cell::take).unwrap_or_default();
    let result = f(&mut buffer);
    if buffer.capacity() <= KEEP_BYTES {
        buffer.clear();
        let _ = slot.try_with(|kept| kept.set(buffer));
    }
    result
}

/// Lends the thread's read buffer: `front` is copied to its start, and at least [`READ_BYTES`]
/// follow.
///
/// The closure gets the buffer and how many bytes of it are already filled.
pub(crate) fn with_read<R>(front: &[u8], f: impl FnOnce(&mut [u8], usize) -> R) -> R {
    let mut buffer = READ.try_with(Cell::take).unwrap_or_default();
    let wanted = READ_BYTES.saturating_add(front.len());
    if buffer.len() < wanted {
        buffer.resize(wanted, 0);
    }
    if let Some(start) = buffer.get_mut(..front.len()) {
        start.copy_from_slice(front);
    }
    let result = f(&mut buffer, front.len());
    let _ = READ.try_with(|kept| kept.set(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_loan_sees_an_empty_buffer_and_spoils_nothing() {
        with(&SENDING, |outer| {
            outer.extend_from_slice(b"Juliet");
            with(&SENDING, |inner| {
                assert!(inner.is_empty());
                inner.extend_from_slice(b"Romeo");
            });
            assert_eq!(outer, b"Juliet");
        });
        with(&SENDING, |again| assert!(again.is_empty()));
    }

    #[test]
    fn the_buffer_is_kept_unless_it_grew_too_big() {
        let small = with(&WIRE, |buffer| {
            buffer.reserve(1000);
            buffer.as_ptr()
        });
        assert_eq!(with(&WIRE, |buffer| buffer.as_ptr()), small);
        with(&WIRE, |buffer| buffer.reserve(KEEP_BYTES + 1));
        assert_eq!(with(&WIRE, |buffer| buffer.capacity()), 0);
    }

    #[test]
    fn the_read_buffer_begins_with_what_was_left_over() {
        with_read(b"tail", |buffer, filled| {
            assert_eq!(buffer.get(..filled), Some(&b"tail"[..]));
            assert!(buffer.len() - filled >= READ_BYTES);
        });
    }
}
