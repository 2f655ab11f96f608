//! The HT mechanisms (draft-schmaus-kitten-sasl-ht-09): one message each way, keyed by a token that
//! both sides have.

use std::fmt;

use subtle::ConstantTimeEq;

use super::scram::hmac;
use super::{ChannelBindings, HashKind, MAX_MESSAGE_BYTES, MAX_USER_BYTES, Mechanism, SaslError};

/// What the initiator's HMAC covers before the channel binding (§3.1).
const INITIATOR: &[u8] = b"Initiator";

/// What the responder's HMAC covers before the channel binding (§3.3).
const RESPONDER: &[u8] = b"Responder";

/// The initiator's message (§3.1), taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Initiator {
    /// The user, as sent.
    pub user: String,
    proof: Vec<u8>,
}

// Without channel binding the proof is as good as the token.
impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Initiator {
    /// Takes a message apart.
    ///
    /// # Errors
    /// [`SaslError::MalformedRequest`] unless it is a user and a proof with a NUL between them.
    pub fn parse(message: &[u8]) -> Result<Initiator, SaslError> {
        let malformed = SaslError::MalformedRequest;
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(malformed);
        }
        // The proof is binary and may have a NUL too; the user may not.
        let mut fields = message.splitn(2, |byte| *byte == 0);
        let user = fields.next().ok_or(malformed)?;
        let proof = fields.next().ok_or(malformed)?;
        let user = std::str::from_utf8(user).map_err(|_| malformed)?;
        if !(1..=MAX_USER_BYTES).contains(&user.len()) || proof.is_empty() {
            return Err(malformed);
        }
        Ok(Initiator {
            user: user.to_owned(),
            proof: proof.to_vec(),
        })
    }

    /// Whether the initiator has this token (§3.2), compared in constant time. The channel binding
    /// is what [`binding`] gives.
    #[must_use]
    pub fn has(&self, token: &str, binding: &[u8]) -> bool {
        proof(token, INITIATOR, binding).ct_eq(&self.proof).into()
    }
}

/// The initiator's message (§3.1). The caller sees to it that the user holds no NUL.
#[must_use]
pub fn initiate(user: &str, token: &str, binding: &[u8]) -> Vec<u8> {
    let mut message = user.as_bytes().to_vec();
    message.push(0);
    message.extend(proof(token, INITIATOR, binding));
    message
}

/// The responder's message (§3.3), for an initiator that has the token.
#[must_use]
pub fn respond(token: &str, binding: &[u8]) -> Vec<u8> {
    proof(token, RESPONDER, binding)
}

/// Whether the responder has the token too (§3.3), compared in constant time. The initiator MUST
/// check that.
#[must_use]
pub fn is_response(message: &[u8], token: &str, binding: &[u8]) -> bool {
    respond(token, binding).ct_eq(message).into()
}

/// What the mechanism's HMAC covers of this channel: empty for `-NONE`. `None`: the channel has not
/// got what the mechanism binds to, or it is no HT mechanism.
#[must_use]
pub fn binding(mechanism: Mechanism, bindings: &ChannelBindings) -> Option<&[u8]> {
    match mechanism {
        Mechanism::HtSha256None => Some(&[]),
        other => bindings.get(other.binding()?),
    }
}

/// `HMAC(token, … || cb-data)`. The key are the octets of the token's text, whatever that may
/// encode.
fn proof(token: &str, label: &[u8], binding: &[u8]) -> Vec<u8> {
    hmac(HashKind::Sha256, token.as_bytes(), &[label, binding])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token of an example of XEP-0484 §3.3. What follows from it was computed by another
    /// implementation, as `printf Initiator | openssl dgst -sha256 -hmac TOKEN`.
    const TOKEN: &str = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm";
    const EXPORTER: &[u8] = &[7; 32];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn messages_are_those_of_another_implementation() {
        let message = initiate("romeo", TOKEN, b"");
        assert_eq!(&message[..6], b"romeo\0");
        assert_eq!(
            hex(&message[6..]),
            "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed"
        );
        assert_eq!(
            hex(&respond(TOKEN, b"")),
            "4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62"
        );
        assert_eq!(
            hex(&initiate("romeo", TOKEN, EXPORTER)[6..]),
            "c035db60be7f159a0dfcfe74bf43d5d7d724cb782cf6f6912854091badec0c02"
        );
        assert_eq!(
            hex(&respond(TOKEN, EXPORTER)),
            "13c54a9f092dc8e11a69d86564747027b68a4461e256512096b0d08933964efa"
        );
    }

    #[test]
    fn each_side_knows_the_other_by_the_token() {
        for binding in [b"".as_slice(), EXPORTER] {
            let initiator = Initiator::parse(&initiate("romeo", TOKEN, binding)).unwrap();
            assert_eq!(initiator.user, "romeo");
            assert!(initiator.has(TOKEN, binding));
            assert!(!initiator.has("another", binding));
            assert!(!initiator.has(TOKEN, b"another channel"));
            assert!(is_response(&respond(TOKEN, binding), TOKEN, binding));
            assert!(!is_response(&respond("another", binding), TOKEN, binding));
            // Each other's proof is none of one's own.
            assert!(!is_response(&initiator.proof, TOKEN, binding));
        }
    }

    #[test]
    fn a_proof_may_have_a_nul_and_must_be_whole() {
        let initiator = Initiator::parse(b"romeo\0a\0b").unwrap();
        assert_eq!(initiator.proof, b"a\0b");
        let whole = initiate("romeo", TOKEN, b"");
        for end in 7..whole.len() {
            assert!(!Initiator::parse(&whole[..end]).unwrap().has(TOKEN, b""));
        }
    }

    #[test]
    fn anything_but_a_user_and_a_proof_is_malformed() {
        let long = [vec![b'a'; MAX_USER_BYTES + 1], b"\0proof".to_vec()].concat();
        for message in [
            b"".as_slice(),
            b"romeo",
            b"romeo\0",
            b"\0proof",
            b"\xff\0proof",
            &long,
        ] {
            assert_eq!(Initiator::parse(message), Err(SaslError::MalformedRequest));
        }
    }

    #[test]
    fn a_mechanism_needs_the_binding_that_it_names() {
        let mut bindings = ChannelBindings::default();
        let of = |mechanism, bindings: &ChannelBindings| {
            binding(mechanism, bindings).map(<[u8]>::to_vec)
        };
        assert_eq!(of(Mechanism::HtSha256None, &bindings), Some(Vec::new()));
        assert_eq!(of(Mechanism::HtSha256Expr, &bindings), None);
        assert_eq!(of(Mechanism::HtSha256Endp, &bindings), None);
        bindings.exporter = Some([7; 32]);
        bindings.server_end_point = Some(vec![9; 32]);
        assert_eq!(of(Mechanism::HtSha256Expr, &bindings), Some(vec![7; 32]));
        assert_eq!(of(Mechanism::HtSha256Endp, &bindings), Some(vec![9; 32]));
        assert_eq!(of(Mechanism::ScramSha256Plus, &bindings), None);
    }

    #[test]
    fn debug_shows_no_proof() {
        let shown = format!("{:?}", Initiator::parse(b"romeo\0rosaline").unwrap());
        assert!(shown.contains("romeo") && !shown.contains("114"));
    }
}
