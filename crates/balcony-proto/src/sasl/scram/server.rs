//! RFC 5802 §5, the server's side.

use subtle::ConstantTimeEq;

use super::super::{BindingType, ChannelBindings, Mechanism, Offer, SaslError};
use super::keys::{hash, hmac, xor};
use super::message::{self, ClientFirst, Flag};
use super::{Nonce, ScramKeys, auth_message, channel_binding};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the server must look up before it can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedKeys {
    /// The user as sent; the caller enforces it as a localpart.
    pub user: String,
    /// The identity to act as, as sent; `None` to act as the user. The caller
    /// checks it against the user (RFC 6120 §6.3.8).
    pub authzid: Option<String>,
}

/// One authentication, seen from the server.
///
/// [`Server::first`] takes the client's first message; the caller looks up the
/// keys, or makes them by [`super::fake_keys`] when there are none;
/// [`Server::keys`] gives the challenge; [`Server::finish`] takes the proof
/// and gives the additional data of success.
#[derive(Debug)]
pub struct Server {
    mechanism: Mechanism,
    bindings: ChannelBindings,
    /// Names of the binding types on offer; `None` without XEP-0440.
    offered_types: Option<Vec<BindingType>>,
    offered_plus: bool,
    /// XEP-0474: the value of `h`; `None` to send none.
    downgrade: Option<String>,
    nonce: Nonce,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    First {
        client_first_bare: String,
        client_nonce: String,
        channel_binding: String,
    },
    Challenged {
        client_first_bare: String,
        server_first: String,
        nonce: String,
        channel_binding: String,
        keys: ScramKeys,
    },
    Done,
}

impl Server {
    /// Begins an authentication by a mechanism that was on offer.
    ///
    /// `offer` is what the stream features said, `bindings` what the channel
    /// has, `nonce` is fresh.
    #[must_use]
    pub fn new(
        mechanism: Mechanism,
        offer: &Offer<'_>,
        bindings: ChannelBindings,
        nonce: Nonce,
    ) -> Server {
        let known = |types: &[&str]| types.iter().filter_map(|t| BindingType::parse(t)).collect();
        Server {
            mechanism,
            bindings,
            offered_types: offer.channel_bindings.map(known),
            offered_plus: offer.has_plus(),
            downgrade: mechanism.hash().map(|kind| offer.digest(kind)),
            nonce,
            state: State::Start,
        }
    }

    /// Leaves the attribute `h` of XEP-0474 out, for clients that stumble over it.
    #[must_use]
    pub fn without_downgrade_protection(mut self) -> Server {
        self.downgrade = None;
        self
    }

    /// Takes the client-first-message.
    ///
    /// # Errors
    /// [`SaslError::MalformedRequest`] for broken syntax, a mandatory
    /// extension, or a message out of turn; [`SaslError::NotAuthorized`] when
    /// the channel binding flag does not go with what was offered (RFC 5802 §6);
    /// [`SaslError::InvalidMechanism`] when the mechanism is not SCRAM.
    pub fn first(&mut self, message: &[u8]) -> Result<NeedKeys, SaslError> {
        let State::Start = std::mem::replace(&mut self.state, State::Done) else {
            return Err(SaslError::MalformedRequest);
        };
        if self.mechanism.hash().is_none() {
            return Err(SaslError::InvalidMechanism);
        }
        let first = message::client_first(message).map_err(|_| SaslError::MalformedRequest)?;
        let data = self.binding_data(&first)?;
        self.state = State::First {
            client_first_bare: first.bare.to_owned(),
            client_nonce: first.nonce.to_owned(),
            channel_binding: channel_binding(first.gs2_header, data),
        };
        Ok(NeedKeys {
            user: first.user.into_owned(),
            authzid: first.authzid.map(std::borrow::Cow::into_owned),
        })
    }

    /// RFC 5802 §6: checks the flag, and gives the data that `c` must carry.
    fn binding_data(&self, first: &ClientFirst<'_>) -> Result<Option<&[u8]>, SaslError> {
        match (first.flag, self.mechanism.is_plus()) {
            (Flag::Bound(name), true) => {
                let offered = |kind: &BindingType| {
                    self.offered_types
                        .as_ref()
                        .is_none_or(|types| types.contains(kind))
                };
                let data = BindingType::parse(name)
                    .filter(offered)
                    .and_then(|kind| self.bindings.get(kind))
                    .ok_or(SaslError::NotAuthorized)?;
                Ok(Some(data))
            }
            // The client saw no -PLUS although one was offered: somebody took
            // it out on the way.
            (Flag::ServerCannot, _) if self.offered_plus => Err(SaslError::NotAuthorized),
            (Flag::No | Flag::ServerCannot, false) => Ok(None),
            // RFC 5802 §6: "p" goes with -PLUS and -PLUS with "p".
            (Flag::Bound(_), false) | (_, true) => Err(SaslError::MalformedRequest),
        }
    }

    /// Takes the user's keys and gives the server-first-message, the challenge.
    ///
    /// # Errors
    /// [`SaslError::TemporaryAuthFailure`] when the keys are for another hash,
    /// [`SaslError::MalformedRequest`] out of turn.
    pub fn keys(&mut self, keys: &ScramKeys) -> Result<Vec<u8>, SaslError> {
        let State::First {
            client_first_bare,
            client_nonce,
            channel_binding,
        } = std::mem::replace(&mut self.state, State::Done)
        else {
            return Err(SaslError::MalformedRequest);
        };
        if self.mechanism.hash() != Some(keys.hash) {
            return Err(SaslError::TemporaryAuthFailure);
        }
        let nonce = client_nonce + self.nonce.as_str();
        let salt = STANDARD.encode(&keys.salt);
        let mut server_first = format!("r={nonce},s={salt},i={}", keys.iterations);
        if let Some(downgrade) = &self.downgrade {
            server_first.push_str(",h=");
            server_first.push_str(downgrade);
        }
        let challenge = server_first.clone().into_bytes();
        let keys = keys.clone();
        self.state = State::Challenged {
            client_first_bare,
            server_first,
            nonce,
            channel_binding,
            keys,
        };
        Ok(challenge)
    }

    /// Takes the client-final-message and gives the server-final-message, to
    /// be sent as additional data with success.
    ///
    /// # Errors
    /// [`SaslError::NotAuthorized`] when nonce, channel binding or proof are
    /// wrong, [`SaslError::MalformedRequest`] for broken syntax or out of turn.
    pub fn finish(&mut self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        let State::Challenged {
            client_first_bare,
            server_first,
            nonce,
            channel_binding,
            keys,
        } = std::mem::replace(&mut self.state, State::Done)
        else {
            return Err(SaslError::MalformedRequest);
        };
        let last = message::client_final(message).map_err(|_| SaslError::MalformedRequest)?;
        let auth = auth_message(&client_first_bare, &server_first, last.without_proof);
        // RFC 5802 §3: ClientKey := ClientProof XOR ClientSignature.
        let signature = hmac(keys.hash, &keys.stored_key, &[auth.as_bytes()]);
        let client_key = xor(&last.proof, &signature);
        let stored_key = hash(keys.hash, &client_key);
        // All is computed and compared before anything is decided, so that
        // the time tells nothing about which part was wrong.
        let right = stored_key.ct_eq(&keys.stored_key)
            & last.proof.len().ct_eq(&signature.len())
            & last.nonce.as_bytes().ct_eq(nonce.as_bytes())
            & last
                .channel_binding
                .as_bytes()
                .ct_eq(channel_binding.as_bytes());
        if !bool::from(right) {
            return Err(SaslError::NotAuthorized);
        }
        let verifier = hmac(keys.hash, &keys.server_key, &[auth.as_bytes()]);
        Ok(format!("v={}", STANDARD.encode(verifier)).into_bytes())
    }
}
