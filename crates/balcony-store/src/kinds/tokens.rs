use std::fmt;

use crate::{BoxFuture, Error, Result};

/// A secret by which a client logs in without the password (XEP-0484).
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The only mechanism that it is good for.
    pub mechanism: String,
    /// The secret itself. Both sides key an HMAC with it, so nothing less will do: whoever reads
    /// the store can log in by it, until it expires.
    pub secret: String,
    /// When it was made.
    pub created: i64,
    /// When it is good for nothing any more.
    pub expires: i64,
    /// The greatest count that came with it, against replays. `None`: none came yet.
    pub count: Option<u32>,
}

/// Tells all but the secret: that does not belong in a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("mechanism", &self.mechanism)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// An installation of a client, as it describes itself (XEP-0388 §2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClient {
    /// What tells it from the account's other clients, and is nobody else's business.
    pub id: String,
    /// The name of the software. `None`: not said.
    pub software: Option<String>,
    /// The name of the device. `None`: not said.
    pub device: Option<String>,
}

/// What one client of an account logs in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTokens {
    /// The client.
    pub client: TokenClient,
    /// The token that the client has used last; `None` before it used one.
    pub current: Option<Token>,
    /// A token that the client has got, or would have if the connection had lasted: not used yet.
    pub new: Option<Token>,
    /// When the client was first seen.
    pub created: i64,
    /// When it last logged in.
    pub used: i64,
    /// When it last logged in with the password that the account still has. `None`: never.
    pub password: Option<i64>,
}

/// What a login by token needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLogin {
    /// Whether the account may log in.
    pub enabled: bool,
    /// What the client has; `None` when it has nothing.
    pub tokens: Option<ClientTokens>,
}

/// Reads of tokens. `account` is a bare JID.
pub trait Tokens: Send + Sync {
    /// What a login by a client needs, in one read. `None`: no such account.
    fn login(&self, account: &str, client: &str) -> BoxFuture<'_, Result<Option<TokenLogin>>>;
    /// All clients of an account, ordered by id; none when there is no such account.
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<ClientTokens>>>;
}

impl ClientTokens {
    /// A client that has logged in for the first time.
    pub(crate) fn first(client: TokenClient, at: i64) -> ClientTokens {
        ClientTokens {
            client,
            current: None,
            new: None,
            created: at,
            used: at,
            password: None,
        }
    }

    /// The client has logged in with the password, and nothing else is new.
    pub(crate) fn seen_with_password(&mut self, client: &TokenClient, at: i64) {
        self.seen(client, at);
        self.password = Some(at);
    }

    /// Whether there is a token, good or not.
    pub(crate) fn has_token(&self) -> bool {
        self.current.is_some() || self.new.is_some()
    }

    /// A token was made: the one in use stays good, one that was never used does not (XEP-0484
    /// §3.5).
    pub(crate) fn issue(&mut self, client: &TokenClient, token: &Token, at: i64, password: bool) {
        self.seen(client, at);
        self.new = Some(token.clone());
        if password {
            self.password = Some(at);
        }
    }

    /// The client has logged in by a token (XEP-0484 §5.1).
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is none of the two.
    pub(crate) fn use_token(
        &mut self,
        client: &TokenClient,
        secret: &str,
        count: Option<u32>,
        at: i64,
    ) -> Result<()> {
        if self.new.as_ref().is_some_and(|new| new.secret == secret) {
            self.current = self.new.take();
        }
        let used = self.current.as_mut();
        let token = used
            .filter(|token| token.secret == secret)
            .ok_or(Error::NotFound)?;
        token.count = token.count.max(count);
        self.seen(client, at);
        Ok(())
    }

    /// No token is good any more. Whether there is still something to remember: that the client
    /// knows the password.
    pub(crate) fn revoke(&mut self) -> bool {
        self.current = None;
        self.new = None;
        self.password.is_some()
    }

    fn seen(&mut self, client: &TokenClient, at: i64) {
        self.used = at;
        let names = &mut self.client;
        names.software = client.software.clone().or(names.software.take());
        names.device = client.device.clone().or(names.device.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_a_log() {
        let token = Token {
            mechanism: "HT-SHA-256-NONE".into(),
            secret: "rosaline".into(),
            created: 1,
            expires: 2,
            count: None,
        };
        let shown = format!("{token:?}");
        assert!(shown.contains("NONE") && !shown.contains("rosaline"));
    }
}
