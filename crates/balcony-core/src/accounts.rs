//! Accounts: made, changed and deleted in one place, whoever asks for it.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::{HashKind, ScramKeys, fake_keys, prepare_password};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::{Error as StoreError, HashName, ScramKey, Write, WriteSet};

use crate::context::{Ctx, Work, Works};
use crate::error::Error;
use crate::module::{Event, Listen};
use crate::session::Session;
use crate::{Core, Pending};

/// Bytes of a salt: as many as RFC 5802's examples have, and more than a table could cover.
const SALT_BYTES: usize = 16;

/// What a login by one hash needs.
pub struct Login {
    /// The keys.
    pub keys: ScramKeys,
    /// Whether the account may log in. To be told only to who proved to know the password.
    pub enabled: bool,
}

impl Core {
    /// Makes an account. `with` is committed together with it: the use of an invitation, say.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an address with a resource or without a localpart, or a password
    /// that cannot be one; [`Error::NoSuchHost`], [`Error::AccountExists`], [`Error::Store`].
    pub async fn create_account(
        self: &Arc<Self>,
        account: &Jid,
        password: &str,
        with: WriteSet,
    ) -> Result<Option<Pending>, Error> {
        let (host, user) = self.local_account(account)?;
        let keys = self.derive_keys(password).await?;
        let mut writes = WriteSet::default();
        writes.push(Write::CreateAccount {
            host,
            user,
            created: self.clock.utc_micros(),
            keys,
        });
        writes.append(with);
        match self.store.commit(writes).await {
            Ok(_) => Ok(self.fire(Event::AccountCreated(account.clone()))),
            Err(StoreError::Conflict(_)) => Err(Error::AccountExists(account.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the password of an account, revokes its tokens and ends its sessions but for `keep`,
    /// that of whoever has just chosen it: nobody is in by a password that is none any more.
    ///
    /// # Errors
    /// As [`Core::create_account`], and [`Error::NoSuchAccount`].
    pub async fn set_password(
        self: &Arc<Self>,
        account: &Jid,
        password: &str,
        keep: Option<&Session>,
    ) -> Result<(), Error> {
        let (host, user) = self.local_account(account)?;
        let keys = self.derive_keys(password).await?;
        // Who chooses a password knows it.
        let knows = keep
            .and_then(Session::client)
            .zip(keys.first())
            .and_then(|(client, key)| self.client_seen(account, &client, key.stored_key.clone()));
        let set = Write::SetKeys { host, user, keys };
        let writes = [set, revoke_tokens(account)].into_iter().chain(knows);
        self.change(account, writes.collect()).await?;
        // RFC 6120 §4.9.3.16: authentication needs to be negotiated again.
        for session in self.sessions.of(account.bare_str()) {
            if keep.is_none_or(|keep| keep.id() != session.id()) {
                self.end_session(&session, StreamError::new(StreamCondition::Reset));
            }
        }
        Ok(())
    }

    /// Allows or forbids an account to log in; forbidding ends its sessions and revokes its tokens.
    ///
    /// # Errors
    /// [`Error::NoSuchHost`], [`Error::NoSuchAccount`], [`Error::Store`].
    pub async fn set_enabled(self: &Arc<Self>, account: &Jid, enabled: bool) -> Result<(), Error> {
        let (host, user) = self.local_account(account)?;
        let set = Write::SetEnabled {
            host,
            user,
            enabled,
        };
        let revoke = (!enabled).then(|| revoke_tokens(account));
        let writes = std::iter::once(set).chain(revoke);
        self.change(account, writes.collect()).await?;
        if !enabled {
            // RFC 6120 §4.9.3.12: the account is not authorized any more.
            self.end_sessions(account, StreamCondition::NotAuthorized);
        }
        Ok(())
    }

    /// Deletes an account with all that belongs to it, tells its contacts, and ends its sessions.
    ///
    /// # Errors
    /// [`Error::NoSuchHost`], [`Error::NoSuchAccount`], [`Error::Store`]; then all is as before.
    pub async fn delete_account(self: &Arc<Self>, account: &Jid) -> Result<(), Error> {
        self.erase_account(account).await?.await;
        Ok(())
    }

    /// The first half of [`Core::delete_account`]: the account is gone for good when this answers,
    /// and nobody has heard of it. The other half is answered, and must be awaited.
    ///
    /// # Errors
    /// As [`Core::delete_account`].
    pub async fn erase_account(self: &Arc<Self>, account: &Jid) -> Result<Pending, Error> {
        let (host, user) = self.local_account(account)?;
        if !self.store.accounts().exists(&host, &user).await? {
            return Err(Error::NoSuchAccount(account.to_string()));
        }
        let farewells = self.farewells(account).await;
        let delete = Write::DeleteAccount { host, user };
        self.change(account, delete.into()).await?;
        let (core, account) = (Arc::clone(self), account.clone());
        Ok(Box::pin(async move {
            core.tell_farewells(farewells).await;
            if let Some(pending) = core.fire(Event::AccountDeleted(account.clone())) {
                pending.await;
            }
            core.end_sessions(&account, StreamCondition::NotAuthorized);
        }))
    }

    /// What the modules want sent when the account is gone.
    async fn farewells(self: &Arc<Self>, account: &Jid) -> Works {
        let event = Event::AccountLeaving(account.clone());
        let mut works = Works::default();
        for listen in self.listeners(event.kind()) {
            let mut ctx = Ctx::new(self, &mut works);
            match listen {
                Listen::Now(run) => run(&mut ctx, &event),
                Listen::Waits(run) => run(&mut ctx, &event).await,
            }
        }
        works
    }

    async fn tell_farewells(self: &Arc<Self>, farewells: Works) {
        for work in farewells.0 {
            let pending = match work {
                Work::Envelope(envelope) => self.submit(envelope.stanza),
                Work::Event(event) => self.fire(event),
            };
            if let Some(pending) = pending {
                pending.await;
            }
        }
    }

    /// Ends all sessions of an account with a stream error.
    pub fn end_sessions(self: &Arc<Self>, account: &Jid, condition: StreamCondition) {
        for session in self.sessions.of(account.bare_str()) {
            self.end_session(&session, StreamError::new(condition));
        }
    }

    /// Whether the account exists.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn account_exists(&self, account: &Jid) -> Result<bool, Error> {
        let Some(user) = account.local() else {
            return Ok(false);
        };
        Ok(self.store.accounts().exists(account.domain(), user).await?)
    }

    /// Whether the account exists and may log in, and still has the password that `proved` is the
    /// StoredKey of, where a password was proved.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn may_log_in(&self, account: &Jid, proved: Option<&[u8]>) -> Result<bool, Error> {
        let Some(user) = account.local() else {
            return Ok(false);
        };
        let found = self.store.accounts().get(account.domain(), user).await?;
        Ok(found.is_some_and(|account| {
            let mut keys = account.keys.iter();
            let still = |proved: &[u8]| keys.any(|key| *key.stored_key == *proved);
            account.enabled && proved.is_none_or(still)
        }))
    }

    /// What a login by SCRAM needs; `None` when there is no such account, or no key of this hash.
    /// Whoever tries must not be able to tell that from a wrong password.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn login(
        &self,
        host: &str,
        user: &str,
        hash: HashKind,
    ) -> Result<Option<Login>, Error> {
        let stored = self
            .store
            .accounts()
            .keys(host, user, stored_name(hash))
            .await?;
        Ok(stored.and_then(|found| {
            let keys = to_scram(hash, found.key?);
            Some(Login {
                keys,
                enabled: found.enabled,
            })
        }))
    }

    /// Checks a clear-text password, of SASL PLAIN: as slow for an unknown user as for a known
    /// one. Answers with what it was compared with, or `None` when the password is wrong. That is
    /// the key of SHA-256, but of an account that has none another one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn verify_password(
        &self,
        host: &str,
        user: &str,
        password: &str,
    ) -> Result<Option<Login>, Error> {
        let stored = self.store.accounts().get(host, user).await?;
        let login = stored.and_then(|found| {
            Some(Login {
                enabled: found.enabled,
                keys: preferred(found.keys)?,
            })
        });
        let iterations = self.config.load().auth.iterations;
        let decoy = || fake_keys(&self.decoy_secret, user, HashKind::Sha256, iterations);
        let keys = match &login {
            Some(login) => login.keys.clone(),
            None => decoy(),
        };
        let password = password.to_owned();
        let matches = tokio::task::spawn_blocking(move || keys.verify_password(&password))
            .await
            .unwrap_or(false);
        Ok(login.filter(|_| matches))
    }

    pub(crate) async fn change(&self, account: &Jid, writes: WriteSet) -> Result<(), Error> {
        match self.store.commit(writes).await {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound) => Err(Error::NoSuchAccount(account.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn local_account(&self, account: &Jid) -> Result<(String, String), Error> {
        let Some(user) = account.local().filter(|_| account.is_bare()) else {
            return Err(Error::Malformed(format!(
                "{account} is no address of an account; it looks like user@{}",
                account.domain()
            )));
        };
        if !self.serves(account.domain()) {
            return Err(Error::NoSuchHost(account.domain().to_owned()));
        }
        Ok((account.domain().to_owned(), user.to_owned()))
    }

    /// Keys for all hashes. Takes tens of milliseconds of CPU, away from the stanzas.
    async fn derive_keys(&self, password: &str) -> Result<Vec<ScramKey>, Error> {
        let prepared =
            prepare_password(password).map_err(|error| Error::Malformed(error.to_string()))?;
        if prepared.is_empty() {
            return Err(Error::Malformed("the password is empty".into()));
        }
        let password = password.to_owned();
        let iterations = self.config.load().auth.iterations;
        let derive = move || {
            [HashKind::Sha1, HashKind::Sha256, HashKind::Sha512]
                .into_iter()
                .map(|hash| derive_key(hash, &password, iterations))
                .collect()
        };
        let keys: Result<Vec<_>, _> = tokio::task::spawn_blocking(derive)
            .await
            .map_err(|error| Error::Random(error.to_string()))?;
        keys
    }
}

fn derive_key(hash: HashKind, password: &str, iterations: u32) -> Result<ScramKey, Error> {
    let mut salt = [0_u8; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| Error::Random(error.to_string()))?;
    let keys = ScramKeys::derive(hash, password, &salt, iterations)
        .map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(stored_key(keys))
}

fn revoke_tokens(account: &Jid) -> Write {
    Write::TokensRemoveAll {
        account: account.bare_str().to_owned(),
    }
}

pub(crate) fn stored_key(keys: ScramKeys) -> ScramKey {
    ScramKey {
        hash: stored_name(keys.hash),
        salt: keys.salt,
        iterations: keys.iterations,
        stored_key: keys.stored_key,
        server_key: keys.server_key,
    }
}

pub(crate) fn stored_name(hash: HashKind) -> HashName {
    match hash {
        HashKind::Sha1 => HashName::Sha1,
        HashKind::Sha256 => HashName::Sha256,
        HashKind::Sha512 => HashName::Sha512,
    }
}

/// The key that a clear-text password is compared with.
fn preferred(mut keys: Vec<ScramKey>) -> Option<ScramKeys> {
    let order = [HashKind::Sha256, HashKind::Sha512, HashKind::Sha1];
    let find = |hash: &HashKind| keys.iter().position(|key| key.hash == stored_name(*hash));
    let (hash, at) = order
        .into_iter()
        .find_map(|hash| Some((hash, find(&hash)?)))?;
    Some(to_scram(hash, keys.swap_remove(at)))
}

fn to_scram(hash: HashKind, key: ScramKey) -> ScramKeys {
    ScramKeys {
        hash,
        salt: key.salt,
        iterations: key.iterations,
        stored_key: key.stored_key,
        server_key: key.server_key,
    }
}
