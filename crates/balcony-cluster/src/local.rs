//! A cluster inside one process: the default, and what tests of several instances run on.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::{AccountHash, Cluster, Error, Inbound, Instance, Instances};

/// One instance of a cluster that lives in this process.
///
/// A server that runs alone has a hall of one, where the directory is never written or read.
pub struct Local {
    id: Instance,
    hall: Arc<RwLock<Hall>>,
}

#[derive(Default)]
struct Hall {
    members: HashMap<Instance, Option<Inbound>>,
    directory: HashMap<AccountHash, Vec<(Instance, u32)>>,
}

impl Local {
    /// A cluster of one.
    #[must_use]
    pub fn alone() -> Self {
        Self::join(&Arc::default(), Instance(1))
    }

    /// `count` instances of one cluster, numbered from 1.
    #[must_use]
    pub fn several(count: u64) -> Vec<Self> {
        let hall = Arc::default();
        (1..=count)
            .map(|id| Self::join(&hall, Instance(id)))
            .collect()
    }

    fn join(hall: &Arc<RwLock<Hall>>, id: Instance) -> Self {
        hall.write().members.insert(id, None);
        Self {
            id,
            hall: Arc::clone(hall),
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let mut hall = self.hall.write();
        hall.members.remove(&self.id);
        for holders in hall.directory.values_mut() {
            holders.retain(|(instance, _)| *instance != self.id);
        }
    }
}

impl Cluster for Local {
    fn local(&self) -> Instance {
        self.id
    }

    fn announce(&self, account: AccountHash, sessions: u32) {
        let mut hall = self.hall.write();
        if hall.members.len() == 1 {
            return; // Nobody is there to read the directory.
        }
        let holders = hall.directory.entry(account).or_default();
        holders.retain(|(instance, _)| *instance != self.id);
        if sessions > 0 {
            holders.push((self.id, sessions));
        }
        if holders.is_empty() {
            hall.directory.remove(&account);
        }
    }

    fn others(&self, account: AccountHash) -> Instances {
        let hall = self.hall.read();
        let Some(holders) = hall.directory.get(&account) else {
            return Instances::new();
        };
        holders
            .iter()
            .map(|(instance, _)| *instance)
            .filter(|id| *id != self.id)
            .collect()
    }

    fn forward(&self, to: Instance, bytes: &[u8]) -> Result<(), Error> {
        // The lock is released before the call: the receiver may well answer with a forward.
        let member = self.hall.read().members.get(&to).cloned();
        let inbound = member.ok_or(Error::Unknown(to))?;
        if let Some(inbound) = inbound {
            inbound(self.id, bytes);
        }
        Ok(())
    }

    fn on_inbound(&self, inbound: Inbound) {
        self.hall.write().members.insert(self.id, Some(inbound));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract() {
        let instances = Local::several(2);
        crate::contract::check(&instances[0], &instances[1]);
    }

    #[test]
    fn an_instance_that_leaves_takes_its_entries_along() {
        let mut instances = Local::several(2);
        instances[1].announce(AccountHash(1), 1);
        instances.pop();
        assert!(instances[0].others(AccountHash(1)).is_empty());
    }
}
