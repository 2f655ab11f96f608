use super::tables::{AccountData, Kind, Name, Tables};
use crate::kinds::roster::first_version;
use crate::{
    Bounds, Error, OfflineRow, PendingIn, Result, RosterItem, ScramKey, TOMBSTONES, Waiting, Write,
};

impl Tables {
    /// Applies one write; what it changed before an error is undone by the caller.
    pub(super) fn apply(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::CreateAccount { .. }
            | Write::SetKeys { .. }
            | Write::AddKeys { .. }
            | Write::SetEnabled { .. }
            | Write::DeleteAccount { .. } => self.apply_account(write),
            Write::InviteCreate { .. }
            | Write::InviteUse { .. }
            | Write::InviteRemove { .. }
            | Write::InvitesExpire { .. }
            | Write::SecretCreate { .. }
            | Write::RemotePush { .. }
            | Write::RemoteDone { .. } => self.apply_server(write),
            Write::OfflinePush { .. } | Write::OfflineExpire { .. } => self.apply_offline(write),
            Write::ArchivePush { .. }
            | Write::ArchiveDelivered { .. }
            | Write::ArchiveRetract { .. }
            | Write::ArchiveReplace { .. }
            | Write::ArchivePrefsSet { .. }
            | Write::ArchiveExpire { .. }
            | Write::ArchiveTrim { .. }
            | Write::TakeUp
            | Write::LayDown => self.apply_to_archives(write),
            Write::StreamCreate { .. }
            | Write::StreamHandled { .. }
            | Write::StreamKeep { .. }
            | Write::StreamRenew { .. }
            | Write::StreamRemove { .. }
            | Write::StreamsExpire { .. } => self.apply_stream(write),
            Write::RoomCreate { .. }
            | Write::RoomConfigSet { .. }
            | Write::RoomSubjectSet { .. }
            | Write::RoomAffiliationSet { .. }
            | Write::RoomDelete { .. } => self.apply_room(write),
            Write::ServiceCreate { .. }
            | Write::NodeCreate { .. }
            | Write::NodeConfigSet { .. }
            | Write::NodeDelete { .. }
            | Write::ItemPublish { .. }
            | Write::ItemRetract { .. }
            | Write::NodePurge { .. }
            | Write::ItemsExpire { .. }
            | Write::NodeAffiliationSet { .. }
            | Write::SubscriptionSet { .. }
            | Write::SubscriptionRemove { .. } => self.apply_pubsub(write),
            Write::TokensExpire { before, rows } => self.expire_tokens(*before, *rows),
            _ => self.apply_to_account(write),
        }
    }

    /// What is of one account, room or service.
    fn apply_to_account(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::RosterSet { account, .. }
            | Write::RosterRemove { account, .. }
            | Write::PendingSet { account, .. }
            | Write::PendingRemove { account, .. } => {
                self.change_login(account)?.apply_roster(write)
            }
            Write::PushEnable { account, .. }
            | Write::PushDisable { account, .. }
            | Write::PushFail { account, .. } => self.change(account)?.apply_push(write),
            Write::ClientSeen { account, .. }
            | Write::TokenSet { account, .. }
            | Write::TokenUsed { account, .. }
            | Write::TokenRemove { account, .. }
            | Write::TokensRemoveAll { account } => self.change_login(account)?.apply_token(write),
            Write::OfflineDelete { account, .. }
            | Write::PrivateSet { account, .. }
            | Write::PrivateRemove { account, .. }
            | Write::VCardSet { account, .. }
            | Write::VCardRemove { account }
            | Write::BlockAdd { account, .. }
            | Write::BlockRemove { account, .. }
            | Write::BlockClear { account }
            | Write::LastSeenSet { account, .. } => self.change(account)?.apply_item(write),
            _ => Err(misplaced()),
        }
    }

    /// What belongs to the server as a whole.
    fn apply_server(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::SecretCreate { name, value } => self.create_secret(name, value),
            Write::RemotePush { row } => self.push_remote(row),
            Write::RemoteDone { ids } => self.remove_remotes(ids),
            _ => self.apply_invite(write),
        }
    }

    fn create_secret(&mut self, name: &str, value: &[u8]) -> Result<()> {
        if self.secret(name).is_some() {
            return Err(Error::Conflict("secret"));
        }
        self.add_secret(name, value);
        Ok(())
    }

    fn apply_offline(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::OfflinePush {
                account,
                received_at,
                stanza,
                bounds,
            } => self.push(account, *received_at, stanza, *bounds),
            Write::OfflineExpire { before, oldest } => {
                self.expire(*before, *oldest);
                Ok(())
            }
            _ => Err(misplaced()),
        }
    }

    fn apply_to_archives(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::ArchivePush { account, entry } => {
                let id = self.archive_push(account, entry)?;
                self.archived.push(id);
            }
            Write::ArchiveDelivered { account, id } => self.archive_delivered(account, *id)?,
            Write::ArchiveRetract { account, .. } | Write::ArchivePrefsSet { account, .. } => {
                self.change(account)?.apply_archive(write);
            }
            Write::ArchiveReplace {
                account,
                id,
                tombstone,
            } => self.change(account)?.archive_replace(*id, tombstone)?,
            Write::ArchiveExpire {
                host,
                before,
                oldest,
            } => self.archive_expire(host, *before, *oldest),
            Write::ArchiveTrim {
                host,
                max_bytes,
                rows,
            } => self.archive_trim(host, *max_bytes, *rows),
            Write::TakeUp => self.take_up(),
            Write::LayDown => {
                self.set_laid_down(true);
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }

    fn apply_account(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::CreateAccount {
                host,
                user,
                created,
                keys,
            } => self.create((host.clone(), user.clone()), *created, keys),
            Write::SetKeys { host, user, keys } => {
                self.change_account(host, user)?.set_keys(keys);
                Ok(())
            }
            Write::AddKeys { host, user, keys } => {
                let account = self.change_account(host, user)?;
                for key in keys {
                    account.keys.entry(key.hash).or_insert_with(|| key.clone());
                }
                Ok(())
            }
            Write::SetEnabled {
                host,
                user,
                enabled,
            } => {
                self.change_account(host, user)?.enabled = *enabled;
                Ok(())
            }
            Write::DeleteAccount { host, user } => {
                self.delete_account(&(host.clone(), user.clone()))?;
                let bare = format!("{user}@{host}");
                self.remove_invites(|invite| invite.created_by.as_deref() == Some(&bare));
                self.forget_in_nodes(&bare);
                Ok(())
            }
            _ => Err(misplaced()),
        }
    }

    fn create(&mut self, name: Name, created: i64, keys: &[ScramKey]) -> Result<()> {
        if self.named(&name).is_some() {
            return Err(Error::Conflict("account"));
        }
        let mut account = self.new_owner(Kind::Account, created);
        account.set_keys(keys);
        self.add_account(name, account);
        Ok(())
    }

    /// With nothing that belongs to it. Nobody logs in as what is no account.
    pub(super) fn new_owner(&mut self, kind: Kind, created: i64) -> AccountData {
        let number = self.new_account_id();
        let version = first_version(number).unsigned_abs();
        AccountData {
            number,
            created,
            enabled: matches!(kind, Kind::Account),
            kind,
            version,
            horizon: version,
            ..AccountData::default()
        }
    }

    fn change_account(&mut self, host: &str, user: &str) -> Result<&mut AccountData> {
        let account = self.change_named(&(host.to_owned(), user.to_owned()))?;
        match account.kind {
            Kind::Account => Ok(account),
            Kind::Room(_) | Kind::Service => Err(Error::NotFound),
        }
    }

    fn push(
        &mut self,
        account: &str,
        received_at: i64,
        stanza: &Waiting,
        bounds: Bounds,
    ) -> Result<()> {
        let whose = self.account(account).ok_or(Error::NotFound)?;
        let Some((stanza, archived)) = self.waiting(whose, stanza)? else {
            return Ok(());
        };
        let seq = self.new_offline_seq();
        let account = self.change(account)?;
        account.offline.push(OfflineRow {
            seq,
            received_at,
            stanza,
            archived,
        });
        let sizes = account.offline.iter().map(|row| row.stanza.bytes.len());
        check(bounds, sizes)
    }

    fn apply_invite(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::InviteCreate { token_hash, invite } => {
                if self.invite(token_hash).is_some() {
                    return Err(Error::Conflict("invitation"));
                }
                self.set_invite(token_hash, Some(invite.clone()));
            }
            Write::InviteUse {
                token_hash,
                host,
                now,
            } => {
                let good = self.invite(token_hash).filter(|invite| {
                    invite.host == *host && invite.expires_at > *now && invite.uses > 0
                });
                let mut invite = good.cloned().ok_or(Error::NotFound)?;
                invite.uses -= 1;
                self.set_invite(token_hash, Some(invite));
            }
            Write::InviteRemove { token_hash } => self.set_invite(token_hash, None),
            Write::InvitesExpire { now } => self.remove_invites(|invite| invite.expires_at <= *now),
            _ => return Err(misplaced()),
        }
        Ok(())
    }
}

impl AccountData {
    fn set_keys(&mut self, keys: &[ScramKey]) {
        self.keys = keys.iter().map(|key| (key.hash, key.clone())).collect();
    }

    fn apply_roster(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::RosterSet {
                item,
                base,
                max_items,
                ..
            } => self.set_item(item, *base, *max_items),
            Write::RosterRemove { jid, base, .. } => self.remove_item(jid, *base),
            Write::PendingSet { request, max, .. } => self.set_pending(request, *max),
            Write::PendingRemove { jid, .. } => {
                self.pending.remove(jid);
                Ok(())
            }
            _ => Err(misplaced()),
        }
    }

    fn next_version(&mut self, base: Option<u64>) -> Result<u64> {
        if base.is_some_and(|base| base != self.version) {
            return Err(Error::Conflict("roster version"));
        }
        self.version += 1;
        Ok(self.version)
    }

    fn set_item(&mut self, item: &RosterItem, base: Option<u64>, max: u32) -> Result<()> {
        let version = self.next_version(base)?;
        if !self.roster.contains_key(&item.jid) && self.roster.len() >= max as usize {
            return Err(Error::Limit("roster items"));
        }
        let item = RosterItem {
            version,
            ..item.clone()
        };
        self.removed.retain(|_, jid| *jid != item.jid);
        self.roster.insert(item.jid.clone(), item);
        Ok(())
    }

    fn remove_item(&mut self, jid: &str, base: Option<u64>) -> Result<()> {
        let version = self.next_version(base)?;
        self.roster.remove(jid).ok_or(Error::NotFound)?;
        self.removed.insert(version, jid.to_owned());
        while self.removed.len() > TOMBSTONES as usize {
            if let Some((version, _)) = self.removed.pop_first() {
                self.horizon = version;
            }
        }
        Ok(())
    }

    fn set_pending(&mut self, request: &PendingIn, max: u32) -> Result<()> {
        if !self.pending.contains_key(&request.jid) && self.pending.len() >= max as usize {
            return Err(Error::Limit("pending requests"));
        }
        self.pending.insert(request.jid.clone(), request.clone());
        Ok(())
    }

    fn apply_item(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::OfflineDelete { after, up_to, .. } => self
                .offline
                .retain(|row| row.seq <= *after || row.seq > *up_to),
            Write::PrivateSet {
                ns,
                name,
                payload,
                bounds,
                ..
            } => {
                let key = (ns.clone(), name.clone());
                self.private.insert(key, payload.clone());
                let sizes = self.private.values().map(|payload| payload.bytes.len());
                return check(*bounds, sizes);
            }
            Write::PrivateRemove { ns, name, .. } => {
                self.private.remove(&(ns.clone(), name.clone()));
            }
            Write::VCardSet { vcard, .. } => self.vcard = Some(vcard.clone()),
            Write::VCardRemove { .. } => self.vcard = None,
            Write::LastSeenSet { at, status, .. } => {
                let (at, status) = (*at, status.clone());
                self.last = Some(crate::LastSeenAt { at, status });
            }
            _ => return self.apply_block(write),
        }
        Ok(())
    }

    fn apply_block(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::BlockAdd { jids, max, .. } => {
                let before = self.blocked.len();
                self.blocked.extend(jids.iter().cloned());
                let after = self.blocked.len();
                if after > before && after > *max as usize {
                    return Err(Error::Limit("blocked JIDs"));
                }
            }
            Write::BlockRemove { jids, .. } => self.blocked.retain(|jid| !jids.contains(jid)),
            Write::BlockClear { .. } => self.blocked.clear(),
            _ => return Err(misplaced()),
        }
        Ok(())
    }
}

fn check(bounds: Bounds, sizes: impl ExactSizeIterator<Item = usize>) -> Result<()> {
    let rows = sizes.len() as u64;
    bounds.check(rows, sizes.map(|size| size as u64).sum())
}

pub(super) fn misplaced() -> Error {
    Error::Broken("a write reached the wrong kind of data".to_owned())
}
