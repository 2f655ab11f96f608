//! RFC 5802 §5, the client's side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::super::{
    BindingType, ChannelBindings, HashKind, Mechanism, Offer, PasswordError, SaslError,
    prepare_password,
};
use super::keys::{ClientKeys, hmac, xor};
use super::message::{self, Fault, ServerFinal, ServerFirst};
use super::{Nonce, auth_message, channel_binding};

/// Fewest rounds of PBKDF2 that a client goes along with (RFC 5802 §5.1, RFC
/// 7677 §4): fewer would let whoever listens guess passwords cheaply.
pub const MIN_ITERATIONS: u32 = 4096;

/// Most rounds of PBKDF2 that a client goes along with: some seconds of one
/// core. More would let a server keep the client busy for nothing.
pub const MAX_ITERATIONS: u32 = 10_000_000;

/// Why the client gave up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The mechanism is not one of SCRAM: a mistake of the caller.
    #[error("{0} is not a SCRAM mechanism")]
    NotScram(Mechanism),
    /// The user has to choose another password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The username is empty, too long, or holds a NUL.
    #[error("the username cannot be sent")]
    Username,
    /// The -PLUS mechanism was chosen, but no binding type is on both sides.
    #[error("no channel binding that both sides have")]
    NoChannelBinding,
    /// Cached keys are for another salt, count or hash; the password is needed again.
    #[error("the kept keys do not fit the server's salt")]
    StaleKeys,
    /// A message of the server breaks the syntax, or came out of turn.
    #[error("the server's message is malformed")]
    Malformed,
    /// The server wants an extension that we do not know (RFC 5802 §5.1, `m`).
    #[error("the server wants an unknown extension")]
    Extension,
    /// The server's nonce does not continue ours: a replay.
    #[error("the server's nonce does not continue ours")]
    Nonce,
    /// Fewer rounds than [`MIN_ITERATIONS`].
    #[error("the server asks for {0} rounds of hashing, fewer than is safe")]
    TooFewIterations(u32),
    /// More rounds than [`MAX_ITERATIONS`].
    #[error("the server asks for {0} rounds of hashing, more than is sane")]
    TooManyIterations(u32),
    /// XEP-0474 §5.2: the offer was changed on its way to us.
    #[error("what the server offered was changed on the way: somebody is in between")]
    Downgrade,
    /// The server refused, with this `server-error-value` (RFC 5802 §7).
    #[error("the server refused: {0}")]
    Refused(String),
    /// The server does not know the password either: it is not who it says.
    #[error("the server could not prove itself")]
    Server,
}

impl ClientError {
    /// What the client says in `<abort/>`'s place where a condition is wanted.
    #[must_use]
    pub fn condition(&self) -> SaslError {
        match self {
            ClientError::Malformed | ClientError::Extension => SaslError::MalformedRequest,
            _ => SaslError::NotAuthorized,
        }
    }
}

/// What the client proves that it knows.
#[derive(Clone, Copy, Debug)]
pub enum Secret<'a> {
    /// The password, not prepared yet.
    Password(&'a str),
    /// Keys kept from an earlier login ([`Client::keys`]).
    Keys(&'a ClientKeys),
}

/// Who logs in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The localpart.
    pub user: &'a str,
    /// Identity to act as; `None` to act as the user.
    pub authzid: Option<&'a str>,
    /// What proves it.
    pub secret: Secret<'a>,
}

/// One authentication, seen from the client.
///
/// [`Client::first`] gives the initial response, [`Client::respond`] answers
/// the challenge, [`Client::finish`] verifies the server; before it has, the
/// client is not to trust the stream.
pub struct Client {
    kind: HashKind,
    first: String,
    /// Length of the GS2 header at the beginning of `first`.
    header: usize,
    nonce: Nonce,
    channel_binding: String,
    /// XEP-0474: what `h` must be.
    downgrade: String,
    secret: Kept,
    state: State,
}

enum Kept {
    Password(String),
    Keys(ClientKeys),
}

enum State {
    Start,
    Sent,
    Proved { server_signature: Vec<u8> },
    Done,
}

impl Client {
    /// Begins an authentication by a mechanism from the server's offer.
    ///
    /// `offer` is what the stream features said, unknown names included;
    /// `bindings` what the channel has; `nonce` is fresh.
    ///
    /// # Errors
    /// [`ClientError`] when the login cannot even be tried.
    pub fn new(
        mechanism: Mechanism,
        login: &Login<'_>,
        offer: &Offer<'_>,
        bindings: &ChannelBindings,
        nonce: Nonce,
    ) -> Result<Client, ClientError> {
        let kind = mechanism.hash().ok_or(ClientError::NotScram(mechanism))?;
        let usable = |name: &str| !name.is_empty() && !name.contains('\0');
        if !usable(login.user) || !login.authzid.is_none_or(usable) {
            return Err(ClientError::Username);
        }
        let (flag, data) = gs2_flag(mechanism, offer, bindings)?;
        let authzid = login.authzid.map(|a| format!("a={}", message::escape(a)));
        let header = format!("{flag},{},", authzid.unwrap_or_default());
        let user = message::escape(login.user);
        Ok(Client {
            kind,
            first: format!("{header}n={user},r={}", nonce.as_str()),
            header: header.len(),
            nonce,
            channel_binding: channel_binding(&header, data),
            downgrade: offer.digest(kind),
            secret: match login.secret {
                // Refused here already, before anything was sent.
                Secret::Password(password) => {
                    prepare_password(password)?;
                    Kept::Password(password.to_owned())
                }
                Secret::Keys(keys) => Kept::Keys(keys.clone()),
            },
            state: State::Start,
        })
    }

    /// Gives the client-first-message, the initial response.
    ///
    /// # Errors
    /// [`ClientError::Malformed`] out of turn.
    pub fn first(&mut self) -> Result<Vec<u8>, ClientError> {
        let State::Start = std::mem::replace(&mut self.state, State::Done) else {
            return Err(ClientError::Malformed);
        };
        self.state = State::Sent;
        Ok(self.first.clone().into_bytes())
    }

    /// Takes the challenge and gives the client-final-message. Derives the
    /// keys, which takes as long as the server asks for.
    ///
    /// # Errors
    /// [`ClientError`] when the challenge is malformed, replayed, too cheap,
    /// too dear, or shows that the offer was tampered with.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, ClientError> {
        let State::Sent = std::mem::replace(&mut self.state, State::Done) else {
            return Err(ClientError::Malformed);
        };
        let challenge = message::server_first(challenge).map_err(ClientError::from)?;
        self.check(&challenge)?;
        let keys = self.derive(&challenge)?;
        let without_proof = format!("c={},r={}", self.channel_binding, challenge.nonce);
        let bare = self.first.get(self.header..).unwrap_or_default();
        let auth = auth_message(bare, challenge.text, &without_proof);
        // RFC 5802 §3: ClientProof := ClientKey XOR ClientSignature.
        let signature = hmac(self.kind, &keys.stored_key(), &[auth.as_bytes()]);
        let proof = STANDARD.encode(xor(&keys.client_key, &signature));
        self.state = State::Proved {
            server_signature: hmac(self.kind, &keys.server_key, &[auth.as_bytes()]),
        };
        self.secret = Kept::Keys(keys);
        Ok(format!("{without_proof},p={proof}").into_bytes())
    }

    fn check(&self, challenge: &ServerFirst<'_>) -> Result<(), ClientError> {
        // RFC 5802 §5.1, `r`: ours first, and something of the server's after it.
        let ours = self.nonce.as_str();
        if !challenge.nonce.starts_with(ours) || challenge.nonce.len() == ours.len() {
            return Err(ClientError::Nonce);
        }
        match challenge.iterations {
            few @ ..MIN_ITERATIONS => return Err(ClientError::TooFewIterations(few)),
            MIN_ITERATIONS..=MAX_ITERATIONS => {}
            many => return Err(ClientError::TooManyIterations(many)),
        }
        // XEP-0474 §5.2. Servers without the extension are not refused: an
        // attacker cannot take `h` out, for the proof covers it.
        match challenge.downgrade {
            Some(digest) if digest != self.downgrade => Err(ClientError::Downgrade),
            _ => Ok(()),
        }
    }

    fn derive(&self, challenge: &ServerFirst<'_>) -> Result<ClientKeys, ClientError> {
        match &self.secret {
            Kept::Password(password) => {
                let (salt, iterations) = (&challenge.salt, challenge.iterations);
                Ok(ClientKeys::derive(self.kind, password, salt, iterations)?)
            }
            Kept::Keys(keys)
                if keys.hash == self.kind
                    && keys.iterations == challenge.iterations
                    && *keys.salt == *challenge.salt =>
            {
                Ok(keys.clone())
            }
            Kept::Keys(_) => Err(ClientError::StaleKeys),
        }
    }

    /// Takes the additional data of success, and verifies the server with it.
    ///
    /// # Errors
    /// [`ClientError::Server`] when the server could not prove itself,
    /// [`ClientError::Refused`] when it says why it refused.
    pub fn finish(&mut self, message: &[u8]) -> Result<(), ClientError> {
        let State::Proved { server_signature } = std::mem::replace(&mut self.state, State::Done)
        else {
            return Err(ClientError::Malformed);
        };
        match message::server_final(message).map_err(ClientError::from)? {
            ServerFinal::Error(error) => Err(ClientError::Refused(error.to_owned())),
            ServerFinal::Verifier(v) if bool::from(v.ct_eq(&server_signature)) => Ok(()),
            ServerFinal::Verifier(_) => Err(ClientError::Server),
        }
    }

    /// The keys to keep for the next login; `None` before the challenge was answered.
    #[must_use]
    pub fn keys(&self) -> Option<&ClientKeys> {
        match &self.secret {
            Kept::Keys(keys) => Some(keys),
            Kept::Password(_) => None,
        }
    }
}

impl From<Fault> for ClientError {
    fn from(fault: Fault) -> ClientError {
        match fault {
            Fault::Syntax => ClientError::Malformed,
            Fault::Extension => ClientError::Extension,
        }
    }
}

/// RFC 5802 §6: the flag, and the data that goes with "p".
fn gs2_flag<'b>(
    mechanism: Mechanism,
    offer: &Offer<'_>,
    bindings: &'b ChannelBindings,
) -> Result<(String, Option<&'b [u8]>), ClientError> {
    if mechanism.is_plus() {
        let offered = |kind: &BindingType| {
            offer
                .channel_bindings
                .is_none_or(|types| types.contains(&kind.as_str()))
        };
        let kind = bindings
            .types()
            .find(offered)
            .ok_or(ClientError::NoChannelBinding)?;
        return Ok((format!("p={}", kind.as_str()), bindings.get(kind)));
    }
    // "y" says that we saw no -PLUS on offer. If we saw one and cannot use it
    // for want of a common type, we say "n" (XEP-0474 §6, new rule 6).
    let flag = if bindings.is_empty() || offer.has_plus() {
        "n"
    } else {
        "y"
    };
    Ok((flag.to_owned(), None))
}
