use super::MemoryStore;
use super::tables::{AccountData, Tables};
use crate::{BoxFuture, ClientTokens, Error, Result, TokenClient, TokenLogin, Tokens, Write};

impl AccountData {
    pub(super) fn apply_token(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::ClientSeen {
                client,
                at,
                proved,
                max,
                ..
            } => {
                if !self.still_proves(proved) {
                    return Err(Error::NotFound);
                }
                self.client(client, *at).seen_with_password(client, *at);
                self.drop_surplus_clients(None, *max as usize);
            }
            Write::TokenSet {
                client,
                token,
                at,
                proved,
                max,
                ..
            } => {
                if proved.as_ref().is_some_and(|key| !self.still_proves(key)) {
                    return Err(Error::NotFound);
                }
                let tokens = self.client(client, *at);
                tokens.issue(client, token, *at, proved.is_some());
                self.drop_surplus_clients(Some(&client.id), *max as usize);
            }
            Write::TokenUsed {
                client,
                secret,
                count,
                at,
                ..
            } => {
                let tokens = self.tokens.get_mut(&client.id).ok_or(Error::NotFound)?;
                tokens.use_token(client, secret, *count, *at)?;
            }
            Write::TokenRemove { client, .. } => {
                let known = self.tokens.get_mut(client);
                if known.is_some_and(|tokens| !tokens.revoke()) {
                    self.tokens.remove(client);
                }
            }
            Write::TokensRemoveAll { .. } => self.tokens.clear(),
            _ => {}
        }
        Ok(())
    }

    fn still_proves(&self, stored_key: &[u8]) -> bool {
        let mut keys = self.keys.values();
        self.enabled && keys.any(|key| *key.stored_key == *stored_key)
    }

    /// What is known of a client, from now on if it is new.
    fn client(&mut self, client: &TokenClient, at: i64) -> &mut ClientTokens {
        let first = || ClientTokens::first(client.clone(), at);
        let tokens = self.tokens.entry(client.id.clone());
        tokens.or_insert_with(first)
    }

    fn drop_surplus_clients(&mut self, new: Option<&str>, max: usize) {
        let others = self.tokens.values();
        let others = others.filter(|other| Some(&*other.client.id) != new);
        let mut others: Vec<_> = others
            .map(|other| (other.has_token(), other.used, other.client.id.clone()))
            .collect();
        others.sort();
        let surplus = self.tokens.len().saturating_sub(max);
        for (.., id) in others.into_iter().take(surplus) {
            self.tokens.remove(&id);
        }
    }
}

impl Tables {
    pub(super) fn expire_tokens(&mut self, before: i64, rows: u32) -> Result<()> {
        let accounts = self.accounts_from((String::new(), String::new()));
        let mut old: Vec<_> = accounts
            .flat_map(|(name, account)| {
                let old = account.tokens.values();
                old.filter(|tokens| tokens.used < before).map(|tokens| {
                    let id = tokens.client.id.clone();
                    (tokens.used, account.number, id, name.clone())
                })
            })
            .collect();
        old.sort();
        for (_, _, client, name) in old.into_iter().take(rows as usize) {
            self.change_named(&name)?.tokens.remove(&client);
        }
        Ok(())
    }
}

impl Tokens for MemoryStore {
    fn login(&self, account: &str, client: &str) -> BoxFuture<'_, Result<Option<TokenLogin>>> {
        self.read(|tables| {
            tables.login(account).map(|account| TokenLogin {
                enabled: account.enabled,
                tokens: account.tokens.get(client).cloned(),
            })
        })
    }

    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<ClientTokens>>> {
        self.read(|tables| {
            let account = tables.account(account);
            let list = account.map(|account| account.tokens.values().cloned().collect());
            list.unwrap_or_default()
        })
    }
}
