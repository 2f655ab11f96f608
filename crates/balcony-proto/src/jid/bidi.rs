//! RFC 5893 §2, the Bidi rule: text that shows in one order only.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass as B;

/// Whether the text has no right-to-left character or keeps all six
/// conditions (RFC 8265 §3.3.1, directionality rule).
pub(super) fn is_satisfied(text: &str) -> bool {
    let classes = || text.chars().map(|c| CodePointMapData::<B>::new().get(c));
    let has = |class: B| classes().any(|found| found == class);
    if !(has(B::RightToLeft) || has(B::ArabicLetter) || has(B::ArabicNumber)) {
        return true;
    }
    let Some(first) = classes().next() else {
        return true;
    };
    // Marks may follow the last character of either label.
    let last = classes().rfind(|&class| class != B::NonspacingMark);
    let both = [
        B::EuropeanNumber,
        B::EuropeanSeparator,
        B::CommonSeparator,
        B::EuropeanTerminator,
        B::OtherNeutral,
        B::BoundaryNeutral,
        B::NonspacingMark,
    ];
    let only = |more: &[B]| classes().all(|c| both.contains(&c) || more.contains(&c));
    let ends = |with: &[B]| last.is_some_and(|last| with.contains(&last));
    if first == B::RightToLeft || first == B::ArabicLetter {
        // Conditions 2, 3 and 4.
        return only(&[B::RightToLeft, B::ArabicLetter, B::ArabicNumber])
            && ends(&[
                B::RightToLeft,
                B::ArabicLetter,
                B::EuropeanNumber,
                B::ArabicNumber,
            ])
            && !(has(B::EuropeanNumber) && has(B::ArabicNumber));
    }
    // Conditions 1, 5 and 6.
    first == B::LeftToRight && only(&[B::LeftToRight]) && ends(&[B::LeftToRight, B::EuropeanNumber])
}

#[cfg(test)]
mod tests {
    use super::is_satisfied;

    #[test]
    fn one_direction_is_satisfied() {
        // Latin; Hebrew; Hebrew with vowel marks amid and at the end; Arabic
        // with digits of its own and with European ones.
        for text in [
            "romeo1",
            "\u{5d0}\u{5d1}",
            "\u{5e9}\u{5c1}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd}\u{5b0}",
            "\u{628}\u{661}",
            "\u{628}1",
            "",
        ] {
            assert!(is_satisfied(text), "{text:?}");
        }
    }

    #[test]
    fn mixed_directions_are_not() {
        // Left in right, right in left, a digit first, both sorts of digits,
        // a neutral last.
        for text in [
            "\u{5d0}a",
            "a\u{5d0}",
            "1\u{5d0}",
            "\u{628}1\u{661}",
            "\u{5d0}-",
            "\u{661}",
        ] {
            assert!(!is_satisfied(text), "{text:?}");
        }
    }
}
