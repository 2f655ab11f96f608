use super::MemoryStore;
use super::apply::misplaced;
use super::tables::AccountData;
use crate::{BoxFuture, PushRegistration, PushRegistrations, Result, Write};

impl AccountData {
    pub(super) fn apply_push(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::PushEnable {
                registration, max, ..
            } => self.enable_push(registration, *max as usize),
            Write::PushDisable { jid, node, .. } => self.push.retain(|(of, at), _| {
                let meant = of == jid && node.as_ref().is_none_or(|node| node == at);
                !meant
            }),
            Write::PushFail {
                jid,
                node,
                created,
                reason,
                ..
            } => {
                let found = self.push.get_mut(&(jid.clone(), node.clone()));
                if let Some(found) = found.filter(|found| found.created == *created) {
                    found.disabled = Some(reason.clone());
                }
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }

    fn enable_push(&mut self, registration: &PushRegistration, max: usize) {
        let new = (registration.jid.clone(), registration.node.clone());
        self.push.insert(new.clone(), registration.clone());
        let mut others: Vec<_> = self.push.iter().filter(|(key, _)| **key != new).collect();
        others.sort_by_key(|(key, other)| (other.disabled.is_none(), other.created, *key));
        let surplus = self.push.len().saturating_sub(max);
        let gone: Vec<_> = others.iter().map(|(key, _)| (*key).clone()).collect();
        gone.iter().take(surplus).for_each(|key| {
            self.push.remove(key);
        });
    }
}

impl PushRegistrations for MemoryStore {
    fn list(&self, account: &str) -> BoxFuture<'_, Result<Vec<PushRegistration>>> {
        self.read(|tables| {
            let account = tables.account(account);
            let list = account.map(|account| account.push.values().cloned().collect());
            list.unwrap_or_default()
        })
    }
}
