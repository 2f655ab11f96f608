//! RFC 4505 ANONYMOUS: no credentials, a trace at most.

use super::SaslError;
use super::saslprep::{is_bidi, is_plain_text};

/// Longest token in characters (RFC 4505 §2).
const MAX_TOKEN_CHARS: usize = 255;

/// Longest trace in bytes: a token of four-byte characters (RFC 4505 §2, note);
/// no mail address comes near.
const MAX_TRACE_BYTES: usize = 4 * MAX_TOKEN_CHARS;

/// The trace in a message, `None` if it is empty. It says nothing that could
/// be trusted (RFC 4505 §5).
///
/// # Errors
/// [`SaslError::MalformedRequest`] for what is neither a token nor shaped like
/// a mail address, or breaks the "trace" profile of §3 (RFC 6120 §6.5.8).
pub fn parse(message: &[u8]) -> Result<Option<&str>, SaslError> {
    let malformed = SaslError::MalformedRequest;
    if message.len() > MAX_TRACE_BYTES {
        return Err(malformed);
    }
    let trace = std::str::from_utf8(message).map_err(|_| malformed)?;
    if trace.is_empty() {
        return Ok(None);
    }
    let shaped = match trace.rsplit_once('@') {
        Some((local, domain)) => !local.is_empty() && !domain.is_empty(),
        None => trace.chars().count() <= MAX_TOKEN_CHARS,
    };
    if shaped && trace.chars().all(is_plain_text) && is_bidi(trace) {
        return Ok(Some(trace));
    }
    Err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_is_a_token_a_mail_address_or_nothing() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"sirhc"), Ok(Some("sirhc")), "RFC 4505 §4");
        assert_eq!(
            parse(b"romeo@montague.example"),
            Ok(Some("romeo@montague.example"))
        );
        let longest = "\u{1f600}".repeat(255);
        assert_eq!(parse(longest.as_bytes()), Ok(Some(longest.as_str())));
    }

    #[test]
    fn other_traces_are_malformed() {
        let long = "a".repeat(256);
        for trace in [
            long.as_str(),
            "@",
            "romeo@",
            "a\tb",
            "a\u{202e}b",
            "\u{e000}",
        ] {
            assert_eq!(
                parse(trace.as_bytes()),
                Err(SaslError::MalformedRequest),
                "{trace:?}"
            );
        }
        assert_eq!(parse(b"\xff"), Err(SaslError::MalformedRequest));
    }
}
