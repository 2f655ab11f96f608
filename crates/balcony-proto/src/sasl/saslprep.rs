//! RFC 4013 SASLprep: how a password is brought to one form before hashing.
//!
//! RFC 8265 §4.2 would have OpaqueString take its place, but SCRAM says
//! SASLprep (RFC 5802 §2.2, `Normalize`), clients do what SCRAM says, and the two give other
//! bytes for what has a compatibility form (`ª`, `Ⅸ`, full-width letters).
//! They agree on printable ASCII, which both keep as it is.
//!
//! DEVIATION: code points that Unicode 3.2 had not assigned are let through
//! for stored passwords too, not only for sent ones (RFC 4013 §2.5). Else a
//! password with a newer emoji could be neither set nor used.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use stringprep::tables;

use super::MAX_PASSWORD_BYTES;

/// Why a string cannot be a password: the fault of whoever chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing is left after preparation.
    #[error("the password is empty")]
    Empty,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password is too long")]
    TooLong,
    /// RFC 4013 §2.3 and §2.4: control characters and the like, or directions mixed.
    #[error("the password holds a character that is not allowed")]
    NotAllowed,
}

/// Prepares a password by SASLprep.
///
/// # Errors
/// [`PasswordError`] when the result could not be a password.
pub fn prepare_password(password: &str) -> Result<Cow<'_, str>, PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    let prepared = if password.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
        Cow::Borrowed(password)
    } else {
        Cow::Owned(saslprep(password)?)
    };
    match prepared.len() {
        0 => Err(PasswordError::Empty),
        1..=MAX_PASSWORD_BYTES => Ok(prepared),
        _ => Err(PasswordError::TooLong),
    }
}

fn saslprep(text: &str) -> Result<String, PasswordError> {
    // RFC 4013 §2.1. Spaces first: U+200B is in both tables, and other
    // implementations map it to a space.
    let mapped: String = text
        .chars()
        .map(|c| {
            if tables::non_ascii_space_character(c) {
                ' '
            } else {
                c
            }
        })
        .filter(|&c| !tables::commonly_mapped_to_nothing(c))
        .collect();
    // RFC 4013 §2.2.
    let normalized = ComposingNormalizerBorrowed::new_nfkc()
        .normalize(&mapped)
        .into_owned();
    // RFC 4013 §2.3.
    let allowed = |c| {
        is_plain_text(c)
            && !tables::non_ascii_space_character(c)
            && !tables::inappropriate_for_canonical_representation(c)
    };
    if normalized.chars().all(allowed) && is_bidi(&normalized) {
        return Ok(normalized);
    }
    Err(PasswordError::NotAllowed)
}

/// Whether the character is in none of the tables that both SASLprep (RFC 4013
/// §2.3) and the "trace" profile (RFC 4505 §3) prohibit.
pub(super) fn is_plain_text(c: char) -> bool {
    !(tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c))
}

/// RFC 3454 §6: text with right-to-left characters has no left-to-right ones,
/// and both begins and ends right to left.
pub(super) fn is_bidi(text: &str) -> bool {
    if !text.contains(tables::bidi_r_or_al) {
        return true;
    }
    !text.contains(tables::bidi_l)
        && text.starts_with(tables::bidi_r_or_al)
        && text.ends_with(tables::bidi_r_or_al)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_4013_are_prepared() {
        // RFC 4013 §3.
        assert_eq!(prepare_password("I\u{ad}X").as_deref(), Ok("IX"));
        assert_eq!(prepare_password("user").as_deref(), Ok("user"));
        assert_eq!(prepare_password("USER").as_deref(), Ok("USER"));
        assert_eq!(prepare_password("\u{aa}").as_deref(), Ok("a"));
        assert_eq!(prepare_password("\u{2168}").as_deref(), Ok("IX"));
        assert_eq!(prepare_password("\u{7}"), Err(PasswordError::NotAllowed));
        assert_eq!(prepare_password("\u{627}1"), Err(PasswordError::NotAllowed));
    }

    #[test]
    fn ascii_is_kept_whatever_it_says() {
        let all: String = (0x20..=0x7e).map(char::from).collect();
        assert!(matches!(prepare_password(&all), Ok(Cow::Borrowed(same)) if same == all));
    }

    #[test]
    fn newer_emoji_make_a_password() {
        assert_eq!(
            prepare_password("\u{1f980}\u{1fae0}").as_deref(),
            Ok("\u{1f980}\u{1fae0}")
        );
    }

    #[test]
    fn nothing_and_too_much_are_no_password() {
        assert_eq!(prepare_password(""), Err(PasswordError::Empty));
        assert_eq!(prepare_password("\u{ad}"), Err(PasswordError::Empty));
        let long = "a".repeat(MAX_PASSWORD_BYTES + 1);
        assert_eq!(prepare_password(&long), Err(PasswordError::TooLong));
        // One character of three bytes that NFKC makes thirty-three.
        let swelling = "\u{fdfa}".repeat(100);
        assert_eq!(prepare_password(&swelling), Err(PasswordError::TooLong));
    }
}
