//! The scanner of a stream: one strict pass over the bytes as they arrive.
//!
//! Text is consumed as it comes; a tag, reference or character that is not complete waits in a
//! small tail with the memo of where scanning stopped, so that even input byte by byte is never
//! scanned twice. The working memory is shared by all scanners of a thread and kept by one only
//! while it is within an element; then it keeps no more than it needs.

use std::cell::Cell;
use std::sync::Arc;

use super::canon::{Canon, Context, Outcome};
use super::chars::leading_space;
use super::element::{Element, Node};
use super::error::{Limit, XmlError};
use super::prolog::{self, DefaultNs, MAX_DECLARATION, Root};
use super::reader;
use crate::limits::Limits;
use crate::ns;
use crate::stanza::{BadStanza, Payload, Stanza};
use crate::stream::StreamHeader;

/// What a stream consists of.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // moved once; a box for each stanza would cost more
pub enum Item {
    /// The stream header.
    Open(StreamHeader),
    /// A message, presence or iq of the content namespace.
    Stanza(Stanza),
    /// One whose header is not in order.
    BadStanza(BadStanza),
    /// Any other first-level element.
    Nonza(Element),
    /// White space between them (RFC 6120 §4.6.1). Long runs may be told in parts.
    Whitespace,
    /// The closing tag of the stream.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come: an XML declaration may.
    Start,
    /// Before the stream header.
    Prolog,
    Open,
    /// The header closed itself; that is still to be told.
    Closing,
    Closed,
}

/// Reads one stream. Within a stream it never gives the same error twice as something else:
/// after the first error it answers only with that.
#[derive(Debug)]
pub struct Scanner {
    content_ns: &'static str,
    limits: Limits,
    lang: Option<Arc<str>>,
    /// Of the stream header, where it is not as nearly all are.
    root: Option<Box<Root>>,
    /// Within an element: the work on it.
    busy: Option<Box<Canon>>,
    failed: Option<XmlError>,
    state: State,
    restarted: bool,
}

/// Working memory larger than this is given back rather than kept for the next element: it came
/// from a rare large stanza.
const SPARE_BYTES: usize = 64 * 1024;

thread_local! {
    /// The working memory that the scanners of this thread take turns with.
    static SPARE: Cell<Option<Box<Canon>>> = const { Cell::new(None) };
}

fn take_spare() -> Box<Canon> {
    SPARE.with(Cell::take).unwrap_or_default()
}

fn put_spare(canon: Box<Canon>) {
    if canon.held() <= SPARE_BYTES {
        SPARE.with(|spare| spare.set(Some(canon)));
    }
}

impl Scanner {
    /// For a stream whose content namespace must be `content_ns` (RFC 6120 §4.8.2).
    pub fn new(content_ns: &'static str, limits: Limits) -> Self {
        Scanner {
            content_ns,
            limits,
            lang: None,
            root: None,
            busy: None,
            failed: None,
            state: State::Start,
            restarted: false,
        }
    }

    /// Expects a new stream header, as after TLS and SASL (RFC 6120 §4.3.3).
    pub fn restart(&mut self) {
        *self = Scanner::new(self.content_ns, self.limits);
        self.restarted = true;
    }

    /// Other limits from here on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// `xml:lang` of the stream header, which stanzas without their own inherit.
    pub fn stream_lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// Whether an element has begun and not ended.
    pub fn in_stanza(&self) -> bool {
        self.busy.is_some()
    }

    /// Bytes of heap held.
    pub fn buffered(&self) -> usize {
        self.busy
            .as_ref()
            .map_or(0, |canon| size_of::<Canon>() + canon.held())
    }

    /// Takes the next item from the front of `input`. `None`: all input is taken and more is
    /// needed.
    ///
    /// # Errors
    /// What ends the stream. From then on every call gives the same error.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, XmlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let item = match self.state {
            State::Start | State::Prolog => self.prolog(input),
            State::Open => self.first_level(input),
            State::Closing => {
                self.state = State::Closed;
                Ok(Some(Item::Close))
            }
            State::Closed => Self::epilog(input),
        };
        if let Err(error) = item {
            self.failed = Some(error);
            self.busy = None;
        }
        item
    }

    /// After the root only white space may come (XML 1.0 §2.1).
    fn epilog(input: &mut &[u8]) -> Result<Option<Item>, XmlError> {
        match skip_space(input) {
            true if input.is_empty() => Ok(Some(Item::Whitespace)),
            false if input.is_empty() => Ok(None),
            _ => Err(XmlError::NotWellFormed("something after the stream")),
        }
    }

    fn prolog(&mut self, input: &mut &[u8]) -> Result<Option<Item>, XmlError> {
        while let Some(first) = input.first() {
            if self.busy.is_none() {
                match first {
                    b'<' => self.busy = Some(Box::default()),
                    0 | 0xFE | 0xFF => return Err(XmlError::UnsupportedEncoding),
                    _ if skip_space(input) => {
                        // COMPAT(go-sendxmpp, 0.5): a line feed behind its last SASL element comes
                        // before the declaration of the restarted stream.
                        if !self.restarted {
                            self.state = State::Prolog;
                        }
                        continue;
                    }
                    _ => return Err(XmlError::NotWellFormed("text before the stream")),
                }
            }
            let Some(mut canon) = self.busy.take() else {
                break;
            };
            if !self.fill(&mut canon, input)? {
                self.busy = Some(canon);
                continue;
            }
            if canon.tail.starts_with(b"<?") {
                prolog::declaration(&canon.tail)?;
                self.state = State::Prolog;
                continue;
            }
            return self.open(&mut canon).map(Some);
        }
        Ok(None)
    }

    /// Moves bytes to the tail until it holds a declaration or the root's start tag.
    fn fill(&self, canon: &mut Canon, input: &mut &[u8]) -> Result<bool, XmlError> {
        let wanted = match canon.tail.get(1) {
            Some(second) if *second != b'?' => {
                memchr::memchr(b'>', input).map_or(input.len(), |at| at + 1)
            }
            _ => 1,
        };
        let room = self.limits.stanza_bytes.saturating_sub(canon.tail.len());
        let Some((taken, rest)) = input
            .split_at_checked(wanted.min(room))
            .filter(|_| room > 0)
        else {
            return Err(XmlError::Policy(Limit::StanzaBytes));
        };
        canon.tail.extend_from_slice(taken);
        *input = rest;
        let tail = std::mem::take(&mut canon.tail);
        let done = match tail.as_slice() {
            [b'<'] => false,
            [b'<', b'?', ..] => self.is_declaration(&tail)?,
            [_, b'!', ..] => {
                return Err(XmlError::Restricted("document type declaration or comment"));
            }
            [_, b'/', ..] => return Err(XmlError::NotWellFormed("end tag before the stream")),
            _ => canon.tag.scan(&tail, &self.limits)?.is_some(),
        };
        canon.tail = tail;
        Ok(done)
    }

    fn is_declaration(&self, tail: &[u8]) -> Result<bool, XmlError> {
        let (start, after) = tail.split_at_checked(5).unwrap_or((tail, b""));
        let spaced = after
            .first()
            .is_none_or(|byte| super::chars::is_space(*byte) || *byte == b'?');
        // RFC 6120 §11.1; XML 1.0 §2.8 has the declaration at the very start only.
        if !b"<?xml".starts_with(start) || !spaced || self.state != State::Start {
            return Err(XmlError::Restricted("processing instruction"));
        }
        if tail.len() > MAX_DECLARATION {
            return Err(XmlError::Policy(Limit::StanzaBytes));
        }
        Ok(tail.ends_with(b"?>"))
    }

    fn open(&mut self, canon: &mut Canon) -> Result<Item, XmlError> {
        let (tail, tag) = (
            std::mem::take(&mut canon.tail),
            std::mem::take(&mut canon.tag),
        );
        let (root, header) = prolog::root(canon, self.content_ns, &self.limits, &tail, &tag)?;
        self.state = if tag.empty {
            State::Closing
        } else {
            State::Open
        };
        self.lang = header.lang.as_deref().map(Arc::from);
        let usual = root.prefixed
            && root.stream_prefix
            && root.default == DefaultNs::Content
            && root.bindings.is_empty();
        self.root = (!usual).then(|| Box::new(root));
        Ok(Item::Open(header))
    }

    fn first_level(&mut self, input: &mut &[u8]) -> Result<Option<Item>, XmlError> {
        let (mut canon, shared) = match self.busy.take() {
            Some(canon) => (canon, false),
            None => match input.first() {
                None => return Ok(None),
                Some(b'<') => (self.begin(), true),
                Some(_) if skip_space(input) => return Ok(Some(Item::Whitespace)),
                // RFC 6120 §4.9.3.1: XML, but nothing that a stream may contain.
                Some(byte) if *byte >= b' ' => {
                    return Err(XmlError::BadFormat("text between stanzas"));
                }
                Some(_) => return Err(XmlError::NotWellFormed("not a character of XML")),
            },
        };
        let cx = Context {
            content_ns: self.content_ns,
            limits: &self.limits,
            fragment: false,
        };
        // RFC 6120 §13.12 point 4: the size counts from `<` to `>`. Nothing beyond it is looked
        // at, so that the answer is the same however the bytes were cut.
        let room = self.limits.stanza_bytes.saturating_sub(canon.raw);
        let window = input.get(..room).unwrap_or(input);
        let (used, outcome) = canon.feed(&cx, window)?;
        *input = input.get(used..).unwrap_or_default();
        match outcome {
            Outcome::More if canon.raw >= self.limits.stanza_bytes => {
                Err(XmlError::Policy(Limit::StanzaBytes))
            }
            Outcome::More => {
                self.park(canon, shared);
                Ok(None)
            }
            Outcome::Closed => {
                put_spare(canon);
                self.state = State::Closed;
                Ok(Some(Item::Close))
            }
            Outcome::Complete => {
                let item = self.complete(&mut canon);
                put_spare(canon);
                Ok(Some(item))
            }
        }
    }

    /// Keeps unfinished work, in no more memory than it needs.
    fn park(&mut self, mut canon: Box<Canon>, shared: bool) {
        if shared {
            let parked = Box::new(canon.take_compact());
            put_spare(canon);
            self.busy = Some(parked);
        } else {
            self.busy = Some(canon);
        }
    }

    fn begin(&self) -> Box<Canon> {
        let mut canon = take_spare();
        match &self.root {
            None => canon.begin_usual(self.content_ns),
            Some(root) => {
                let name: &[u8] = if root.prefixed {
                    b"stream:stream"
                } else {
                    b"stream"
                };
                let default = match root.default {
                    DefaultNs::Content => self.content_ns,
                    DefaultNs::Streams => ns::STREAMS,
                    DefaultNs::Nothing => "",
                };
                let own = root
                    .bindings
                    .iter()
                    .map(|(prefix, name)| (&**prefix, &**name));
                let stream: (&[u8], &[u8]) = (b"stream", ns::STREAMS.as_bytes());
                let stream = root.stream_prefix.then_some(stream);
                canon.begin(name, default, true, stream.into_iter().chain(own));
            }
        }
        canon
    }

    fn complete(&self, canon: &mut Canon) -> Item {
        if let Some(head) = canon.head.take() {
            let children = canon.recorder.children();
            return head.finish(canon.recorder.finish(), children, self.lang.as_ref());
        }
        let mut nodes = reader::nodes(&canon.recorder.text, self.content_ns).into_iter();
        match nodes.next() {
            Some(Node::Element(element)) => Item::Nonza(element),
            _ => Item::Whitespace,
        }
    }
}

fn skip_space(input: &mut &[u8]) -> bool {
    let space = leading_space(input);
    *input = input.get(space..).unwrap_or_default();
    space > 0
}

/// For what we keep ourselves: it was bounded when it came in, under limits that may have been
/// wider than today's. The depth bounds the recursion over a tree.
const STORED: Limits = Limits {
    stanza_bytes: u32::MAX as usize,
    depth: 512,
    attributes: 4_096,
    children: u32::MAX,
    name_bytes: 4_096,
    namespace_bytes: 4_096,
};

/// Reads a fragment: its canonical form stands in the recorder then.
fn fragment(bytes: &[u8], default: &str, content: bool) -> Result<Canon, XmlError> {
    let mut canon = Canon::default();
    canon.begin(b"", default, content, []);
    let cx = Context {
        content_ns: ns::CLIENT,
        limits: &STORED,
        fragment: true,
    };
    canon.feed(&cx, bytes)?;
    if !canon.is_complete() {
        return Err(XmlError::NotWellFormed("ends too early"));
    }
    Ok(canon)
}

/// See [`Payload::parse`].
pub(crate) fn parse_payload(bytes: &[u8]) -> Result<Payload, XmlError> {
    Ok(fragment(bytes, ns::CLIENT, true)?.recorder.finish())
}

/// See [`Element::parse`].
pub(super) fn parse_element(bytes: &[u8], ns_default: &str) -> Result<Element, XmlError> {
    let canon = fragment(bytes, ns_default, false)?;
    let mut found = None;
    for node in reader::nodes(&canon.recorder.text, ns_default) {
        match node {
            Node::Element(element) if found.is_none() => found = Some(element),
            Node::Text(text) if leading_space(text.as_bytes()) == text.len() => {}
            _ => return Err(XmlError::NotWellFormed("more than one element")),
        }
    }
    found.ok_or(XmlError::NotWellFormed("no element"))
}
