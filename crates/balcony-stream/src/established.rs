//! A negotiated stream of either role: bytes in, stanzas out. It is all that an idle session keeps
//! of its stream.

use balcony_proto::limits::Limits;
use balcony_proto::stanza::{BadStanza, Stanza};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::{Element, Item, Scanner};

use crate::framing;

/// What came over an established stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message, presence or iq.
    Stanza(Stanza),
    /// One whose own attributes are wrong: to be answered with its condition (RFC 6120 §8.3), the
    /// stream goes on.
    BadStanza(BadStanza),
    /// Another first-level element, as of stream management. One that nobody knows ends the stream
    /// with `unsupported-stanza-type` (RFC 6120 §4.9.3.24).
    Nonza(Element),
    /// Whitespace between stanzas: the peer is alive (RFC 6120 §4.6.1).
    Whitespace,
    /// The peer ends the stream with an error. Answer with [`write_close`], then close the
    /// connection.
    Error(StreamError),
    /// The peer ends the stream (RFC 6120 §4.4). Answer with [`write_close`] unless done, then
    /// close the connection.
    Close,
}

/// A stream after negotiation. Between stanzas it holds nothing on the heap.
#[derive(Debug)]
pub struct Established {
    scanner: Scanner,
}

impl Established {
    pub(crate) fn new(scanner: Scanner) -> Established {
        Established { scanner }
    }

    /// Eats from the front of `input` until something is complete; `None`: all is eaten and more
    /// must come.
    ///
    /// # Errors
    /// The peer broke the rules of the stream: send [`write_error`] and close. Nothing more may be
    /// read.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Event>, StreamError> {
        let item = self.scanner.next(input)?;
        Ok(match item {
            None => None,
            Some(Item::Stanza(stanza)) => Some(Event::Stanza(stanza)),
            Some(Item::BadStanza(bad)) => Some(Event::BadStanza(bad)),
            Some(Item::Nonza(element)) => Some(match StreamError::parse(&element) {
                Some(error) => Event::Error(error),
                None => Event::Nonza(element),
            }),
            Some(Item::Whitespace) => Some(Event::Whitespace),
            Some(Item::Close) => Some(Event::Close),
            // RFC 6120 §7.3.2: no restart after resource binding.
            Some(Item::Open(_)) => return Err(StreamError::new(StreamCondition::BadFormat)),
        })
    }

    /// Other limits from the next stanza on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.scanner.set_limits(limits);
    }

    /// Bytes of an unfinished stanza held here.
    pub fn buffered(&self) -> usize {
        self.scanner.buffered()
    }
}

/// Ends the stream (RFC 6120 §4.4).
pub fn write_close(out: &mut Vec<u8>) {
    framing::write_close(out);
}

/// Ends the stream with an error (RFC 6120 §4.9.1.1). Its closing tag is written too.
pub fn write_error(error: &StreamError, out: &mut Vec<u8>) {
    framing::write_error(error, out);
    framing::write_close(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_idle_session_keeps_of_its_stream_is_small() {
        assert!(
            size_of::<Established>() <= 200,
            "{} bytes",
            size_of::<Established>()
        );
    }
}
