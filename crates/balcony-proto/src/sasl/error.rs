//! RFC 6120 §6.5: the conditions with which the receiving entity refuses.

use std::fmt;

/// Why an authentication failed, in the words that go to the initiating entity.
///
/// The peer is to blame for all but [`SaslError::TemporaryAuthFailure`]. An
/// unknown user and a wrong password are the same condition, so that nobody
/// can harvest names (RFC 6120 §6.5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslError {
    /// RFC 6120 §6.5.1: the peer gave up with `<abort/>`.
    Aborted,
    /// RFC 6120 §6.5.2: an operator has disabled the account.
    AccountDisabled,
    /// RFC 6120 §6.5.3: the credentials were good once.
    CredentialsExpired,
    /// RFC 6120 §6.5.4: the mechanism needs TLS, and there is none.
    EncryptionRequired,
    /// RFC 6120 §6.5.5: the base64 is wrong.
    IncorrectEncoding,
    /// RFC 6120 §6.5.6: the authorization identity is malformed or not the user's to take.
    InvalidAuthzid,
    /// RFC 6120 §6.5.7: the mechanism is missing, unknown, or not on offer.
    InvalidMechanism,
    /// RFC 6120 §6.5.8: the message breaks the mechanism's syntax.
    MalformedRequest,
    /// RFC 6120 §6.5.9: policy wants a stronger mechanism for this user.
    MechanismTooWeak,
    /// RFC 6120 §6.5.10: wrong credentials, or a reason not to be told.
    NotAuthorized,
    /// RFC 6120 §6.5.11: our fault; trying again later may help.
    TemporaryAuthFailure,
}

impl SaslError {
    const ALL: [SaslError; 11] = [
        SaslError::Aborted,
        SaslError::AccountDisabled,
        SaslError::CredentialsExpired,
        SaslError::EncryptionRequired,
        SaslError::IncorrectEncoding,
        SaslError::InvalidAuthzid,
        SaslError::InvalidMechanism,
        SaslError::MalformedRequest,
        SaslError::MechanismTooWeak,
        SaslError::NotAuthorized,
        SaslError::TemporaryAuthFailure,
    ];

    /// The name of the element that stands for the condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SaslError::Aborted => "aborted",
            SaslError::AccountDisabled => "account-disabled",
            SaslError::CredentialsExpired => "credentials-expired",
            SaslError::EncryptionRequired => "encryption-required",
            SaslError::IncorrectEncoding => "incorrect-encoding",
            SaslError::InvalidAuthzid => "invalid-authzid",
            SaslError::InvalidMechanism => "invalid-mechanism",
            SaslError::MalformedRequest => "malformed-request",
            SaslError::MechanismTooWeak => "mechanism-too-weak",
            SaslError::NotAuthorized => "not-authorized",
            SaslError::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }

    /// The condition of that name. One that is not defined counts as
    /// `not-authorized` (RFC 6120 §6.5).
    #[must_use]
    pub fn parse(name: &str) -> SaslError {
        Self::ALL
            .into_iter()
            .find(|condition| condition.as_str() == name)
            .unwrap_or(SaslError::NotAuthorized)
    }
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for SaslError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_found_by_its_name() {
        for condition in SaslError::ALL {
            assert_eq!(SaslError::parse(condition.as_str()), condition);
        }
    }

    #[test]
    fn unknown_condition_counts_as_not_authorized() {
        assert_eq!(SaslError::parse("bad-hair-day"), SaslError::NotAuthorized);
    }
}
