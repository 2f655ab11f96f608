//! Reads one first-level element and writes its canonical form in the same pass.

use super::error::{Limit, XmlError};
use super::escape::escape_attr;
use super::head::Head;
use super::scope::{Mark, Scope, Span};
use super::tag::{AttrKind, RawAttr, Tag};
use super::value;
use super::words::plain_value;
use crate::limits::Limits;
use crate::ns;
use crate::stanza::{Recorder, StanzaName};

/// Bytes of canonical form for each byte received, at most. `'` in a value in double quotes
/// becomes `&apos;`, so escaping alone never passes it; what does is a long namespace name
/// declared once and used by many short elements (CVE-2026-43507).
const AMPLIFICATION: usize = 6;

/// Canonical bytes that need no justification: a few declarations on a short stanza.
const FREE_BYTES: usize = 1_024;

/// What the bytes are part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The content namespace.
    pub(super) content_ns: &'static str,
    pub(super) limits: &'a Limits,
    /// Whether the bytes are a fragment rather than a stream: then nothing is a stanza and
    /// nothing may close the level they stand on.
    pub(super) fragment: bool,
}

impl Context<'_> {
    /// The namespaces that a stanza's own children may be in: RFC 6120 §4.8.3 makes those of
    /// client and server one.
    fn is_content(&self, name: &[u8]) -> bool {
        name == self.content_ns.as_bytes()
            || name == ns::CLIENT.as_bytes()
            || name == ns::SERVER.as_bytes()
    }
}

/// An element whose end tag has not come yet.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Name as written, prefix included, to compare with the end tag.
    name: Span,
    /// Bytes of its prefix and colon.
    prefix: u16,
    /// The default namespace within it.
    default: Span,
    ns: Span,
    /// Whether it and everything around it is in the content namespace.
    content: bool,
    /// Where its content begins in the canonical text.
    inner: usize,
    mark: Mark,
}

/// What came of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// More is needed.
    More,
    /// A first-level element is complete.
    Complete,
    /// The stream was closed.
    Closed,
}

/// The work on one first-level element: its state, and the canonical text so far.
#[derive(Debug, Default)]
pub(super) struct Canon {
    pub(super) recorder: Recorder,
    pub(super) head: Option<Head>,
    /// The content namespace, where [`Canon::begin_usual`] set up the outermost level.
    usual: Option<&'static str>,
    scope: Scope,
    /// The open elements; the first is the stream itself.
    open: Vec<Open>,
    pub(super) tag: Tag,
    /// A token that is not complete, from its first byte.
    pub(super) tail: Vec<u8>,
    /// Bytes received since the element's `<`.
    pub(super) raw: usize,
    /// Where in those bytes the current token begins.
    token_at: usize,
    elements: u32,
    closed: bool,
    /// Whether a CDATA section is open.
    pub(super) cdata: bool,
    /// `]` seen just before: those of a CDATA section are not written yet.
    pub(super) brackets: u8,
    /// Whether the last character was a carriage return, already written as a newline.
    pub(super) after_cr: bool,
    /// Namespaces given a generated prefix on the current element.
    generated: Vec<Span>,
}

impl Canon {
    /// Forgets everything but the capacity.
    fn reset(&mut self) {
        self.recorder.clear();
        self.head = None;
        self.tag.begin();
        self.tail.clear();
        self.raw = 0;
        self.token_at = 0;
        self.elements = 0;
        self.closed = false;
        self.cdata = false;
        self.brackets = 0;
        self.after_cr = false;
    }

    /// Begins a first-level element of a stream, or a fragment: `name` is the qualified name of
    /// the level around it, `default` the namespace of names without prefix, `content` whether
    /// that level is a stream or stanza of the content namespace.
    pub(super) fn begin<'b>(
        &mut self,
        name: &[u8],
        default: &str,
        content: bool,
        bindings: impl IntoIterator<Item = (&'b [u8], &'b [u8])>,
    ) {
        self.reset();
        self.usual = None;
        self.scope.clear();
        self.open.clear();
        let name = self.scope.keep(name, true);
        let default = self
            .scope
            .bind(b"", default.as_bytes(), is_plain(default.as_bytes()));
        for (prefix, ns) in bindings {
            self.scope.bind(prefix, ns, is_plain(ns));
        }
        let mark = self.scope.mark();
        self.open.push(Open {
            name,
            prefix: 0,
            default,
            ns: default,
            content,
            inner: 0,
            mark,
        });
    }

    /// Begins an element of a stream whose header is as nearly all are: `stream:stream`, the
    /// content namespace as the default, no other declarations.
    pub(super) fn begin_usual(&mut self, content_ns: &'static str) {
        match self.open.first() {
            // The last one was the same: what it stood on is still there.
            Some(level) if self.usual == Some(content_ns) => {
                self.scope.release(level.mark);
                self.open.truncate(1);
                self.reset();
            }
            _ => {
                let stream: (&[u8], &[u8]) = (b"stream", ns::STREAMS.as_bytes());
                self.begin(b"stream:stream", content_ns, true, [stream]);
                self.usual = Some(content_ns);
            }
        }
    }

    /// The namespace declarations at the stream's level.
    pub(super) fn scope(&mut self) -> &mut Scope {
        &mut self.scope
    }

    /// Whether everything that was opened is closed.
    pub(super) fn is_complete(&self) -> bool {
        self.open.len() == 1 && self.tail.is_empty() && !self.cdata
    }

    /// Bytes of heap in use.
    pub(super) fn held(&self) -> usize {
        self.recorder.held()
            + self.scope.held()
            + self.open.capacity() * size_of::<Open>()
            + self.tag.attrs.capacity() * size_of::<RawAttr>()
            + self.tail.capacity()
            + self.generated.capacity() * size_of::<Span>()
    }

    /// A copy with no spare capacity; `self` is left to be begun anew.
    pub(super) fn take_compact(&mut self) -> Canon {
        Canon {
            recorder: self.recorder.compact(),
            head: self.head.take(),
            scope: self.scope.clone(),
            open: self.open.clone(),
            tag: self.tag.clone(),
            tail: self.tail.clone(),
            generated: Vec::new(),
            ..*self
        }
    }

    /// Takes input from the front until the element is complete. Gives the bytes taken.
    pub(super) fn feed(
        &mut self,
        cx: &Context<'_>,
        input: &[u8],
    ) -> Result<(usize, Outcome), XmlError> {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = input.get(at..) {
            let used = if !self.tail.is_empty() {
                self.feed_tail(cx, rest)?
            } else {
                self.token_at = self.raw;
                self.feed_direct(cx, *first, rest)?
            };
            at += used;
            self.raw += used;
            if self.closed {
                return Ok((at, Outcome::Closed));
            }
            if self.open.len() == 1 && !cx.fragment && self.tail.is_empty() {
                return Ok((at, Outcome::Complete));
            }
        }
        Ok((at, Outcome::More))
    }

    fn feed_direct(&mut self, cx: &Context<'_>, first: u8, rest: &[u8]) -> Result<usize, XmlError> {
        let used = match first {
            _ if self.cdata => self.cdata_section(rest)?,
            b'<' | b'&' => self.token(cx, rest)?.unwrap_or(0),
            _ => self.text(rest)?,
        };
        if used > 0 {
            return Ok(used);
        }
        // Nothing could be done with it yet: all of it is one unfinished token.
        self.tail.extend_from_slice(rest);
        Ok(rest.len())
    }

    /// Completes the token in the tail. Takes no byte beyond its end.
    fn feed_tail(&mut self, cx: &Context<'_>, rest: &[u8]) -> Result<usize, XmlError> {
        let wanted = match self.tail.as_slice() {
            // A tag ends at a `>`, though not at each.
            [b'<', second, ..] if !matches!(second, b'!' | b'?') => {
                memchr::memchr(b'>', rest).map_or(rest.len(), |found| found + 1)
            }
            _ => 1,
        };
        self.tail
            .extend_from_slice(rest.get(..wanted).unwrap_or(rest));
        let mut tail = std::mem::take(&mut self.tail);
        let done = match tail.first() {
            Some(b'<' | b'&') if !self.cdata => self.token(cx, &tail)?.is_some(),
            _ => self.characters(&tail, self.cdata)? > 0,
        };
        if done {
            tail.clear();
        } else if tail.starts_with(b"</") {
            self.shorten_end_tag(&mut tail);
        }
        self.tail = tail;
        Ok(wanted.min(rest.len()))
    }

    /// Of the white space before the `>` of an end tag one byte says all.
    fn shorten_end_tag(&self, tail: &mut Vec<u8>) {
        let name = self
            .open
            .last()
            .map_or(0, |open| self.scope.bytes(open.name).len());
        tail.truncate(name + 3);
    }

    /// Reads the markup or reference that `rest` begins with. `None`: it is not complete.
    fn token(&mut self, cx: &Context<'_>, rest: &[u8]) -> Result<Option<usize>, XmlError> {
        (self.brackets, self.after_cr) = (0, false);
        match rest {
            [b'&', ..] => self.text_reference(rest),
            [b'<'] => Ok(None),
            [b'<', b'/', ..] => self.end_tag(cx, rest),
            [b'<', b'!', ..] => self.cdata_start(cx, rest),
            // RFC 6120 §11.1.
            [b'<', b'?', ..] => Err(XmlError::Restricted("processing instruction")),
            _ => self.start_tag(cx, rest),
        }
    }

    fn text_reference(&mut self, rest: &[u8]) -> Result<Option<usize>, XmlError> {
        let found = value::reference(rest)?;
        if let Some((c, _)) = found {
            super::escape::escape_text(c.encode_utf8(&mut [0; 4]), &mut self.recorder.text);
        }
        Ok(found.map(|(_, used)| used))
    }

    fn cdata_start(&mut self, cx: &Context<'_>, rest: &[u8]) -> Result<Option<usize>, XmlError> {
        const CDATA: &[u8] = b"<![CDATA[";
        if rest.starts_with(CDATA) {
            if self.open.len() == 1 && !cx.fragment {
                return Err(XmlError::BadFormat("text between stanzas"));
            }
            self.cdata = true;
            return Ok(Some(CDATA.len()));
        }
        if CDATA.starts_with(rest) {
            return Ok(None);
        }
        // RFC 6120 §11.1.
        Err(match rest.get(2) {
            Some(b'-') => XmlError::Restricted("comment"),
            Some(b'D' | b'E' | b'A' | b'N') => XmlError::Restricted("document type declaration"),
            _ => XmlError::NotWellFormed("unknown markup"),
        })
    }

    fn end_tag(&mut self, cx: &Context<'_>, rest: &[u8]) -> Result<Option<usize>, XmlError> {
        const MISMATCH: XmlError = XmlError::NotWellFormed("end tag without its start tag");
        let Some(open) = self.open.last() else {
            return Err(MISMATCH);
        };
        if self.open.len() == 1 && cx.fragment {
            return Err(MISMATCH);
        }
        let name = self.scope.bytes(open.name);
        let given = rest.get(2..).unwrap_or_default();
        let Some(after) = given.strip_prefix(name) else {
            return if name.starts_with(given) {
                Ok(None)
            } else {
                Err(MISMATCH)
            };
        };
        let space = super::chars::leading_space(after);
        let end = 2 + name.len() + space;
        match after.get(space) {
            None => Ok(None),
            Some(b'>') => {
                self.close(cx);
                Ok(Some(end + 1))
            }
            Some(_) => Err(MISMATCH),
        }
    }

    /// Closes the innermost element, and writes so.
    fn close(&mut self, cx: &Context<'_>) {
        if self.open.len() == 1 {
            self.closed = true;
            return;
        }
        let Some(open) = self.open.pop() else {
            return;
        };
        if self.open.len() > 1 || self.head.is_none() {
            let text = &mut self.recorder.text;
            if text.len() == open.inner {
                text.pop();
                text.extend_from_slice(b"/>");
            } else {
                text.extend_from_slice(b"</");
                let name = self.scope.bytes(open.name);
                text.extend_from_slice(name.get(usize::from(open.prefix)..).unwrap_or_default());
                text.push(b'>');
            }
        }
        if self.is_child_level(cx) {
            self.recorder.child_ends();
        }
        self.scope.release(open.mark);
    }

    /// Whether what opens or has just closed here is a direct child of a stanza.
    fn is_child_level(&self, cx: &Context<'_>) -> bool {
        match self.open.len() {
            1 => cx.fragment,
            2 => self.head.is_some(),
            _ => false,
        }
    }

    fn start_tag(&mut self, cx: &Context<'_>, rest: &[u8]) -> Result<Option<usize>, XmlError> {
        let Some(used) = self.tag.scan(rest, cx.limits)? else {
            return Ok(None);
        };
        let token = rest.get(..used).unwrap_or_default();
        let tag = std::mem::take(&mut self.tag);
        self.element(cx, token, &tag)?;
        let empty = tag.empty;
        self.tag = tag;
        self.tag.begin();
        if self.recorder.text.len() > (self.token_at + used) * AMPLIFICATION + FREE_BYTES {
            return Err(XmlError::Policy(Limit::Amplification));
        }
        if empty {
            self.close(cx);
        }
        Ok(Some(used))
    }

    fn element(&mut self, cx: &Context<'_>, token: &[u8], tag: &Tag) -> Result<(), XmlError> {
        let parent = self.open.last().copied().unwrap_or_default();
        if self.open.len() > usize::from(cx.limits.depth) {
            return Err(XmlError::Policy(Limit::Depth));
        }
        self.elements += 1;
        if self.elements > cx.limits.children {
            return Err(XmlError::Policy(Limit::Children));
        }
        let mark = self.scope.mark();
        let name = self.scope.keep(tag.name(token), true);
        let default = self
            .declarations(cx.limits, token, tag)?
            .unwrap_or(parent.default);
        let ns = self.element_ns(tag.prefix(token), default)?;
        self.refuse_duplicates(token, tag)?;
        let mut open = Open {
            name,
            prefix: tag.prefix_bytes(),
            default,
            ns,
            content: false,
            inner: 0,
            mark,
        };
        if self.open.len() == 1 && !cx.fragment {
            self.first_level(cx, token, tag, &mut open)?;
        } else {
            open.content = parent.content && cx.is_content(self.scope.bytes(ns));
        }
        if open.content && !tag.prefix(token).is_empty() {
            // RFC 6120 §4.8.5: the content namespace takes no prefix.
            return Err(XmlError::BadNamespacePrefix);
        }
        if self.head.is_none() || self.open.len() > 1 {
            self.write_start(cx, token, tag, &open, &parent)?;
        }
        open.inner = self.recorder.text.len();
        self.open.push(open);
        Ok(())
    }

    /// Obeys the declarations of a tag; gives the default namespace if there is a new one.
    pub(super) fn declarations(
        &mut self,
        limits: &Limits,
        token: &[u8],
        tag: &Tag,
    ) -> Result<Option<Span>, XmlError> {
        let mut default = None;
        if !tag.namespaced {
            return Ok(None);
        }
        for attr in tag
            .attrs
            .iter()
            .filter(|attr| attr.kind == AttrKind::Declaration)
        {
            let decoded;
            let name = if attr.plain {
                attr.raw(token)
            } else {
                decoded = value::decode(attr.raw(token), false)?;
                decoded.as_bytes()
            };
            let limit = limits.namespace_bytes;
            if attr.prefix(token).is_empty() {
                default = Some(self.scope.declare(b"", name, attr.plain, limit)?);
            } else {
                self.scope
                    .declare(attr.local(token), name, attr.plain, limit)?;
            }
        }
        Ok(default)
    }

    fn element_ns(&self, prefix: &[u8], default: Span) -> Result<Span, XmlError> {
        match prefix {
            b"" => Ok(default),
            // Namespaces in XML 1.0 §3: elements must not have the prefix xmlns.
            b"xmlns" => Err(XmlError::NotWellFormed("element with the prefix xmlns")),
            // Without its prefix it could not be written: that namespace is never the default.
            b"xml" => Err(XmlError::BadNamespacePrefix),
            prefix => self.scope.lookup(prefix),
        }
    }

    /// XML 1.0 §3.1, constraint "Unique Att Spec"; Namespaces in XML 1.0 §6.3.
    pub(super) fn refuse_duplicates(&self, token: &[u8], tag: &Tag) -> Result<(), XmlError> {
        const TWICE: XmlError = XmlError::NotWellFormed("attribute given twice");
        let mut rest = tag.attrs.as_slice();
        while let Some((attr, after)) = rest.split_first() {
            rest = after;
            if after.iter().any(|other| other.same_name(attr, token)) {
                return Err(TWICE);
            }
            if attr.kind != AttrKind::Prefixed {
                continue;
            }
            for other in after
                .iter()
                .filter(|other| other.kind == AttrKind::Prefixed)
            {
                if other.local(token) == attr.local(token)
                    && self
                        .attr_ns(other, token)?
                        .map(|span| self.scope.bytes(span))
                        == self
                            .attr_ns(attr, token)?
                            .map(|span| self.scope.bytes(span))
                {
                    return Err(TWICE);
                }
            }
        }
        Ok(())
    }

    /// The namespace of a prefixed attribute; `None` for the prefix `xml`.
    fn attr_ns(&self, attr: &RawAttr, token: &[u8]) -> Result<Option<Span>, XmlError> {
        match attr.prefix(token) {
            b"xml" => Ok(None),
            prefix => self.scope.lookup(prefix).map(Some),
        }
    }

    /// Decides what a child of the stream is.
    fn first_level(
        &mut self,
        cx: &Context<'_>,
        token: &[u8],
        tag: &Tag,
        open: &mut Open,
    ) -> Result<(), XmlError> {
        let ns = self.scope.bytes(open.ns);
        if ns != cx.content_ns.as_bytes() {
            // RFC 6120 §4.8.3: a content namespace that this stream does not have.
            return match cx.is_content(ns) {
                true => Err(XmlError::InvalidNamespace),
                false => Ok(()),
            };
        }
        open.content = true;
        let name = match tag.name(token) {
            b"message" => StanzaName::Message,
            b"presence" => StanzaName::Presence,
            b"iq" => StanzaName::Iq,
            _ => return Ok(()),
        };
        let mut head = Head::new(name);
        let mut extra = Vec::new();
        self.generated.clear();
        for attr in tag
            .attrs
            .iter()
            .filter(|attr| attr.kind != AttrKind::Declaration)
        {
            if !head.take(attr, token)? {
                self.write_attr(token, attr, &mut extra)?;
            }
        }
        head.set_extra(extra);
        self.head = Some(head);
        Ok(())
    }

    fn write_start(
        &mut self,
        cx: &Context<'_>,
        token: &[u8],
        tag: &Tag,
        open: &Open,
        parent: &Open,
    ) -> Result<(), XmlError> {
        let local = tag.local(token);
        let ns = self.scope.bytes(open.ns);
        if self.is_child_level(cx) {
            let foreign = (!open.content).then_some(ns);
            self.recorder.child_begins(local, foreign, open.ns.plain);
        }
        // A child of the content namespace inherits it from whatever stream it is sent on.
        let declared = !open.content && (parent.content || ns != self.scope.bytes(parent.ns));
        if tag.tidy && declared == tag.declares_default() {
            let end = token.len() - if tag.empty { 2 } else { 1 };
            let text = &mut self.recorder.text;
            text.extend_from_slice(token.get(..end).unwrap_or_default());
            text.push(b'>');
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.recorder.text);
        text.push(b'<');
        text.extend_from_slice(local);
        if declared {
            text.extend_from_slice(b" xmlns='");
            escape_bytes(ns, &mut text);
            text.push(b'\'');
        }
        self.generated.clear();
        for attr in tag
            .attrs
            .iter()
            .filter(|attr| attr.kind != AttrKind::Declaration)
        {
            self.write_attr(token, attr, &mut text)?;
        }
        text.push(b'>');
        self.recorder.text = text;
        Ok(())
    }

    fn write_attr(
        &mut self,
        token: &[u8],
        attr: &RawAttr,
        out: &mut Vec<u8>,
    ) -> Result<(), XmlError> {
        let ns = match attr.kind {
            AttrKind::Prefixed => self.attr_ns(attr, token)?,
            _ => None,
        };
        if let Some(ns) = ns {
            let number = self.generate_prefix(ns, out);
            if out.len() > (self.token_at + token.len()) * AMPLIFICATION + FREE_BYTES {
                return Err(XmlError::Policy(Limit::Amplification));
            }
            out.extend_from_slice(format!(" ns{number}:").as_bytes());
            out.extend_from_slice(attr.local(token));
        } else if let Some(verbatim) = attr.verbatim(token) {
            out.push(b' ');
            out.extend_from_slice(verbatim);
            return Ok(());
        } else {
            out.push(b' ');
            out.extend_from_slice(attr.name(token));
        }
        out.extend_from_slice(b"='");
        if attr.plain {
            out.extend_from_slice(attr.raw(token));
        } else {
            escape_attr(&value::decode(attr.raw(token), false)?, out);
        }
        out.push(b'\'');
        Ok(())
    }

    /// The number of the prefix generated for `ns` on this element, declared if it is new.
    fn generate_prefix(&mut self, ns: Span, out: &mut Vec<u8>) -> usize {
        let name = self.scope.bytes(ns);
        let known = self
            .generated
            .iter()
            .position(|span| self.scope.bytes(*span) == name);
        known.unwrap_or_else(|| {
            let number = self.generated.len();
            out.extend_from_slice(format!(" xmlns:ns{number}='").as_bytes());
            escape_bytes(name, out);
            out.push(b'\'');
            self.generated.push(ns);
            number
        })
    }
}

fn is_plain(name: &[u8]) -> bool {
    plain_value(name) == name.len()
}

/// Namespace names come from checked text.
fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    escape_attr(std::str::from_utf8(bytes).unwrap_or_default(), out);
}
