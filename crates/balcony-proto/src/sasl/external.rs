//! RFC 4422 appendix A, EXTERNAL: credentials that TLS has shown already.

use super::{MAX_AUTHZID_BYTES, SaslError};

/// The authorization identity in a message, `None` to take the one that the
/// certificate names.
///
/// # Errors
/// [`SaslError::MalformedRequest`] for what is not UTF-8 free of NUL, and
/// [`SaslError::InvalidAuthzid`] for what is too long to be a JID.
pub fn parse(message: &[u8]) -> Result<Option<&str>, SaslError> {
    if message.len() > MAX_AUTHZID_BYTES {
        return Err(SaslError::InvalidAuthzid);
    }
    let authzid = std::str::from_utf8(message).map_err(|_| SaslError::MalformedRequest)?;
    if authzid.contains('\0') {
        return Err(SaslError::MalformedRequest);
    }
    Ok(Some(authzid).filter(|authzid| !authzid.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_optional() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"romeo@localhost"), Ok(Some("romeo@localhost")));
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        assert_eq!(parse(b"a\0b"), Err(SaslError::MalformedRequest));
        assert_eq!(parse(b"\xc3"), Err(SaslError::MalformedRequest));
        assert_eq!(
            parse(&[b'a'; MAX_AUTHZID_BYTES + 1]),
            Err(SaslError::InvalidAuthzid)
        );
    }
}
