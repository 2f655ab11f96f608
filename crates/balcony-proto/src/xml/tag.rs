//! Start tags, scanned once however they arrive.

use super::chars::{is_ascii_name_start, leading_ascii_name, leading_space, name};
use super::error::{Limit, XmlError};
use super::value;
use super::words::plain_value;
use crate::limits::Limits;

/// An attribute as it stands in the tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawAttr {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    name_len: u16,
    prefix_len: u16,
    pub(super) kind: AttrKind,
    /// See [`value::check`].
    pub(super) plain: bool,
    /// Whether the source is already `name='value'` in canonical form.
    verbatim: bool,
}

/// What an attribute's name makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttrKind {
    /// No prefix.
    Plain,
    /// Any prefix but `xmlns`.
    Prefixed,
    /// `xmlns` or `xmlns:…`.
    Declaration,
}

#[inline]
fn slice(token: &[u8], at: u32, len: u32) -> &[u8] {
    let at = at as usize;
    token.get(at..at + len as usize).unwrap_or_default()
}

impl RawAttr {
    /// Whether both have the same name, prefix included.
    #[inline]
    pub(super) fn same_name(&self, other: &RawAttr, token: &[u8]) -> bool {
        self.name_len == other.name_len && self.name(token) == other.name(token)
    }

    /// The name with its prefix.
    #[inline]
    pub(super) fn name<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        slice(token, self.name_at, u32::from(self.name_len))
    }

    #[inline]
    pub(super) fn prefix<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        slice(token, self.name_at, u32::from(self.prefix_len))
    }

    #[inline]
    pub(super) fn local<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        local(self.name(token), self.prefix_len)
    }

    /// The value as it stands between the quotes.
    #[inline]
    pub(super) fn raw<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        slice(token, self.value_at, self.value_len)
    }

    /// The whole attribute, where it can be copied as it is.
    #[inline]
    pub(super) fn verbatim<'t>(&self, token: &'t [u8]) -> Option<&'t [u8]> {
        let len = u32::from(self.name_len) + self.value_len + 3;
        self.verbatim.then(|| slice(token, self.name_at, len))
    }
}

/// The part of a qualified name after its prefix.
pub(super) fn local(name: &[u8], prefix_len: u16) -> &[u8] {
    match prefix_len {
        0 => name,
        len => name.get(usize::from(len) + 1..).unwrap_or_default(),
    }
}

/// What comes next in the tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Name,
    /// After the name or a value; whether white space has been seen since.
    Between(bool),
    Equals,
    Quote,
    Value(u8),
    Slash,
    Done,
}

/// The memo of a start tag: everything before `at` is done and never looked at again.
#[derive(Clone, Debug, Default)]
pub(super) struct Tag {
    at: usize,
    /// Within a value: how far it holds no quote.
    seen: usize,
    phase: Phase,
    name_len: u16,
    prefix_len: u16,
    pub(super) attrs: Vec<RawAttr>,
    /// Whether it ended in `/>`.
    pub(super) empty: bool,
    /// Whether any attribute has a prefix or is a declaration.
    pub(super) namespaced: bool,
    /// Whether it is written as canonical form would write it, where it declares a default
    /// namespace if and only if canonical form does.
    pub(super) tidy: bool,
}

impl Tag {
    /// Forgets the last tag.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.attrs.clear();
        self.phase = Phase::Name;
        self.namespaced = false;
    }

    #[inline]
    pub(super) fn name<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        slice(token, 1, u32::from(self.name_len))
    }

    #[inline]
    pub(super) fn prefix<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        slice(token, 1, u32::from(self.prefix_len))
    }

    /// Bytes of the prefix and its colon.
    #[inline]
    pub(super) fn prefix_bytes(&self) -> u16 {
        self.prefix_len + u16::from(self.prefix_len > 0)
    }

    /// Whether the first attribute is a declaration; of a tidy tag: of the default namespace.
    #[inline]
    pub(super) fn declares_default(&self) -> bool {
        let first = self.attrs.first();
        first.is_some_and(|attr| attr.kind == AttrKind::Declaration)
    }

    #[inline]
    pub(super) fn local<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        local(self.name(token), self.prefix_len)
    }

    /// Goes on in `token`, which begins with the tag's `<` and may have grown since the last
    /// call. Gives the tag's length once it is complete.
    pub(super) fn scan(
        &mut self,
        token: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, XmlError> {
        loop {
            let going = match self.phase {
                Phase::Name => self.element_name(token, limits)?,
                Phase::Between(spaced) => {
                    if !spaced {
                        self.usual_attributes(token, limits);
                    }
                    self.between(token, limits, spaced)?
                }
                Phase::Equals => {
                    self.expect(token, |byte| (byte == b'=').then_some(Phase::Quote))?
                }
                Phase::Quote => self.expect(token, |byte| {
                    matches!(byte, b'\'' | b'"').then_some(Phase::Value(byte))
                })?,
                Phase::Value(quote) => self.value(token, quote)?,
                Phase::Slash => {
                    self.empty = true;
                    match token.get(self.at) {
                        None => false,
                        Some(b'>') => self.step(Phase::Done),
                        Some(_) => return Err(XmlError::NotWellFormed("/ within a tag")),
                    }
                }
                Phase::Done => return Ok(Some(self.at)),
            };
            if !going {
                return Ok(None);
            }
        }
    }

    /// After the name or a value: the end, or white space and another attribute.
    fn between(&mut self, token: &[u8], limits: &Limits, spaced: bool) -> Result<bool, XmlError> {
        self.skip_space(token);
        let single = !spaced && token.get(self.seen..self.at) == Some(b" ");
        let spaced = spaced || self.seen < self.at;
        self.phase = Phase::Between(spaced);
        Ok(match token.get(self.at) {
            None => false,
            Some(b'>') => {
                self.empty = false;
                self.tidy &= !spaced;
                self.step(Phase::Done)
            }
            Some(b'/') => {
                self.tidy &= !spaced;
                self.step(Phase::Slash)
            }
            Some(_) if !spaced => {
                return Err(XmlError::NotWellFormed("no space before an attribute"));
            }
            Some(_) => {
                self.tidy &= single;
                self.attribute_name(token, limits)?
            }
        })
    }

    /// White space, then a byte that leads to another phase.
    fn expect(
        &mut self,
        token: &[u8],
        next: impl Fn(u8) -> Option<Phase>,
    ) -> Result<bool, XmlError> {
        self.skip_space(token);
        match token.get(self.at).map(|byte| next(*byte)) {
            None => Ok(false),
            Some(Some(phase)) => Ok(self.step(phase)),
            Some(None) => Err(XmlError::NotWellFormed("attribute without = or quotes")),
        }
    }

    /// Takes attributes that are all there and as nearly all are: a space, a name without colon,
    /// `=`, a quote, plain characters. Everything else is for the phases.
    #[inline]
    fn usual_attributes(&mut self, token: &[u8], limits: &Limits) {
        let limit = usize::from(limits.name_bytes);
        let mut at = self.at;
        while let Some([b' ', rest @ ..]) = token.get(at..) {
            let name_len = leading_ascii_name(rest);
            let Some((name @ [first, ..], [b'=', quote, value @ ..])) =
                rest.split_at_checked(name_len)
            else {
                break;
            };
            let value_len = plain_value(value);
            let usual = value.get(value_len) == Some(quote)
                && matches!(quote, b'\'' | b'"')
                && is_ascii_name_start(*first)
                && name_len <= limit
                && self.attrs.len() < usize::from(limits.attributes);
            let (Ok(name_at), Ok(value_len), true) =
                (u32::try_from(at + 1), u32::try_from(value_len), usual)
            else {
                break;
            };
            let declaration = name == b"xmlns";
            let verbatim = *quote == b'\'';
            self.tidy &= verbatim && (!declaration || self.attrs.is_empty());
            self.namespaced |= declaration;
            self.attrs.push(RawAttr {
                name_at,
                value_at: name_at + name_len as u32 + 2,
                value_len,
                name_len: name_len as u16,
                prefix_len: 0,
                kind: if declaration {
                    AttrKind::Declaration
                } else {
                    AttrKind::Plain
                },
                plain: true,
                verbatim,
            });
            at += name_len + value_len as usize + 4;
        }
        self.at = at;
    }

    /// One byte on, to `phase`.
    #[inline]
    fn step(&mut self, phase: Phase) -> bool {
        self.at += 1;
        self.seen = self.at;
        self.phase = phase;
        true
    }

    #[inline]
    fn skip_space(&mut self, token: &[u8]) {
        self.seen = self.at;
        self.at += leading_space(token.get(self.at..).unwrap_or_default());
    }

    fn element_name(&mut self, token: &[u8], limits: &Limits) -> Result<bool, XmlError> {
        let bytes = token.get(1..).unwrap_or_default();
        let Some((name_len, prefix_len)) = name(bytes, limits.name_bytes)? else {
            return Ok(false);
        };
        (self.name_len, self.prefix_len) = (name_len, prefix_len);
        self.at = 1 + usize::from(name_len);
        self.seen = self.at;
        self.tidy = prefix_len == 0;
        self.phase = Phase::Between(false);
        Ok(true)
    }

    fn attribute_name(&mut self, token: &[u8], limits: &Limits) -> Result<bool, XmlError> {
        if self.attrs.len() >= usize::from(limits.attributes) {
            return Err(XmlError::Policy(Limit::Attributes));
        }
        let bytes = token.get(self.at..).unwrap_or_default();
        let Some((name_len, prefix_len)) = name(bytes, limits.name_bytes)? else {
            return Ok(false);
        };
        let text = bytes.get(..usize::from(name_len)).unwrap_or_default();
        let kind = match prefix_len {
            0 if text == b"xmlns" => AttrKind::Declaration,
            0 => AttrKind::Plain,
            5 if text.starts_with(b"xmlns:") => AttrKind::Declaration,
            _ => AttrKind::Prefixed,
        };
        self.namespaced |= kind != AttrKind::Plain;
        self.tidy &= match kind {
            AttrKind::Plain => true,
            AttrKind::Prefixed => text.starts_with(b"xml:"),
            AttrKind::Declaration => prefix_len == 0 && self.attrs.is_empty(),
        };
        self.attrs.push(RawAttr {
            // Tags are bounded by the stanza limit, far below 4 GiB.
            name_at: u32::try_from(self.at).map_err(|_| XmlError::Policy(Limit::StanzaBytes))?,
            value_at: 0,
            value_len: 0,
            name_len,
            prefix_len,
            kind,
            plain: false,
            verbatim: false,
        });
        self.at += usize::from(name_len);
        self.phase = Phase::Equals;
        Ok(true)
    }

    fn value(&mut self, token: &[u8], quote: u8) -> Result<bool, XmlError> {
        let rest = token.get(self.seen..).unwrap_or_default();
        if self.seen == self.at {
            // Nearly every value is short and plain, and there at once.
            let plain = plain_value(rest);
            if rest.get(plain) == Some(&quote) {
                return self.value_ends(self.seen + plain, quote, true);
            }
        }
        let Some(found) = memchr::memchr2(quote, b'<', rest) else {
            self.seen = token.len();
            return Ok(false);
        };
        let end = self.seen + found;
        let raw = token.get(self.at..end).unwrap_or_default();
        let plain = value::check(raw)?;
        if token.get(end) == Some(&b'<') {
            return Err(XmlError::NotWellFormed("< in an attribute value"));
        }
        self.value_ends(end, quote, plain)
    }

    fn value_ends(&mut self, end: usize, quote: u8, plain: bool) -> Result<bool, XmlError> {
        let too_long = |_| XmlError::Policy(Limit::StanzaBytes);
        if let Some(attr) = self.attrs.last_mut() {
            attr.value_at = u32::try_from(self.at).map_err(too_long)?;
            attr.value_len = u32::try_from(end - self.at).map_err(too_long)?;
            attr.plain = plain;
            let tight = attr.name_at + u32::from(attr.name_len) + 2 == attr.value_at;
            attr.verbatim = plain && quote == b'\'' && tight;
            self.tidy &= attr.verbatim;
        }
        self.at = end;
        Ok(self.step(Phase::Between(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(tag: &str) -> Result<Option<usize>, XmlError> {
        let mut state = Tag::default();
        state.begin();
        state.scan(tag.as_bytes(), &Limits::BEFORE_LOGIN)
    }

    fn bytewise(tag: &str) -> Result<Option<usize>, XmlError> {
        let mut state = Tag::default();
        state.begin();
        for end in 1..=tag.len() {
            if let Some(found) = state.scan(&tag.as_bytes()[..end], &Limits::BEFORE_LOGIN)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_tag_is_the_same_whole_and_byte_by_byte() {
        for tag in [
            "<a>",
            "<a/>",
            "<a b='c'>",
            "<a:b c:d = \"e>'\" \n/>",
            "<a b='1'c='2'>",
            "<a/ >",
            "<a b>",
            "<a b=c>",
            "<a b='<'>",
            "<a =''>",
            "<1>",
            "< a>",
            "<a b='&x;'>",
            "<a b='c",
        ] {
            assert_eq!(whole(tag), bytewise(tag), "{tag}");
        }
        assert_eq!(whole("<a b='>'>x"), Ok(Some(9)));
    }

    #[test]
    fn attributes_beyond_the_limit_are_refused_at_the_first() {
        let mut tag = String::from("<a");
        for number in 0..=Limits::BEFORE_LOGIN.attributes {
            tag.push_str(&format!(" a{number}='x'"));
        }
        assert_eq!(whole(&tag), Err(XmlError::Policy(Limit::Attributes)));
    }

    #[test]
    fn only_canonical_attributes_are_verbatim() {
        let mut state = Tag::default();
        state.begin();
        let tag = b"<a b='1' c=\"2\" d ='3' e='&amp;' f='\xC3\xA9'>";
        state.scan(tag, &Limits::BEFORE_LOGIN).unwrap();
        let seen: Vec<_> = state.attrs.iter().map(|attr| attr.verbatim(tag)).collect();
        assert_eq!(seen, [Some(&b"b='1'"[..]), None, None, None, None]);
    }
}
