//! RFC 8265: the PRECIS profiles of localparts and resourceparts.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::bidi;
use super::code_point::{Class, allows};

/// How often a profile is applied again before its output must be stable (RFC 8264 §7).
const REAPPLICATIONS: usize = 3;

/// RFC 8265 §3.3, UsernameCaseMapped; `None` if the text cannot be enforced.
pub(super) fn username(text: &str) -> Option<String> {
    until_stable(text, |text| {
        // §3.3.2: width first, for the class has no place for wide forms.
        let narrow: String = text.chars().flat_map(narrow).collect();
        if !allows(Class::Identifier, &narrow) {
            return None;
        }
        // §3.3.3. Character by character: final sigma is no special case (RFC 7622 §3.5).
        let lower: String = narrow.chars().flat_map(char::to_lowercase).collect();
        let enforced = nfc(&lower);
        bidi::is_satisfied(&enforced).then_some(enforced)
    })
}

/// RFC 8265 §4.2, OpaqueString; `None` if the text cannot be enforced.
///
/// DEVIATION: signs that only join emoji or choose their looks are left out
/// first; the profile would refuse the whole string. RFC 7622 §4 asks to map
/// where that is possible, and servers with the stringprep of RFC 6122 map
/// these to nothing too (RFC 3454 §B.1), so the two name the same resource.
pub(super) fn opaque(text: &str) -> Option<String> {
    let text = without_emoji_joints(text);
    until_stable(&text, |text| {
        // §4.2.1.
        if !allows(Class::Freeform, text) {
            return None;
        }
        // §4.2.2, additional mapping and normalisation.
        let spaced: String = text
            .chars()
            .map(|c| if is_space(c) { ' ' } else { c })
            .collect();
        Some(nfc(&spaced))
    })
}

/// Whether each code point may stand in a U-label (RFC 5892 §3), the text
/// being mapped by UTS 46 before. With upper case and compatibility forms gone,
/// the IdentifierClass is what RFC 5892 calls PVALID, less the ASCII signs,
/// which the caller has refused.
pub(super) fn is_u_label(label: &str) -> bool {
    allows(Class::Identifier, label)
}

/// RFC 8264 §7: rules are applied again until the string is stable, so that
/// what we hand out is enforced to itself by every peer.
fn until_stable(text: &str, enforce: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut current = enforce(text)?;
    for _ in 0..REAPPLICATIONS {
        let next = enforce(&current)?;
        if next == current {
            return Some(current);
        }
        current = next;
    }
    None
}

fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(text)
        .into_owned()
}

/// RFC 8265 §3.3.1, width mapping rule. The forms have a block to themselves
/// but for the wide space. Where full decomposition goes further than the one
/// mapping, to Hangul letters and spaced accents, the class refuses either.
fn narrow(c: char) -> impl Iterator<Item = char> {
    let form = matches!(c, '\u{3000}' | '\u{ff00}'..='\u{ffef}');
    let mapped = form.then(|| {
        let mut buffer = [0; 4];
        let text: &str = c.encode_utf8(&mut buffer);
        ComposingNormalizerBorrowed::new_nfkc()
            .normalize(text)
            .into_owned()
    });
    let kept = if form { None } else { Some(c) };
    mapped
        .unwrap_or_default()
        .chars()
        .collect::<Vec<_>>()
        .into_iter()
        .chain(kept)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_space(c: char) -> bool {
    category(c) == GeneralCategory::SpaceSeparator
}

/// Leaves out U+FE0E and U+FE0F, which choose between text and picture, and
/// joiners after a symbol.
fn without_emoji_joints(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        let symbol = |c: char| GeneralCategoryGroup::Symbol.contains(category(c));
        let joint = match c {
            '\u{fe0e}' | '\u{fe0f}' => true,
            '\u{200d}' => kept.chars().next_back().is_some_and(symbol),
            _ => false,
        };
        if !joint {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_mapped() {
        for (given, enforced) in [
            // Wide letters, half-width kana with its sound mark.
            ("\u{ff32}\u{ff4f}meo", "romeo"),
            ("\u{ff8a}\u{ff9f}", "\u{30d1}"),
            // Decomposed and capital; capital sharp s; dotted I; capital sigma at the end.
            ("E\u{301}", "\u{e9}"),
            ("\u{1e9e}", "\u{df}"),
            ("\u{130}", "i\u{307}"),
            ("\u{39f}\u{3a3}", "\u{3bf}\u{3c3}"),
            // Hebrew with vowel marks.
            ("\u{5e9}\u{5b8}\u{5dc}", "\u{5e9}\u{5b8}\u{5dc}"),
        ] {
            assert_eq!(username(given).as_deref(), Some(enforced), "{given:?}");
        }
    }

    #[test]
    fn what_is_no_username_is_refused() {
        // Roman four, a ligature, chess king, crab, wide space, title case,
        // soft hyphen, right-to-left override, mixed directions, jamo.
        for text in [
            "henry\u{2163}",
            "\u{fb01}",
            "\u{265a}",
            "\u{1f980}",
            "a\u{3000}b",
            "\u{1c5}",
            "a\u{ad}",
            "a\u{202e}",
            "a\u{5d0}",
            "\u{1100}\u{1161}",
            "\u{ffa1}",
            "\u{ffe3}",
        ] {
            assert_eq!(username(text), None, "{text:?}");
        }
    }

    #[test]
    fn resources_keep_case_width_and_emoji() {
        for text in [
            "B\u{e0}lcony",
            "\u{ff32}",
            "\u{2163}",
            "\u{1f980}\u{1fae0}",
            "\u{265a}",
            "a\u{5d0}",
        ] {
            assert_eq!(opaque(text).as_deref(), Some(text));
        }
        assert_eq!(opaque("a\u{a0}b\u{3000}").as_deref(), Some("a b "));
        assert_eq!(opaque("e\u{301}").as_deref(), Some("\u{e9}"));
    }

    #[test]
    fn joined_emoji_come_apart() {
        for (given, enforced) in [
            ("\u{2764}\u{fe0f}", "\u{2764}"),
            ("1\u{fe0f}\u{20e3}", "1\u{20e3}"),
            (
                "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
                "\u{1f469}\u{1f3fd}\u{1f680}",
            ),
            ("\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}", "\u{1f3f3}\u{1f308}"),
        ] {
            assert_eq!(opaque(given).as_deref(), Some(enforced));
        }
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        for text in [
            "a\u{200d}b",
            "a\u{ad}",
            "\u{0}",
            "a\nb",
            "\u{7f}",
            "\u{e000}",
            "\u{ffff}",
            "\u{378}",
        ] {
            assert_eq!(opaque(text), None, "{text:?}");
        }
    }
}
