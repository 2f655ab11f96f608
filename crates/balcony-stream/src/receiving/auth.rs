//! RFC 6120 §6 SASL: its elements, and what both profiles share.

use balcony_proto::sasl::{Mechanism, SaslError};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;

use super::exchange::{Exchange, Step};
use super::negotiation::{Authenticated, Negotiation, Waiting};
use super::question::Answer;
use super::sasl2::Authenticate;
use crate::sasl_profile::Profile;

/// What begins an authentication.
pub(super) struct Begin {
    pub(super) profile: Profile,
    /// As the client wrote it.
    pub(super) mechanism: Option<String>,
    pub(super) initial: Result<Option<Vec<u8>>, SaslError>,
    /// What SASL2 adds.
    pub(super) authenticate: Option<Box<Authenticate>>,
}

impl Negotiation {
    /// An element of classic SASL.
    pub(super) fn sasl_element(&mut self, element: &Element) {
        match element.name() {
            "auth" => self.begin(Begin {
                profile: Profile::Classic,
                mechanism: element.attr("mechanism").map(str::to_string),
                // RFC 6120 §6.4.2: no text is no initial response, `=` is an empty one.
                initial: match element.text().is_empty() {
                    true => Ok(None),
                    false => Profile::Classic.decode(element).map(Some),
                },
                authenticate: None,
            }),
            "response" => self.response(Profile::Classic, element),
            "abort" => self.aborted(Profile::Classic),
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// A new handshake; one under way is forgotten (RFC 6120 §6.4.2).
    pub(super) fn begin(&mut self, begin: Begin) {
        self.exchange = None;
        let acceptable = self
            .acceptable(begin.profile, begin.mechanism.as_deref())
            .and_then(|mechanism| {
                let fast = self.fast(mechanism, begin.authenticate.as_deref())?;
                Ok((mechanism, fast))
            });
        let (mechanism, fast) = match acceptable {
            Ok(acceptable) => acceptable,
            Err(error) => return self.sasl_failed(begin.profile, error),
        };
        let initial = match begin.initial {
            Ok(initial) => initial,
            Err(error) => return self.sasl_failed(begin.profile, error),
        };
        let mut exchange = Exchange::new(self, begin.profile, mechanism, begin.authenticate, fast);
        let step = match initial {
            Some(message) => exchange.message(&message),
            // RFC 6120 §6.3.10: the less efficient way must work too; all our mechanisms let the
            // client speak first.
            None => Ok(Step::Challenge(Vec::new())),
        };
        self.stepped(exchange, step);
    }

    /// The mechanism, if it is one that was offered. What was not offered is refused, even if we
    /// could do it (XEP-0388 §2.3).
    fn acceptable(&self, profile: Profile, name: Option<&str>) -> Result<Mechanism, SaslError> {
        // XEP-0388 §3: SASL2 only after TLS. RFC 6120 §6.5.4.
        if self.needs_tls() || (profile == Profile::Sasl2 && self.tls.is_none()) {
            return Err(SaslError::EncryptionRequired);
        }
        let mechanism = name
            .and_then(Mechanism::parse)
            .ok_or(SaslError::InvalidMechanism)?;
        let sasl2 = profile == Profile::Sasl2;
        let offered = self.offered().contains(&mechanism);
        // XEP-0484 §3.1: tokens are for SASL2 only.
        if offered || (sasl2 && self.offered_fast().any(|known| known == mechanism)) {
            return Ok(mechanism);
        }
        let named = self
            .host
            .as_ref()
            .is_some_and(|host| host.mechanisms.contains(&mechanism));
        match mechanism {
            Mechanism::Plain if named => Err(SaslError::EncryptionRequired),
            _ => Err(SaslError::InvalidMechanism),
        }
    }

    pub(super) fn response(&mut self, profile: Profile, element: &Element) {
        let Some(mut exchange) = self
            .exchange
            .take()
            .filter(|known| known.profile() == profile)
        else {
            return self.sasl_failed(profile, SaslError::MalformedRequest);
        };
        let step = profile
            .decode(element)
            .and_then(|message| exchange.message(&message));
        self.stepped(exchange, step);
    }

    /// RFC 6120 §6.4.4.
    pub(super) fn aborted(&mut self, profile: Profile) {
        self.sasl_failed(profile, SaslError::Aborted);
    }

    pub(super) fn sasl_answered(&mut self, answer: Answer) {
        let Some(mut exchange) = self.exchange.take() else {
            return self.fail(StreamCondition::InternalServerError);
        };
        match exchange.answer(answer) {
            Some(step) => self.stepped(exchange, step),
            None => self.fail(StreamCondition::InternalServerError),
        }
    }

    fn stepped(&mut self, exchange: Exchange, step: Result<Step, SaslError>) {
        match step {
            Ok(Step::Challenge(message)) => {
                let message = Some(message.as_slice()).filter(|message| !message.is_empty());
                self.write(&exchange.profile().message("challenge", message));
                self.exchange = Some(exchange);
            }
            Ok(Step::Ask(question)) => {
                self.exchange = Some(exchange);
                self.ask(Waiting::Sasl, question);
            }
            Ok(Step::Proved { account, data }) => {
                // RFC 6120 §6.4.6. An anonymous client cannot know its address beforehand.
                if exchange.mechanism() != Mechanism::Anonymous && self.contradicts_from(&account) {
                    return self.fail(StreamCondition::InvalidFrom);
                }
                let mechanism = exchange.mechanism();
                match exchange.into_authenticate() {
                    Some(request) => self.sasl2_proved(account, mechanism, *request, data),
                    None => {
                        self.write(&Profile::Classic.message("success", data.as_deref()));
                        self.authenticated(Authenticated {
                            account,
                            mechanism,
                            client: None,
                        });
                        // RFC 6120 §6.3.2
                        self.restart();
                    }
                }
            }
            Err(error) => self.sasl_failed(exchange.profile(), error),
        }
    }

    pub(super) fn sasl_failed(&mut self, profile: Profile, error: SaslError) {
        self.write(&profile.failure(error));
        self.auth_failed();
    }

    /// Counts; RFC 6120 §6.4.5 ends the stream after a few.
    pub(super) fn auth_failed(&mut self) {
        self.exchange = None;
        self.upgrade = None;
        self.auth_failures += 1;
        if self.auth_failures >= self.settings.auth_attempts {
            self.fail_with(
                StreamCondition::PolicyViolation,
                "too many failed authentications",
            );
        }
    }

    /// What a client may send once it is known, of which one stanza may be on its way with the bind
    /// request.
    pub(super) fn authenticated(&mut self, account: Authenticated) {
        self.account = Some(account);
        self.scanner.set_limits(self.settings.after_login);
        self.budget = self
            .budget
            .saturating_add(self.settings.after_login.stanza_bytes);
    }

    /// Takes [`Self::authenticated`] back, but not the bytes it granted.
    pub(super) fn forget_account(&mut self) {
        self.account = None;
        self.scanner.set_limits(self.settings.before_login);
    }
}
