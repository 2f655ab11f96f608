//! Tokens by which clients log in without the password (XEP-0484), and what logins need to know of
//! all accounts' keys.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::sasl::ScramKeys;
use balcony_store::{
    Error as StoreError, KeyCount, Ticket, Token, TokenClient, TokenLogin, Write, WriteSet,
};

use crate::Core;
use crate::accounts::{stored_key, stored_name};
use crate::error::Error;
use crate::session::SessionClient;

/// Clients of an account that are known. More than anybody has devices; those that were
/// unused for the longest time make way.
const CLIENTS: u32 = 32;

/// Clients that are forgotten at once: some ten milliseconds of the writer, once a minute.
const FORGOTTEN: u32 = 1_000;

/// What a client that has logged in wants of its tokens. All of it is committed together.
pub struct TokenUse {
    /// Whose.
    pub account: Jid,
    /// The client.
    pub client: TokenClient,
    /// What it logged in by.
    pub by: LoggedInBy,
    /// It wants to be rid of what it has.
    pub invalidate: bool,
    /// The mechanism and the secret of a new one.
    pub issue: Option<(String, String)>,
}

/// What a client has proved to know.
pub enum LoggedInBy {
    /// A token.
    Token {
        /// Its secret.
        secret: String,
        /// The count that came with it.
        count: Option<u32>,
    },
    /// The password.
    Password {
        /// The StoredKey that it was compared with, so that a login that waits for something gets
        /// no token when the password is another by then.
        stored_key: Box<[u8]>,
    },
}

impl Core {
    /// What a login by token needs, in one read; `None` when there is no such account.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn token_login(
        &self,
        account: &Jid,
        client: &str,
    ) -> Result<Option<TokenLogin>, Error> {
        let account = account.bare_str();
        Ok(self.store.tokens().login(account, client).await?)
    }

    /// Whether the token is good for nothing any more.
    #[must_use]
    pub fn token_expired(&self, token: &Token) -> bool {
        token.expires <= self.clock.utc_micros()
    }

    /// Whether the client should get another one.
    #[must_use]
    pub fn token_due(&self, token: &Token) -> bool {
        let age = micros(self.config.load().auth.token_renewal);
        token.created.saturating_add(age) <= self.clock.utc_micros()
    }

    /// Notes what became of tokens; durable when this answers. `Ok` with the time at which the new
    /// token expires, `None` when what the client logged in by is good for nothing any more: the
    /// token is revoked, or the password another.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn use_token(&self, wish: TokenUse) -> Result<Option<i64>, Error> {
        let now = self.clock.utc_micros();
        let expires = now.saturating_add(micros(self.config.load().auth.token_lifetime));
        let account = wish.account.bare_str().to_owned();
        let mut writes = WriteSet::default();
        let proved = match wish.by {
            LoggedInBy::Password { stored_key } => Some(stored_key),
            LoggedInBy::Token { secret, count } => {
                writes.push(Write::TokenUsed {
                    account: account.clone(),
                    client: wish.client.clone(),
                    secret,
                    count,
                    at: now,
                });
                None
            }
        };
        if wish.invalidate {
            writes.push(Write::TokenRemove {
                account: account.clone(),
                client: wish.client.id.clone(),
            });
        }
        if let Some((mechanism, secret)) = wish.issue {
            writes.push(Write::TokenSet {
                account,
                client: wish.client,
                token: Token {
                    mechanism,
                    secret,
                    created: now,
                    expires,
                    count: None,
                },
                at: now,
                proved,
                max: CLIENTS,
            });
        }
        match self.store.commit(writes).await {
            Ok(_) => Ok(Some(expires)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that a client has logged in by password and got no token, where it said who it is and
    /// the operator wants it remembered. `stored_key` is what the password was compared with.
    /// Nobody need wait for it.
    pub fn note_client(&self, account: &Jid, client: &SessionClient, stored_key: Box<[u8]>) {
        if let Some(seen) = self.client_seen(account, client, stored_key) {
            drop(self.store.commit(WriteSet::from(seen)));
        }
    }

    pub(crate) fn client_seen(
        &self,
        account: &Jid,
        client: &SessionClient,
        proved: Box<[u8]>,
    ) -> Option<Write> {
        let remembered = client.password && self.config.load().auth.remember_clients;
        Some(Write::ClientSeen {
            account: account.bare_str().to_owned(),
            client: TokenClient {
                id: client.id.clone().filter(|_| remembered)?,
                software: client.software.clone(),
                device: client.device.clone(),
            },
            at: self.clock.utc_micros(),
            proved,
            max: CLIENTS,
        })
    }

    /// Takes from a client what it has to log in by without the password. Durable when this
    /// answers.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn revoke_client(&self, account: &Jid, client: &str) -> Result<(), Error> {
        let remove = Write::TokenRemove {
            account: account.bare_str().to_owned(),
            client: client.to_owned(),
        };
        self.change(account, WriteSet::from(remove)).await
    }

    /// Forgets clients that have not logged in for as long as a token lasts.
    pub fn expire_tokens(&self) -> Ticket {
        let lifetime = micros(self.config.load().auth.token_lifetime);
        let before = self.clock.utc_micros().saturating_sub(lifetime);
        let rows = FORGOTTEN;
        let expire = Write::TokensExpire { before, rows };
        self.store.commit(WriteSet::from(expire))
    }

    /// Keeps keys that a client made from its password, if the account has none of that hash.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::NoSuchHost`].
    pub async fn add_keys(&self, account: &Jid, keys: ScramKeys) -> Result<(), Error> {
        let (host, user) = self.local_account(account)?;
        let keys = vec![stored_key(keys)];
        let add = Write::AddKeys { host, user, keys };
        self.change(account, WriteSet::from(add)).await
    }

    /// The hashes that the account has keys of; none when there is no such account.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn hashes_of(
        &self,
        account: &Jid,
    ) -> Result<Vec<balcony_proto::sasl::HashKind>, Error> {
        let user = account.local().unwrap_or_default();
        let found = self.store.accounts().get(account.domain(), user).await?;
        let keys = found.map(|account| account.keys).unwrap_or_default();
        let all = balcony_proto::sasl::HashKind::ALL.into_iter();
        Ok(all
            .filter(|hash| keys.iter().any(|key| key.hash == stored_name(*hash)))
            .collect())
    }

    /// How many accounts of a host have which keys, as it was a while ago.
    #[must_use]
    pub fn key_counts(&self, host: &str) -> Arc<Vec<KeyCount>> {
        let counts = self.key_counts.load();
        counts.get(host).cloned().unwrap_or_default()
    }

    /// Looks again how many accounts have which keys.
    pub async fn count_keys(&self) {
        let mut counts = Map::default();
        for host in self.hosts() {
            match self.store.accounts().iterations(host.name()).await {
                Ok(found) => {
                    counts.insert(host.name().to_owned(), Arc::new(found));
                }
                Err(cause) => {
                    tracing::warn!(%cause, "the keys of accounts are not counted");
                    return;
                }
            }
        }
        self.key_counts.store(Arc::new(counts));
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
