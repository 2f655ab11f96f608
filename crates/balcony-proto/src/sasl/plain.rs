//! RFC 4616 PLAIN: the password itself, over TLS only.

use std::fmt;

use super::{MAX_AUTHZID_BYTES, MAX_MESSAGE_BYTES, MAX_PASSWORD_BYTES, MAX_USER_BYTES, SaslError};

/// What a PLAIN message says (RFC 4616 §2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Identity to act as; `None` to act as the user.
    pub authzid: Option<&'a str>,
    /// The user, as sent.
    pub user: &'a str,
    /// The password, as sent.
    pub password: &'a str,
}

// A password must not reach a log by way of a debug line.
impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("authzid", &self.authzid)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl<'a> Plain<'a> {
    /// Takes a message apart.
    ///
    /// # Errors
    /// [`SaslError::MalformedRequest`] unless it is UTF-8 of three fields, the
    /// user and the password not empty, each within its length.
    pub fn parse(message: &'a [u8]) -> Result<Plain<'a>, SaslError> {
        let malformed = SaslError::MalformedRequest;
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(malformed);
        }
        let text = std::str::from_utf8(message).map_err(|_| malformed)?;
        let (authzid, rest) = text.split_once('\0').ok_or(malformed)?;
        let (user, password) = rest.split_once('\0').ok_or(malformed)?;
        let sized = authzid.len() <= MAX_AUTHZID_BYTES
            && (1..=MAX_USER_BYTES).contains(&user.len())
            && (1..=MAX_PASSWORD_BYTES).contains(&password.len());
        if !sized || password.contains('\0') {
            return Err(malformed);
        }
        let authzid = Some(authzid).filter(|authzid| !authzid.is_empty());
        Ok(Plain {
            authzid,
            user,
            password,
        })
    }

    /// The message. The caller sees to it that no field holds a NUL.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let authzid = self.authzid.unwrap_or_default();
        format!("{authzid}\0{}\0{}", self.user, self.password).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_4616_are_read() {
        // RFC 4616 §4.
        let tim = Plain::parse(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!(
            (tim.authzid, tim.user, tim.password),
            (None, "tim", "tanstaaftanstaaf")
        );
        let kurt = Plain::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!((kurt.authzid, kurt.user), (Some("Ursel"), "Kurt"));
        assert_eq!(kurt.build(), b"Ursel\0Kurt\0xipj3plmq");
    }

    #[test]
    fn anything_but_three_filled_fields_is_malformed() {
        let long = format!("\0{}\0pw", "a".repeat(MAX_USER_BYTES + 1));
        let secret = format!("\0romeo\0{}", "a".repeat(MAX_PASSWORD_BYTES + 1));
        for message in [
            b"".as_slice(),
            b"romeo",
            b"romeo\0pw",
            b"\0romeo\0",
            b"\0\0pw",
            b"\0romeo\0pw\0",
            b"\0romeo\0p\0w",
            b"\0romeo\0\xff",
            long.as_bytes(),
            secret.as_bytes(),
        ] {
            assert_eq!(
                Plain::parse(message),
                Err(SaslError::MalformedRequest),
                "{message:?}"
            );
        }
    }

    #[test]
    fn debug_hides_the_password() {
        let shown = format!("{:?}", Plain::parse(b"\0romeo\0rosaline").unwrap());
        assert!(shown.contains("romeo") && !shown.contains("rosaline"));
    }
}
