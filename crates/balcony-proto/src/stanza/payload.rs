//! What a stanza contains: canonical bytes with an index of the direct children, shared.
//!
//! One allocation holds all of it: the canonical text, the namespace names that the text spells
//! with references, one [`Entry`] for each child, and a footer of two numbers (length of the
//! text, number of entries). The index is never stored or sent.

use std::fmt;
use std::sync::Arc;

use super::child::Child;
use crate::ns;
use crate::xml::{Element, XmlError};

/// Bytes of an encoded [`Entry`].
const ENTRY: usize = 20;
/// Bytes of the footer.
const FOOTER: usize = 8;
/// [`Entry::ns_at`] of a child in the content namespace.
const CONTENT: u32 = u32::MAX;

/// Where a child stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) name_len: u32,
    ns_at: u32,
    ns_len: u32,
}

impl Entry {
    fn encode(self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        let fields = [self.start, self.end, self.name_len, self.ns_at, self.ns_len];
        for (slot, field) in out.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let mut fields = [0; ENTRY / 4];
        let (numbers, _) = bytes.as_chunks();
        for (field, number) in fields.iter_mut().zip(numbers) {
            *field = u32::from_le_bytes(*number);
        }
        let [start, end, name_len, ns_at, ns_len] = fields;
        Entry {
            start,
            end,
            name_len,
            ns_at,
            ns_len,
        }
    }
}

/// Offsets are 32 bits: no limit on stanzas comes near 4 GiB.
#[inline]
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Collects canonical text and the index of its children.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The text so far; writers append to it.
    pub(crate) text: Vec<u8>,
    entries: Vec<Entry>,
    /// Namespace names that stand in the text with references, one after the other.
    names: Vec<u8>,
}

impl Recorder {
    /// Notes that a direct child begins here. `ns` is `None` in the content namespace.
    /// `plain` says whether the text will spell that name without references.
    #[inline]
    pub(crate) fn child_begins(&mut self, name: &[u8], ns: Option<&[u8]>, plain: bool) {
        let start = self.text.len();
        // `<name xmlns='` comes before the namespace name, unless it needs references.
        let (ns_at, ns_len) = match ns {
            None => (CONTENT, 0),
            Some(ns) if !plain => {
                self.names.extend_from_slice(ns);
                // Counted from the end of the text, which is not known yet.
                (
                    CONTENT - 1 - offset(self.names.len() - ns.len()),
                    offset(ns.len()),
                )
            }
            Some(ns) => (offset(start + name.len() + 9), offset(ns.len())),
        };
        self.entries.push(Entry {
            start: offset(start),
            end: 0,
            name_len: offset(name.len()),
            ns_at,
            ns_len,
        });
    }

    /// Notes that the child begun last ends here.
    #[inline]
    pub(crate) fn child_ends(&mut self) {
        let end = offset(self.text.len());
        if let Some(entry) = self.entries.last_mut() {
            entry.end = end;
        }
    }

    /// How many direct children there are.
    #[inline]
    pub(crate) fn children(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of heap in use.
    pub(crate) fn held(&self) -> usize {
        self.text.capacity() + self.names.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Forgets everything but the capacity.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.names.clear();
    }

    /// The same, with no more capacity than needed.
    pub(crate) fn compact(&self) -> Recorder {
        Recorder {
            text: self.text.clone(),
            entries: self.entries.clone(),
            names: self.names.clone(),
        }
    }

    /// Makes the payload and is empty again.
    pub(crate) fn finish(&mut self) -> Payload {
        let shared = self.finish_shared();
        Payload {
            shared,
            added: None,
        }
    }

    fn finish_shared(&mut self) -> Option<Arc<[u8]>> {
        let end = self.text.len();
        if end == 0 {
            return None;
        }
        self.text.extend_from_slice(&self.names);
        for entry in &self.entries {
            let mut entry = *entry;
            let back = CONTENT - 1 - entry.ns_at.min(CONTENT - 1);
            if entry.ns_at != CONTENT && (back as usize) < self.names.len() {
                entry.ns_at = offset(end) + back;
            }
            self.text.extend_from_slice(&entry.encode());
        }
        self.text.extend_from_slice(&offset(end).to_le_bytes());
        self.text
            .extend_from_slice(&offset(self.entries.len()).to_le_bytes());
        let shared = Arc::from(self.text.as_slice());
        self.clear();
        Some(shared)
    }
}

/// The finished allocation of a [`Recorder`].
#[derive(Clone, Copy)]
pub(super) struct Shared<'a>(&'a [u8]);

impl<'a> Shared<'a> {
    /// Length of the text, and number of entries.
    fn footer(self) -> (usize, usize) {
        let Some(footer) = self.0.last_chunk::<FOOTER>() else {
            return (0, 0);
        };
        let footer = u64::from_le_bytes(*footer);
        (footer as u32 as usize, (footer >> 32) as usize)
    }

    pub(super) fn text(self) -> &'a [u8] {
        self.0.get(..self.footer().0).unwrap_or_default()
    }

    pub(super) fn slice(self, at: usize, len: usize) -> &'a [u8] {
        self.0.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    pub(super) fn namespace(self, entry: Entry) -> &'a str {
        if entry.ns_at == CONTENT {
            return ns::CLIENT;
        }
        std::str::from_utf8(self.namespace_bytes(entry)).unwrap_or_default()
    }

    pub(super) fn namespace_bytes(self, entry: Entry) -> &'a [u8] {
        if entry.ns_at == CONTENT {
            return ns::CLIENT.as_bytes();
        }
        self.slice(entry.ns_at as usize, entry.ns_len as usize)
    }

    fn entries(self) -> impl Iterator<Item = Entry> + use<'a> {
        let (_, count) = self.footer();
        let at = self.0.len().saturating_sub(FOOTER + count * ENTRY);
        let (entries, _) = self.slice(at, count * ENTRY).as_chunks();
        entries.iter().map(Entry::decode)
    }

    fn children(self) -> impl Iterator<Item = Child<'a>> + use<'a> {
        self.entries().map(move |entry| Child::new(self, entry))
    }
}

/// The content of a stanza. Cloning it copies no bytes.
#[derive(Clone, Default)]
pub struct Payload {
    shared: Option<Arc<[u8]>>,
    /// What was added on the way (stanza-id, delay): written after the shared text.
    added: Option<Arc<Vec<Arc<[u8]>>>>,
}

impl Payload {
    /// Nothing.
    pub fn empty() -> Payload {
        Payload::default()
    }

    /// One child.
    pub fn from_element(element: &Element) -> Payload {
        Payload::from_elements(std::slice::from_ref(element))
    }

    /// Several children.
    pub fn from_elements(elements: &[Element]) -> Payload {
        let mut recorder = Recorder::default();
        for element in elements {
            record(element, &mut recorder);
        }
        recorder.finish()
    }

    /// Reads a payload that was kept as [`Payload::to_bytes`], as strictly as from a peer.
    ///
    /// # Errors
    /// What the scanner would say of it within a stanza.
    pub fn parse(bytes: &[u8]) -> Result<Payload, XmlError> {
        crate::xml::parse_payload(bytes)
    }

    fn parts(&self) -> impl Iterator<Item = Shared<'_>> {
        let added = self.added.iter().flat_map(|added| added.iter());
        self.shared.iter().chain(added).map(|part| Shared(part))
    }

    /// The direct children in order, added ones last.
    pub fn children(&self) -> impl Iterator<Item = Child<'_>> {
        self.parts().flat_map(Shared::children)
    }

    /// The first child `name` of `ns`. Children in the content namespace are found under
    /// [`ns::CLIENT`], whatever stream they came by.
    pub fn find(&self, ns: &str, name: &str) -> Option<Child<'_>> {
        // Asked many times of each message, and quicker than to look at one chain of all children.
        self.parts()
            .find_map(|part| part.children().find(|child| child.is(ns, name)))
    }

    /// The first child.
    pub fn first(&self) -> Option<Child<'_>> {
        self.children().next()
    }

    /// Whether there is no child element.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// Whether nothing would be written, not even text.
    pub(super) fn is_blank(&self) -> bool {
        self.shared.is_none() && self.added.is_none()
    }

    /// Bytes of the canonical text.
    pub fn len(&self) -> usize {
        self.parts().map(|part| part.text().len()).sum()
    }

    /// Appends the canonical text.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in self.parts() {
            out.extend_from_slice(part.text());
        }
    }

    /// The canonical text, as stored rows keep it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.write(&mut out);
        out
    }

    /// Adds a child at the end without copying what is there.
    pub fn add(&mut self, element: &Element) {
        let mut recorder = Recorder::default();
        record(element, &mut recorder);
        let Some(part) = recorder.finish_shared() else {
            return;
        };
        if self.is_blank() {
            self.shared = Some(part);
        } else {
            Arc::make_mut(self.added.get_or_insert_default()).push(part);
        }
    }

    /// Without the children for which `drop` holds. Copies only when there are any.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&Child<'_>) -> bool) -> Payload {
        if !self.children().any(|child| drop(&child)) {
            return self.clone();
        }
        let mut recorder = Recorder::default();
        for part in self.parts() {
            let mut at = 0;
            for child in part.children() {
                let (start, end) = child.range();
                // What stands between children is text.
                recorder
                    .text
                    .extend_from_slice(part.slice(at, start.saturating_sub(at)));
                at = end;
                if !drop(&child) {
                    let ns = child.foreign_ns();
                    recorder.child_begins(child.name().as_bytes(), ns, is_plain(ns));
                    recorder.text.extend_from_slice(child.bytes());
                    recorder.child_ends();
                }
            }
            let text = part.text();
            recorder
                .text
                .extend_from_slice(text.get(at..).unwrap_or_default());
        }
        recorder.finish()
    }
}

/// Whether canonical form writes a namespace name without references.
fn is_plain(ns: Option<&[u8]>) -> bool {
    ns.is_none_or(|ns| !ns.iter().any(|byte| b"&<>'\t\n\r".contains(byte)))
}

fn record(element: &Element, recorder: &mut Recorder) {
    // A child in either content namespace is the stream's own (RFC 6120 §4.8.3).
    let content = element.ns() == ns::CLIENT || element.ns() == ns::SERVER;
    let name = element.name().as_bytes();
    let ns = (!content).then(|| element.ns().as_bytes());
    recorder.child_begins(name, ns, is_plain(ns));
    let parent = if content { element.ns() } else { ns::CLIENT };
    element.write(parent, &mut recorder.text);
    recorder.child_ends();
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl PartialEq for Payload {
    /// Equal when they would be written as the same bytes.
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Payload {}

impl From<Element> for Payload {
    fn from(element: Element) -> Self {
        Payload::from_element(&element)
    }
}

pub(super) fn is_content(entry: Entry) -> bool {
    entry.ns_at == CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Payload {
        Payload::from_elements(&[
            Element::new(ns::CLIENT, "body").with_text("Wherefore & why"),
            Element::new("urn:a&b", "odd").with_attr("k", "v"),
            Element::new("", "none"),
            Element::new(ns::RECEIPTS, "request"),
        ])
    }

    #[test]
    fn children_answer_from_the_index() {
        let payload = sample();
        let seen: Vec<_> = payload.children().map(|c| (c.ns(), c.name())).collect();
        assert_eq!(
            seen,
            [
                (ns::CLIENT, "body"),
                ("urn:a&b", "odd"),
                ("", "none"),
                (ns::RECEIPTS, "request")
            ]
        );
        assert_eq!(
            payload.find("urn:a&b", "odd").unwrap().attr("k").unwrap(),
            "v"
        );
        assert_eq!(
            payload.find(ns::CLIENT, "body").unwrap().text(),
            "Wherefore & why"
        );
    }

    #[test]
    fn without_cuts_children_and_keeps_the_rest() {
        let payload = sample().without(|child| child.name() == "odd" || child.name() == "request");
        let seen: Vec<_> = payload.children().map(|c| (c.ns(), c.name())).collect();
        assert_eq!(seen, [(ns::CLIENT, "body"), ("", "none")]);
        assert_eq!(
            String::from_utf8(payload.to_bytes()).unwrap(),
            "<body>Wherefore &amp; why</body><none xmlns=''/>"
        );
    }

    #[test]
    fn added_children_come_last_and_leave_clones_alone() {
        let before = sample();
        let mut after = before.clone();
        after.add(&Element::new(ns::STANZA_ID, "stanza-id").with_attr("id", "1"));
        after.add(&Element::new(ns::DELAY, "delay"));
        assert_eq!(before.children().count(), 4);
        assert_eq!(after.children().last().unwrap().name(), "delay");
        assert_eq!(
            after
                .find(ns::STANZA_ID, "stanza-id")
                .unwrap()
                .attr("id")
                .unwrap(),
            "1"
        );
        assert_eq!(after.len(), after.to_bytes().len());
    }

    #[test]
    fn what_is_stored_reads_back_the_same() {
        let payload = sample();
        let again = Payload::parse(&payload.to_bytes()).unwrap();
        assert_eq!(again, payload);
        assert_eq!(again.children().count(), 4);
        assert_eq!(again.find("urn:a&b", "odd").unwrap().ns(), "urn:a&b");
    }

    #[test]
    fn empty_payload_has_nothing() {
        assert!(Payload::empty().is_empty());
        assert_eq!(Payload::empty().to_bytes(), b"");
        assert!(Payload::parse(b"").unwrap().is_empty());
    }
}
