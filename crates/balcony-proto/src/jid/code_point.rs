//! RFC 8264 §8 and §9: which code points the PRECIS string classes allow.
//!
//! The properties come from the Unicode version of ICU4X, the one that `idna`
//! uses too. Libraries with the tables of Unicode 6.3, at which the registry of
//! §11.1 stopped, refuse every emoji since; the algorithm is the norm (§8).

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, HangulSyllableType,
    JoinControl, NoncharacterCodePoint,
};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::context;

/// A PRECIS string class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// RFC 8264 §4.2: letters and digits, for names.
    Identifier,
    /// RFC 8264 §4.3: spaces, symbols and punctuation as well.
    Freeform,
}

/// The derived property value of a code point (RFC 8264 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derived {
    /// PVALID: in any class.
    Valid,
    /// FREE_PVAL: in the FreeformClass only.
    FreeformOnly,
    /// CONTEXTJ and CONTEXTO: where its rule says so.
    Context,
    /// DISALLOWED and UNASSIGNED: nowhere.
    Never,
}

/// Whether the class allows each code point where it stands.
pub(super) fn allows(class: Class, text: &str) -> bool {
    text.char_indices().all(|(at, c)| match derived(c) {
        Derived::Valid => true,
        Derived::FreeformOnly => class == Class::Freeform,
        Derived::Context => context::allows(text, at, c),
        Derived::Never => false,
    })
}

/// RFC 8264 §8: the algorithm, in its order, which must not be changed.
pub(super) fn derived(c: char) -> Derived {
    if let Some(exception) = exception(c) {
        return exception;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if category == GeneralCategory::Unassigned {
        return Derived::Never;
    }
    if matches!(c, '\u{21}'..='\u{7e}') {
        return Derived::Valid;
    }
    if CodePointSetData::new::<JoinControl>().contains(c) {
        return Derived::Context;
    }
    if is_old_hangul_jamo(c) || is_ignorable(c) || category == GeneralCategory::Control {
        return Derived::Never;
    }
    if has_compat(c) {
        return Derived::FreeformOnly;
    }
    by_category(category)
}

/// RFC 5892 §2.6, category F. The dead numbers between are of no category here.
fn exception(c: char) -> Option<Derived> {
    match c {
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => {
            Some(Derived::Valid)
        }
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' => Some(Derived::Context),
        '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Some(Derived::Context),
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            Some(Derived::Never)
        }
        _ => None,
    }
}

/// RFC 5892 §2.9, category I.
fn is_old_hangul_jamo(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo
            | HangulSyllableType::VowelJamo
            | HangulSyllableType::TrailingJamo
    )
}

/// RFC 8264 §9.13, category M.
fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
}

/// RFC 8264 §9.17, category Q.
fn has_compat(c: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    ComposingNormalizerBorrowed::new_nfkc().normalize(text) != text
}

/// Categories A (RFC 5892 §2.1), R, N, O and P (RFC 8264 §9.14 to §9.18).
fn by_category(category: GeneralCategory) -> Derived {
    use GeneralCategory as G;
    match category {
        G::LowercaseLetter
        | G::UppercaseLetter
        | G::OtherLetter
        | G::DecimalNumber
        | G::ModifierLetter
        | G::NonspacingMark
        | G::SpacingMark => Derived::Valid,
        G::TitlecaseLetter
        | G::LetterNumber
        | G::OtherNumber
        | G::EnclosingMark
        | G::SpaceSeparator => Derived::FreeformOnly,
        other => {
            let rest = GeneralCategoryGroup::Symbol.union(GeneralCategoryGroup::Punctuation);
            if rest.contains(other) {
                Derived::FreeformOnly
            } else {
                Derived::Never
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use precis_profiles::precis_core::{
        DerivedPropertyValue, FreeformClass, IdentifierClass, StringClass,
    };

    use super::*;

    #[test]
    fn agrees_with_the_registry_where_unicode_6_3_knows_the_code_point() {
        let (identifier, freeform) = (IdentifierClass::default(), FreeformClass::default());
        let mut differing = Vec::new();
        for c in '\0'..=char::MAX {
            use DerivedPropertyValue as D;
            let registered = match identifier.get_value_from_char(c) {
                D::Unassigned => continue,
                D::PValid => Derived::Valid,
                D::ContextJ | D::ContextO => Derived::Context,
                D::SpecClassDis => Derived::FreeformOnly,
                D::Disallowed | D::SpecClassPval => Derived::Never,
            };
            if derived(c) != registered {
                differing.push(c);
            }
            let in_freeform = freeform.get_value_from_char(c) == D::SpecClassPval;
            assert_eq!(in_freeform, registered == Derived::FreeformOnly, "{c:?}");
        }
        assert_eq!(differing, Vec::<char>::new());
    }

    #[test]
    fn newer_characters_follow_the_algorithm() {
        // Crab (Unicode 8), melting face (14), a letter of Osage (9).
        assert_eq!(derived('\u{1f980}'), Derived::FreeformOnly);
        assert_eq!(derived('\u{1fae0}'), Derived::FreeformOnly);
        assert_eq!(derived('\u{104d8}'), Derived::Valid);
        // A variation selector, a tag, an unassigned code point, private use.
        for c in ['\u{fe0f}', '\u{e0061}', '\u{378}', '\u{e000}'] {
            assert_eq!(derived(c), Derived::Never, "{c:?}");
        }
    }
}
