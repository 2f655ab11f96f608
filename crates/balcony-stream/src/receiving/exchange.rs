//! One SASL handshake, whatever carries it: mechanisms on one side, questions to the owner on the
//! other.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::plain::Plain;
use balcony_proto::sasl::{
    BindingType, Mechanism, Offer, SaslError, ScramKeys, anonymous, fake_keys, fake_share, scram,
};

use super::fast::Fast;
use super::negotiation::Negotiation;
use super::question::{Answer, Credentials, Password, Question, Verdict};
use super::sasl2::Authenticate;
use crate::sasl_profile::Profile;
use crate::settings::{DecoySecret, KeyCounts};

/// What a message or an answer leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// An empty one only calls for the first message.
    Challenge(Vec<u8>),
    Ask(Question),
    /// The client is who it says.
    Proved {
        account: Jid,
        data: Option<Vec<u8>>,
    },
}

#[derive(Debug)]
pub(super) struct Exchange {
    profile: Profile,
    mechanism: Mechanism,
    authenticate: Option<Box<Authenticate>>,
    /// The domainpart.
    host: String,
    /// PBKDF2 iterations of users that don't exist, and the key to their salts.
    iterations: u32,
    key_counts: Arc<KeyCounts>,
    decoys: DecoySecret,
    /// `from` of a protected stream header.
    from: Option<Jid>,
    scram: Option<Box<scram::Server>>,
    pub(super) fast: Option<Box<Fast>>,
    /// Known from the first message on. `None` although it came: no address could be made of it.
    account: Option<Jid>,
    /// What stands for the user in the decoy's salt when there is no account.
    user: String,
    /// To be told when the password is proved.
    disabled: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the client's first message.
    First,
    /// Waits for the owner.
    Asked,
    /// Waits for the client's proof.
    Proof,
}

impl Exchange {
    pub(super) fn new(
        stream: &Negotiation,
        profile: Profile,
        mechanism: Mechanism,
        authenticate: Option<Box<Authenticate>>,
        fast: Option<Fast>,
    ) -> Exchange {
        let host = stream.host.as_deref();
        Exchange {
            profile,
            mechanism,
            authenticate,
            host: host.map(|host| host.name.clone()).unwrap_or_default(),
            iterations: host.map(|host| host.iterations).unwrap_or_default(),
            key_counts: host.map(|host| host.key_counts.clone()).unwrap_or_default(),
            decoys: stream.settings.decoy_secret,
            from: stream.from.clone().filter(|_| stream.tls.is_some()),
            scram: mechanism
                .hash()
                .map(|_| Box::new(scram_server(stream, mechanism))),
            fast: fast.map(Box::new),
            account: None,
            user: String::new(),
            disabled: false,
            state: State::First,
        }
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn is_sasl2(&self) -> bool {
        self.profile == Profile::Sasl2
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    pub(super) fn into_authenticate(self) -> Option<Box<Authenticate>> {
        let mut authenticate = self.authenticate?;
        authenticate.used = self.fast.and_then(|fast| fast.used);
        Some(authenticate)
    }

    /// Whose account it is about; `None` as long as that is not known.
    pub(super) fn account(&self) -> Option<&Jid> {
        self.account.as_ref()
    }

    pub(super) fn wait_for_owner(&mut self) {
        self.state = State::Asked;
    }

    /// A message of the client.
    pub(super) fn message(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        match (self.state, self.mechanism) {
            (State::First, Mechanism::Plain) => self.plain(message),
            (State::First, Mechanism::Anonymous) => self.anonymous(message),
            (State::First, mechanism) if mechanism.is_fast() => self.token(message),
            (State::First, _) => self.scram_first(message),
            (State::Proof, _) => self.scram_proof(message),
            (State::Asked, _) => Err(SaslError::MalformedRequest),
        }
    }

    /// The owner's answer. `None`: it doesn't fit.
    pub(super) fn answer(&mut self, answer: Answer) -> Option<Result<Step, SaslError>> {
        Some(match (answer, self.mechanism) {
            (Answer::Failed, _) => Err(SaslError::TemporaryAuthFailure),
            (Answer::Verdict(verdict), Mechanism::Plain) => self.judged(verdict),
            (Answer::Anonymous(Some(account)), Mechanism::Anonymous) => {
                self.proved_as(account, None)
            }
            (Answer::Anonymous(None), Mechanism::Anonymous) => Err(SaslError::TemporaryAuthFailure),
            (Answer::Tokens(known), fast) if fast.is_fast() => self.token_known(known),
            (Answer::Credentials(known), scram) if scram.hash().is_some() => self.challenge(known),
            _ => return None,
        })
    }

    /// RFC 4616. The account exists or not, the question and the answer look the same.
    fn plain(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let plain = Plain::parse(message)?;
        self.identify(plain.user, plain.authzid)?;
        let account = self.account.clone().ok_or(SaslError::NotAuthorized)?;
        self.state = State::Asked;
        let password = Password(plain.password.to_string());
        Ok(Step::Ask(Question::Plain { account, password }))
    }

    fn judged(&self, verdict: Verdict) -> Result<Step, SaslError> {
        match (verdict, &self.account) {
            (Verdict::Right, Some(account)) => self.proved_as(account.clone(), None),
            (Verdict::Disabled, _) => Err(SaslError::AccountDisabled),
            _ => Err(SaslError::NotAuthorized),
        }
    }

    /// RFC 4505. The trace is nobody's business, but must be one.
    fn anonymous(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        anonymous::parse(message)?;
        self.state = State::Asked;
        Ok(Step::Ask(Question::Anonymous(self.host.clone())))
    }

    fn scram_first(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let scram = self.scram.as_mut().ok_or(SaslError::InvalidMechanism)?;
        let needs = scram.first(message)?;
        self.identify(&needs.user, needs.authzid.as_deref())?;
        self.state = State::Asked;
        match self.account.clone() {
            Some(account) => Ok(Step::Ask(Question::Credentials {
                account,
                mechanism: self.mechanism,
            })),
            // No address can be made of it, so no account has it, which the client knows as well as
            // we do. It is still answered like any other user (RFC 6120 §6.5.10).
            None => self.challenge(Credentials::Unknown),
        }
    }

    fn challenge(&mut self, known: Credentials) -> Result<Step, SaslError> {
        let (keys, disabled) = match known {
            Credentials::Keys { keys, disabled } if self.account.is_some() => (keys, disabled),
            _ => (self.decoy()?, false),
        };
        self.disabled = disabled;
        self.state = State::Proof;
        let scram = self.scram.as_mut().ok_or(SaslError::InvalidMechanism)?;
        Ok(Step::Challenge(scram.keys(&keys)?))
    }

    /// OF-3257: keys for nobody, whose salt stays the same and which no proof fits.
    fn decoy(&self) -> Result<ScramKeys, SaslError> {
        let hash = self.mechanism.hash().ok_or(SaslError::InvalidMechanism)?;
        let user = self
            .account
            .as_ref()
            .map_or(self.user.as_str(), Jid::as_str);
        let share = fake_share(&self.decoys.0, user, hash);
        let iterations = self.key_counts.pick(hash, share);
        let iterations = iterations.unwrap_or(self.iterations);
        Ok(fake_keys(&self.decoys.0, user, hash, iterations))
    }

    fn scram_proof(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let scram = self.scram.as_mut().ok_or(SaslError::InvalidMechanism)?;
        let data = scram.finish(message)?;
        let account = self.account.clone().ok_or(SaslError::NotAuthorized)?;
        if self.disabled {
            return Err(SaslError::AccountDisabled);
        }
        self.proved_as(account, Some(data))
    }

    pub(super) fn proved_as(&self, account: Jid, data: Option<Vec<u8>>) -> Result<Step, SaslError> {
        // An owner that answers with another host's address must not get through.
        if account.local().is_none() || !account.is_bare() || account.domain() != self.host {
            return Err(SaslError::TemporaryAuthFailure);
        }
        Ok(Step::Proved { account, data })
    }

    /// Whose account it is about, and whether the client may ask to act as somebody (RFC 6120
    /// §6.3.8): as itself only.
    pub(super) fn identify(&mut self, user: &str, authzid: Option<&str>) -> Result<(), SaslError> {
        // RFC 6120 §6.3.7: a simple user name is the localpart.
        let account = Jid::from_parts(Some(user), &self.host, None).ok();
        if let Some(authzid) = authzid.filter(|authzid| !authzid.is_empty()) {
            // XEP-0388 §4.4: normalised as a JID; it must also be the stream's `from`, if there is
            // one.
            let authzid = Jid::parse(authzid).map_err(|_| SaslError::InvalidAuthzid)?;
            let from_fits = self.from.as_ref().is_none_or(|from| *from == authzid);
            if account.as_ref() != Some(&authzid) || !from_fits {
                return Err(SaslError::InvalidAuthzid);
            }
        }
        self.user = format!("{user}@{}", self.host);
        self.account = account;
        Ok(())
    }
}

/// SCRAM with all that was offered on this stream under its signature (XEP-0474).
fn scram_server(stream: &Negotiation, mechanism: Mechanism) -> scram::Server {
    let offered = stream.offered();
    let names: Vec<&str> = offered.iter().map(|known| known.as_str()).collect();
    let bindings = stream.bindings();
    let types: Vec<&str> = bindings.types().map(BindingType::as_str).collect();
    let offer = Offer {
        mechanisms: &names,
        // As announced: only beside a mechanism that binds.
        channel_bindings: offered
            .iter()
            .any(|known| known.is_plus())
            .then_some(types.as_slice()),
    };
    scram::Server::new(mechanism, &offer, bindings.clone(), stream.random.nonce())
}
