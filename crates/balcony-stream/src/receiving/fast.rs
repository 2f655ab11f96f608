//! XEP-0484 Fast Authentication Streamlining Tokens 0.2.0: logging in by a token, and getting one.

use balcony_proto::ns;
use balcony_proto::sasl::{Mechanism, SaslError, ht};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;

use super::completion::Completion;
use super::exchange::{Exchange, Step};
use super::negotiation::{Authenticated, Negotiation, Waiting};
use super::question::{
    Answer, NewToken, Question, TokenAnswer, TokenRequest, TokenSecret, Tokens, UsedToken,
};
use super::sasl2::Authenticate;

/// What a login by token needs beside the mechanism's messages.
#[derive(Debug)]
pub(super) struct Fast {
    /// The client's id, to which its tokens are bound.
    client: String,
    /// The `count` of `<fast/>`.
    count: Option<u32>,
    /// The `invalidate` of `<fast/>`.
    invalidate: bool,
    binding: Vec<u8>,
    initiator: Option<ht::Initiator>,
    pub(super) used: Option<Used>,
}

/// The token that was proved.
#[derive(Debug)]
pub(super) struct Used {
    token: UsedToken,
    mechanism: Mechanism,
    /// It should be replaced.
    due: bool,
}

impl Negotiation {
    /// The mechanisms by token of this stream, strongest first.
    pub(super) fn offered_fast(&self) -> impl Iterator<Item = Mechanism> {
        let offered = self.offers_sasl2() && self.host.as_ref().is_some_and(|host| host.fast);
        let bindings = self.bindings();
        let fast = Mechanism::FAST.into_iter().filter(move |_| offered);
        fast.filter(move |known| ht::binding(*known, &bindings).is_some())
    }

    /// What stands in `<inline/>` (§3.1). `tls-0rtt` is left out: the TLS layer takes no early
    /// data.
    pub(super) fn fast_feature(&self) -> Option<Element> {
        let names = self.offered_fast();
        let names =
            names.map(|known| Element::new(ns::FAST, "mechanism").with_text(known.as_str()));
        let feature = Element::new(ns::FAST, "fast").with_children(names);
        let any = feature.children().next().is_some();
        any.then_some(feature)
    }

    /// What a mechanism by token needs; `None` for the others.
    ///
    /// # Errors
    /// `malformed-request` without the client's id (§4.1), without `<fast/>` (§3.4), or when its
    /// count is no number.
    pub(super) fn fast(
        &self,
        mechanism: Mechanism,
        request: Option<&Authenticate>,
    ) -> Result<Option<Fast>, SaslError> {
        if !mechanism.is_fast() {
            return Ok(None);
        }
        let malformed = SaslError::MalformedRequest;
        let request = request.ok_or(malformed)?;
        let fast = request.fast.as_ref().ok_or(malformed)?;
        let client = request.client.as_ref().and_then(|client| client.id.clone());
        let count = fast.attr("count").map(|count| count.trim().parse());
        let binding = ht::binding(mechanism, &self.bindings()).map(<[u8]>::to_vec);
        Ok(Some(Fast {
            client: client.ok_or(malformed)?,
            count: count.transpose().map_err(|_| malformed)?,
            invalidate: matches!(fast.attr("invalidate"), Some("true" | "1")),
            binding: binding.ok_or(SaslError::InvalidMechanism)?,
            initiator: None,
            used: None,
        }))
    }

    /// What is to be done about tokens now that the client is known: the one that it used is noted,
    /// and it gets one if it wants to, or if the one that it used is due (§3.3, §3.5).
    pub(super) fn token_request(&self, completion: &mut Completion) -> Option<TokenRequest> {
        let known = self.account.as_ref()?;
        let used = completion.request.used.take();
        let wish = completion.request.request_token.take();
        let wish = wish
            .and_then(|wish| Mechanism::parse(wish.attr("mechanism")?))
            .filter(|wish| self.offered_fast().any(|offered| offered == *wish));
        // §3.6: none is forced on a client that wants to be rid of its token.
        let due = used
            .as_ref()
            .filter(|used| used.due && !used.token.invalidate);
        let issue = wish.or(due.map(|used| used.mechanism));
        // Nobody comes back to an anonymous account.
        let issue = issue.filter(|_| known.mechanism != Mechanism::Anonymous);
        if used.is_none() && issue.is_none() {
            return None;
        }
        let client = known.client.clone().filter(|client| client.id.is_some())?;
        Some(TokenRequest {
            account: known.account.clone(),
            client,
            used: used.map(|used| used.token),
            issue: issue.map(|mechanism| NewToken {
                mechanism,
                secret: TokenSecret(self.random.secret()),
            }),
        })
    }

    pub(super) fn ask_token(&mut self, completion: Box<Completion>, request: TokenRequest) {
        let new = request.issue.clone();
        self.ask(
            Waiting::Token(completion, new),
            Question::Token(Box::new(request)),
        );
    }

    /// What the client hears when that by which it logged in is good for nothing any more.
    fn no_more_trusted(&self) -> SaslError {
        let by_token = |known: &Authenticated| known.mechanism.is_fast();
        match self.account.as_ref().is_some_and(by_token) {
            // XEP-0484 §4.2
            true => SaslError::CredentialsExpired,
            false => SaslError::NotAuthorized,
        }
    }

    pub(super) fn token_answered(
        &mut self,
        mut completion: Box<Completion>,
        new: Option<NewToken>,
        answer: &Answer,
    ) {
        let Answer::Token(answer) = answer else {
            return self.incomplete(SaslError::TemporaryAuthFailure, None);
        };
        let TokenAnswer::Done { expires } = answer else {
            return self.incomplete(self.no_more_trusted(), None);
        };
        if let Some((new, expires)) = new.zip(*expires) {
            let token = Element::new(ns::FAST, "token")
                .with_attr("expiry", date_time::format_utc(expires))
                .with_attr("token", new.secret.0);
            completion.extra.push(token);
        }
        self.complete(completion);
    }
}

impl Exchange {
    /// The only message of a client with a token.
    pub(super) fn token(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let initiator = ht::Initiator::parse(message)?;
        self.identify(&initiator.user, None)?;
        let fast = self.fast.as_mut().ok_or(SaslError::InvalidMechanism)?;
        let client = fast.client.clone();
        fast.initiator = Some(initiator);
        let account = self.account().cloned().ok_or(SaslError::NotAuthorized)?;
        self.wait_for_owner();
        Ok(Step::Ask(Question::Tokens { account, client }))
    }

    /// §5.1: not just the token must be right, but also its mechanism, its time and its count.
    pub(super) fn token_known(&mut self, known: Tokens) -> Result<Step, SaslError> {
        let refused = SaslError::NotAuthorized;
        let mechanism = self.mechanism();
        let account = self.account().cloned().ok_or(refused)?;
        let fast = self.fast.as_mut().ok_or(refused)?;
        let initiator = fast.initiator.take().ok_or(refused)?;
        // §3.4: a token is bound to the mechanism that the client chose for it.
        let mut tokens = known.tokens.into_iter();
        let token = tokens.find(|token| {
            token.mechanism == mechanism && initiator.has(&token.secret.0, &fast.binding)
        });
        let token = token.ok_or(refused)?;
        if known.disabled {
            return Err(SaslError::AccountDisabled);
        }
        if token.expired {
            // §4.2
            return Err(SaslError::CredentialsExpired);
        }
        // §3.4 has a count in early data only, which is not taken. One that comes nevertheless has
        // its meaning: the client raises it with each attempt.
        if fast
            .count
            .is_some_and(|count| token.count.is_some_and(|last| count <= last))
        {
            return Err(refused);
        }
        let data = ht::respond(&token.secret.0, &fast.binding);
        // DEVIATION: draft-schmaus-kitten-sasl-ht-09 §3.2 revokes a token with its first use.
        // XEP-0484 §3.5 keeps it until a newer one is used, so that a client whose connection
        // breaks in between is not locked out.
        fast.used = Some(Used {
            token: UsedToken {
                secret: token.secret,
                count: fast.count,
                invalidate: fast.invalidate,
            },
            mechanism,
            due: token.due,
        });
        self.proved_as(account, Some(data))
    }
}
