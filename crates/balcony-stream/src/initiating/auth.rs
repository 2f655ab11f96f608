//! Authentication by classic SASL (RFC 6120 §6) or SASL2 (XEP-0388), with the server's proof
//! checked.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::plain::Plain;
use balcony_proto::sasl::scram::{self, ClientError, ClientKeys, Nonce};
use balcony_proto::sasl::{Mechanism, SaslError, ht};
use balcony_proto::stream::Features;
use balcony_proto::xml::{Element, Node};

use super::choice::Offered;
use super::negotiation::{Negotiation, Phase};
use super::{ClientConfig, Failure, FastToken, Resumption, Secret};
use crate::sasl_profile::Profile;

/// An authentication under way.
pub(super) struct Login {
    offered: Offered,
    mechanism: Mechanism,
    nonce: Nonce,
    scram: Option<scram::Client>,
    /// The challenge was answered.
    responded: bool,
    /// The server proved that it knows the password.
    verified: bool,
    token: Option<FastToken>,
    /// Of the channel, for the token.
    binding: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Negotiation {
    pub(super) fn authenticate(&mut self, features: &Features) {
        let inline = features.sasl2_inline();
        let bind2 = inline.is_some_and(|inline| inline.child(ns::BIND2, "bind").is_some());
        if let Some(token) = self.usable_token(features) {
            let resume = self.resume_inline(inline);
            self.features = features.clone();
            return self.authenticate_by(token, bind2, resume, None);
        }
        let result = self.login(features).and_then(|mut login| {
            let message = login.first(&self.config)?;
            Ok((login, message))
        });
        let (login, message) = match result {
            Ok(begun) => begun,
            Err(failure) => return self.fail(failure),
        };
        let mechanism = login.mechanism.as_str();
        let element = match login.offered.profile {
            Profile::Classic => Profile::Classic.message("auth", Some(&message)),
            Profile::Sasl2 => authenticate(&self.config, &message, bind2)
                .with_children(self.resume_inline(inline))
                .with_children(self.token_wish(features))
                .with_children(self.upgrade_wishes(features)),
        };
        self.login = Some(Box::new(login));
        self.write(&element.with_attr("mechanism", mechanism));
        self.phase = Phase::Sasl;
    }

    /// A login by token, with what else goes into `<authenticate/>`.
    pub(super) fn authenticate_by(
        &mut self,
        token: FastToken,
        bind2: bool,
        resume: Option<Element>,
        version: Option<Element>,
    ) {
        let binding = self.ht_binding(token.mechanism).unwrap_or_default();
        let user = self.config.jid.local().unwrap_or_default();
        let message = ht::initiate(user, &token.secret, &binding);
        let element = authenticate(&self.config, &message, bind2)
            .with_child(Element::new(ns::FAST, "fast"))
            .with_children(resume)
            .with_children(version)
            .with_attr("mechanism", token.mechanism.as_str());
        self.token_for = Some(token.mechanism);
        self.write(&element);
        // Without features the header must come first.
        if self.phase == Phase::Features || self.phase == Phase::Sasl {
            self.phase = Phase::Sasl;
        }
        self.login = Some(Box::new(Login {
            offered: Offered::by_token(),
            mechanism: token.mechanism,
            nonce: self.random.nonce(),
            scram: None,
            responded: false,
            verified: false,
            token: Some(token),
            binding,
        }));
    }

    fn login(&self, features: &Features) -> Result<Login, Failure> {
        let ours = self
            .tls
            .as_ref()
            .map(|tls| tls.bindings.clone())
            .unwrap_or_default();
        let offered = Offered::read(features, self.config.sasl2 && self.tls.is_some());
        let mechanism = offered.choose(&self.config.mechanisms, self.tls.is_some(), &ours)?;
        let mut login = Login {
            offered,
            mechanism,
            nonce: self.random.nonce(),
            scram: None,
            responded: false,
            verified: false,
            token: None,
            binding: Vec::new(),
        };
        if mechanism.hash().is_some() {
            login.scram = Some(login.client(self, true)?);
        }
        Ok(login)
    }

    pub(super) fn sasl_element(&mut self, element: Element) {
        let Some(mut login) = self.login.take() else {
            return self.fail(Failure::Protocol("an answer to nothing"));
        };
        if element.ns() != login.offered.profile.ns() {
            return self.fail(Failure::Protocol("an answer in another language"));
        }
        match element.name() {
            "challenge" => match login.challenge(self, &element) {
                Ok(message) => {
                    self.write(&login.offered.profile.message("response", Some(&message)));
                    self.login = Some(login);
                }
                Err(failure) => self.fail(failure),
            },
            "success" => match login.success(&element) {
                Ok(()) => self.authenticated(*login, element),
                Err(failure) => self.fail(failure),
            },
            "failure" if login.token.is_some() => self.token_failed(&element),
            "failure" => self.fail(refused(&element)),
            "continue" => {
                let proved = login.success(&element);
                match proved.and_then(|()| self.continued(&element)) {
                    Ok(()) => self.login = Some(login),
                    Err(failure) => self.fail(failure),
                }
            }
            "task-data" => match self.task_data(&element) {
                Ok(()) => self.login = Some(login),
                Err(failure) => self.fail(failure),
            },
            _ => self.fail(Failure::Protocol(
                "it wants something unknown after the password",
            )),
        }
    }

    fn authenticated(&mut self, login: Login, success: Element) {
        self.mechanism = Some(login.mechanism);
        self.keys = login.scram.as_ref().and_then(scram::Client::keys).cloned();
        match login.offered.profile {
            // RFC 6120 §6.4.6: a new stream.
            Profile::Classic => self.open(),
            Profile::Sasl2 => self.succeeded(success),
        }
    }

    /// XEP-0388 §2.6.1: no new stream; the features follow.
    fn succeeded(&mut self, success: Element) {
        let identifier = success.child_text(ns::SASL2, "authorization-identifier");
        for node in success.into_nodes() {
            match node {
                Node::Element(bound) if bound.is(ns::BIND2, "bound") => {
                    // XEP-0386 §3.2: it is the full JID now.
                    let jid = identifier
                        .as_deref()
                        .and_then(|text| Jid::parse(text.trim()).ok());
                    let Some(jid) = jid.filter(Jid::is_full) else {
                        return self.fail(Failure::Protocol("it bound a resource without a name"));
                    };
                    self.jid = Some(jid);
                    self.bound = bound.children().cloned().collect();
                }
                Node::Element(other) if self.resume_answered(&other).is_some() => {}
                Node::Element(other) if self.token_given(&other) => {}
                Node::Element(other) if other.ns() != ns::SASL2 => self.success.push(other),
                _ => {}
            }
        }
        if matches!(self.resumption, Some(Resumption::Resumed(_))) {
            // XEP-0198 §9.2: nothing is bound and no features follow.
            return self.established();
        }
        self.phase = Phase::Features;
    }
}

impl Login {
    fn client(&self, stream: &Negotiation, kept: bool) -> Result<scram::Client, Failure> {
        let Secret::Password { password, keys } = &stream.config.secret else {
            return Err(ClientError::NotScram(self.mechanism).into());
        };
        let fits = |keys: &&ClientKeys| kept && Some(keys.hash) == self.mechanism.hash();
        let login = scram::Login {
            user: stream.config.jid.local().unwrap_or_default(),
            authzid: None,
            secret: match keys.as_ref().filter(fits) {
                Some(keys) => scram::Secret::Keys(keys),
                None => scram::Secret::Password(password),
            },
        };
        let ours = stream
            .tls
            .as_ref()
            .map(|tls| tls.bindings.clone())
            .unwrap_or_default();
        let client = self.offered.with(|offer| {
            scram::Client::new(self.mechanism, &login, offer, &ours, self.nonce.clone())
        })?;
        Ok(client)
    }

    fn first(&mut self, config: &ClientConfig) -> Result<Vec<u8>, Failure> {
        match (&mut self.scram, &config.secret) {
            (Some(scram), _) => Ok(scram.first()?),
            (None, Secret::Password { password, .. }) => {
                let user = config.jid.local().unwrap_or_default();
                Ok(Plain {
                    authzid: None,
                    user,
                    password,
                }
                .build())
            }
            (None, Secret::Anonymous) => Ok(Vec::new()),
        }
    }

    fn challenge(&mut self, stream: &Negotiation, element: &Element) -> Result<Vec<u8>, Failure> {
        let message = self.decode(element)?;
        let scram = self
            .scram
            .as_mut()
            .ok_or(Failure::Protocol("a challenge to nothing"))?;
        if std::mem::replace(&mut self.responded, true) {
            // RFC 6120 §6.3.10: the less efficient way, the server's proof as a challenge of its
            // own.
            scram.finish(&message)?;
            self.verified = true;
            return Ok(Vec::new());
        }
        match scram.respond(&message) {
            // The account's salt has changed: the password it is, in the same exchange.
            Err(ClientError::StaleKeys) => {
                let mut fresh = self.client(stream, false)?;
                fresh.first()?;
                let response = fresh.respond(&message)?;
                self.scram = Some(fresh);
                Ok(response)
            }
            other => Ok(other?),
        }
    }

    /// Success counts only when the server proved itself (RFC 5802 §5).
    fn success(&mut self, element: &Element) -> Result<(), Failure> {
        let data = match self.offered.profile {
            Profile::Classic => Some(element).filter(|element| !element.text().is_empty()),
            Profile::Sasl2 => element.child(ns::SASL2, "additional-data"),
        };
        let data = data.map(|element| self.decode(element)).transpose()?;
        if let Some(token) = &self.token {
            // draft-schmaus-kitten-sasl-ht-09 §3.3: MUST be verified.
            let data = data.unwrap_or_default();
            let proved = ht::is_response(&data, &token.secret, &self.binding);
            return proved.then_some(()).ok_or(ClientError::Server.into());
        }
        match (&mut self.scram, data) {
            (Some(scram), Some(data)) if !self.verified => {
                scram.finish(&data)?;
                self.verified = true;
                Ok(())
            }
            (Some(_), None) if !self.verified => Err(ClientError::Server.into()),
            _ => Ok(()),
        }
    }

    /// White space in base64 is forbidden, but its author may have meant well (XEP-0388 §2.2 has it
    /// in examples).
    fn decode(&self, element: &Element) -> Result<Vec<u8>, Failure> {
        let text: String = element.text().split_whitespace().collect();
        let element = Element::new("", "").with_text(&text);
        let bad = Failure::Protocol("a SASL message that is no base64");
        self.offered.profile.decode(&element).map_err(|_| bad)
    }
}

/// XEP-0388 §2.3, with Bind 2 where the server has it.
fn authenticate(config: &ClientConfig, message: &[u8], bind2: bool) -> Element {
    let mut element = Element::new(ns::SASL2, "authenticate")
        .with_child(Profile::Sasl2.message("initial-response", Some(message)));
    if let Some(agent) = &config.user_agent {
        element.push(agent.to_element());
    }
    if bind2 {
        let tag = config
            .tag
            .as_ref()
            .map(|tag| Element::new(ns::BIND2, "tag").with_text(tag));
        let inline = config.bind_inline.iter().cloned();
        element.push(
            Element::new(ns::BIND2, "bind")
                .with_children(tag)
                .with_children(inline),
        );
    }
    element.with_children(config.authenticate_inline.iter().cloned())
}

/// RFC 6120 §6.5: the condition is in the namespace of classic SASL in both profiles.
fn refused(failure: &Element) -> Failure {
    let condition = failure
        .children()
        .find(|child| child.ns() == ns::SASL && child.name() != "text");
    Failure::Refused {
        condition: condition.map_or(SaslError::NotAuthorized, |child| {
            SaslError::parse(child.name())
        }),
        text: failure
            .children()
            .find(|child| child.name() == "text")
            .map(Element::text),
    }
}
