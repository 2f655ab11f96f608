//! The namespace declarations in scope (Namespaces in XML 1.0).

use super::error::{Limit, XmlError};
use crate::ns;

/// Declarations in scope at once. Each name looks through them, so their number bounds the work
/// for one name; documents with more than a few dozen prefixes are not messages.
const MAX_BINDINGS: usize = 128;

/// A piece of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    at: u32,
    len: u16,
    /// Whether canonical form writes these bytes as they are.
    pub(super) plain: bool,
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    prefix: Span,
    ns: Span,
}

/// Names and namespace names of the open elements, dropped as the elements close.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    arena: Vec<u8>,
    bindings: Vec<Binding>,
}

/// How much of a [`Scope`] belonged to the enclosing elements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    arena: usize,
    bindings: usize,
}

impl Scope {
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.bindings.clear();
    }

    pub(super) fn held(&self) -> usize {
        self.arena.capacity() + self.bindings.capacity() * size_of::<Binding>()
    }

    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark {
            arena: self.arena.len(),
            bindings: self.bindings.len(),
        }
    }

    #[inline]
    pub(super) fn release(&mut self, mark: Mark) {
        self.arena.truncate(mark.arena);
        self.bindings.truncate(mark.bindings);
    }

    #[inline]
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        let at = span.at as usize;
        self.arena
            .get(at..at + usize::from(span.len))
            .unwrap_or_default()
    }

    /// Copies a name or namespace name into the arena.
    #[inline]
    pub(super) fn keep(&mut self, bytes: &[u8], plain: bool) -> Span {
        let span = Span {
            // The arena holds parts of one stanza, far below 4 GiB; names are limited by 16 bits.
            at: u32::try_from(self.arena.len()).unwrap_or(u32::MAX),
            len: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            plain,
        };
        self.arena.extend_from_slice(bytes);
        span
    }

    /// Binds a prefix without asking whether it may be. `plain`: see [`Span::plain`].
    #[inline]
    pub(super) fn bind(&mut self, prefix: &[u8], name: &[u8], plain: bool) -> Span {
        let prefix = self.keep(prefix, true);
        let ns = self.keep(name, plain);
        self.bindings.push(Binding { prefix, ns });
        ns
    }

    /// Obeys `xmlns:prefix='name'`, or `xmlns='name'` where the prefix is empty.
    #[inline]
    pub(super) fn declare(
        &mut self,
        prefix: &[u8],
        name: &[u8],
        plain: bool,
        limit: u16,
    ) -> Result<Span, XmlError> {
        if name.len() > usize::from(limit) {
            return Err(XmlError::Policy(Limit::NamespaceBytes));
        }
        if self.bindings.len() >= MAX_BINDINGS {
            return Err(XmlError::Policy(Limit::Attributes));
        }
        // Namespaces in XML 1.0 §3: reserved prefixes and namespace names.
        if prefix == b"xmlns" || name == ns::XMLNS.as_bytes() {
            return Err(XmlError::NotWellFormed("declaration of xmlns"));
        }
        if (prefix == b"xml") != (name == ns::XML.as_bytes()) {
            return Err(XmlError::NotWellFormed("declaration of xml"));
        }
        // Namespaces in XML 1.0 §5: only the default can be undone.
        if !prefix.is_empty() && name.is_empty() {
            return Err(XmlError::NotWellFormed("prefix bound to nothing"));
        }
        match prefix {
            // The default is kept with the element that declares it.
            b"" => Ok(self.keep(name, plain)),
            _ => Ok(self.bind(prefix, name, plain)),
        }
    }

    /// What the prefix is bound to. `xml` is the caller's affair.
    pub(super) fn lookup(&self, prefix: &[u8]) -> Result<Span, XmlError> {
        let bound = self
            .bindings
            .iter()
            .rev()
            .find(|binding| self.bytes(binding.prefix) == prefix);
        match bound {
            Some(binding) => Ok(binding.ns),
            // Namespaces in XML 1.0 §5, constraint "Prefix Declared".
            None => Err(XmlError::NotWellFormed("undeclared prefix")),
        }
    }

    /// All bindings, outermost first.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.bindings
            .iter()
            .map(|binding| (self.bytes(binding.prefix), self.bytes(binding.ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_declarations_hide_outer_ones_until_released() {
        let mut scope = Scope::default();
        scope.declare(b"a", b"urn:1", true, 99).unwrap();
        let mark = scope.mark();
        scope.declare(b"a", b"urn:2", true, 99).unwrap();
        assert_eq!(scope.bytes(scope.lookup(b"a").unwrap()), b"urn:2");
        scope.release(mark);
        assert_eq!(scope.bytes(scope.lookup(b"a").unwrap()), b"urn:1");
        assert!(scope.lookup(b"b").is_err());
    }

    #[test]
    fn reserved_prefixes_and_names_are_kept() {
        let mut scope = Scope::default();
        assert!(scope.declare(b"xmlns", b"urn:1", true, 99).is_err());
        assert!(scope.declare(b"a", ns::XMLNS.as_bytes(), true, 99).is_err());
        assert!(scope.declare(b"xml", b"urn:1", true, 99).is_err());
        assert!(scope.declare(b"", ns::XML.as_bytes(), true, 99).is_err());
        assert!(scope.declare(b"a", b"", true, 99).is_err());
        assert!(scope.declare(b"xml", ns::XML.as_bytes(), true, 99).is_ok());
        assert!(scope.declare(b"", b"", true, 99).is_ok());
        assert_eq!(
            scope.declare(b"b", b"urn:long", true, 7),
            Err(XmlError::Policy(Limit::NamespaceBytes))
        );
    }
}
