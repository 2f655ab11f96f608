//! RFC 5892 appendix A: code points whose neighbours decide about them.

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, JoiningType, Script};

/// Whether the rule of `c`, which stands at byte `at` of `text`, allows it
/// there. What has no rule is not allowed (RFC 8264 §8).
pub(super) fn allows(text: &str, at: usize, c: char) -> bool {
    let (before, rest) = text.split_at_checked(at).unwrap_or_default();
    let mut rest = rest.chars();
    rest.next();
    let after = rest.as_str();
    let (previous, next) = (before.chars().next_back(), after.chars().next());
    match c {
        // Appendix A.1 and A.2.
        '\u{200c}' => previous.is_some_and(is_virama) || is_between_joining(before, after),
        '\u{200d}' => previous.is_some_and(is_virama),
        // Appendix A.3: the Catalan "l·l".
        '\u{b7}' => previous == Some('l') && next == Some('l'),
        // Appendix A.4.
        '\u{375}' => next.is_some_and(|c| script(c) == Script::Greek),
        // Appendix A.5 and A.6.
        '\u{5f3}' | '\u{5f4}' => previous.is_some_and(|c| script(c) == Script::Hebrew),
        // Appendix A.7.
        '\u{30fb}' => text.chars().any(|c| {
            let script = script(c);
            script == Script::Hiragana || script == Script::Katakana || script == Script::Han
        }),
        // Appendix A.8 and A.9: the two rows of digits do not mix.
        '\u{660}'..='\u{669}' => !text.contains(|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !text.contains(|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

/// Appendix A.1: the non-joiner breaks a cursive connection, transparent marks
/// on either side of it put aside.
fn is_between_joining(before: &str, after: &str) -> bool {
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let opaque = |c: &char| joining(c) != JoiningType::Transparent;
    let left = before.chars().rev().find(opaque).map(|c| joining(&c));
    let right = after.chars().find(opaque).map(|c| joining(&c));
    let joins = |side: Option<JoiningType>, one: JoiningType| {
        side == Some(one) || side == Some(JoiningType::DualJoining)
    };
    joins(left, JoiningType::LeftJoining) && joins(right, JoiningType::RightJoining)
}

#[cfg(test)]
mod tests {
    use super::super::code_point::{Class, allows};

    #[test]
    fn each_rule_allows_its_context_and_no_other() {
        for (allowed, refused) in [
            // Persian "mikhaham": meem, yeh, non-joiner, khah; and between Latin letters.
            ("\u{645}\u{6cc}\u{200c}\u{62e}", "a\u{200c}b"),
            // With a transparent mark before the non-joiner; after a letter that joins nothing.
            ("\u{628}\u{64e}\u{200c}\u{628}", "\u{627}\u{200c}\u{628}"),
            ("\u{915}\u{94d}\u{200c}\u{937}", "\u{200c}\u{937}"),
            ("\u{915}\u{94d}\u{200d}\u{937}", "\u{915}\u{200d}\u{937}"),
            ("l\u{b7}l", "l\u{b7}a"),
            ("\u{375}\u{3b1}", "\u{3b1}\u{375}"),
            ("\u{5d0}\u{5f3}", "\u{5f3}\u{5d0}"),
            ("\u{5d0}\u{5f4}", "a\u{5f4}"),
            ("\u{30a2}\u{30fb}", "a\u{30fb}b"),
            ("\u{660}\u{669}", "\u{660}\u{6f0}"),
            ("\u{6f0}\u{6f9}", "\u{6f9}\u{661}"),
        ] {
            assert!(allows(Class::Identifier, allowed), "{allowed:?}");
            assert!(!allows(Class::Identifier, refused), "{refused:?}");
        }
    }
}
