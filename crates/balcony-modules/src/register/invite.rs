//! Invitations: who has one may register where strangers may not.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Core, Error};
use balcony_core::module::{Ctx, Host, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::{Invite, Write, WriteSet};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::settings::{MOST_LIFETIME, Settings};

/// Random bytes of a token: 144 bits, more than the 128 that no one can guess, and 24 characters
/// without a rest.
const TOKEN_BYTES: usize = 18;

/// An invitation that was just made. Only its hash is kept: the token is told once.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// What the client presents when it registers.
    pub token: String,
    /// The same as an address that clients open (XEP-0445 §3).
    pub uri: String,
    /// From then on it is not accepted; microseconds since the Unix epoch, UTC.
    pub expires_at_micros: i64,
}

/// Makes an invitation for one account on a host. `created_by` is the account that invites,
/// `None` the operator. `expires_seconds` is how long it is good, `None`: `invite_lifetime` of
/// `[registration]`.
///
/// # Errors
/// [`Error::Malformed`] for a time of 0 or of more than ten years, [`Error::Random`],
/// [`Error::Store`].
pub async fn create_invite(
    core: &Arc<Core>,
    host: &Host,
    created_by: Option<&Jid>,
    expires_seconds: Option<u64>,
) -> Result<NewInvite, Error> {
    let lifetime = match expires_seconds {
        None => Settings::new(&core.config()).invite_lifetime,
        Some(seconds @ 1..=MOST_LIFETIME) => Duration::from_secs(seconds),
        Some(_) => {
            let text = "an invitation is good for a second at least and ten years at most";
            return Err(Error::Malformed(text.into()));
        }
    };
    let token = random_token()?;
    let now = core.clock().utc_micros();
    let lifetime = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX);
    let expires_at = now.saturating_add(lifetime);
    let writes = [
        // Those that nobody used go when new ones come.
        Write::InvitesExpire { now },
        Write::InviteCreate {
            token_hash: hash(&token),
            invite: Invite {
                host: host.name().to_owned(),
                created_by: created_by.map(|jid| jid.bare_str().to_owned()),
                expires_at,
                uses: 1,
            },
        },
    ];
    core.store().commit(writes.into_iter().collect()).await?;
    Ok(NewInvite {
        uri: uri(host.name(), &token),
        token,
        expires_at_micros: expires_at,
    })
}

fn random_token() -> Result<String, Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a token. It is random, so that a plain hash hides it.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// XEP-0445 §3, RFC 5122 §2.7.1: what is not allowed in a URI is percent-encoded.
fn uri(host: &str, token: &str) -> String {
    let mut uri = String::from("xmpp:");
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'[' | b']' | b':' => {
                uri.push(char::from(byte));
            }
            other => {
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    uri + "?register;preauth=" + token
}

/// Looks whether an invitation is good; answers the write that uses it up, which is committed
/// together with the account (XEP-0445 §4).
///
/// # Errors
/// `item-not-found` for one that is unknown, used, expired or for another host.
pub(super) async fn take(
    ctx: &mut Ctx<'_>,
    host: &Host,
    token: &str,
) -> Result<WriteSet, StanzaError> {
    let token_hash = hash(token);
    let found = ctx.store().invites().get(&token_hash).await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    let now = ctx.utc_micros();
    let good = found.is_some_and(|invite| is_good(&invite, host.name(), now));
    if !good {
        return Err(not_good());
    }
    Ok(WriteSet::from(Write::InviteUse {
        token_hash,
        host: host.name().to_owned(),
        now,
    }))
}

fn is_good(invite: &Invite, host: &str, now: i64) -> bool {
    invite.host == host && invite.expires_at > now && invite.uses > 0
}

/// XEP-0445 §4, the third example.
pub(super) fn not_good() -> StanzaError {
    StanzaError::item_not_found().with_text("the invitation is unknown, used or expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_never_the_same() {
        let (one, two) = (random_token().unwrap(), random_token().unwrap());
        assert_eq!(one.len(), 24);
        assert_ne!(one, two);
        assert_eq!(hash(&one).len(), 32);
        assert_ne!(hash(&one), hash(&two));
    }

    #[test]
    fn a_uri_is_ascii() {
        assert_eq!(
            uri("münchen.example", "T"),
            "xmpp:m%C3%BCnchen.example?register;preauth=T"
        );
    }

    #[test]
    fn an_invitation_is_good_for_its_host_and_time_and_uses() {
        let invite = Invite {
            host: "localhost".into(),
            created_by: None,
            expires_at: 10,
            uses: 1,
        };
        assert!(is_good(&invite, "localhost", 9));
        assert!(!is_good(&invite, "localhost", 10));
        assert!(!is_good(&invite, "verona.lit", 9));
        let used = Invite { uses: 0, ..invite };
        assert!(!is_good(&used, "localhost", 9));
    }
}
