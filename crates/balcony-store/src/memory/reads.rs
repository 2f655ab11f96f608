use std::collections::BTreeMap;

use super::MemoryStore;
use super::tables::{AccountData, Tables};
use crate::{
    Account, AccountEntry, Accounts, BlockedByAccount, Blocking, BoxFuture, Credentials, HashName,
    Invite, Invites, KeyCount, LastSeen, LastSeenAt, Offline, OfflineRow, OfflineTotal, Private,
    Result, Roster, RosterChange, RosterData, RosterItem, Secrets, Stored, VCard, VCards,
};

fn named<'a>(tables: &'a Tables, host: &str, user: &str) -> Option<&'a AccountData> {
    let data = tables.named(&(host.to_owned(), user.to_owned()));
    data.filter(|data| data.is_account())
}

/// The accounts of a host, in order, from this localpart on.
fn accounts_from<'a>(
    tables: &'a Tables,
    host: &'a str,
    from: &str,
) -> impl Iterator<Item = (&'a String, &'a AccountData)> {
    let all = tables.accounts_from((host.to_owned(), from.to_owned()));
    all.take_while(move |((of, _), _)| of == host)
        .filter(|(_, data)| data.is_account())
        .map(|((_, user), data)| (user, data))
}

impl Accounts for MemoryStore {
    fn get(&self, host: &str, user: &str) -> BoxFuture<'_, Result<Option<Account>>> {
        self.read(|tables| {
            named(tables, host, user).map(|account| Account {
                enabled: account.enabled,
                created: account.created,
                keys: account.keys.values().cloned().collect(),
            })
        })
    }

    fn keys(
        &self,
        host: &str,
        user: &str,
        hash: HashName,
    ) -> BoxFuture<'_, Result<Option<Credentials>>> {
        self.read(|tables| {
            named(tables, host, user).map(|account| Credentials {
                enabled: account.enabled,
                key: account.keys.get(&hash).cloned(),
            })
        })
    }

    fn iterations(&self, host: &str) -> BoxFuture<'_, Result<Vec<KeyCount>>> {
        self.read(|tables| {
            let mut counts = BTreeMap::new();
            for (_, account) in accounts_from(tables, host, "") {
                for key in account.keys.values() {
                    *counts.entry((key.hash, key.iterations)).or_default() += 1;
                }
            }
            let count = |((hash, iterations), accounts)| KeyCount {
                hash,
                iterations,
                accounts,
            };
            counts.into_iter().map(count).collect()
        })
    }

    fn exists(&self, host: &str, user: &str) -> BoxFuture<'_, Result<bool>> {
        self.read(|tables| named(tables, host, user).is_some())
    }

    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<AccountEntry>>> {
        let after = after.unwrap_or("");
        self.read(|tables| {
            accounts_from(tables, host, after)
                .filter(|(user, _)| *user != after)
                .take(limit as usize)
                .map(|(user, account)| AccountEntry {
                    user: user.clone(),
                    enabled: account.enabled,
                    created: account.created,
                })
                .collect()
        })
    }

    fn count(&self, host: &str) -> BoxFuture<'_, Result<u64>> {
        self.read(|tables| accounts_from(tables, host, "").count() as u64)
    }
}

impl AccountData {
    fn roster_data(&self) -> RosterData {
        let mut pending_in: Vec<_> = self.pending.values().cloned().collect();
        pending_in.sort_by_key(|request| request.received_at);
        RosterData {
            version: self.version,
            items: self.roster.values().cloned().collect(),
            pending_in,
        }
    }

    fn changes_since(&self, since: u64) -> Option<Vec<RosterChange>> {
        if since < self.horizon || since > self.version {
            return None;
        }
        let newer = self.roster.values().filter(|item| item.version > since);
        let mut changes: Vec<_> = newer.cloned().map(RosterChange::Set).collect();
        let removed = self.removed.range(since + 1..);
        changes.extend(removed.map(|(version, jid)| RosterChange::Removed {
            jid: jid.clone(),
            version: *version,
        }));
        changes.sort_by_key(RosterChange::version);
        Some(changes)
    }
}

impl Roster for MemoryStore {
    fn load(&self, account: &str) -> BoxFuture<'_, Result<RosterData>> {
        self.read(|tables| {
            let account = tables.login(account);
            account.map(AccountData::roster_data).unwrap_or_default()
        })
    }

    fn item(&self, account: &str, jid: &str) -> BoxFuture<'_, Result<Option<RosterItem>>> {
        self.read(|tables| tables.login(account)?.roster.get(jid).cloned())
    }

    fn of_contact(
        &self,
        accounts: &[String],
        jid: &str,
    ) -> BoxFuture<'_, Result<Vec<(String, RosterItem)>>> {
        self.read(|tables| {
            let found = accounts.iter().filter_map(|account| {
                let item = tables.login(account)?.roster.get(jid)?;
                Some((account.clone(), item.clone()))
            });
            found.collect()
        })
    }

    fn changes_since(
        &self,
        account: &str,
        version: u64,
    ) -> BoxFuture<'_, Result<Option<Vec<RosterChange>>>> {
        self.read(|tables| tables.login(account)?.changes_since(version))
    }
}

impl Offline for MemoryStore {
    fn total(&self, account: &str) -> BoxFuture<'_, Result<OfflineTotal>> {
        self.read(|tables| {
            let rows = tables.account(account).map(|account| &account.offline);
            rows.map(|rows| OfflineTotal {
                rows: rows.len() as u64,
                bytes: rows.iter().map(|row| row.stanza.bytes.len() as u64).sum(),
            })
            .unwrap_or_default()
        })
    }

    fn page(
        &self,
        account: &str,
        after: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OfflineRow>>> {
        self.read(|tables| {
            let account = tables.account(account).into_iter();
            let rows = account.flat_map(|account| {
                let rows = account.offline.iter().filter(|row| row.seq > after);
                rows.filter_map(|row| account.offline_row(row))
            });
            rows.take(limit as usize).collect()
        })
    }
}

impl Private for MemoryStore {
    fn get(&self, account: &str, ns: &str, name: &str) -> BoxFuture<'_, Result<Option<Stored>>> {
        let key = (ns.to_owned(), name.to_owned());
        self.read(|tables| tables.account(account)?.private.get(&key).cloned())
    }
}

impl VCards for MemoryStore {
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<VCard>>> {
        self.read(|tables| tables.account(account)?.vcard.clone())
    }

    fn photo(&self, account: &str) -> BoxFuture<'_, Result<Option<[u8; 20]>>> {
        self.read(|tables| tables.account(account)?.vcard.as_ref()?.photo_sha1)
    }
}

impl Blocking for MemoryStore {
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<String>>> {
        self.read(|tables| {
            let blocked = tables.account(account).map(|account| &account.blocked);
            blocked.into_iter().flatten().cloned().collect()
        })
    }

    fn lists(&self, accounts: &[String]) -> BoxFuture<'_, Result<BlockedByAccount>> {
        self.read(|tables| {
            let found = accounts.iter().filter_map(|account| {
                let blocked = &tables.account(account)?.blocked;
                let jids: Vec<String> = blocked.iter().cloned().collect();
                (!jids.is_empty()).then(|| (account.clone(), jids))
            });
            found.collect()
        })
    }
}

impl LastSeen for MemoryStore {
    fn get(&self, account: &str) -> BoxFuture<'_, Result<Option<LastSeenAt>>> {
        self.read(|tables| tables.account(account)?.last.clone())
    }
}

impl Invites for MemoryStore {
    fn get(&self, token_hash: &[u8]) -> BoxFuture<'_, Result<Option<Invite>>> {
        self.read(|tables| tables.invite(token_hash).cloned())
    }
}

impl crate::RemoteQueue for MemoryStore {
    fn after(&self, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<crate::RemoteRow>>> {
        self.read(move |tables| {
            let rows = tables.remote_after(after).cloned();
            rows.take(limit as usize).collect()
        })
    }
}

impl Secrets for MemoryStore {
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        self.read(|tables| tables.secret(name).cloned())
    }
}
