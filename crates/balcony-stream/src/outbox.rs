//! What a machine has to say, in order; bytes that follow each other leave as one write.

use std::collections::VecDeque;

/// `O` is the role's output; bytes become one by `From`.
#[derive(Debug)]
pub(crate) struct Outbox<O> {
    queue: VecDeque<O>,
    /// Bytes after the last queued output.
    bytes: Vec<u8>,
}

impl<O: From<Vec<u8>>> Outbox<O> {
    pub(crate) fn new() -> Outbox<O> {
        Outbox {
            queue: VecDeque::new(),
            bytes: Vec::new(),
        }
    }

    /// Where to write bytes for the peer.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Queues an output behind all bytes written so far.
    pub(crate) fn push(&mut self, output: O) {
        self.flush();
        self.queue.push_back(output);
    }

    pub(crate) fn poll(&mut self) -> Option<O> {
        if self.queue.is_empty() {
            self.flush();
        }
        self.queue.pop_front()
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            self.queue.push_back(O::from(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_before_an_output_leave_before_it_and_in_one_piece() {
        let mut outbox: Outbox<Vec<u8>> = Outbox::new();
        outbox.bytes().extend(b"But, ");
        outbox.bytes().extend(b"soft!");
        outbox.push(b"|".to_vec());
        outbox.bytes().extend(b"what light");
        let all: Vec<Vec<u8>> = std::iter::from_fn(|| outbox.poll()).collect();
        assert_eq!(
            all,
            [
                b"But, soft!".to_vec(),
                b"|".to_vec(),
                b"what light".to_vec()
            ]
        );
    }
}
