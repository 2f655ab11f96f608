//! RFC 6120 §6.4: base64 (RFC 4648 §4) around SASL messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{MAX_MESSAGE_BYTES, SaslError};

/// Longest base64 text that can hold a message of [`MAX_MESSAGE_BYTES`].
const MAX_TEXT_BYTES: usize = MAX_MESSAGE_BYTES.div_ceil(3) * 4;

/// Decodes the text of `<auth/>`, `<challenge/>`, `<response/>` or `<success/>`.
/// A single `=` is the message of no bytes (RFC 6120 §6.4.2).
///
/// # Errors
/// [`SaslError::IncorrectEncoding`] for anything but canonical base64, white
/// space included (RFC 6120 §13.9.1), and [`SaslError::MalformedRequest`] for
/// a message longer than [`MAX_MESSAGE_BYTES`].
pub fn decode(text: &str) -> Result<Vec<u8>, SaslError> {
    if text == "=" {
        return Ok(Vec::new());
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(SaslError::MalformedRequest);
    }
    STANDARD
        .decode(text)
        .map_err(|_| SaslError::IncorrectEncoding)
}

/// Encodes a message; one of no bytes becomes `=` (RFC 6120 §6.4.2).
#[must_use]
pub fn encode(message: &[u8]) -> String {
    if message.is_empty() {
        return "=".to_owned();
    }
    STANDARD.encode(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_round_trip() {
        for message in [b"".as_slice(), b"n,,n=user,r=x", &[0, 255, 3]] {
            assert_eq!(decode(&encode(message)).as_deref(), Ok(message));
        }
        assert_eq!(encode(b""), "=");
        assert_eq!(decode(""), Ok(Vec::new()));
    }

    #[test]
    fn sloppy_base64_is_incorrect_encoding() {
        for text in [
            "Zm9v\n", " Zm9v", "Zm9", "Zm9vYg", "Zh==", "Zm9v!", "==", "Zm=v",
        ] {
            assert_eq!(decode(text), Err(SaslError::IncorrectEncoding), "{text:?}");
        }
    }

    #[test]
    fn oversized_message_is_malformed() {
        assert!(decode(&"A".repeat(MAX_TEXT_BYTES)).is_ok());
        assert_eq!(
            decode(&"A".repeat(MAX_TEXT_BYTES + 4)),
            Err(SaslError::MalformedRequest)
        );
    }
}
